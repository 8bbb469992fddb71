"""Of a pair of components, one drawn anew and the other such that their joint moments are kept.

A surplus component shares the rows of another one in many ways, from a few rows of a large cluster to half of them, and
a walk (`inference.gibbs.moves.walks`) gets from one to the next by small steps. Given the joint weight, mean and
covariance of the two, what is left are the coordinates u of the first in the frame of both,

    logit of its share, L^-1 (mean - joint mean), L^-1 (its factor),   L L' the joint covariance,

the diagonal of the last on the log scale. They are few, and can be proposed from a mixture of t distributions fitted to
the draws of a round before. What is likely depends on which cluster the pair shares, so their distribution is one given
v, the joint weight and mean: these stay what they are, so the proposal remains independent of what it replaces. Given
v, 4.8 % are accepted instead of 2.7 % (20,000 rows, K = 6).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import factor, invert, multiply_lower, rounding_removed
from bayesgmm.model.density.natural import squares_by_variance
from bayesgmm.model.proposals.orders import add_log

__all__ = [
    "DOF", "LEAST_WEIGHT", "Given", "Redraws", "frame_of", "from_frame", "given_frame", "log_redraw",
    "no_redraws", "nudge", "redraw", "to_frame",
]  # fmt: skip

Array = NDArray[np.float64]

DOF = 5.0
LEAST_WEIGHT = 1e-290
_NUDGE = 0.45  # median length of a step, in units of a part's scale matrix


class Redraws(NamedTuple):
    """M multivariate t distributions of the P coordinates u, given the V of the frame, v."""

    constant: Array  # (M,) log normaliser
    centre: Array  # (M, P)
    slope: Array  # (M, P, V)
    root: Array  # (M, P, P) Cholesky factor of the scale matrix
    inverse: Array  # (M, P, P)
    log_share: Array  # (M,) log of the share, less the log determinant of the part's scale of v
    frame_centre: Array  # (M, V)
    frame_inverse: Array  # (M, V, V) inverse factor


class Given(NamedTuple):
    """What depends on v."""

    log_share: Array  # (M,)
    up_to: Array  # (M,) cumulative shares
    centre: Array  # (M, P)


def no_redraws() -> Redraws:
    """M = 0."""
    a, matrix, cube = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    return Redraws(a, matrix, cube, cube, cube, a, matrix, cube)


@compiled
def _distance(inverse, x, centre):
    """Squared length of inverse (x - centre)."""
    distance = 0.0
    for i in range(len(x)):
        value = 0.0
        for j in range(i + 1):
            value += inverse[i, j] * (x[j] - centre[j])
        distance += value * value
    return distance


@compiled
def given_frame(redraws, both, centre):
    """The distributions of a pair whose joint weight is `both` and whose joint mean is `centre`."""
    n_parts, p, n_frame = redraws.slope.shape
    log_share, up_to, moved = np.empty(n_parts), np.empty(n_parts), redraws.centre.copy()
    v = np.empty(n_frame)
    v[0] = math.log(both)
    put(v[1:], centre)
    for m in range(n_parts):
        distance = _distance(redraws.frame_inverse[m], v, redraws.frame_centre[m])
        log_share[m] = redraws.log_share[m] - 0.5 * (DOF + n_frame) * math.log1p(distance / DOF)
        for i in range(p):
            for j in range(n_frame):
                moved[m, i] += redraws.slope[m, i, j] * (v[j] - redraws.frame_centre[m, j])
    highest, total = -math.inf, 0.0
    for m in range(n_parts):
        highest, total = add_log(highest, total, log_share[m])
    log_total = highest + math.log(total)
    total = 0.0
    for m in range(n_parts):
        log_share[m] -= log_total
        total += math.exp(log_share[m])
        up_to[m] = total
    return Given(log_share, up_to, moved)


@compiled
def frame_of(prior, a, b, weights, means, cholesky, centre, matrix, root):
    """Joint mean of components a and b and `root`, the factor of what a walk keeps of their joint covariance."""
    d = means.shape[1]
    share = weights[a] / (weights[a] + weights[b])
    for i in range(d):
        centre[i] = means[b, i] + share * (means[a, i] - means[b, i])
    if not prior.own:
        put(root, cholesky[0])
        return True
    for i in range(d):
        for j in range(i + 1):
            own = other = 0.0
            for m in range(j + 1):
                own += cholesky[a, i, m] * cholesky[a, j, m]
                other += cholesky[b, i, m] * cholesky[b, j, m]
            between = (means[a, i] - means[b, i]) * (means[a, j] - means[b, j])
            matrix[i, j] = share * own + (1.0 - share) * (other + share * between)
    if prior.correlated:
        return factor(matrix, root)
    root[:] = 0.0
    square = squares_by_variance(prior, matrix)
    for i in range(d):
        root[i, i] = math.sqrt(square[prior.variance[i]] * len(square) / d)
    return True


@compiled
def to_frame(prior, a, b, weights, means, cholesky, centre, inverse, u):
    """Coordinates u of component a in the frame of a and b, whose inverse factor is `inverse`; and the log of d(mean,
    covariance) / du, up to what the frame gives."""
    d = means.shape[1]
    u[0] = math.log(weights[a] / weights[b])
    for i in range(d):
        value = 0.0
        for j in range(i + 1):
            value += inverse[i, j] * (means[a, j] - centre[j])
        u[1 + i] = value
    at = 1 + d
    for i in range(d * prior.own):
        if prior.variance[i] < i:
            continue
        for j in range(prior.first[i], i + 1):
            value = 0.0
            for m in range(j, i + 1):
                value += inverse[i, m] * cholesky[a, m, j]
            u[at] = math.log(value) if i == j else value
            at += 1
    return _log_jacobian(prior, d, u)


@compiled
def _log_jacobian(prior, d, u):
    value, at = 0.0, 1 + d
    if not prior.correlated:
        for i in range(prior.sd.shape[1] * prior.own):
            value += 2.0 * u[at + i]
        return value
    for i in range(d * prior.own):
        value += (d - i + 1.0) * u[at + i]
        at += i + 1
    return value


@compiled
def log_redraw(redraws, given, u, logs):
    """Log density of the coordinates u, and in `logs` (M,) that of each part, its share included."""
    p = len(u)
    highest, total = -math.inf, 0.0
    for m in range(len(redraws.constant)):
        distance = _distance(redraws.inverse[m], u, given.centre[m])
        log_t = redraws.constant[m] - 0.5 * (DOF + p) * math.log1p(distance / DOF)
        logs[m] = given.log_share[m] + log_t
        highest, total = add_log(highest, total, logs[m])
    return highest + math.log(total)


@compiled
def redraw(rng, redraws, given, u, z):
    """Draw the coordinates u."""
    m = min(np.searchsorted(given.up_to, rng.random()), len(given.up_to) - 1)
    put(u, given.centre[m])
    _add_noise(rng, redraws.root[m], math.sqrt(DOF / (2.0 * rng.standard_gamma(0.5 * DOF))), u, z)


@compiled
def nudge(rng, redraws, logs, log_total, u, z):
    """Move u as the part that it is likely to be of suggests, which is returned; `logs` are as by `log_redraw`."""
    level, m = rng.random(), 0
    for n in range(len(logs)):
        if level >= 0.0:
            m = n
        level -= math.exp(logs[n] - log_total)
    _add_noise(rng, redraws.root[m], _NUDGE * math.exp(0.5 * rng.standard_normal()), u, z)
    return m


@compiled
def _add_noise(rng, root, scale, u, z):
    for i in range(len(u)):
        z[i] = rng.standard_normal()
    for i in range(len(u)):
        value = 0.0
        for j in range(i + 1):
            value += root[i, j] * z[j]
        u[i] += scale * value


@compiled
def from_frame(prior, a, b, both, centre, root, u, new, matrix):
    """Weights of a and b, which add up to `both`, and component a of `new` at u; False where that cannot be: rounding
    is more than its covariance, or a weight is no number."""
    d = new.means.shape[1]
    new.weights[a] = both / (1.0 + math.exp(-u[0]))
    new.weights[b] = both / (1.0 + math.exp(u[0]))
    if not min(new.weights[a], new.weights[b]) > LEAST_WEIGHT:
        return False
    for i in range(d):
        value = centre[i]
        for j in range(i + 1):
            value += root[i, j] * u[1 + j]
        new.means[a, i] = value
    if not prior.own:
        return True
    cholesky, at = new.cholesky[a], 1 + d
    matrix[:] = 0.0
    for i in range(d):
        if prior.variance[i] < i:
            matrix[i, i] = matrix[prior.variance[i], prior.variance[i]]
            continue
        for j in range(prior.first[i], i + 1):
            matrix[i, j] = math.exp(u[at]) if i == j else u[at]
            at += 1
    multiply_lower(root, matrix, cholesky)
    if not rounding_removed(cholesky, prior.floor, matrix, new.latent[a]):
        return False
    invert(cholesky, new.scaling[a])
    return True
