"""Normal proposals of a whole mixture: what crosses between modes whose components overlap.

The parts of `bayesgmm.augmentation.proposals` are independent, so a mixture made of them is hardly ever accepted where
the components of the posterior depend on each other. Here the components that hold rows are proposed together, normal
in the coordinates T = L_ref^-1 L, m = L_ref^-1 (mean - mean_ref) and the logarithms of their shares, with the means
and covariances of the draws of one mode; the other components are the parts that they were.

The posterior does not know the order of components. A proposal that is drawn outside the region in which its own order
is the nearest to its reference is refused, so a mixture has one order for each reference, found by assignment, and
nothing is summed over K! orders; components that hold few rows are summed over, as a permanent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.augmentation.matrices import invert, rounding_removed
from bayesgmm.augmentation.permanent import LOST, add_log, log_permanent, size
from bayesgmm.augmentation.proposals import draw_part, log_determinant, log_part, log_prior_part

__all__ = ["log_joint", "propose_joint"]

_LOG_2 = math.log(2.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _own_coordinates(prior, joint, q, k, mean, cholesky, out):
    """Coordinates (D + C) of a component relative to component k of reference q."""
    d = mean.shape[0]
    scaling = joint.scaling[q, k]
    for i in range(d):
        value = 0.0
        for j in range(i + 1):
            value += scaling[i, j] * (mean[j] - joint.means[q, k, j])
        out[i] = value
    at = d
    for i in range(d):
        if not prior.correlated:
            if i == 0 or not prior.one_sd:
                out[at] = math.log(scaling[i, i] * cholesky[i, i])
                at += 1
            continue
        for j in range(i + 1):
            value = 0.0
            for m in range(j, i + 1):
                value += scaling[i, m] * cholesky[m, j]
            out[at] = math.log(value) if i == j else value
            at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _assign(cost, n_large, best, choice, out):
    """out[k] = column of row k of `cost` (G of K rows are read) with the least sum; the other columns follow."""
    k = cost.shape[1]
    full = 1 << k
    best[:full] = math.inf
    best[0] = 0.0
    for subset in range(full):
        value = best[subset]
        if value == math.inf:
            continue
        row = size(subset)
        if row >= n_large:
            continue
        for j in range(k):
            if not subset >> j & 1:
                other = subset | 1 << j
                if value + cost[row, j] < best[other]:
                    best[other] = value + cost[row, j]
                    choice[other] = j
    at, least = 0, math.inf
    for subset in range(full):
        row = size(subset)
        if row == n_large and best[subset] < least:
            at, least = subset, best[subset]
    if least == math.inf:
        return False
    rest = n_large
    for j in range(k):
        if not at >> j & 1:
            out[rest] = j
            rest += 1
    for row in range(n_large - 1, -1, -1):
        out[row] = choice[at]
        at ^= 1 << choice[at]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _log_one(prior, proposals, joint, q, weights, means, latent, cholesky, scaling, own, order, least):
    """Log density of a mixture under proposal q, -inf where it has none or is below `least`; its order in `order`."""
    n_components, d = means.shape
    n_large, c = joint.n_large[q], own.shape[2]
    cost = np.empty((n_large, n_components))
    for k in range(n_large):
        for j in range(n_components):
            _own_coordinates(prior, joint, q, k, means[j], cholesky[j], own[k, j])
            z = (math.log(weights[j]) - joint.log_weight[q, k]) / joint.spread[q, k, 0]
            total = z * z
            for i in range(c):
                centre = joint.centre[q, n_large - 1 + k * c + i]
                z = (own[k, j, i] - centre) / joint.spread[q, k, 1 + i]
                total += z * z
            cost[k, j] = total
    best, choice = np.empty(1 << n_components), np.empty(1 << n_components, dtype=np.int64)
    if not _assign(cost, n_large, best, choice, order):
        return -math.inf
    n_dim = joint.n_dim[q]
    xi = np.empty(n_dim)
    last = math.log(weights[order[n_large - 1]])
    share = 0.0
    value = joint.constant[q]
    for k in range(n_large):
        j = order[k]
        log_weight = math.log(weights[j])
        share += weights[j]
        value -= log_weight
        if k < n_large - 1:
            xi[k] = log_weight - last
        for i in range(c):
            xi[n_large - 1 + k * c + i] = own[k, j, i]
        at = d
        for i in range(d):
            if prior.correlated:
                at += i
                value -= _LOG_2 + (d - i) * math.log(cholesky[j, i, i]) + own[k, j, at]
                at += 1
            elif i == 0 or not prior.one_sd:
                value -= _LOG_2 + 2.0 * math.log(cholesky[j, i, i])
    n_small = n_components - n_large
    # d(w) = S^(G - 1) d(S) d(p) and prod p = prod w / S^G: one factor S is left of the logarithms of the shares.
    value += math.log(share)
    if n_small > 0:
        m = joint.part[q]
        alpha = 0.0
        for k in range(n_large):
            alpha += proposals.alpha[m, joint.order[q, k]]
        value += (alpha - 1.0) * math.log(share)
        logs = np.empty((n_small, n_small))
        for j in range(n_small):
            at = order[n_large + j]
            log_weight, log_det = math.log(weights[at]), log_determinant(cholesky[at])
            log_prior = log_prior_part(prior, means[at], latent[at])
            for i in range(n_small):
                k = joint.order[q, n_large + i]
                logs[i, j] = (proposals.alpha[m, k] - 1.0) * log_weight + log_part(
                    prior, proposals, m, k, means[at], cholesky[at], scaling[at], log_det, log_prior
                )
        value += log_permanent(logs, best[: 1 << n_small])
    for i in range(n_dim):
        xi[i] -= joint.centre[q, i]
    for i in range(n_dim):
        total = 0.0
        for j in range(i + 1):
            total += joint.inverse[q, i, j] * xi[j]
        value -= 0.5 * total * total
        if not value >= least:
            return -math.inf
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def log_joint(prior, proposals, joint, weights, means, latent, cholesky, scaling):
    """Log density of a mixture under the normal proposals, up to what no state changes."""
    n_components, d = means.shape
    own = np.empty((n_components, n_components, joint.spread.shape[2] - 1))
    order = np.empty(n_components, dtype=np.int64)
    highest, total = -math.inf, 0.0
    for q in range(joint.part.shape[0]):
        value = _log_one(
            prior, proposals, joint, q, weights, means, latent, cholesky, scaling, own, order, highest - LOST
        )
        highest, total = add_log(highest, total, value)
    return highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def propose_joint(rng, prior, proposals, joint, weights, means, latent, cholesky, scaling, work):
    """Draw a mixture from one of the proposals; its part, and False where it is refused."""
    n_components, d = means.shape
    q = rng.integers(0, joint.part.shape[0])
    m, n_large, n_dim, c = joint.part[q], joint.n_large[q], joint.n_dim[q], joint.spread.shape[2] - 1
    noise, xi = np.empty(n_dim), np.empty(n_dim)
    for i in range(n_dim):
        noise[i] = rng.standard_normal()
    for i in range(n_dim):
        total = joint.centre[q, i]
        for j in range(i + 1):
            total += joint.root[q, i, j] * noise[j]
        xi[i] = total
    share, alpha = 1.0, 0.0
    if n_large < n_components:
        for k in range(n_large):
            alpha += proposals.alpha[m, joint.order[q, k]]
        total = rng.standard_gamma(alpha)
        share = total
        for k in range(n_large, n_components):
            weights[k] = max(rng.standard_gamma(proposals.alpha[m, joint.order[q, k]]), 1e-300)
            total += weights[k]
        share /= total
        for k in range(n_large, n_components):
            weights[k] /= total
    highest, total = 0.0, 0.0
    for k in range(n_large - 1):
        highest = max(highest, xi[k])
    for k in range(n_large):
        weights[k] = math.exp((xi[k] if k < n_large - 1 else 0.0) - highest)
        total += weights[k]
    for k in range(n_large):
        weights[k] = max(share * weights[k] / total, 1e-300)
    t = work[0]
    for k in range(n_large):
        at = n_large - 1 + k * c
        for i in range(d):
            value = joint.means[q, k, i]
            for j in range(i + 1):
                value += joint.cholesky[q, k, i, j] * xi[at + j]
            means[k, i] = value
        at += d
        cholesky[k] = 0.0
        if prior.correlated:
            for i in range(d):
                for j in range(i + 1):
                    t[i, j] = math.exp(xi[at]) if i == j else xi[at]
                    at += 1
            for i in range(d):
                for j in range(i + 1):
                    value = 0.0
                    for n in range(j, i + 1):
                        value += joint.cholesky[q, k, i, n] * t[n, j]
                    cholesky[k, i, j] = value
        else:
            for i in range(d):
                cholesky[k, i, i] = joint.cholesky[q, k, i, i] * math.exp(xi[at])
                if not prior.one_sd:
                    at += 1
        if not prior.correlated:
            latent[k] = 0.0
            for i in range(d):
                v = cholesky[k, i, i] * cholesky[k, i, i] - prior.floor[i]
                if not v > 0.0:
                    return m, False
                latent[k, i, i] = math.sqrt(v)
        elif not rounding_removed(cholesky[k], prior.floor, work[1], latent[k]):
            return m, False
        invert(cholesky[k], scaling[k])
    for k in range(n_large, n_components):
        if not draw_part(
            rng, prior, proposals, m, joint.order[q, k], work, means[k], latent[k], cholesky[k], scaling[k]
        ):
            return m, False
    own = np.empty((n_components, n_components, c))
    order = np.empty(n_components, dtype=np.int64)
    value = _log_one(prior, proposals, joint, q, weights, means, latent, cholesky, scaling, own, order, -math.inf)
    for k in range(n_large):
        if order[k] != k:
            return m, False
    return m, value > -math.inf
