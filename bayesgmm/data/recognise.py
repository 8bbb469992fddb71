"""Columns and rows that are no measurements, known by what they hold: identifiers, dates, codes, sums.

What cannot be a measurement is left out unless it is asked for by name; what may be none is said, with the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.quoted import excluding, lacking_value

__all__ = ["coded", "column_notes", "date_like", "not_measured", "one_hot", "total_row"]

Array = NDArray[np.float64]

_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2,4})([T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[ap]m)?",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(
    r"#|no\.?|nr\.?|num(ber)?|index|idx|row(_?(id|nr|no|num(ber)?))?|obs(ervation)?|case|record|key|serial"
    r"|(.*[^a-z])?id|[A-Za-z]+I[Dd]|id[_ .-].*|uuid|code",
)
_YEAR = re.compile(r"year|yr|jahr|ann[eé]e|a[nñ]o", re.IGNORECASE)
_TOTAL = re.compile(
    r"(grand |sub)?totals?|sums?|summe|gesamt|totale?s?|somme|suma|∑|averages?|means?|mittelwert|moyenne", re.IGNORECASE
)
_LEAST_ROWS = 10
_REPEATED = 3  # rows with a value, and other values, from which it may be a code
_LEVELS = 11  # whole values up to which a column is one of levels
_SPIKE, _OTHERS, _RARER = 0.1, 10, 5  # share of one value, other values, and how much rarer each of them is


def date_like(cells: Sequence[str]) -> bool:
    """Whether texts are dates or times.

    >>> date_like(["2024-01-31", "2024-02-01"]), date_like(["31.1.2024"]), date_like(["a1"])
    (True, True, False)
    """
    return bool(cells) and sum(_DATE.fullmatch(cell) is not None for cell in cells) >= 0.9 * len(cells)


def coded(cells: Sequence[str]) -> bool:
    """Whether whole numbers are codes, as of places: of one length, some beginning with 0.

    >>> coded(["01067", "80331"]), coded(["1067", "80331"]), coded(["0", "1"])
    (True, False, False)
    """
    given = [cell for cell in cells if cell.isdecimal()]
    lengths = {len(cell) for cell in given}
    if 2 * len(given) < len(cells) or len(lengths) != 1 or lengths.pop() < 3:
        return False
    return any(cell.startswith("0") for cell in given)


def not_measured(name: str, values: Array) -> str | None:
    """What a column of numbers (N,) is if its name and values say that it is no measurement; else None.

    >>> not_measured("PassengerId", np.arange(1.0, 20.0)), not_measured("year", np.repeat([2007.0, 2008.0], 10))
    ('an identifier', 'years')
    >>> not_measured("height", np.arange(1.0, 20.0))
    """
    if len(values) < _LEAST_ROWS or not _whole(values):
        return None
    if len(np.unique(values)) == len(values) and (_IDENTIFIER.fullmatch(name) or _IDENTIFIER.fullmatch(name.lower())):
        return "an identifier"
    if _YEAR.fullmatch(name) and values.min() >= 1500 and values.max() <= 2200:
        return "years"
    return None


def column_notes(data: pd.DataFrame) -> Iterator[str]:
    """A sentence for each column that may be modelled otherwise than meant.

    >>> table = pd.DataFrame({"q": [1, 2, 3, 2, 4, 5, 1, 2, 3, 4, 5, 3], "t": range(12)})
    >>> [note.split(":")[0] for note in column_notes(table)]
    ["column 't' counts up by one from row to row", "column 'q' takes 5 whole values (1 to 5)"]
    """
    levels: dict[str, str] = {}
    for name, column in data.items():
        values = column.dropna().to_numpy(np.float64)
        if len(values) < _LEAST_ROWS:
            continue
        distinct, counts = np.unique(values, return_counts=True)
        said = _note(str(name), values, distinct, counts)
        if said is not None:
            yield f"column {name!r} {said}"
        elif 2 < len(distinct) <= min(_LEVELS, len(values) - 1) and _whole(values):
            levels[str(name)] = f"{len(distinct)} whole values ({distinct[0]:g} to {distinct[-1]:g})"
    if levels:
        first = next(iter(levels))
        more = f" (and {len(levels) - 1} more like it)" if len(levels) > 1 else ""
        yield (
            f"column {first!r}{more} takes {levels[first]}: modelled as measurements rounded to the recording step; a "
            "component on one value is a level, not a cluster"
        )


def _note(name: str, values: Array, distinct: Array, counts: NDArray[np.int_]) -> str | None:
    """What is said of a column (N,) of these distinct values."""
    if len(distinct) < 2:
        return None
    leave_out = excluding([name])
    code = _code(distinct, counts)
    if code is not None:
        share = 100 * counts[distinct == code][0] / len(values)
        others = distinct[distinct != code]
        return (
            f"holds {code:g} in {share:.2g} % of the rows, far from all others ({others.min():g} to {others.max():g}): "
            f"if it stands for no value, say {lacking_value(name, code)}"
        )
    whole = _whole(values)
    if whole and len(distinct) == len(values) and (np.diff(values) == 1).all():
        return f"counts up by one from row to row: such numbers have no clusters; leave them out with {leave_out}"
    if whole and (when := _moment(values)):
        return f"looks like {when}: if its clusters mean nothing, leave it out with {leave_out}"
    if len(distinct) == 2:
        return (
            f"takes two values ({distinct[0]:g} and {distinct[1]:g}): a category rather than a measurement, which "
            f"splits every cluster in two; leave it out with {leave_out}, or compare with it by --label"
        )
    top = int(counts.argmax())
    others = np.delete(counts, top)
    if counts[top] < max(_SPIKE * len(values), _LEAST_ROWS) or len(others) < _OTHERS:
        return None
    if counts[top] < _RARER * others.max():
        return None
    share, without = 100 * counts[top] / len(values), lacking_value(name, distinct[top])
    return (
        f"holds {distinct[top]:g} in {share:.0f} % of the rows, beside {len(others):,} other values: no normal "
        f"component describes such a spike; fit the other rows alone ({without} --drop-missing), or leave the column "
        f"out with {leave_out}"
    )


def _code(distinct: Array, counts: NDArray[np.int_]) -> float | None:
    """The smallest or largest value if it repeats and is further from the others than these are from one another."""
    for code, count, others in ((distinct[0], counts[0], distinct[1:]), (distinct[-1], counts[-1], distinct[:-1])):
        if count >= _REPEATED and len(others) >= _REPEATED and np.abs(others - code).min() > np.ptp(others):
            return float(code)
    return None


def _moment(values: Array) -> str | None:
    """How whole numbers stand for points in time; None if they do not."""
    low, high = values.min(), values.max()
    if len(np.unique(values)) < 3:
        return None
    if low >= 946_684_800 and high <= 4_102_444_800:  # the years 2000 to 2100
        return "times in seconds since 1970"
    if low >= 946_684_800_000 and high <= 4_102_444_800_000:
        return "times in milliseconds since 1970"
    if low >= 19_000_101 and high <= 21_001_231:
        month, day = values // 100 % 100, values % 100
        if ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all():
            return "dates written as YYYYMMDD"
    return None


def one_hot(data: pd.DataFrame) -> list[list[str]]:
    """Groups of columns of 0 and 1, beside one another, of which each row has one 1: a category, coded.

    >>> one_hot(pd.DataFrame({"x": [0.5, 1.5, 2.5], "red": [1, 0, 0], "green": [0, 1, 0], "blue": [0, 0, 1]}))
    [['red', 'green', 'blue']]
    """
    coded = [str(name) for name, column in data.items() if set(column.dropna().unique()) == {0.0, 1.0}]
    groups, start = [], 0
    while start < len(coded):
        total = np.zeros(len(data))
        found = None
        for end in range(start, len(coded)):
            total = total + data[coded[end]].to_numpy(np.float64)
            if end - start >= 2 and (total[~np.isnan(total)] == 1).all():
                found = end
                break
        if found is not None:
            groups.append(coded[start : found + 1])
        start = start + 1 if found is None else found + 1
    return groups


def total_row(data: pd.DataFrame, texts: Sequence[str]) -> tuple[int, str] | None:
    """The last row if it holds the sums or means of the others, and which; `texts` are its cells of text.

    >>> total_row(pd.DataFrame({"x": [1.0, 2.0, 6.0, 9.0]}), ["Total"])
    (3, 'sums')
    """
    values = data.to_numpy(np.float64)
    above, last = values[:-1], values[-1]
    named = any(_TOTAL.fullmatch(text.rstrip(":")) for text in texts)
    given = ~np.isnan(last)
    if len(above) < 2 or not given.any() or not (named or (len(above) >= _LEAST_ROWS and given.sum() > 1)):
        return None
    above, last = above[:, given], last[given]
    scale = np.nansum(np.abs(above), axis=0)
    n_given = (~np.isnan(above)).sum(axis=0)
    sums = np.nansum(above, axis=0)
    rounding = (1e-4 if named else 1e-5) * scale
    for what, expected, tolerance in (("sums", sums, rounding), ("means", sums / n_given, 10 * rounding / n_given)):
        found = scale.min() > 0 and (np.abs(last - expected) <= tolerance).all()
        if found and (named or what == "sums"):
            return len(values) - 1, what
    return None


def _whole(values: Array) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())
