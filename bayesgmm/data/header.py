"""Whether the first line of a file names its columns or is data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bayesgmm.data.numerals import is_missing, is_numeral

__all__ = ["find_header", "is_units"]

_SEEN = 1000  # records that the first is compared with
_YEARS = range(1800, 2101)
_NUMERIC = 0.5  # share of numbers from which a column is one of numbers
_WHOLE = re.compile(r"[+-]?\d+")


def find_header(records: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Whether the first record names the columns, and whether that is sure.

    A text above numbers is a name. Numbers above numbers are data, unless they are numbers as columns are called, such
    as 2018, 2019, 2020 or 0, 1, 2, and those below are not written so. Above columns of text alone, a text is a name
    unless it comes back below, as a class label does, or all look alike, as c001, c002 do.

    >>> find_header([["a", "b"], ["1", "2"]]), find_header([["c1", "8.9"], ["c2", "6.7"]])
    ((True, True), (False, True))
    >>> find_header([["2018", "2019", "2020"], ["2.5", "3.1", "4.7"], ["1.5", "2.1", "3.7"]])
    (True, False)
    """
    first, rest = records[0], records[1 : 1 + _SEEN]
    below = [[record[j] for record in rest if j < len(record) and not is_missing(record[j])] for j in range(len(first))]
    numeric = [bool(cells) and sum(map(is_numeral, cells)) >= _NUMERIC * len(cells) for cells in below]
    if not any(numeric):
        return _of_texts(first, below)
    texts = [j for j, cell in enumerate(first) if numeric[j] and not is_numeral(cell)]
    if texts:
        return True, True
    given = [j for j, cell in enumerate(first) if numeric[j] and not is_missing(cell)]
    unlike = any(
        not is_numeral(cell) and cell not in cells and _shape(cell) not in set(map(_shape, cells))
        for cell, cells, number in zip(first, below, numeric, strict=True)
        if not number
    )
    named = _numbers_as_names([first[j] for j in given], [below[j] for j in given], unlike or is_missing(first[0]))
    years = unlike and all(first[j].isdecimal() and int(first[j]) in _YEARS for j in given)
    return named, not named or years


def is_units(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record gives the units of columns of numbers: texts alone, above numbers alone.

    >>> is_units([["[s]", "[C]"], ["1", "2.5"], ["2", "3.5"]]), is_units([["NA", "a"], ["1", "2.5"], ["2", "3.5"]])
    (True, False)
    """
    first, rest = records[0], records[1 : 1 + _SEEN]
    if len(rest) < 2 or any(len(record) != len(first) for record in rest):
        return False
    numeric = [j for j in range(len(first)) if all(is_numeral(record[j]) for record in rest)]
    return bool(numeric) and not any(is_numeral(first[j]) and first[j] for j in numeric) and any(
        first[j] for j in numeric
    )  # fmt: skip


def _of_texts(first: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    if all(map(is_numeral, first)):
        return False, True
    for cell, cells in zip(first, below, strict=True):
        if not is_numeral(cell) and cell not in cells:
            return True, True
    return False, True


def _numbers_as_names(names: Sequence[str], below: Sequence[Sequence[str]], named: bool) -> bool:
    """Whether numbers above columns of numbers are their names; `named` if a text beside them looks like one."""
    if len(names) < 2 or not _whole(names) or len(set(names)) < len(names):
        return False
    numbers = [int(name) for name in names]
    steps = {b - a for a, b in zip(numbers, numbers[1:], strict=False)}
    decimals = all(sum(not _WHOLE.fullmatch(cell) for cell in cells) >= 0.9 * len(cells) for cells in below)
    if len(steps) == 1 and steps != {0}:
        years = all(number in _YEARS for number in numbers)
        counted = numbers[0] in (0, 1) and steps == {1}
        others = any(cell.isdecimal() and int(cell) in _YEARS for cells in below for cell in cells)
        if (years and not others) or counted:
            alike = any(_equal_steps(row) for row in zip(*below, strict=False))
            return decimals or (named and not (counted and alike)) or (len(names) > 2 and not alike)
    return decimals and (named or len(names) > 2) and len(below[0]) > 1


def _equal_steps(cells: Sequence[str]) -> bool:
    if not _whole(cells):
        return False
    numbers = [int(cell) for cell in cells]
    return len({b - a for a, b in zip(numbers, numbers[1:], strict=False)}) == 1


def _whole(cells: Iterable[str]) -> bool:
    return all(_WHOLE.fullmatch(cell) for cell in cells)


def _shape(cell: str) -> str:
    """Letters as a and A, digits as 9, runs of each once."""
    kinds = ("9" if c.isdigit() else "a" if c.islower() else "A" if c.isupper() else c for c in cell)
    out = ""
    for kind in kinds:
        out += kind if not out.endswith(kind) else ""
    return out
