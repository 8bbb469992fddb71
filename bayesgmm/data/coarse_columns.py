"""Columns recorded in steps that are not small beside their spread, in words."""

from __future__ import annotations

from bayesgmm.data.checks import mean_and_sd
from bayesgmm.data.table import Table

__all__ = ["coarse_columns"]

_COARSE = 1e-4  # of the standard deviation


def coarse_columns(table: Table) -> list[str]:
    """Columns whose apparent resolution is above 0.01 % of their standard deviation, each with its step.

    >>> from bayesgmm.data.table import prepare_table
    >>> coarse_columns(prepare_table([[1.0, 1e-6], [2.0, 7.0], [3.0, 9.0]] * 9, feature_names=["a", "b"]))
    ['a (1)']
    """
    used = table.weights > 0.0
    sd = mean_and_sd(table.values[used], table.weights[used])[1]
    found = zip(table.feature_names, table.resolution, sd, strict=True)
    return [f"{name} ({step:.4g})" for name, step, spread in found if step > _COARSE * spread]
