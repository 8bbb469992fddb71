"""Delimited text to records: encoding, delimiter, header and row names recognised, ragged rows refused.

The text is UTF-8, UTF-16 with a byte order mark, or else Windows-1252, the code page of older spreadsheets.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from bayesgmm.errors import InputError

__all__ = ["DelimitedText", "is_missing", "read_delimited", "to_number"]

# Preferred in this order where several fit; the space stands for any run of blanks.
_DELIMITERS = (";", "\t", "|", ",", " ")
_MISSING = frozenset({"", "na", "nan", "n/a", "#n/a", "<na>", "null", "none", "?", "."})
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_UNNAMED = re.compile(r"(Unnamed: \d+)?")
_SNIFFED_CHARACTERS = 100_000
_HEADER_EVIDENCE = 1000


@dataclass(frozen=True)
class DelimitedText:
    """The records of a file: cells as text, every record with one cell per name.

    Attributes
    ----------
    names : tuple of str
        The header; x1, x2, … without one, and for single columns that have no name.
    records : list of list of str
    lines : list of int
        Line of the file on which each record ends, the first being 1.
    row_names : list of str or None
        The cells of a first column without a name.
    delimiter : str
    """

    names: tuple[str, ...]
    records: list[list[str]]
    lines: list[int]
    row_names: list[str] | None
    delimiter: str


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a missing value.

    >>> is_missing("NA"), is_missing("0")
    (True, False)
    """
    return cell.lower() in _MISSING


def to_number(cell: str) -> float | None:
    """The number in a cell, NaN for a missing value, None for text.

    >>> to_number("1.5"), to_number("NA"), to_number("setosa")
    (1.5, nan, None)
    """
    try:
        number = float(cell)
    except ValueError:
        return math.nan if is_missing(cell) else None
    return None if "_" in cell else number  # Python reads 1_000 as a number


def read_delimited(path: str | PathLike[str]) -> DelimitedText:
    """Read a file of delimited text.

    Parameters
    ----------
    path : str or PathLike

    Returns
    -------
    DelimitedText
        At least one record and one column.

    Raises
    ------
    InputError
        No such file, a directory, not text, empty, only a header, quotes that do not close, or ragged rows.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "geyser.csv")
    >>> _ = Path(path).write_text("eruptions;waiting\\n3,6;79\\n1,8;54\\n")
    >>> read_delimited(path).records
    [['3.6', '79'], ['1.8', '54']]
    """
    text = _decoded(path)
    delimiter = _sniffed_delimiter(text, path)
    numbered = list(_records(text, delimiter, path))
    if not numbered:
        raise InputError(f"{path}: the file is empty; give a table with a header and one row per observation.")
    lines, records = [line for line, _ in numbered], [record for _, record in numbered]
    if delimiter == ";":
        records = _with_decimal_points(records)
    header = records[0] if _has_header(records) else None
    first = 0 if header is None else 1
    if len(records) == first:
        raise InputError(f"{path}: the file has a header but no rows; give one row per observation.")
    width = len(records[first])
    if header is not None and delimiter in "\t " and len(header) == width - 1:
        header = ["", *header]  # as R writes it: the row names have no header cell
    _check_rectangular(records[first:], lines[first:], width if header is None else len(header), path)
    return _with_names(header, records[first:], lines[first:], delimiter)


def _decoded(path: str | PathLike[str]) -> str:
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} is a directory: give the path of a CSV file.")
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from error
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"{path}: not a text file in UTF-8, UTF-16 or Windows-1252; save the table as CSV in UTF-8.")


def _records(text: str, delimiter: str, path: str | PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every record that is not blank."""
    if delimiter == " ":
        text = "\n".join(line.strip() for line in text.replace("\t", " ").splitlines())
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            record = [cell.strip() for cell in cells]
            if any(record):
                yield reader.line_num, record
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} cannot be read ({error}); check its quotes.") from error


def _sniffed_delimiter(text: str, path: str | PathLike[str]) -> str:
    """The delimiter that cuts the first records into equally many, mostly numeric cells; a comma if none does."""
    head = text[:_SNIFFED_CHARACTERS]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1]
    scores: dict[str, float] = {}
    for delimiter in _DELIMITERS:
        try:
            sample = [record for _, record in _records(head, delimiter, path)]
        except InputError:
            continue
        width = Counter(map(len, sample)).most_common(1)[0][0] if sample else 0
        regular = [record for record in sample if len(record) == width]
        cells = [cell for record in regular for cell in record]
        numeric = sum(to_number(cell) is not None or _is_decimal_comma(cell) for cell in cells)
        if width > 1:
            scores[delimiter] = len(regular) / len(sample) + numeric / len(cells)
    return max(scores, key=lambda delimiter: scores[delimiter]) if scores else ","


def _is_decimal_comma(cell: str) -> bool:
    return _DECIMAL_COMMA.fullmatch(cell) is not None


def _with_decimal_points(records: list[list[str]]) -> list[list[str]]:
    """Decimal commas made points; a file that has both keeps its commas, since 1.234 may be a thousand there."""
    cells = [cell for record in records for cell in record]
    pointed = any("." in cell and to_number(cell) is not None and not is_missing(cell) for cell in cells)
    if pointed or not any(map(_is_decimal_comma, cells)):
        return records
    return [[cell.replace(",", ".") if _is_decimal_comma(cell) else cell for cell in record] for record in records]


def _has_header(records: list[list[str]]) -> bool:
    """Whether the first record names the columns instead of being data.

    It is data when it is all numbers, or when it has a number wherever the others have one and its texts come back
    below, as a class label does.
    """
    first, rest = records[0], records[1:_HEADER_EVIDENCE]
    if all(to_number(cell) is not None for cell in first):
        return False
    for j, cell in enumerate(first):
        below = {record[j] for record in rest if j < len(record)}
        if to_number(cell) is None and cell not in below:
            return True
        if to_number(cell) is not None and any(to_number(other) is None for other in below):
            return True
    return False


def _check_rectangular(
    records: Sequence[list[str]], lines: Sequence[int], width: int, path: str | PathLike[str]
) -> None:
    ragged = [(line, len(record)) for line, record in zip(lines, records, strict=True) if len(record) != width]
    if ragged:
        line, found = ragged[0]
        more = f" ({len(ragged) - 1} more such line(s))" if len(ragged) > 1 else ""
        raise InputError(
            f"{path}: line {line} has {found} field(s) where {width} are expected{more}: "
            "give every line one field per column."
        )


def _with_names(header: list[str] | None, records: list[list[str]], lines: list[int], delimiter: str) -> DelimitedText:
    """Names for all columns; row names taken out, empty unnamed columns (a trailing delimiter) dropped."""
    width = len(records[0])
    unnamed = [header is None or _UNNAMED.fullmatch(header[j]) is not None for j in range(width)]
    kept = [j for j in range(width) if not unnamed[j] or any(record[j] for record in records)]
    row_names = None
    if header is not None and unnamed[kept[0]] and len(kept) > 1:
        row_names = [record[kept[0]] for record in records]
        kept = kept[1:]
    names = tuple(f"x{n}" if header is None or unnamed[j] else header[j] for n, j in enumerate(kept, start=1))
    return DelimitedText(names, [[record[j] for j in kept] for record in records], lines, row_names, delimiter)
