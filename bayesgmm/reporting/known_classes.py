"""Known classes as a series with a name, checked against a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesgmm.arguments import shown
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError

__all__ = ["as_labels"]


def as_labels(labels: Any, table: Table) -> pd.Series[Any]:
    """One class a row.

    Raises
    ------
    InputError
        If there is not one label for each row, or none at all.
    """
    one_each = isinstance(labels, pd.Series) or (
        hasattr(labels, "__len__") and not isinstance(labels, (str, bytes, dict)) and getattr(labels, "ndim", 1) == 1
    )
    if not one_each:
        raise InputError(f"labels={shown(labels)} must be None or a class for each observation.")
    found = labels.reset_index(drop=True) if isinstance(labels, pd.Series) else pd.Series(list(labels), dtype=object)
    if len(found) != table.n_rows:
        raise InputError(f"labels has {len(found)} classes for {table.n_rows} observations: give one each.")
    if found.isna().all():
        raise InputError("labels holds no class: leave it out.")
    return found.rename("class" if found.name is None else str(found.name))
