"""How a delimited text is laid out: its delimiter, comments, and what stands before and after the table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike

from bayesgmm.data.numerals import is_numeral
from bayesgmm.errors import InputError

__all__ = [
    "NO_DELIMITER", "Layout", "Record", "find_delimiter", "is_comment", "names_rows", "records_of", "surroundings",
    "unquoted", "without_comments",
]  # fmt: skip

# Preferred in this order where several fit; the space stands for any run of blanks.
_DELIMITERS = (";", "\t", "|", ",", " ")
NO_DELIMITER = "\x1f"  # a single column: what no table holds
_SNIFFED_CHARACTERS = 100_000
_MOST_BEFORE = 50  # lines before a table
_DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_COMMENT = re.compile(r"\s*(#|%|//)")
_STATED = {",": NO_DELIMITER, ".": ","}
_BETWEEN_DIGITS = re.compile(r"([^,]|(?<=\d),(?=\d))*")
_GROUPED_DECIMAL = re.compile(r"[+-]?[1-9]\d{0,2}( \d{3})+,\d+")
_QUOTED = re.compile(r'"[^"]*"')
_GROUPS = re.compile(r"\d[\s'’]\d")

type Record = tuple[int, list[str]]  # line on which it ends, cells
type Layout = tuple[str, str | None, str | None]


def unquoted(text: str) -> str:
    """The text without quotes where each line stands in quotes as a whole, as when a line became one cell.

    >>> unquoted('"a;b"\\n"1;2"\\n')
    'a;b\\n1;2'
    """
    if not text.lstrip().startswith('"'):
        return text
    lines = text.splitlines()
    filled = [line.strip() for line in lines if line.strip()]
    if not all(_QUOTED.fullmatch(line) for line in filled):
        return text
    cut = any(len({line.count(mark) for line in filled}) == 1 and mark in filled[0] for mark in ";\t,")
    return "\n".join(line.strip()[1:-1] for line in lines) if cut and not is_numeral(filled[-1][1:-1]) else text


def without_comments(text: str) -> Layout:
    """The text with blank lines for comments before the table, the last of these, and the delimiter declared.

    >>> without_comments("sep=;\\n# a;b\\n1;2\\n3;4\\n")
    ('\\n\\n1;2\\n3;4\\n', 'a;b', ';')
    """
    lines = text.splitlines(keepends=True)
    declared, last = None, None
    match = _DECLARED.fullmatch(lines[0].strip("\r\n")) if lines else None
    if match is not None:
        declared, lines[0] = match[1], "\n"
    first = next((j for j, line in enumerate(lines) if line.strip() and not _COMMENT.match(line)), 0)
    for j in range(first):
        if lines[j].strip():
            last, lines[j] = _COMMENT.sub("", lines[j], count=1).strip(), "\n"
    return "".join(lines), last, declared


def is_comment(record: Sequence[str], width: int) -> bool:
    """Whether a record within the table is a comment: the mark alone in a cell, or not of the table's width."""
    return record[0] in ("#", "%", "//") or (len(record) != width and _COMMENT.match(record[0]) is not None)


def records_of(
    text: str, delimiter: str, path: str | PathLike[str], *, void: list[int] | None = None
) -> Iterator[Record]:
    """(line, cells) of every record that is not blank; lines of delimiters alone are added to `void`."""
    if delimiter == " ":
        text = "\n".join(line.strip() for line in text.replace("\t", " ").splitlines())
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            record = [cell.strip() for cell in cells]
            if any(record):
                yield reader.line_num, record
            elif len(record) > 1 and void is not None:
                void.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} cannot be read ({error}); check its quotes.") from error


def find_delimiter(text: str, path: str | PathLike[str], decimal: str | None = None) -> str | None:
    """The delimiter that cuts the records into equally many, mostly numeric cells; None where a comma may be one.

    It may be one where it cuts every line in two whole numbers, unless the decimal mark is stated: 57,64 is also one
    number.
    """
    head = text[:_SNIFFED_CHARACTERS]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1]
    scores: dict[str, float] = {}
    for delimiter in _DELIMITERS:
        try:
            sample = [record for _, record in records_of(head, delimiter, path)]
        except InputError:
            continue
        width = _width(sample)
        if width == 1:
            continue
        regular = [record for record in sample if len(record) == width]
        cells = [cell for record in regular[1:] or regular for cell in record]
        mixed = sum(any(other in cell for other in ";\t|") for cell in cells)
        scores[delimiter] = len(regular) / len(sample) + (sum(map(is_numeral, cells)) - mixed) / len(cells)
    lines = [line.strip().strip('"') for line in head.splitlines() if line.strip()]
    best = max(scores, key=lambda delimiter: scores[delimiter]) if scores else ","
    if best == "," and scores.get(" ") == scores.get(",", -1.0) and all(map(_BETWEEN_DIGITS.fullmatch, lines[1:])):
        best = " "  # numbers with decimal commas, in columns apart
    if len(lines) > 1 and all(map(is_numeral, lines[1:])):
        if best not in lines[0] and not is_numeral(lines[0]):
            return NO_DELIMITER  # a name, and numbers
        if best in scores and best in " ," and all(_GROUPED_DECIMAL.fullmatch(line) for line in lines):
            return NO_DELIMITER
        if best == "," and all(is_numeral(line) and line.count(",") == 1 for line in lines):
            return _of_two_parts([line.split(",") for line in lines]) if decimal is None else _STATED[decimal]
        if best == " " and all(map(is_numeral, lines)) and not scores.keys() - {" "}:
            return None
    return best


def _of_two_parts(parts: Sequence[Sequence[str]]) -> str | None:
    """Whether what a comma cuts in two is one number or two.

    It is one where a whole number would not begin with 0, or has marks between thousands; two where enough lines would
    show that, or they are too unlike for decimals.
    """
    decimals = [second for _, second in parts]
    if any(len(digits) > 1 and digits.startswith("0") for digits in decimals):
        return NO_DELIMITER
    if any(first in ("-0", "+0", "−0") or _GROUPS.search(first) or first.count(".") > 1 for first, _ in parts):
        return NO_DELIMITER
    widths = {len(digits) for digits in decimals}
    if widths == {1}:
        few = len(set(decimals)) <= min(3, len(parts) // 3)
        return "," if few or all(len(first) == 1 for first, _ in parts) else None
    pointed = any("." in first for first, _ in parts)
    return "," if (len(parts) >= 30 and not pointed) or len(widths) > 1 else None


def surroundings(numbered: list[Record], delimiter: str) -> tuple[list[Record], list[Record], list[Record]]:
    """The records before the table, of the table, and after it.

    Before it are records shorter than those that follow, unless it is one that lacks a cell (R gives the names of
    rows no header); after it, single cells of text. Comments within it count as being after it.
    """
    width = _width([record for _, record in numbered])
    comments = [(line, record) for line, record in numbered if is_comment(record, width)]
    numbered = [(line, record) for line, record in numbered if not is_comment(record, width)]
    start = next((j for j, (_, record) in enumerate(numbered) if len(record) >= width), 0)
    end = len(numbered)
    while width > 1 and end > start + 1 and len(numbered[end - 1][1]) == 1 and not is_numeral(numbered[end - 1][1][0]):
        end -= 1
    if start == 1 and len(numbered[0][1]) == width - 1:
        named = names_rows([record for _, record in numbered[1:end]], loosely=delimiter in "\t ")
        start = 0 if named or (delimiter not in "\t " and width > 2) else 1
    start = 0 if start > _MOST_BEFORE else start
    return numbered[:start], numbered[start:end], [*numbered[end:], *comments]


def names_rows(records: Sequence[list[str]], *, loosely: bool = False) -> bool:
    """Whether the first cells are names of rows: each once, and texts or numbers that count; loosely, whole numbers.

    >>> names_rows([["1", "2.5"], ["2", "7.5"]]), names_rows([["u", "2.5"], ["v", "7.5"]])
    (True, True)
    >>> names_rows([["4", "2.5"], ["1", "7.5"]]), names_rows([["4", "2.5"], ["1", "7.5"]], loosely=True)
    (False, True)
    """
    cells = [record[0] for record in records]
    counted = [str(j) for j in range(1, len(cells) + 1)]
    if len(set(cells)) < len(cells):
        return False
    return cells == counted or not any(map(is_numeral, cells)) or (loosely and all(map(str.isdecimal, cells)))


def _width(records: Sequence[list[str]]) -> int:
    return Counter(map(len, records)).most_common(1)[0][0] if records else 1
