"""Delimited text to records: what is not stated of the file is recognised, ragged rows are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike

from bayesgmm.data.dialect import (
    NO_DELIMITER,
    Record,
    find_delimiter,
    names_rows,
    records_of,
    surroundings,
    unquoted,
    without_comments,
)
from bayesgmm.data.header import find_header, is_units
from bayesgmm.data.numerals import is_numeral
from bayesgmm.data.opened import decoded, unpacked
from bayesgmm.errors import InputError

__all__ = ["DelimitedText", "from_records", "from_text", "read_delimited"]

_UNNAMED = re.compile(r"(Unnamed: \d+)?")
_MARKED = re.compile(r"\d,\d")


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
    notes : list of str
        What was taken to be so and may be otherwise, in sentences.
    """

    names: tuple[str, ...]
    records: list[list[str]]
    lines: list[int]
    row_names: list[str] | None
    delimiter: str
    notes: list[str] = field(default_factory=list)


def read_delimited(
    path: str | PathLike[str], *, delimiter: str | None = None, header: bool | None = None
) -> DelimitedText:
    """Read a file of delimited text.

    Parameters
    ----------
    path : str or PathLike
    delimiter : str, optional
        Recognised where it is not stated.
    header : bool, optional
        Whether the first line names the columns; recognised where it is not stated.

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
    >>> with open(path, "w") as file:
    ...     _ = file.write("eruptions;waiting\\n3,6;79\\n1,8;54\\n")
    >>> read_delimited(path).records
    [['3,6', '79'], ['1,8', '54']]
    """
    content, _ = unpacked(path)
    return from_text(decoded(content, path), path, delimiter=delimiter, header=header)


def from_text(
    text: str,
    path: str | PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    decimal: str | None = None,
) -> DelimitedText:
    """The records of a text; `path` is for messages."""
    if not text.strip():
        raise InputError(f"{path}: the file is empty; give a table with a header and one row per observation.")
    text, comment, declared = without_comments(unquoted(text))
    found = delimiter or declared or find_delimiter(text, path, decimal)
    first_line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if found is None:
        what = "say which with --decimal , or --delimiter ," if "," in first_line else "separate columns by semicolons"
        raise InputError(f"{path}: {first_line!r} can be one number or two; {what}.")
    void = list[int]()
    before, numbered, after = surroundings(list(records_of(text, found, path, void=void)), found)
    notes = [f"{_lines(part)} no part of the table: left out" for part in (before, after) if part]
    within = [line for line in void if numbered and numbered[0][0] < line < numbered[-1][0]]
    if within:
        notes.append(
            f"{len(within)} row{'s' * (len(within) > 1)} without any value, the first in line {within[0]}: left out"
        )
    if found == NO_DELIMITER and decimal is None and "," in first_line and is_numeral(first_line):
        notes.append(
            f"each line is one number with a decimal comma ({first_line!r}); for two columns say --delimiter ,"
        )
    if comment is not None and header is None and numbered:
        names = next(iter(records_of(comment, found, path)), (0, [""]))[1]
        if len(names) == len(numbered[0][1]) and not find_header([r for _, r in numbered])[0] and any(
            not is_numeral(name) for name in names
        ):  # fmt: skip
            numbered, header = [(0, names), *numbered], True
    return from_records(numbered, path, delimiter=found, header=header, notes=notes)


def from_records(
    numbered: Sequence[Record],
    path: str | PathLike[str],
    *,
    delimiter: str = ",",
    header: bool | None = None,
    notes: Sequence[str] = (),
) -> DelimitedText:
    """The table that records make: its header found, and every record of one width."""
    said = list(notes)
    lines, records = [line for line, _ in numbered], [record for _, record in numbered]
    if not records:
        raise InputError(f"{path}: the file is empty; give a table with a header and one row per observation.")
    named, sure = find_header(records) if header is None else (header, True)
    if named and not sure:
        said.append(
            f"line {lines[0]} ({', '.join(records[0][:4])}{', …' * (len(records[0]) > 4)}) was taken for the names of "
            "the columns; if it is data, say --no-header"
        )
    names = records[0] if named else None
    first = 1 if named else 0
    if header is None and not named and len(records) > 1 and _lacks_row_names(records):
        names, first = records[0], 1
    if len(records) == first:
        raise InputError(f"{path}: the file has a header but no rows; give one row per observation.")
    if named and is_units(records[first:]):
        said.append(f"{_lines([(lines[first], records[first])])} taken for units: left out")
        records, lines = [records[0], *records[first + 1 :]], [lines[0], *lines[first + 1 :]]
    width = len(records[first])
    if names is not None and len(names) == width - 1 and names_rows(records[first:], loosely=delimiter in "\t "):
        names = ["", *names]  # as R writes it: the row names have no header cell
    _check_rectangular(records[first:], lines[first:], width if names is None else len(names), delimiter, path)
    return _with_names(names, records[first:], lines[first:], delimiter, said)


def _lacks_row_names(records: list[list[str]]) -> bool:
    return len(records[0]) == len(records[1]) - 1 and not all(map(is_numeral, records[0]))


def _lines(part: Sequence[Record]) -> str:
    cells = " ".join(part[0][1])
    shown = cells if len(cells) <= 40 else f"{cells[:37]}..."
    numbers = [line for line, _ in part]
    which = ", ".join(map(str, numbers[:5])) + f" and {len(part) - 5} more" * (len(part) > 5)
    return f"line {which} ({shown!r}) is" if len(part) == 1 else f"lines {which} ({shown!r}, …) are"


def _check_rectangular(
    records: Sequence[list[str]], lines: Sequence[int], width: int, delimiter: str, path: str | PathLike[str]
) -> None:
    ragged = [(line, record) for line, record in zip(lines, records, strict=True) if len(record) != width]
    if not ragged:
        return
    line, record = ragged[0]
    more = f" ({len(ragged) - 1} more such line(s))" if len(ragged) > 1 else ""
    remedy = "give every line one field per column"
    if delimiter == "," and len(record) > width and all(map(is_numeral, record)) and len(ragged) > len(records) / 2:
        remedy = (
            "the comma may stand within numbers, as a decimal mark or between thousands: separate the columns by "
            "semicolons, or quote the numbers"
        )
    raise InputError(f"{path}: line {line} has {len(record)} field(s) where {width} are expected{more}: {remedy}.")


def _with_names(
    header: list[str] | None, records: list[list[str]], lines: list[int], delimiter: str, notes: list[str]
) -> DelimitedText:
    """Names for all columns; row names taken out, empty unnamed columns (a trailing delimiter) dropped."""
    width = len(records[0])
    unnamed = [header is None or _UNNAMED.fullmatch(header[j]) is not None for j in range(width)]
    kept = [j for j in range(width) if not unnamed[j] or any(record[j] for record in records)]
    row_names = None
    if header is not None and unnamed[kept[0]] and len(kept) > 1:
        row_names = [record[kept[0]] for record in records]
        kept = kept[1:]
    names = tuple(f"x{n}" if header is None or unnamed[j] else header[j] for n, j in enumerate(kept, start=1))
    shown = "" if delimiter == NO_DELIMITER else delimiter
    return DelimitedText(names, [[record[j] for j in kept] for record in records], lines, row_names, shown, notes)
