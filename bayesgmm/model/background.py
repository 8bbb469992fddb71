"""The box of the background: the region over which a noise component is uniform.

The smaller of two boxes that hold all rows: one along the columns, one along the principal axes of their covariance
(Banfield and Raftery 1993; Fraley and Raftery 1998). Where cells are missing it is the one along the columns, of which
a row's density is 1 / the volume in the columns it has. The box goes with the units: a column that is stretched
stretches it, and leaves the probability of noise as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.model.structure import Structure, get_structure

__all__ = ["Box", "box_of", "structure_for", "table_box"]

Array = NDArray[np.float64]


class Box(NamedTuple):
    """All x with low <= axes' x <= high."""

    axes: Array  # (D, D), columns orthonormal
    low: Array  # (D,)
    high: Array  # (D,)

    @property
    def log_widths(self) -> Array:
        """(D,) numbers whose sum is the log volume: log widths along the columns, or their mean along other axes."""
        widths = np.log(self.high - self.low)
        return widths if np.array_equal(self.axes, np.eye(len(widths))) else np.full(len(widths), widths.mean())

    def draw(self, rng: np.random.Generator, n_rows: int) -> Array:
        """(n, D) rows uniform over the box."""
        return rng.uniform(self.low, self.high, (n_rows, len(self.low))) @ self.axes.T


def box_of(rows: Array, row_weights: Array | None = None) -> Box:
    """The box of rows (N, D), NaN where a cell is missing; no column may be constant. Weights (N,) are those of the
    covariance.

    >>> box_of(np.array([[0.0, 0.1], [1.0, 0.9], [3.0, 3.1]])).log_widths.sum().round(2)
    np.float64(-0.44)
    """
    d = rows.shape[1]
    along_columns = Box(np.eye(d), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0))
    if d == 1 or np.isnan(rows).any():
        return along_columns
    axes = np.linalg.eigh(np.cov(rows, rowvar=False, aweights=row_weights))[1]
    turned = rows @ axes
    along_axes = Box(axes, turned.min(axis=0), turned.max(axis=0))
    narrow = (along_axes.high - along_axes.low).min() <= 1e-9 * (along_axes.high - along_axes.low).max()
    if narrow or along_columns.log_widths.sum() <= along_axes.log_widths.sum():
        return along_columns
    return along_axes


def structure_for(
    table: Table, covariance_type: str | Structure, component: str = "normal", noise: bool = False
) -> Structure:
    """The structure of components of this kind, with the box of a table, on the model's scale, if there is noise."""
    return get_structure(covariance_type).of(component, table_box(table).log_widths if noise else ())


def table_box(table: Table) -> Box:
    """The box of a table, on the model's scale."""
    return box_of((table.used_rows - table.center) / table.scale, table.weights[table.weights > 0.0])
