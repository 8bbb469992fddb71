"""Missing cells in words: how many, in which columns, and what the model takes them for."""

from __future__ import annotations

import numpy as np

from bayesgmm.data.table import Table

__all__ = ["missing_cells_in_words"]

_MANY = 6  # columns named one by one


def missing_cells_in_words(table: Table) -> list[str]:
    """No sentence where no cell is missing, else two: what is missing, and under which assumption that does no harm.

    >>> from bayesgmm.data.table import prepare_table
    >>> table = prepare_table([[1.0, 2.0], [2.5, np.nan], [0.5, 4.0], [3.0, 1.0]], feature_names=["a", "b"])
    >>> missing_cells_in_words(table)[0]
    '1 of 8 cells is missing (12 %), in 1 of 4 observations: b 1.'
    """
    if table.is_complete:
        return []
    gaps = np.isnan(table.values)
    each = [(name, int(n)) for name, n in zip(table.feature_names, gaps.sum(axis=0), strict=True) if n]
    each.sort(key=lambda pair: -pair[1])
    named = ", ".join(f"{name} {n:,}" for name, n in each[:_MANY])
    more = f", and {len(each) - _MANY} more columns" if len(each) > _MANY else ""
    total, rows = int(gaps.sum()), int(gaps.any(axis=1).sum())
    return [
        f"{total:,} of {gaps.size:,} cells {'is' if total == 1 else 'are'} missing ({100.0 * gaps.mean():.2g} %), in "
        f"{rows:,} of {len(gaps):,} observations: {named}{more}.",
        "An observation counts by the density of the cells it has. That is right where cells are missing at random: "
        "whether a cell is missing may depend on the cells observed beside it, but beyond them neither on its own "
        "value nor on the component of the observation.",
    ]
