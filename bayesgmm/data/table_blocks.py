"""The rows of a table a block at a time, on the model's scale: no second copy of the table is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table

__all__ = ["TableBlocks", "as_features", "some_of_table"]

Array = NDArray[np.float64]

_ROWS = 32_768


@dataclass(frozen=True, eq=False)
class TableBlocks:
    """Iterates over (features (D, n), row weights (n,)), as often as it is asked to.

    >>> from bayesgmm.data.table import prepare_table
    >>> table = prepare_table([[0.0], [1.0], [2.0]], standardize=False)
    >>> [features.tolist() for features, weights in TableBlocks(table)]
    [[[0.0, 1.0, 2.0]]]
    """

    table: Table

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        table = self.table
        for start in range(0, table.n_rows, _ROWS):
            rows = table.values[start : start + _ROWS]
            yield as_features(rows, table.center, table.scale), table.weights[start : start + _ROWS]


def as_features(rows: Array, center: Array, scale: Array) -> Array:
    """(rows - center) / scale as (D, n), without a second copy, and quicker by far than a row at a time.

    >>> as_features(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2), np.array([1.0, 2.0]))
    array([[1., 3.],
           [1., 2.]])
    """
    out = np.subtract(rows.T, center[:, None], order="C")
    out /= scale[:, None]
    return out


def some_of_table(table: Table, n_rows: int, rng: np.random.Generator) -> Table:
    """A random subset of the rows of positive weight of a table, on its scale."""
    used = np.flatnonzero(table.weights > 0.0)
    some = np.sort(rng.choice(used, min(n_rows, len(used)), replace=False))
    return replace(
        table, values=np.ascontiguousarray(table.values[some]), weights=table.weights[some],
        row_names=table.row_names[some], known=None if table.known is None else table.known[some],
    )  # fmt: skip
