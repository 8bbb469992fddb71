"""Components merged into groups by misclassification along Fisher's line, compiled; see `clustering.merging`.

Each number needs the mixture only: along a line a group is a one-dimensional mixture, and the probability that its rows
are taken for another group's is a sum over its components.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.threads import over_threads

__all__ = ["THRESHOLD", "merge_draws"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

THRESHOLD = 0.1
_NODES = 33  # along each component, from -4 to 4 sds
_REACH = 4.0


def merge_draws(
    weights: Array,
    means: Array,
    covariances: Array,
    *,
    occupied: NDArray[np.bool_] | None = None,
    threshold: float = THRESHOLD,
) -> IntArray:
    """Cluster of each component, for each of many mixtures.

    Parameters
    ----------
    weights, means, covariances : arrays (S, K), (S, K, D), (S, K, D, D)
    occupied : bool array (S, K), optional
        Components that may be clusters; by default all. There must be one in each draw.
    threshold : float

    Returns
    -------
    int array (S, K)
        0, 1, ... in order of appearance.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.merging_rule import merge_draws
    >>> means = np.array([[[0.0], [1.0], [8.0]]])
    >>> merge_draws(np.full((1, 3), 1 / 3), means, np.ones((1, 3, 1, 1)))
    array([[0, 0, 1]])
    """
    w, m, c = (np.ascontiguousarray(a, dtype=np.float64) for a in (weights, means, covariances))
    counted = np.ones(w.shape, dtype=bool) if occupied is None else np.ascontiguousarray(occupied)
    out = np.empty(w.shape, dtype=np.int64)
    over_threads(lambda s: _merge(w[s], m[s], c[s], counted[s], threshold, out[s]), len(w))
    return out


@compiled
def _moments(weights, means, covariances, label, group, mean, covariance):
    """Weight of a group of components; writes its mean (D,) and covariance (D, D)."""
    k, d = means.shape
    total = 0.0
    mean[:] = 0.0
    covariance[:] = 0.0
    for j in range(k):
        if label[j] == group:
            total += weights[j]
            for i in range(d):
                mean[i] += weights[j] * means[j, i]
    mean /= total
    for j in range(k):
        if label[j] == group:
            share = weights[j] / total
            for a in range(d):
                for b in range(d):
                    gap = (means[j, a] - mean[a]) * (means[j, b] - mean[b])
                    covariance[a, b] += share * (covariances[j, a, b] + gap)
    return total


@compiled
def _solve(matrix, vector):
    """matrix^-1 vector for a positive definite matrix; overwrites both, the answer is in `vector`."""
    d = vector.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total = matrix[i, j]
            for m in range(j):
                total -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = math.sqrt(total) if i == j else total / matrix[j, j]
    for i in range(d):
        for m in range(i):
            vector[i] -= matrix[i, m] * vector[m]
        vector[i] /= matrix[i, i]
    for i in range(d - 1, -1, -1):
        for m in range(i + 1, d):
            vector[i] -= matrix[m, i] * vector[m]
        vector[i] /= matrix[i, i]


@compiled
def _misclassified(weights, centre, sd, label, own, other, own_weight):
    """Probability that a row of group `own` is taken for `other`, both mixtures on a line (centre, sd) (K,).

    Each component is divided into 32 pieces; where the two densities cross inside one, the place comes from
    interpolating their log ratio.
    """
    k = weights.shape[0]
    step = 2.0 * _REACH / (_NODES - 1)
    total = 0.0
    for j in range(k):
        if label[j] != own:
            continue
        ratio, below = 0.0, 0.0
        for node in range(_NODES):
            z = -_REACH + node * step
            x = centre[j] + sd[j] * z
            mine, theirs = 0.0, 0.0
            for i in range(k):
                if label[i] == own or label[i] == other:
                    v = (x - centre[i]) / sd[i]
                    f = weights[i] / sd[i] * math.exp(-0.5 * v * v)
                    if label[i] == own:
                        mine += f
                    else:
                        theirs += f
            new_ratio = math.log(theirs + 1e-300) - math.log(mine + 1e-300)
            new_below = 0.5 * math.erfc(-z / math.sqrt(2.0))
            if node > 0:
                high, low = max(ratio, new_ratio), min(ratio, new_ratio)
                inside = 1.0 if low > 0.0 else (0.0 if high <= 0.0 else high / (high - low))
                total += weights[j] * inside * (new_below - below)
            ratio, below = new_ratio, new_below
    return total / own_weight


@compiled
def _overlap(weights, means, covariances, label, a, b, work):
    """Larger of the two probabilities of misclassification between groups a and b, along Fisher's line."""
    k, d = means.shape
    mean_a, mean_b, line = work[0, 0], work[1, 0], np.empty(d)
    cov_a, cov_b = work[0, 1:], work[1, 1:]
    weight_a = _moments(weights, means, covariances, label, a, mean_a, cov_a)
    weight_b = _moments(weights, means, covariances, label, b, mean_b, cov_b)
    squared = 0.0
    for i in range(d):
        line[i] = mean_b[i] - mean_a[i]
        squared += line[i] * line[i] / (cov_a[i, i] + cov_b[i, i])
        for j in range(d):
            cov_a[i, j] += cov_b[i, j]
    if squared < 1e-20:  # no line separates groups with one centre
        return 1.0
    _solve(cov_a, line)
    centre, sd = np.zeros(k), np.zeros(k)
    for j in range(k):
        if label[j] == a or label[j] == b:
            for p in range(d):
                centre[j] += line[p] * means[j, p]
                for q in range(d):
                    sd[j] += line[p] * covariances[j, p, q] * line[q]
            sd[j] = math.sqrt(sd[j])
    return max(
        _misclassified(weights, centre, sd, label, a, b, weight_a),
        _misclassified(weights, centre, sd, label, b, a, weight_b),
    )


@compiled
def _merge(weights, means, covariances, occupied, threshold, out):
    """out[s] = cluster of each component of draw s."""
    n_components, d = means.shape[1], means.shape[2]
    label = np.empty(n_components, dtype=np.int64)
    overlap = np.empty((n_components, n_components))
    number = np.empty(n_components, dtype=np.int64)
    work = np.empty((2, d + 1, d))
    for s in range(weights.shape[0]):
        for k in range(n_components):
            label[k] = k
        alive = occupied[s].copy()
        for i in range(n_components):
            for j in range(i):
                overlap[i, j] = -1.0
                if alive[i] and alive[j]:
                    overlap[i, j] = _overlap(weights[s], means[s], covariances[s], label, i, j, work)
        while True:
            worst, first, second = threshold, -1, -1
            for i in range(n_components):
                for j in range(i):
                    if alive[i] and alive[j] and overlap[i, j] > worst:
                        worst, first, second = overlap[i, j], j, i
            if first < 0:
                break
            alive[second] = False
            for k in range(n_components):
                if label[k] == second:
                    label[k] = first
            for k in range(n_components):
                if alive[k] and k != first:
                    value = _overlap(weights[s], means[s], covariances[s], label, first, k, work)
                    overlap[max(first, k), min(first, k)] = value
        for k in range(n_components):
            if not occupied[s, k]:
                best, home = -1.0, -1
                for g in range(n_components):
                    if alive[g]:
                        value = _overlap(weights[s], means[s], covariances[s], label, k, g, work)
                        if value > best:
                            best, home = value, g
                number[k] = home
        for k in range(n_components):
            if not occupied[s, k]:
                label[k] = number[k]
        number[:] = -1
        found = 0
        for k in range(n_components):
            if number[label[k]] < 0:
                number[label[k]] = found
                found += 1
            out[s, k] = number[label[k]]
