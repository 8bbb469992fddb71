"""Draws of the labels of rows that count several times: which clusters the copies of a row are in, and how many.

A row has as many cells as its copies can have labels, and at most as many as there are clusters: in every draw each
cell holds one cluster and the number of copies in it. A row that counts once has one cell, with itself in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clustering.label_counts import copies_of
from bayesgmm.kernels.compiled import compiled

__all__ = ["Cells", "LabelCells", "Units", "fill_cells", "single_cells"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_MOST_UNITS = 1 << 20  # that all rows are counted in


class Cells(NamedTuple):
    """The cells of N rows, as compiled code takes them."""

    first: NDArray[np.int64]  # (N + 1,) first cell of each row, and their number
    counts: IntArray  # (A, S) copies in each cell; (0, 0) where every row is one cell that holds it once
    size: NDArray[np.int64]  # (N,) copies of each row


def single_cells(n_rows: int) -> Cells:
    """Of rows that count once."""
    return Cells(np.arange(n_rows + 1), np.empty((0, 0), dtype=np.int32), np.ones(n_rows, dtype=np.int64))


class Units(NamedTuple):
    """Row weights in whole units, which the tables of a loss have an entry for.

    A unit is a copy where weights are whole. It is a part of one where they are not, and several beyond a million
    copies, which then have one label.
    """

    copies: NDArray[np.int64]  # (N,) copies with a label of their own
    each: int  # units of such a copy
    fraction: NDArray[np.int64]  # (N,) units of what remains of a weight
    unit: float  # rows that a unit stands for

    @classmethod
    def of(cls, weights: Array) -> Units:
        """Of positive weights (N,).

        >>> Units.of(np.array([3.0, 1.0]))
        Units(copies=array([3, 1]), each=1, fraction=array([0, 0]), unit=1.0)
        """
        copies, fraction = copies_of(weights)
        total, nothing = float(weights.sum()), np.zeros(len(weights), dtype=np.int64)
        most = max(_MOST_UNITS, 8 * len(weights))
        if total > most:
            return cls(np.maximum(1, np.rint(weights * (most / total))).astype(np.int64), 1, nothing, total / most)
        if not fraction.any():
            return cls(copies, 1, nothing, 1.0)
        each = max(1, int(most // total)) if copies.any() else 1  # without copies weights may be as small as they like
        units = float(each) if copies.any() else most / total
        parts = np.rint(fraction * units).astype(np.int64)
        parts[(copies == 0) & (parts == 0)] = 1
        return cls(copies, each, parts, 1.0 / units)


@compiled
def fill_cells(counted, first, z, m):
    """Cells of a block of draws: clusters z (S, A) and copies m (S, A), of the copies in each cluster (S, N, M)."""
    n_draws, n_rows, n_clusters = counted.shape
    for s in range(n_draws):
        for i in range(n_rows):
            a = first[i]
            for k in range(n_clusters):
                if counted[s, i, k] > 0.0:
                    z[s, a] = k
                    m[s, a] = int(counted[s, i, k])
                    a += 1
            for rest in range(a, first[i + 1]):  # empty, under a name that is there
                z[s, rest] = z[s, first[i]]
                m[s, rest] = 0


@compiled
def _largest(z, m, first, out):
    """out[s, i] = the cluster that most copies of row i are in."""
    for s in range(z.shape[0]):
        for i in range(out.shape[1]):
            best = first[i]
            for a in range(first[i] + 1, first[i + 1]):
                if m[s, a] > m[s, best]:
                    best = a
            out[s, i] = z[s, best]


@dataclass(frozen=True, eq=False)
class LabelCells:
    """Draws of labels in cells, clusters numbered in order of appearance.

    Attributes
    ----------
    draws : int array (S, A)
        Cluster of each cell.
    most : int
        Largest number of clusters of a draw.
    cells : Cells
    unit : float
        Rows that a unit of `cells.size` stands for.
    """

    draws: IntArray
    most: int
    cells: Cells
    unit: float = 1.0

    @property
    def total(self) -> int:
        """Units of all rows."""
        return int(self.cells.size.sum())

    @cached_property
    def labels(self) -> IntArray:
        """(S, N) the cluster of each row: the one that most of its copies are in."""
        if not len(self.cells.counts):
            return self.draws
        out = np.empty((len(self.draws), len(self.cells.size)), dtype=np.int32)
        _largest(self.draws, np.ascontiguousarray(self.cells.counts.T), self.cells.first, out)
        return out

    def thin(self, step: int) -> LabelCells:
        """Every `step`-th draw."""
        cells = self.cells._replace(counts=np.ascontiguousarray(self.cells.counts[:, ::step]))
        return LabelCells(np.ascontiguousarray(self.draws[::step]), self.most, cells, self.unit)

    def distinct(self) -> tuple[LabelCells, Array]:
        """The distinct draws, and the share of each."""
        n_cells = self.draws.shape[1]
        both = np.hstack([self.draws, self.cells.counts.T]) if len(self.cells.counts) else self.draws
        found, count = np.unique(both, axis=0, return_counts=True)
        cells = self.cells
        if len(cells.counts):
            cells = cells._replace(counts=np.ascontiguousarray(found[:, n_cells:].T))
        return LabelCells(np.ascontiguousarray(found[:, :n_cells]), self.most, cells, self.unit), count / count.sum()
