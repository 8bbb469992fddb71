"""Values so far outside their column that they rule its scale: a typing error, a code for a missing value, a unit.

Columns are put on one scale by their standard deviations, and the prior expects clusters of a spread like that. One
value of a million interquartile ranges makes all others look equal, so it is named before anything is fitted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayesgmm.data.copies import quantiles
from bayesgmm.data.table import Table
from bayesgmm.wording import observation

__all__ = ["FarValues", "far_values"]

_FAR = 1000.0  # interquartile ranges from the median
# The default prior of an sd, half of the column's and spread by a factor of two, and how many nats of it each row can
# outweigh: two clusters 8 sds apart are found in 300 rows up to 60 nats, not from 110 on.
_EXPECTED, _LOG_SPREAD, _NATS_A_ROW = 0.5, 0.7, 0.25


class FarValues(NamedTuple):
    """What is said of a column."""

    sentence: str
    lost: bool  # the other values are too close together, on the model's scale, for any cluster among them


def far_values(table: Table) -> list[FarValues]:
    """A record for each column with values far outside.

    >>> from bayesgmm.data.table import prepare_table
    >>> table = prepare_table([[0.0], [1.0], [2.0], [3.0], [1e9]], feature_names=["x"])
    >>> far_values(table)[0].sentence[:55]
    "column 'x' holds 1e+09 (observation 4, counted from 0),"
    """
    used = np.flatnonzero(table.weights > 0)
    found = []
    for j, (name, column) in enumerate(zip(table.feature_names, table.used_rows.T, strict=True)):
        known = ~np.isnan(column)
        low, median, high = quantiles(column[known], table.weights[used][known], np.array([0.25, 0.5, 0.75]))
        spread = high - low
        distance = np.abs(column - median)
        place = int(np.nanargmax(distance))
        if not 0.0 < _FAR * spread < distance[place]:
            continue
        unlike_prior = 0.5 * (np.log(spread / table.scale[j] / _EXPECTED) / _LOG_SPREAD) ** 2
        many = int(table.weights[used][distance > _FAR * spread].sum())
        more = f" and {many - 1} more such value{'s' * (many > 2)}" if many > 1 else ""
        found.append(FarValues(
            f"column {name!r} holds {column[place]:g} ({observation(used[place], table.row_names)}){more}, "
            f"{distance[place] / spread:.0g} interquartile ranges from its median: check whether it is an error or a "
            "code for a missing value. It determines the scale of the column, and clusters that differ by no more than "
            "the other values do may not be found.",
            bool(unlike_prior > _NATS_A_ROW * table.weights[used][known].sum()),
        ))  # fmt: skip
    return found
