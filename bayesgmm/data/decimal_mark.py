"""The decimal mark of a file, by the numbers that only one mark explains.

A point or comma before exactly three digits may be a decimal mark or stand between thousands. Any other cell of the
file decides, as 4,18 or 1.704,09 does. Where none does, a column that writes every number that way has decimals; one
that writes 2.858 beside 987 is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bayesgmm.data.numerals import CELL, GROUPED, Mark

__all__ = ["Question", "find_decimal", "unsure_comma"]

_OPEN = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")  # a decimal mark, or one between thousands
_SEEN = 10_000  # cells of a column that are looked at for its marks


@dataclass(frozen=True)
class Question:
    """Two readings of a file between which nothing decides: where, and the cells that show it."""

    column: str
    cells: tuple[tuple[int, str], ...]  # number of the record, cell
    mark: Mark
    both: bool  # both marks are used as decimal marks


def find_decimal(columns: Mapping[str, Sequence[str]], *, usual: Mark | None = ".") -> Mark | Question:
    """The decimal mark of a file.

    Parameters
    ----------
    columns : mapping from str to sequence of str
        The cells of each column.
    usual : {".", ","}, optional
        The reading of a column whose every number has one mark before three digits; None: it is not guessed where
        that mark is a comma.

    Returns
    -------
    str or Question

    Examples
    --------
    >>> find_decimal({"income": ["2.858", "987"], "rate": ["4,18", "2,34"]})
    ','
    >>> find_decimal({"income": ["2.858", "987"]}).cells
    ((0, '2.858'), (1, '987'))
    """
    evidence = [_evidence(name, cells) for name, cells in columns.items()]
    sure: dict[Mark, tuple[str, int, str]] = {}
    for found in evidence:
        for mark, (row, cell) in found.sure.items():
            sure.setdefault(mark, (found.name, row, cell))
    if len(sure) == 2:
        name, row, cell = sure[","]
        _, other_row, other = sure["."]
        return Question(name, ((row, cell), (other_row, other)), ",", both=True)
    if sure:
        return next(iter(sure))
    for found in evidence:
        for mark, where in found.open.items():
            if found.plain is not None and found.plain_below_thousand:
                return Question(found.name, (where, found.plain), mark, both=False)
            if mark == "," and usual is None:
                return Question(found.name, (where,), mark, both=False)
    return "," if any("," in found.open for found in evidence) else "."


def unsure_comma(columns: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """The first column and number with a comma where none shows that it stands before decimals; else None.

    >>> unsure_comma({"x": ["1,234", "2,500"]}), unsure_comma({"x": ["1,234", "2,5"]})
    (('x', '1,234'), None)
    """
    evidence = [_evidence(name, cells) for name, cells in columns.items()]
    if any(found.sure for found in evidence):
        return None
    return next(((found.name, found.open[","][1]) for found in evidence if "," in found.open), None)


@dataclass
class _Evidence:
    name: str
    sure: dict[Mark, tuple[int, str]] = field(default_factory=dict)  # cells that only one decimal mark explains
    open: dict[Mark, tuple[int, str]] = field(default_factory=dict)  # cells that may have thousands
    plain: tuple[int, str] | None = None  # a whole number without marks
    plain_below_thousand: bool = True


def _evidence(name: str, cells: Sequence[str]) -> _Evidence:
    found = _Evidence(name)
    for row, cell in enumerate(cells[:_SEEN]):
        if "." not in cell and "," not in cell:
            if cell.isdecimal() and cell != "0":
                found.plain = found.plain or (row, cell)
                found.plain_below_thousand &= len(cell) < 4
            continue
        body = _body(cell)
        if body is None or not any(pattern.fullmatch(body) for pattern in GROUPED.values()):
            continue
        points, commas = body.count("."), body.count(",")
        if _OPEN.fullmatch(body):
            found.open.setdefault("." if points else ",", (row, cell))
        elif points and commas:
            found.sure.setdefault("." if body.rfind(".") > body.rfind(",") else ",", (row, cell))
        elif points + commas == 1:
            found.sure.setdefault("." if points else ",", (row, cell))
        else:
            found.sure.setdefault("," if points else ".", (row, cell))
    return found


def _body(cell: str) -> str | None:
    match = CELL.fullmatch(cell.strip("()"))
    return None if match is None else match["body"].strip()
