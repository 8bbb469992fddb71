"""Distances between partitions, and their expectation over draws of labels.

Variation of information and Binder's loss are one formula with two functions f. With n_c the sizes of the clusters
of one partition, n_z those of the other, and n_cz the sizes of their intersections,

    d = sum_c f(n_c) + sum_z f(n_z) - 2 sum_cz f(n_cz),

where f(n) = n log(n) / N gives the variation of information (Meila 2007, in nats: H(c|z) + H(z|c)) and f(n) = n^2 / N^2
gives Binder's loss, the share of the N^2 ordered pairs that one partition joins and the other separates. Both are
computed from the contingency counts, so that the expectation over draws is exact and needs no matrix of N x N.

Meila (2007), Journal of Multivariate Analysis 98, 873-895; Wade and Ghahramani (2018), Bayesian Analysis 13, 559-626.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_choice, shown
from bayesgmm.clustering.partition.cells import LabelCells, single_cells
from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import compiled

__all__ = [
    "LOSSES",
    "adjusted_rand",
    "as_label_draws",
    "as_labels",
    "canonical_labels",
    "cell_adjusted_rand",
    "cell_distances",
    "label_cells",
    "loss_table",
    "partition_distances",
]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

LOSSES = {"vi": "variation of information", "binder": "Binder's loss"}


def loss_table(loss: str, n_rows: int) -> Array:
    """f(0), ..., f(N) of a loss.

    >>> loss_table("binder", 2)
    array([0.  , 0.25, 1.  ])
    """
    check_choice(loss, "loss", LOSSES)
    size = np.arange(n_rows + 1, dtype=np.float64)
    if loss == "vi":
        return size * np.log(np.maximum(size, 1.0)) / n_rows
    return (size / n_rows) ** 2


@compiled
def _first_appearance(draws, out):
    """Clusters of each row of draws (S, N), values 0..M-1, numbered as they appear; returns the most clusters."""
    most = 0
    n_values = 0
    for s in range(draws.shape[0]):
        for i in range(draws.shape[1]):
            n_values = max(n_values, draws[s, i] + 1)
    name = np.empty(n_values, np.int32)
    for s in range(draws.shape[0]):
        name[:] = -1
        n_clusters = 0
        for i in range(draws.shape[1]):
            z = draws[s, i]
            if name[z] < 0:
                name[z] = n_clusters
                n_clusters += 1
            out[s, i] = name[z]
        most = max(most, n_clusters)
    return most


@compiled
def _distances(labels, n_clusters, draws, cells, most, f, out):
    """out[s] = distance of labels (N,) from draws[s] (A,)."""
    first, copies, size_of = cells
    single = copies.shape[0] == 0
    counts = np.empty((n_clusters, most), np.int64)
    sizes = np.zeros(n_clusters, np.int64)
    for i in range(labels.shape[0]):
        sizes[labels[i]] += size_of[i]
    own = 0.0
    for c in range(n_clusters):
        own += f[sizes[c]]
    for s in range(draws.shape[0]):
        counts[:] = 0
        for i in range(labels.shape[0]):
            if single:
                counts[labels[i], draws[s, i]] += 1
            else:
                for a in range(first[i], first[i + 1]):
                    counts[labels[i], draws[s, a]] += copies[a, s]
        total = own
        for z in range(most):
            size = 0
            for c in range(n_clusters):
                n = counts[c, z]
                size += n
                total -= 2.0 * f[n]
            total += f[size]
        out[s] = max(total, 0.0)


def canonical_labels(draws: NDArray[np.integer[Any]]) -> tuple[IntArray, int]:
    """Draws (S, N) with clusters numbered in order of appearance, and the largest number of clusters of a draw."""
    codes = draws
    if draws.size and (draws.min() < 0 or draws.max() > 4 * draws.shape[1] + 1000):
        codes = np.unique(draws, return_inverse=True)[1].reshape(draws.shape)
    out = np.empty(draws.shape, dtype=np.int32)
    return out, int(_first_appearance(np.ascontiguousarray(codes), out))


def as_labels(labels: ArrayLike, n_rows: int | None = None) -> IntArray:
    """Any labels (N,), text included and none missing, as integers 0, 1, ... in order of appearance.

    >>> as_labels(["b", "a", "b"])
    array([0, 1, 0], dtype=int32)
    """
    values = _plain_array(labels, "labels", "one label per row")
    if values.ndim != 1 or (n_rows is not None and len(values) != n_rows) or not len(values):
        expected = f"({n_rows},)" if n_rows is not None else "(N,)"
        raise InputError(f"labels has shape {values.shape}, expected {expected}: give one label per row.")
    # Among texts NumPy makes a text of NaN: look at the cells as they are.
    cells = np.asarray(labels, dtype=object) if values.dtype.kind in "US" else values
    missing = np.asarray(pd.isna(cells))
    if missing.any():
        raise InputError(
            f"labels has no label in {int(missing.sum())} of {len(values)} rows, the first in row {missing.argmax()}: "
            "leave these rows out, or give them a class of their own."
        )
    try:
        codes = pd.factorize(values)[0] if values.dtype.kind == "O" else np.unique(values, return_inverse=True)[1]
    except TypeError:
        raise InputError(f"labels={shown(labels)} must be text, numbers or other values that can be hashed.") from None
    return canonical_labels(codes.reshape(1, -1))[0][0]


def as_label_draws(draws: ArrayLike) -> tuple[IntArray, int]:
    """Checked draws of labels (S, N) in canonical form, and the largest number of clusters of a draw."""
    values = _plain_array(draws, "draws", "integer labels of shape (draws, rows)")
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"draws has shape {values.shape}; give integer labels of shape (draws, rows).")
    if values.dtype.kind not in "iub":
        raise InputError(f"draws holds {values.dtype} values; give integer labels, one for each draw and row.")
    return canonical_labels(values.astype(np.int8) if values.dtype.kind == "b" else values)


def _plain_array(values: ArrayLike, name: str, what: str) -> NDArray[Any]:
    """An array without a mask."""
    if np.ma.is_masked(values):
        raise InputError(f"{name} has masked entries: leave these rows out, or give them labels.")
    try:
        return np.asarray(values)
    except (TypeError, ValueError):
        raise InputError(f"{name}={shown(values)} must be {what}.") from None


def partition_distances(labels: ArrayLike, draws: ArrayLike, loss: str = "vi") -> Array:
    """Distance of one partition from each draw.

    Parameters
    ----------
    labels : array_like (N,)
        Labels of any kind.
    draws : int array_like (S, N)
    loss : {"vi", "binder"}

    Returns
    -------
    array (S,)
        Variation of information in nats, or Binder's loss as a share of the ordered pairs; the mean is the
        expected loss of `labels`.

    Examples
    --------
    >>> from bayesgmm.clustering.partition.loss import partition_distances
    >>> partition_distances([0, 0, 1, 1], [[1, 1, 0, 0], [0, 0, 0, 0]]).round(3)
    array([0.   , 0.693])
    """
    return cell_distances(labels, label_cells(draws), loss)


def label_cells(draws: ArrayLike) -> LabelCells:
    """Checked draws of labels (S, N) of rows that count once."""
    canonical, most = as_label_draws(draws)
    return LabelCells(canonical, most, single_cells(canonical.shape[1]))


def cell_distances(labels: ArrayLike, draws: LabelCells, loss: str = "vi") -> Array:
    """`partition_distances` of rows that count as often as their cells say."""
    own = as_labels(labels, len(draws.cells.size))
    out = np.empty(len(draws.draws))
    _distances(own, int(own.max()) + 1, draws.draws, draws.cells, draws.most, loss_table(loss, draws.total), out)
    return out


def adjusted_rand(labels: ArrayLike, draws: ArrayLike) -> Array:
    """Adjusted Rand index (Hubert and Arabie 1985) of one partition with each draw.

    Parameters
    ----------
    labels : array_like (N,)
    draws : int array_like (S, N)

    Returns
    -------
    array (S,)
        1 is equality, 0 what chance gives; 1 also where both partitions are trivial in the same way.

    Examples
    --------
    >>> adjusted_rand([0, 0, 1, 1], [[1, 1, 0, 0], [0, 1, 0, 1]])
    array([ 1. , -0.5])
    """
    return cell_adjusted_rand(labels, label_cells(draws))


def cell_adjusted_rand(labels: ArrayLike, draws: LabelCells) -> Array:
    """`adjusted_rand` of rows that count as often as their cells say."""
    cells, n = draws.cells, draws.total * draws.unit
    copies = cells.counts.T if len(cells.counts) else np.ones((1, 1))
    sizes = np.stack([((draws.draws == z) * copies).sum(axis=1) for z in range(draws.most)], axis=1) * draws.unit
    own = float(((np.bincount(as_labels(labels, len(cells.size)), cells.size) * draws.unit) ** 2).sum())
    theirs = (sizes**2).sum(axis=1)
    joint = 0.5 * (own + theirs - n * n * cell_distances(labels, draws, "binder"))
    pairs, together = 0.5 * n * (n - 1), 0.5 * (joint - n)
    a, b = 0.5 * (own - n), 0.5 * (theirs - n)
    chance = a * b / pairs if pairs else 0.0 * b
    room = 0.5 * (a + b) - chance
    trivial = room < 1e-9 * max(pairs, 1.0)
    return np.where(trivial, 1.0, (together - chance) / np.where(trivial, 1.0, room))
