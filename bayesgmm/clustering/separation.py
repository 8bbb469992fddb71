"""How far apart two groups of components are, compiled: misclassification along the line that parts them best.

Along a line a group is a one-dimensional mixture, and the probability that its observations are taken for the other
group's is a sum over its components. Lines are (t A + (1 - t) B)^-1 (mean of b - mean of a), A and B the covariances of
the groups: among all lines one of these misclassifies least (Anderson and Bahadur 1962, Annals of Mathematical
Statistics 33, 420-431); t = 1/2 is Fisher's discriminant. Densities are t densities with as many degrees of freedom as
the smaller group has observations, since few observations do not tell where the tail of a neighbour ends.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled

__all__ = ["misclassified", "squared_distance"]

_NODES = 33  # along each component, from -4 to 4 sds
_REACH = 4.0
_MIX = (0.5, 0.25, 0.75, 0.02, 0.98)
_FAR = 1e-4  # 7.4 sds apart, and no other line is tried
_NORMAL = 1e4  # degrees of freedom from which a density is normal


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
def squared_distance(means, covariances, i, j, work):
    """Squared distance of two components in the sum of their covariances; work (D + 1, D)."""
    d = means.shape[1]
    gap, both = work[0], work[1:]
    for p in range(d):
        gap[p] = means[j, p] - means[i, p]
        for q in range(d):
            both[p, q] = covariances[i, p, q] + covariances[j, p, q]
    _solve(both, gap)
    total = 0.0
    for p in range(d):
        total += gap[p] * (means[j, p] - means[i, p])
    return total


@compiled
def _taken_for(weights, centre, sd, label, own, other, own_weight, df):
    """Probability that an observation of group `own` is taken for `other`, both mixtures on a line (centre, sd) (K,).

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
                    half = 0.5 * v * v if df >= _NORMAL else 0.5 * (df + 1.0) * math.log1p(v * v / df)
                    f = weights[i] / sd[i] * math.exp(-half)
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
def misclassified(weights, means, covariances, sizes, df, label, a, b, work):
    """Larger of the two probabilities of misclassification between groups a and b along the best line, at most 1/2.

    weights, sizes, df (K,): mixing weights, numbers of observations, degrees of freedom (inf for a normal one); label
    (K,): group of each component; work (3, D + 1, D).
    """
    k, d = means.shape
    mean_a, mean_b = work[0, 0], work[1, 0]
    cov_a, cov_b, both = work[0, 1:], work[1, 1:], work[2, 1:]
    weight_a = _moments(weights, means, covariances, label, a, mean_a, cov_a)
    weight_b = _moments(weights, means, covariances, label, b, mean_b, cov_b)
    apart = 0.0
    for i in range(d):
        apart += (mean_b[i] - mean_a[i]) ** 2 / (cov_a[i, i] + cov_b[i, i])
    if apart < 1e-20:  # no line parts groups with one centre
        return 0.5
    of_a, of_b, tails = 0.0, 0.0, np.inf
    for j in range(k):
        if label[j] == a:
            of_a += sizes[j]
            tails = min(tails, df[j])
        elif label[j] == b:
            of_b += sizes[j]
            tails = min(tails, df[j])
    tails = min(tails, max(1.0, min(of_a, of_b)))
    line, centre, sd = work[2, 0], np.zeros(k), np.zeros(k)
    least = 0.5
    for t in _MIX:
        for i in range(d):
            line[i] = mean_b[i] - mean_a[i]
            for j in range(d):
                both[i, j] = t * cov_a[i, j] + (1.0 - t) * cov_b[i, j]
        _solve(both, line)
        for j in range(k):
            if label[j] == a or label[j] == b:
                centre[j], sd[j] = 0.0, 0.0
                for p in range(d):
                    centre[j] += line[p] * means[j, p]
                    for q in range(d):
                        sd[j] += line[p] * covariances[j, p, q] * line[q]
                sd[j] = math.sqrt(sd[j])
        of_line = max(
            _taken_for(weights, centre, sd, label, a, b, weight_a, tails),
            _taken_for(weights, centre, sd, label, b, a, weight_b, tails),
        )
        least = min(least, of_line)
        if least < _FAR:
            break
    return least
