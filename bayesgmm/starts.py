"""Where EM may start: ways to cut the rows into K groups.

Every start is a labelling of the rows, turned into parameters by one M-step in which each covariance is
drawn towards that of the whole table by the weight of D + 1 rows. A small group so starts wide and can grow;
without this it would start as a spike.

Random-point and k-means++ seeding (Arthur and Vassilvitskii 2007), k-means (Lloyd 1982) and Ward's
hierarchical clustering (Ward 1963). Distances are Euclidean in the coordinates given, so that columns scaled
by their standard deviation and columns whitened altogether give different starts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

__all__ = ["METHODS", "hierarchical", "k_means", "k_means_plus_plus", "nearest", "random_points"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_WARD_ROWS = 1000
_LLOYD_SWEEPS = 30


@njit(cache=True, error_model="numpy")
def _assign(points, centres, labels, distances):
    """Nearest centre of each row and the squared distance to it."""
    n_rows, n_features = points.shape
    for i in range(n_rows):
        best, where = np.inf, 0
        for k in range(centres.shape[0]):
            total = 0.0
            for j in range(n_features):
                gap = points[i, j] - centres[k, j]
                total += gap * gap
            if total < best:
                best, where = total, k
        labels[i] = where
        distances[i] = best


@njit(cache=True, error_model="numpy")
def _centres(points, weights, labels, centres):
    """Weighted mean of each group; a group without rows stays where it is."""
    n_components, n_features = centres.shape
    counts = np.zeros(n_components)
    sums = np.zeros((n_components, n_features))
    for i in range(points.shape[0]):
        counts[labels[i]] += weights[i]
        for j in range(n_features):
            sums[labels[i], j] += weights[i] * points[i, j]
    for k in range(n_components):
        if counts[k] > 0.0:
            for j in range(n_features):
                centres[k, j] = sums[k, j] / counts[k]


def nearest(points: Array, centres: Array) -> Labels:
    """(N,) index of the nearest of the centres (K, D) for each of the points (N, D)."""
    labels, distances = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    _assign(points, centres, labels, distances)
    return labels


def _draw(rng: np.random.Generator, probabilities: Array) -> int:
    cumulative = np.cumsum(probabilities)
    return int(min(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"), len(cumulative) - 1))


def _seeds(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Array:
    centres = np.empty((n_components, points.shape[1]))
    centres[0] = points[_draw(rng, weights)]
    closest = np.full(len(points), np.inf)
    for k in range(1, n_components):
        np.minimum(closest, ((points - centres[k - 1]) ** 2).sum(axis=1), out=closest)
        mass = weights * closest
        centres[k] = points[_draw(rng, mass if mass.sum() > 0 else weights)]
    return centres


def random_points(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """Rows drawn at random, each row to the nearest of them."""
    chosen = rng.choice(len(points), n_components, replace=False, p=weights / weights.sum())
    return nearest(points, points[chosen])


def k_means_plus_plus(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """Rows drawn far from each other, each row to the nearest of them."""
    return nearest(points, _seeds(points, weights, n_components, rng))


def k_means(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """Lloyd's algorithm from k-means++ seeds."""
    centres = _seeds(points, weights, n_components, rng)
    labels, distances = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    previous = np.inf
    for _ in range(_LLOYD_SWEEPS):
        _assign(points, centres, labels, distances)
        inertia = float(weights @ distances)
        if inertia >= previous * (1.0 - 1e-4):
            break
        previous = inertia
        _centres(points, weights, labels, centres)
    return labels


def hierarchical(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """Ward's clustering of at most 1000 rows, drawn at random if there are more; the others to the nearest."""
    n_rows = len(points)
    chosen = np.arange(n_rows)
    if n_rows > _WARD_ROWS:
        chosen = rng.choice(n_rows, _WARD_ROWS, replace=False, p=weights / weights.sum())
    groups = fcluster(linkage(points[chosen], "ward"), n_components, "maxclust") - 1
    centres = np.zeros((n_components, points.shape[1]))
    for k in range(n_components):
        # Ties can leave fewer groups than asked for; a spare one starts at a random row.
        members = chosen[groups == k]
        centres[k] = points[members].mean(axis=0) if len(members) else points[rng.integers(n_rows)]
    if n_rows == len(chosen) and len(np.unique(groups)) == n_components:
        return groups.astype(np.int64)
    return nearest(points, centres)


METHODS: dict[str, Callable[[Array, Array, int, np.random.Generator], Labels]] = {
    "hierarchical": hierarchical,
    "k-means": k_means,
    "k-means++": k_means_plus_plus,
    "random points": random_points,
}
