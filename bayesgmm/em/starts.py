"""Where EM may start: cuts of the rows into K groups, and changes to a mixture that is already there.

A cut becomes parameters by one M-step in which each covariance is drawn towards that of all rows by the
weight of D + 1 rows, so that a small group starts wide instead of as a spike. Cuts: random points and
k-means++ seeds (Arthur and Vassilvitskii 2007) with every row given to the nearest, k-means (Lloyd 1982) and
Ward's hierarchical clustering (Ward 1963).

`split_and_merge` (Ueda et al. 2000) drops one component or merges it with a near one, and splits another in two
that together have its mean and covariance (Richardson and Green 1997).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from bayesgmm.data.copies import copied_rows
from bayesgmm.em.state import State, state_of
from bayesgmm.em.tails import STARTING_DF
from bayesgmm.kernels.compiled import compiled
from bayesgmm.model.structure import Structure

__all__ = ["CUTS", "from_labels", "like_known", "split_and_merge"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_WARD_ROWS = 300
_LLOYD_SWEEPS = 30
_LEAST_WEIGHT = 1e-3
_LEAST_NOISE = 0.01  # weight of a background, to begin with


@compiled
def _assign(points, centres, labels, distances):
    """Nearest centre of each row and the squared distance to it."""
    for i in range(points.shape[0]):
        distances[i] = np.inf
        for k in range(centres.shape[0]):
            total = 0.0
            for j in range(points.shape[1]):
                gap = points[i, j] - centres[k, j]
                total += gap * gap
            if total < distances[i]:
                labels[i], distances[i] = k, total


def _nearest(points: Array, centres: Array) -> tuple[Labels, Array]:
    labels, distances = np.zeros(len(points), dtype=np.int64), np.empty(len(points))
    _assign(points, centres, labels, distances)
    return labels, distances


def _draw(rng: np.random.Generator, mass: Array) -> int:
    cumulative = np.cumsum(mass)
    return min(int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")), len(mass) - 1)


def _seeds(points: Array, weights: Array, n_components: int, rng: np.random.Generator, n_tries: int = 1) -> Array:
    """k-means++ seeds; of `n_tries` rows drawn for each, the one that leaves the rows nearest to a seed."""
    centres = np.empty((n_components, points.shape[1]))
    centres[0] = points[_draw(rng, weights)]
    closest = ((points - centres[0]) ** 2).sum(axis=1)
    for k in range(1, n_components):
        mass = weights * closest
        mass = mass if mass.any() else weights
        tries = [points[_draw(rng, mass)] for _ in range(n_tries)]
        left = [np.minimum(closest, ((points - row) ** 2).sum(axis=1)) for row in tries]
        best = int(np.argmin([weights @ distances for distances in left]))
        centres[k], closest = tries[best], left[best]
    return centres


def _random_points(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    chosen = rng.choice(len(points), n_components, replace=False, p=weights / weights.sum())
    return _nearest(points, points[chosen])[0]


def _k_means_plus_plus(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    return _nearest(points, _seeds(points, weights, n_components, rng))[0]


def _group_means(points: Array, weights: Array, labels: Labels, centres: Array) -> Array:
    """Weighted mean of each group; a group without rows stays where it is."""
    counts = np.bincount(labels, weights, len(centres))
    sums = np.stack([np.bincount(labels, weights * column, len(centres)) for column in points.T], axis=1)
    full = counts > 0
    out = centres.copy()
    out[full] = sums[full] / counts[full, None]
    return out


def _k_means(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    centres = _seeds(points, weights, n_components, rng, n_tries=2 + int(np.log(n_components)))
    previous = np.inf
    for _ in range(_LLOYD_SWEEPS):
        labels, distances = _nearest(points, centres)
        inertia = float(weights @ distances)
        if inertia >= previous * (1.0 - 1e-4):
            break
        previous = inertia
        centres = _group_means(points, weights, labels, centres)
    return labels


def _hierarchical(points: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Labels:
    """Ward's clustering of some rows; when there are others, each goes to the nearest group mean."""
    equal = np.ptp(weights) == 0.0 and len(points) <= _WARD_ROWS
    copies = np.arange(len(points)) if equal else copied_rows(weights, _WARD_ROWS)
    if copies is not None:
        groups = fcluster(linkage(points[copies], "ward"), n_components, "maxclust")
        labels = np.empty(len(points), dtype=np.int64)
        labels[copies[::-1]] = groups[::-1] - 1  # of the first copy
        return labels
    few = len(points) <= _WARD_ROWS  # then copies of rows are drawn
    chosen = rng.choice(len(points), _WARD_ROWS, replace=few, p=weights / weights.sum())
    sample = points[chosen]
    groups = fcluster(linkage(sample, "ward"), n_components, "maxclust").astype(np.int64) - 1
    return _nearest(points, _group_means(sample, np.ones(_WARD_ROWS), groups, sample[:n_components]))[0]


CUTS: dict[str, Callable[[Array, Array, int, np.random.Generator], Labels]] = {
    "hierarchical": _hierarchical,
    "k-means": _k_means,
    "k-means++": _k_means_plus_plus,
    "random points": _random_points,
}


def like_known(labels: Labels, known: Labels, row_weights: Array, n_components: int) -> Labels:
    """Groups under the numbers of the components that most of their known rows have, and known rows in their own.

    `known` (N,) is the component of a row, -1 where that is unknown, or empty.
    """
    if not len(known):
        return labels
    told, shared = (known >= 0) & (labels >= 0), np.zeros((n_components, n_components))
    np.add.at(shared, (labels[told], known[told]), row_weights[told])
    number = linear_sum_assignment(-shared)[1]
    return np.where(known >= 0, known, np.where(labels >= 0, number[labels], -1))


def from_labels(
    features: Array, row_weights: Array, labels: Labels, n_components: int, structure: Structure, floor: float
) -> State:
    """The mixture that a cut suggests; features (D, N) with identity covariance, labels (N,) in 0..K-1.

    Rows of label -1 are left out; where there is a background they are its.
    """
    n_features = len(features)
    a_row = min(1.0, float(row_weights.mean()))  # a copy, or what rows of smaller weights count
    prior_rows = (n_features + 1.0) * a_row
    # A group without rows gets a trace of weight and the covariance of all rows around their mean.
    kept = labels >= 0
    counts = np.bincount(labels[kept], row_weights[kept], n_components) + _LEAST_WEIGHT * a_row
    means = np.empty((n_components, n_features))
    scatter = np.empty((n_components, n_features, n_features))
    for k in range(n_components):
        chosen = labels == k
        rows, weights = features[:, chosen], row_weights[chosen]
        means[k] = rows @ weights / counts[k]
        rows = rows - means[k][:, None]
        shrunk = ((rows * weights) @ rows.T + prior_rows * np.eye(n_features)) / (counts[k] + prior_rows)
        scatter[k] = shrunk * counts[k]
    total = float(row_weights.sum())
    noise = [max(1.0 - counts.sum() / total, _LEAST_NOISE)] if structure.has_background else []
    weights = counts / counts.sum() * (1.0 - sum(noise))
    head = np.concatenate([weights, noise, np.full(structure.n_df(n_components), STARTING_DF)])
    return state_of(head, means, structure.project(scatter, counts), floor)[0]


def split_and_merge(
    state: State, rng: np.random.Generator, structure: Structure, floor: float, drop: Labels | None = None
) -> State:
    """A changed mixture of as many components, to start from; `drop` lists components to replace."""
    n_components = len(state.means)
    weights, rest = state.weights[:n_components].copy(), state.weights[n_components:]
    means, covariances = state.means.copy(), state.covariances
    if n_components == 1:
        return state
    chosen = [int(rng.integers(n_components))] if drop is None or len(drop) == 0 else [int(k) for k in drop]
    free = np.ones(n_components)
    free[chosen] = 0.0
    if not free.any():
        free[chosen.pop()] = 1.0
    for k in chosen:
        if drop is None and rng.random() < 0.5:
            _merge(k, weights, means, covariances, state.scaling[k], rng)
        # The square root lets small components be split too.
        mass = free * np.sqrt(weights)
        _split(_draw(rng, mass), k, weights, means, covariances, rng, same_shape=structure.shared)
        free[k] = 1.0
    weights = np.maximum(weights, _LEAST_WEIGHT)
    weights *= state.weights[:n_components].sum() / weights.sum()
    covariances = structure.project(covariances * weights[:, None, None], weights)
    return state_of(np.append(weights, rest), means, covariances, floor)[0]


def _merge(
    gone: int, weights: Array, means: Array, covariances: Array, scaling: Array, rng: np.random.Generator
) -> None:
    """Give the rows of a component to a near one, as a mixture of the two has its mean and covariance."""
    distance = np.linalg.norm((means - means[gone]) @ scaling.T, axis=1) * rng.exponential(size=len(weights))
    distance[gone] = np.inf
    into = int(distance.argmin())
    total = weights[gone] + weights[into]
    share = weights[gone] / total
    gap = means[gone] - means[into]
    covariances[into] += share * (covariances[gone] - covariances[into] + (1.0 - share) * np.outer(gap, gap))
    means[into] += share * gap
    weights[into] = total


def _split(
    source: int, into: int, weights: Array, means: Array, covariances: Array, rng: np.random.Generator,
    same_shape: bool,
) -> None:  # fmt: skip
    """Divide a component in two places, or in a narrow and a wide half at (almost) the same place."""
    cholesky = np.linalg.cholesky(covariances[source])
    direction = cholesky @ (lambda v: v / np.linalg.norm(v))(rng.normal(size=len(cholesky)))
    if same_shape or rng.random() < 0.5:
        share, step = rng.uniform(0.1, 0.9), rng.uniform(0.5, 0.95) * direction
        covariances[source] -= np.outer(step, step)
        covariances[into] = covariances[source]
        means[into] = means[source] + step * np.sqrt((1.0 - share) / share)
        means[source] -= step * np.sqrt(share / (1.0 - share))
    else:
        share, narrow = 0.5, rng.uniform(0.05, 0.6)
        means[into] = means[source] + 0.3 * direction
        covariances[into] = narrow * covariances[source]
        covariances[source] *= 2.0 - narrow
    weights[into], weights[source] = share * weights[source], (1.0 - share) * weights[source]
