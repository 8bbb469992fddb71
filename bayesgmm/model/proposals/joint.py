"""Normal proposals of a whole mixture: what crosses between modes whose components overlap.

The parts of `model.proposals.conjugate` are independent, so a mixture made of them is hardly ever accepted where
the components of the posterior depend on each other. Here the components that hold rows are proposed together, normal
in the coordinates T = L_ref^-1 L, m = L_ref^-1 (mean - mean_ref) and the logarithms of their shares, with the means
and covariances of the draws of one mode; the other components are the parts that they were.

The posterior does not know the order of components. A proposal that is drawn outside the region in which its own order
is the nearest to its reference is refused, so a mixture has one order for each reference, found by assignment, and
nothing is summed over K! orders; components that hold few rows are summed over, as a permanent. Refused is, too, what
lies much further from the reference than any draw it was fitted to, so that most proposals need not be evaluated.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.block_math import FAST
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import invert, log_determinant, rounding_removed
from bayesgmm.model.proposals.conjugate import draw_part, log_parts, log_prior_part
from bayesgmm.model.proposals.orders import LOST, add_log, assign, log_permanent

__all__ = ["log_joint", "propose_joint"]

_LOG_2 = math.log(2.0)


@compiled
def _log_sizes(weights, cholesky, out):
    """Logarithms of each component's weight and of the diagonal of its factor: (K, 1 + D)."""
    for j in range(out.shape[0]):
        out[j, 0] = math.log(weights[j])
        for i in range(cholesky.shape[1]):
            out[j, 1 + i] = math.log(cholesky[j, i, i])


@compiled
def _distances(prior, joint, q, k, means, cholesky, log_sizes, own, cost):
    """For each component its coordinates (D + C) relative to component k of reference q, and the sum of their squares
    and of the weight's, in units of their spreads; inf where it is beyond what is proposed. Returns the least."""
    d, at, furthest = means.shape[1], joint.n_large[q] - 1 + k * own.shape[2], joint.furthest[q]
    reference, scaling, centre, spread = joint.means[q, k], joint.scaling[q, k], joint.centre[q], joint.spread[q, k]
    least = math.inf
    for c in range(means.shape[0]):
        z = (log_sizes[c, 0] - joint.log_weight[q, k]) / spread[0]
        total = z * z
        for i in range(d):
            value = 0.0
            for j in range(prior.first[i], i + 1):
                value += scaling[i, j] * (means[c, j] - reference[j])
            own[k, c, i] = value
            z = (value - centre[at + i]) / spread[1 + i]
            total += z * z
            if total > furthest:
                break
        n = d
        for i in range(d):
            if total > furthest:
                break
            for j in range(prior.first[i], i):
                value = 0.0
                for m in range(j, i + 1):
                    value += scaling[i, m] * cholesky[c, m, j]
                own[k, c, n] = value
                z = (value - centre[at + n]) / spread[1 + n]
                total += z * z
                n += 1
            if prior.variance[i] == i:
                value = log_sizes[c, 1 + i] - joint.log_scale[q, k, i]
                own[k, c, n] = value
                z = (value - centre[at + n]) / spread[1 + n]
                total += z * z
                n += 1
        cost[k, c] = total if total <= furthest else math.inf
        least = min(least, cost[k, c])
    return least


@compiled(fastmath=FAST)
def _dot(a, b, n):
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@compiled
def _log_one(prior, proposals, joint, q, means, latent, cholesky, scaling, log_sizes, own, order, least):
    """Log density of a mixture under proposal q, -inf where it has none or is below `least`; its order in `order`."""
    n_components, d = means.shape
    n_large, c = joint.n_large[q], own.shape[2]
    cost = np.empty((n_large, n_components))
    nearest = 0.0
    for k in range(n_large):
        nearest += _distances(prior, joint, q, k, means, cholesky, log_sizes, own, cost)
        if not nearest <= joint.furthest[q]:
            return -math.inf
    best, choice = np.empty(1 << n_components), np.empty(1 << n_components, dtype=np.int64)
    if not assign(cost, n_large, best, choice, order) <= joint.furthest[q]:
        return -math.inf
    n_dim = joint.n_dim[q]
    xi = np.empty(n_dim)
    last = log_sizes[order[n_large - 1], 0]
    share = 0.0
    value = joint.constant[q]
    for k in range(n_large):
        j = order[k]
        log_weight = log_sizes[j, 0]
        share += math.exp(log_weight)
        value -= log_weight
        if k < n_large - 1:
            xi[k] = log_weight - last
        for i in range(c):
            xi[n_large - 1 + k * c + i] = own[k, j, i]
        at = d
        for i in range(d):
            if prior.correlated:
                at += i
                value -= _LOG_2 + (d - i) * log_sizes[j, 1 + i] + own[k, j, at]
                at += 1
            elif prior.variance[i] == i:
                value -= _LOG_2 + 2.0 * log_sizes[j, 1 + i]
    n_small = n_components - n_large
    # d(w) = S^(G - 1) d(S) d(p) and prod p = prod w / S^G: one factor S is left of the logarithms of the shares.
    value += math.log(share)
    if n_small > 0:
        value += _log_small(prior, proposals, joint, q, means, latent, cholesky, scaling, log_sizes, order, share)
    for i in range(n_dim):
        xi[i] -= joint.centre[q, i]
    for i in range(n_dim):
        total = _dot(joint.inverse[q, i], xi, i + 1)
        value -= 0.5 * total * total
        if not value >= least:
            return -math.inf
    return value


@compiled
def _log_small(prior, proposals, joint, q, means, latent, cholesky, scaling, log_sizes, order, share):
    """Log density of the components outside the normal, those last in `order`, and of the weight of the others."""
    m, n_large, (n_components, d) = joint.part[q], joint.n_large[q], means.shape
    n = n_components - n_large
    log_det, log_prior = np.empty(n), np.empty(n)
    small_means, small_scaling, logs = np.empty((n, d)), np.empty((n, d, d)), np.empty((n, n))
    for j in range(n):
        c = order[n_large + j]
        put(small_means[j], means[c])
        put(small_scaling[j], scaling[c])
        log_det[j], log_prior[j] = log_determinant(cholesky[c]), log_prior_part(prior, means[c], latent[c])
    parts = joint.order[q, n_large:]
    for i in range(n):
        for j in range(n):
            logs[i, j] = (proposals.alpha[m, parts[i]] - 1.0) * log_sizes[order[n_large + j], 0]
    log_parts(prior, proposals, m, parts, small_means, small_scaling, log_det, log_prior, np.empty(0), -math.inf, logs)
    alpha = 0.0
    for k in range(n_large):
        alpha += proposals.alpha[m, joint.order[q, k]]
    return (alpha - 1.0) * math.log(share) + log_permanent(logs, np.empty(1 << n), -math.inf)


@compiled
def log_joint(prior, proposals, joint, first, weights, means, latent, cholesky, scaling):
    """Log density of a mixture under the normal proposals, up to what no state changes; and the largest of them, with
    which it is quickest to begin (`first`)."""
    n_components, d = means.shape
    own = np.empty((n_components, n_components, joint.spread.shape[2] - 1))
    order = np.empty(n_components, dtype=np.int64)
    log_sizes = np.empty((n_components, 1 + d))
    _log_sizes(weights, cholesky, log_sizes)
    highest, total, nearest = -math.inf, 0.0, first
    for step in range(joint.part.shape[0]):
        q = (first + step) % joint.part.shape[0]
        value = _log_one(
            prior, proposals, joint, q, means, latent, cholesky, scaling, log_sizes, own, order, highest - LOST
        )
        if value > highest:
            nearest = q
        highest, total = add_log(highest, total, value)
    return highest + math.log(total), nearest


@compiled
def propose_joint(rng, prior, proposals, joint, weights, means, latent, cholesky, scaling, work):
    """Draw a mixture from one of the proposals; which, and False where it is refused."""
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
                cholesky[k, i, i] = joint.cholesky[q, k, i, i] * math.exp(xi[at + prior.variance[i]])
        if not rounding_removed(cholesky[k], prior.floor, work[1], latent[k]):
            return q, False
        invert(cholesky[k], scaling[k])
    for k in range(n_large, n_components):
        if not draw_part(
            rng, prior, proposals, m, joint.order[q, k], work, means[k], latent[k], cholesky[k], scaling[k]
        ):
            return q, False
    own = np.empty((n_components, n_components, c))
    order = np.empty(n_components, dtype=np.int64)
    log_sizes = np.empty((n_components, 1 + d))
    _log_sizes(weights, cholesky, log_sizes)
    value = _log_one(prior, proposals, joint, q, means, latent, cholesky, scaling, log_sizes, own, order, -math.inf)
    for k in range(n_large):
        if order[k] != k:
            return q, False
    return q, value > -math.inf
