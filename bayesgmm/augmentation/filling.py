"""One row leaves a component for a vacant one, or returns: a Metropolis move of the posterior itself.

An outlier widens the component that it is in; alone in another, that one is narrower. In many columns neither sweeps
nor a new component beside an old host get across: the host has to change with it. So, with one row's worth c of the
joint weight of host and vacant component,

    filling: the vacant component is drawn anew at the row, covariance from the prior, and the host loses the row:
        mean = (1 - c) mean' + c y,   cov = (1 - c) cov' + c (1 - c) (y - mean')(y - mean')';
    vacating: the host gains the row, and the component is drawn from the prior.

Either is tried as often as the other; each undoes the other.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.augmentation.anchors import draw_place, log_at_rows, mean_at_row
from bayesgmm.augmentation.complete_prior import draw_prior_component, log_prior_covariance, log_prior_mean
from bayesgmm.augmentation.matrices import factor, invert, rounding_removed

__all__ = ["propose_filling"]


@njit(cache=True, nogil=True, error_model="numpy")
def _exchange_row(prior, features, row, c, gain, h, state, new, work):
    """Host h of `new` without the row, or with it (`gain`): log Jacobian, -inf where its covariance is not one."""
    d = state.means.shape[1]
    matrix = work[0]
    for i in range(d):
        y = features[i, row]
        new.means[h, i] = (1.0 - c) * state.means[h, i] + c * y if gain else (state.means[h, i] - c * y) / (1.0 - c)
    n_cells = 0.0
    if not prior.shared:
        for i in range(d):
            for j in range(i + 1) if prior.correlated else range(i, i + 1):
                value = 0.0
                for m in range(j + 1):
                    value += state.cholesky[h, i, m] * state.cholesky[h, j, m]
                mean = state.means if gain else new.means
                square = (features[i, row] - mean[h, i]) * (features[j, row] - mean[h, j])
                matrix[i, j] = (1.0 - c) * (value + c * square) if gain else value / (1.0 - c) - c * square
                n_cells += 1.0
        if prior.correlated:
            if not factor(matrix, new.cholesky[h]):
                return -math.inf
            if not rounding_removed(new.cholesky[h], prior.floor, work[1], new.latent[h]):
                return -math.inf
        else:
            if prior.one_sd:
                n_cells, mean_variance = 1.0, 0.0
                for i in range(d):
                    mean_variance += matrix[i, i] / d
                for i in range(d):
                    matrix[i, i] = mean_variance
            for i in range(d):
                if not matrix[i, i] > prior.floor[i]:
                    return -math.inf
                new.cholesky[h, i, i] = math.sqrt(matrix[i, i])
                new.latent[h, i, i] = math.sqrt(matrix[i, i] - prior.floor[i])
        invert(new.cholesky[h], new.scaling[h])
    return (1.0 if gain else -1.0) * (d + n_cells) * math.log1p(-c)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_vacancy(n_rows, a, state):
    """Log probability to choose component a: rather one of little weight."""
    total = 0.0
    for k in range(state.weights.shape[0]):
        total += 1.0 / (n_rows * state.weights[k] + 1.0)
    return -math.log(n_rows * state.weights[a] + 1.0) - math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_vacant(rng, n_rows, state):
    n_components = state.weights.shape[0]
    u = rng.random()
    for a in range(n_components - 1):
        u -= math.exp(_log_vacancy(n_rows, a, state))
        if u < 0.0:
            return a
    return n_components - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _log_hosts(features, row, a, state, out):
    """Log responsibilities of the components but a for a row."""
    n_components, d = state.means.shape
    highest = -math.inf
    for k in range(n_components):
        out[k] = -math.inf
        if k == a:
            continue
        value = math.log(state.weights[k])
        for i in range(d):
            y = 0.0
            for j in range(i + 1):
                y += state.scaling[k, i, j] * (features[j, row] - state.means[k, j])
            value += math.log(state.scaling[k, i, i]) - 0.5 * y * y
        out[k] = value
        highest = max(highest, value)
    total = 0.0
    for k in range(n_components):
        out[k] -= highest
        total += math.exp(out[k])
    for k in range(n_components):
        out[k] -= math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def propose_filling(rng, features, row_weights, prior, log_anchor, state, new, work):
    """Change a component and its host in `new`: log q(old) - log q(new), the Jacobian included; -inf for no move."""
    n_components = state.means.shape[0]
    n_rows = features.shape[1]
    if log_anchor.shape[0] != n_rows or n_components == 1:
        return -math.inf
    a = _draw_vacant(rng, n_rows, state)
    g = 0 if prior.shared else a
    filling = rng.random() < 0.5
    density = np.empty(n_rows)
    row = 0
    if filling:
        row = draw_place(rng, log_anchor, 0.0)
    else:
        total = log_at_rows(features, row_weights, prior, log_anchor, state.means[a], state.scaling[a], density)
        row = draw_place(rng, density, total)
    hosts = np.empty(n_components)
    _log_hosts(features, row, a, state, hosts)
    h = draw_place(rng, hosts, 0.0)
    both = state.weights[a] + state.weights[h]
    if h == a or not both * n_rows > 2.0:
        return -math.inf
    c = 1.0 / (both * n_rows)
    chosen = hosts[h] + _log_vacancy(n_rows, a, state)
    draw_prior_component(
        rng, prior, new.means[a], new.latent[g], new.cholesky[g], new.scaling[a], work[0], not prior.shared
    )
    if filling:
        mean_at_row(rng, features, row, new.cholesky[g], work[0, 0], new.means[a])
    # Share of the joint weight: beta(e0 + 1, b) where the component holds the row, beta(e0, b + 1) where it is vacant.
    b = both * n_rows + prior.concentration
    first = rng.standard_gamma(prior.concentration + (1.0 if filling else 0.0))
    share = first / (first + rng.standard_gamma(b + (0.0 if filling else 1.0)))
    if not 1e-12 < share < 1.0 - 1e-12:
        return -math.inf
    old_share = state.weights[a] / both
    if not 1e-12 < old_share < 1.0 - 1e-12:
        return -math.inf
    new.weights[a], new.weights[h] = share * both, (1.0 - share) * both
    jacobian = _exchange_row(prior, features, row, c, not filling, h, state, new, work)
    if jacobian == -math.inf:
        return -math.inf
    _log_hosts(features, row, a, new, hosts)
    jacobian += hosts[h] + _log_vacancy(n_rows, a, new) - chosen
    filled, vacant = (new, state) if filling else (state, new)
    s_filled, s_vacant = (share, old_share) if filling else (old_share, share)
    if filling:
        total = log_at_rows(features, row_weights, prior, log_anchor, new.means[a], new.scaling[a], density)
    e0 = prior.concentration
    log_filled = total + e0 * math.log(s_filled) + (b - 1.0) * math.log1p(-s_filled)
    log_filled -= math.lgamma(e0 + 1.0) + math.lgamma(b)
    log_vacant = log_prior_mean(prior, vacant.means[a]) + (e0 - 1.0) * math.log(s_vacant) + b * math.log1p(-s_vacant)
    log_vacant -= math.lgamma(e0) + math.lgamma(b + 1.0)
    if not prior.shared:
        log_filled += log_prior_covariance(prior, filled.latent[a])
        log_vacant += log_prior_covariance(prior, vacant.latent[a])
    return jacobian + (log_vacant - log_filled if filling else log_filled - log_vacant)
