"""Numbers as people write them: decimal commas, thousands, currency, per cent, and cells that stand for no value."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELL", "GROUPED", "Mark", "Numbers", "is_missing", "is_numeral", "read_numbers"]

type Mark = Literal[".", ","]

MISSING = frozenset({
    "", "na", "nan", "n/a", "#n/a", "n.a.", "<na>", "null", "none", "nil", "?", ".", "..", "-", "--", "–", "—",
    "#null!", "#div/0!", "#value!", "#num!", "#ref!",
})  # fmt: skip
_CURRENCY = r"[$€£¥₹₩₽₺₪¢]|USD|EUR|GBP|CHF|JPY|CAD|AUD"
CELL = re.compile(
    rf"(?P<sign>[-+−]?)\s*(?P<before>{_CURRENCY})?\s*(?P<inner>[-+−]?)(?P<body>[\d.,'’\s]*\d[\d.,]*(?:[eE][+-]?\d+)?)"
    rf"\s*(?P<after>%|{_CURRENCY})?"
)
# Whole numbers in groups of three by one mark, or as in India; then a decimal mark.
GROUPED = {
    decimal: re.compile(
        rf"(?:[1-9]\d{{0,2}}(?:([{group}\s'’])\d{{3}})(?:\1\d{{3}})*|[1-9]\d?(?:{group}\d{{2}})+{group}\d{{3}}|\d*)"
        rf"(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?"
    )
    for decimal, group in ((".", ","), (",", r"\."))
}
_UNIT = re.compile(
    r"(?P<number>[-+−]?\s*[\d.,]+)(\s+(?P<unit>[A-Za-zµμ°Ω/²³]{1,8}[\d²³]?)"
    r"|(?P<short>[kcmµμn]?[gml]|kg|°?[CFK]|[mµμn]?s|min|h|[kM]?[Wb]|[kM]?Hz|[mk]?[VA]|ft|in|lb|oz|yr))"
)
_PLAIN = {".": re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?"), ",": re.compile(r"[+-]?[\d,]+([eE][+-]?\d+)?")}


def is_missing(cell: str) -> bool:
    """Whether a cell stands for no value.

    >>> is_missing("NA"), is_missing("-"), is_missing("0")
    (True, True, False)
    """
    return cell.lower() in MISSING


def is_numeral(cell: str) -> bool:
    """Whether a cell is a number, by one reading of its marks or another, or stands for no value.

    >>> [is_numeral(cell) for cell in ("1.704,09", "$1,234.50", "12 %", "-", "1.2.2024", "setosa")]
    [True, True, True, True, False, False]
    """
    if is_missing(cell):
        return True
    try:
        float(cell)
    except ValueError:
        return any(_parsed(cell, decimal) is not None for decimal in GROUPED)
    return "_" not in cell  # Python reads 1_000 as a number


@dataclass
class Numbers:
    """A column read as numbers.

    Attributes
    ----------
    values : ndarray of shape (N,)
        NaN where there is no number.
    missing : Counter of str
        How often each token stands for no value.
    texts : list of int
        Records that hold text.
    unlike : (str, float) or None
        The first cell with a sign or a mark between thousands, and the number it was read as.
    affixes : dict of str to int
        Signs of currency or per cent, "" for none, and the record of each one's first number.
    """

    values: NDArray[np.float64]
    missing: Counter[str]
    texts: list[int]
    unlike: tuple[str, float] | None
    affixes: dict[str, int]

    @property
    def n_numbers(self) -> int:
        """Cells that hold a number."""
        return len(self.values) - len(self.texts) - self.missing.total()


def read_numbers(cells: Sequence[str], decimal: Mark = ".", missing: Iterable[str] = ()) -> Numbers:
    """The numbers of a column.

    Parameters
    ----------
    cells : sequence of str of length N
    decimal : {".", ","}
        The other mark may stand between thousands.
    missing : iterable of str
        Further cells that stand for no value; a number among them is that value, however it is written.

    Returns
    -------
    Numbers

    Examples
    --------
    >>> read_numbers(["$1,234.50", "NA", "-200", "n.d."], missing=["-200"]).values
    array([1234.5,    nan,    nan,    nan])
    """
    tokens = {token.strip() for token in missing}
    codes = [code for code, _ in (_number(token, decimal) for token in tokens) if code is not None]
    values = _as_floats(cells) if decimal == "." else None
    if values is not None:
        lacking = np.isnan(values) | np.isin(values, codes)
        values[lacking] = np.nan
        missing_cells = Counter(cells[int(row)] for row in np.flatnonzero(lacking))
        affixes = {} if lacking.all() else {"": int(np.argmin(lacking))}
        return Numbers(values, missing_cells, [], None, affixes)
    out = Numbers(np.full(len(cells), np.nan), Counter(), [], None, {})
    for row, cell in enumerate(cells):
        number, affix = _number(cell, decimal)
        if cell in tokens or number in codes or (number is None and is_missing(cell)):
            out.missing[cell] += 1
        elif number is None:
            out.texts.append(row)
        elif math.isnan(number):
            out.missing[cell] += 1
        else:
            out.values[row] = number
            out.affixes.setdefault(affix, row)
            if out.unlike is None and not _PLAIN[decimal].fullmatch(cell):
                out.unlike = cell, number
    return _without_unit(cells, decimal, out) if out.texts and not out.n_numbers else out


def _without_unit(cells: Sequence[str], decimal: Mark, found: Numbers) -> Numbers:
    """The column read anew where each text is a number and the unit of them all; else as it was found."""
    matches = [_UNIT.fullmatch(cells[row]) for row in found.texts]
    units = {match["unit"] or match["short"] for match in matches if match is not None}
    if None in matches or len(units) != 1 or len(matches) < 2:
        return found
    numbers = [_number(match["number"].strip(), decimal)[0] for match in matches if match is not None]
    if None in numbers:
        return found
    found.values[found.texts] = np.array(numbers, dtype=np.float64)
    first = found.texts[0]
    return Numbers(found.values, found.missing, [], (cells[first], found.values[first]), {units.pop(): first})


def _as_floats(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The numbers of a column that a computer wrote; else None."""
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        return None
    return None if any("_" in cell for cell in cells) else values


def _number(cell: str, decimal: str) -> tuple[float | None, str]:
    """The number in a cell, if it is one, and its sign of currency or per cent."""
    if "_" not in cell and (decimal == "." or "." not in cell):  # Python reads 1_000 as a number
        try:
            return float(cell), ""
        except ValueError:
            pass
    parsed = _parsed(cell, decimal)
    return (None, "") if parsed is None else parsed


def _parsed(cell: str, decimal: str) -> tuple[float, str] | None:
    negative = cell.startswith("(") and cell.endswith(")")  # as accountants write it
    match = CELL.fullmatch(cell[1:-1].strip() if negative else cell)
    if match is None or (match["before"] and match["after"]) or (match["sign"] and match["inner"]):
        return None
    body = match["body"].strip()
    if GROUPED[decimal].fullmatch(body) is None:
        return None
    group = "," if decimal == "." else "."
    digits = re.sub(r"[\s'’]", "", body.replace(group, "")).replace(decimal, ".")
    sign = -1.0 if negative or (match["sign"] or match["inner"]) in ("-", "−") else 1.0
    return sign * float(digits), match["after"] or match["before"] or ""
