"""What is said of how a file was read: sentences for its user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayesgmm.data.decimal_mark import unsure_comma
from bayesgmm.data.numerals import Numbers, read_numbers
from bayesgmm.data.sources import Source

__all__ = ["grouped", "lacking", "unlike", "unsure"]

_SHOWN = 6


def grouped(reasons: Mapping[str, str]) -> str:
    """Columns by what they are.

    >>> grouped({"sex": "text", "day": "dates", "island": "text"})
    "'sex' and 'island' (text), 'day' (dates)"
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(repr(name))
    said = []
    for reason, names in by_reason.items():
        rest = f"{len(names) - _SHOWN + 1} more" if len(names) > _SHOWN else names[-1]
        shown = names[: _SHOWN - 1] if len(names) > _SHOWN else names[:-1]
        said.append(f"{', '.join(shown)}{' and ' if shown else ''}{rest} ({reason})")
    return ", ".join(said)


def unlike(numbers: Mapping[str, Numbers]) -> list[str]:
    """A sentence on numbers with signs or marks between thousands, one of each column."""
    said = [
        f"{column.unlike[0]!r} in {name!r} as {column.unlike[1]:.10g}"
        for name, column in numbers.items()
        if column.unlike is not None
    ]
    more = f" and so in {len(said) - 4} more columns" if len(said) > 4 else ""
    return [f"numbers with signs, units or thousands were read: {', '.join(said[:4])}{more}"] if said else []


def unsure(source: Source, names: Sequence[str]) -> list[str]:
    """A sentence where commas were taken for decimal marks and nothing shows it."""
    columns = {name: source.columns[name] for name in names}
    found = unsure_comma({name: cells for name, cells in columns.items() if not isinstance(cells, np.ndarray)})
    if found is None:
        return []
    name, cell = found
    number = read_numbers([cell], ",").values[0]
    return [f"{cell!r} in {name!r} was read as {number:g}; if its comma stands between thousands, say --thousands ,"]


def lacking(data: pd.DataFrame, numbers: Mapping[str, Numbers]) -> str | None:
    """How many cells have no value, and how they are written."""
    missing = data.isna()
    counts = missing.sum()
    counts = counts[counts > 0]
    if counts.empty:
        return None
    columns = [f"{name!r} {n}" for name, n in counts.items()]
    tokens: Counter[str] = Counter()
    for name in counts.index:
        tokens.update(numbers[str(name)].missing)
    written = ", ".join(f"{repr(token) if token else 'empty'} {n}" for token, n in tokens.most_common(6))
    more = f" and {len(columns) - 8} more columns" if len(columns) > 8 else ""
    return (
        f"{int(missing.any(axis=1).sum())} of {len(missing)} rows have cells without a value: "
        f"{', '.join(columns[:8])}{more} (written {written})"
    )
