"""Silhouettes of rows that count several times (Rousseeuw 1987, J. Comput. Appl. Math. 20, 53-65)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_silhouette"]

Array = NDArray[np.float64]

_MOST_ROWS = 5000


def mean_silhouette(rows: Array, labels: NDArray[Any], weights: Array, *, random_seed: int | None = 0) -> float:
    """Mean silhouette, Euclidean, of all copies of the rows.

    Parameters
    ----------
    rows : array (N, D)
    labels : int array (N,)
        Cluster of each row, below 0 for none.
    weights : array (N,)
        Copies of each row.
    random_seed : int or None
        Beyond 5,000 rows, of those that stand for all.

    Returns
    -------
    float
        NaN with fewer than two clusters, or as many as copies.

    Examples
    --------
    >>> round(mean_silhouette(np.array([[0.0], [1.0], [9.0], [10.0]]), np.array([0, 0, 1, 1]), np.ones(4)), 3)
    0.889
    """
    index = np.flatnonzero((labels >= 0) & (weights > 0.0))
    if len(index) > _MOST_ROWS:
        index = np.sort(np.random.default_rng(random_seed).choice(index, _MOST_ROWS, replace=False))
    names, own = np.unique(labels[index], return_inverse=True)
    w = weights[index]
    if not 2 <= len(names) < w.sum():
        return float("nan")
    member = (own[:, None] == np.arange(len(names))) * w[:, None]  # (n, M)
    size = member.sum(axis=0)
    distances = _distance_sums(rows[index], member)
    at = np.arange(len(index))
    within = distances[at, own] / np.maximum(size[own] - 1.0, 1e-300)
    between = distances / size
    between[at, own] = np.inf
    nearest = between.min(axis=1)
    alone = size[own] <= 1.0
    largest = np.maximum(within, nearest)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(alone | (largest == 0.0), 0.0, (nearest - within) / largest)
    return float(w @ each / w.sum())


def _distance_sums(rows: Array, member: Array) -> Array:
    """(n, M) weighted sum of the distances of a row from the members of each cluster, a block of rows at a time."""
    from scipy.spatial.distance import cdist

    out = np.empty(member.shape)
    step = max(1, 5_000_000 // len(rows))
    for start in range(0, len(rows), step):
        out[start : start + step] = cdist(rows[start : start + step], rows) @ member
    return out
