"""Numbers and tables as a reader wants them: few digits, aligned, the same number of decimals along a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Grid", "class_name", "count", "decimals_for", "fixed", "join", "percent", "significant", "to_sd"]

MISSING = "–"


@dataclass(frozen=True)
class Grid:
    """A table ready to print: every cell is text; the first `n_text` columns are words, the others numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_text: int = 1

    @classmethod
    def of(cls, header: Sequence[str], rows: Iterable[Sequence[str]], n_text: int = 1) -> Grid:
        return cls(tuple(header), tuple(tuple(row) for row in rows), n_text)


def class_name(number: int, what: str = "component") -> str:
    """What a label stands for.

    >>> class_name(2), class_name(-1)
    ('component 2', 'noise')
    """
    return "noise" if number < 0 else f"{what} {number}"


def significant(x: float, digits: int = 4) -> str:
    """A number to so many significant digits, without an exponent where that stays readable.

    >>> significant(1234.5678), significant(0.00012346), significant(3.0), significant(1e12)
    ('1235', '0.0001235', '3', '1e+12')
    """
    if not math.isfinite(x):
        return MISSING
    if x == 0 or 1e-5 <= abs(x) < 1e7:
        decimals = 0 if x == 0 else max(0, digits - 1 - math.floor(math.log10(abs(x))))
        text = f"{x:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{x:.{digits - 1}g}" if digits > 1 else f"{x:.0e}"


def decimals_for(sd: float, digits: int = 2) -> int | None:
    """Decimals that show a standard deviation to `digits` significant digits; None if that needs an exponent.

    >>> decimals_for(0.0342), decimals_for(12.0), decimals_for(0.0)
    (3, 0, None)
    """
    if not math.isfinite(sd) or sd <= 0.0 or not 1e-5 < sd < 1e7:
        return None
    return max(0, digits - 1 - math.floor(math.log10(sd)))


def fixed(x: float, decimals: int | None) -> str:
    """A number with so many decimals; without a number of decimals, to four significant digits.

    >>> fixed(4.28886, 3), fixed(float("nan"), 3), fixed(-0.0001, 2)
    ('4.289', '–', '0.00')
    """
    if not math.isfinite(x):
        return MISSING
    if decimals is None:
        return significant(x)
    text = f"{x:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def to_sd(x: float, sd: float, digits: int = 2) -> str:
    """A number to `digits` significant digits of a standard deviation, however large or small both are.

    >>> to_sd(4.28886, 0.0342), to_sd(1700028576.4, 12.0), to_sd(1.23456e-9, 2e-12), to_sd(3.14159265, 0.0)
    ('4.289', '1700028576', '1.2346e-09', '3.14159')
    """
    if not math.isfinite(x):
        return MISSING
    if not (math.isfinite(sd) and sd > 0.0):
        return significant(x, 6)
    last = math.floor(math.log10(sd)) - (digits - 1)  # the power of ten of the last digit
    if last >= -6 and abs(x) < 1e15:
        return fixed(x, max(0, -last))
    places = 0 if x == 0 else math.floor(math.log10(abs(x))) - last
    return f"{x:.{min(max(places, digits - 1), 15)}e}"


def count(x: float) -> str:
    """A whole number with thousands separated.

    >>> count(12345.6)
    '12,346'
    """
    return f"{x:,.0f}" if math.isfinite(x) else MISSING


def tally(total: float) -> str:
    """A number of rows by their weights: with a decimal where it is not whole.

    >>> tally(12345.0), tally(2.25)
    ('12,345', '2.2')
    """
    return count(total) if total == round(total) else f"{total:,.1f}"


def percent(share: float) -> str:
    """A share in per cent, with a decimal near 0 and 1, and never 0 or 100 unless exactly so.

    >>> percent(0.356), percent(0.004), percent(0.99999), percent(1.0)
    ('36 %', '0.4 %', '> 99.9 %', '100 %')
    """
    if not math.isfinite(share):
        return MISSING
    value = 100.0 * share
    if value in (0.0, 100.0):
        return f"{value:.0f} %"
    if value < 0.1:
        return "< 0.1 %"
    if value > 99.9:
        return "> 99.9 %"
    return f"{value:.1f} %" if value < 2.0 or value > 98.0 else f"{value:.0f} %"


def join(words: Sequence[str], limit: int = 12) -> str:
    """Words as a list in a sentence, cut after `limit`.

    >>> join(["a", "b", "c"]), join(["a", "b", "c"], limit=2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = list(words[:limit])
    if len(words) > limit:
        shown.append(f"{len(words) - limit} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
