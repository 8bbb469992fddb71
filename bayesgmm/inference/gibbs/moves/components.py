"""Jumps between modes: Metropolis moves of the posterior itself, with `model.proposals.conjugate`.

The whole mixture at once crosses between modes that a Gibbs sampler cannot leave: from independent parts, or jointly
(`joint`). One component at a time, drawn from all fitted components pooled, moves from one cluster to another. The
posterior does not know the order of components, so the density of a whole mixture is symmetrised over it; since the
parts of a proposal are independent, the sum over all K! orders is the permanent of a (K, K) matrix. Proposals are fixed
while they are in use, so the chain keeps the posterior as its distribution (Tierney 1994, independence chains).

Three more moves were tried. A merge of two components with the split of a third was accepted in 3 to 11 % of the tries
where components overlap, and the hard cells pass as soon without it (docs/moves.md). Two gave no more effective draws
a sweep on iris, Old Faithful, three overlapping clusters and 20,000 rows, K = 5: two components replaced by two fitted
ones that suit the rest, which splits one cluster and merges two (Jain and Neal 2004), accepted in 1 to 9 % of the
tries; and the joint weight of two components divided anew with their joint mean and covariance kept (Richardson and
Green 1997), accepted in 16 to 32 %.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.row_pass import log_normalizers, mixture_pass
from bayesgmm.kernels.state import copy_state
from bayesgmm.model.density.natural import log_prior_covariance, log_prior_mean
from bayesgmm.model.proposals.conjugate import (
    draw_covariance,
    draw_part,
    log_covariance,
    log_determinant,
    log_parts,
    log_prior_part,
)
from bayesgmm.model.proposals.joint import log_joint, propose_joint
from bayesgmm.model.proposals.orders import LOST, add_log, log_permanent

__all__ = [
    "JOINT", "MAX_WHOLE", "N_KINDS", "REGROUP", "SINGLE", "WHOLE", "give_weight", "jump",
    "log_posterior_of", "log_proposal", "propose_whole",
]  # fmt: skip

MAX_WHOLE = 12  # components up to which a whole mixture is proposed: the permanent costs 2^K
# What a jump replaces: a component, the mixture by independent parts, the mixture jointly; the allocation of all rows
# (`regrouping`).
SINGLE, WHOLE, JOINT, REGROUP = range(4)
N_KINDS = 4


@compiled
def log_proposal(prior, proposals, first, weights, means, latent, cholesky, scaling, logs, table):
    """Log density of a mixture under the symmetrised proposals, up to what no state changes; and the largest of them.

    What lies too far below the largest to show is not summed, so it is quickest to begin with that: `first`.
    """
    n_proposals, n_components = proposals.alpha.shape
    log_weight, log_det, log_prior = np.empty(n_components), np.empty(n_components), np.empty(n_components)
    bound, parts = np.empty(n_components), np.arange(n_components)
    for j in range(n_components):
        g = 0 if prior.shared else j
        log_weight[j] = math.log(weights[j])
        log_det[j] = log_determinant(cholesky[g])
        log_prior[j] = log_prior_part(prior, means[j], latent[g])
    highest, total, nearest = -math.inf, 0.0, first
    for step in range(n_proposals):
        m = (first + step) % n_proposals
        value = proposals.log_dirichlet[m]
        if prior.shared:
            value += log_covariance(prior.correlated, prior.one_sd, proposals.shape[m, 0], proposals.root[m, 0],
                                    proposals.constant[m, 0], scaling[0], log_det[0])  # fmt: skip
        for k in range(n_components):
            bound[k] = proposals.highest[m, k] - (log_det[0] if prior.shared else 0.0)
            if proposals.empty[m, k]:
                bound[k] = log_prior.max()
            for j in range(n_components):
                logs[k, j] = (proposals.alpha[m, k] - 1.0) * log_weight[j]
            bound[k] += logs[k].max()
        least = highest - LOST - value
        if log_parts(prior, proposals, m, parts, means, scaling, log_det, log_prior, bound, least, logs) > -math.inf:
            value += log_permanent(logs, table, least)
            if value > highest:
                nearest = m
            highest, total = add_log(highest, total, value)
    return highest + math.log(total), nearest


@compiled
def _log_single(prior, proposals, first, j, state):
    """Log density of component j, weight included, under all fitted components pooled, constants aside."""
    weights, means, latent, cholesky, scaling = state
    n_proposals, n_components = proposals.alpha.shape
    g = 0 if prior.shared else j
    log_weight, log_rest = math.log(weights[j]), math.log1p(-weights[j])
    log_det, log_prior, none, parts = np.empty(1), np.empty(1), np.empty(0), np.arange(n_components)
    log_det[0], log_prior[0] = log_determinant(cholesky[g]), log_prior_part(prior, means[j], latent[g])
    logs = np.empty((n_components, 1))
    highest, total = -math.inf, 0.0
    for step in range(n_proposals):
        m = (first + step) % n_proposals
        alpha_sum = proposals.alpha[m].sum()
        for k in range(n_components):
            a = proposals.alpha[m, k]
            logs[k, 0] = proposals.log_beta[m, k] + (a - 1.0) * log_weight + (alpha_sum - a - 1.0) * log_rest
        log_parts(prior, proposals, m, parts, means[j : j + 1], scaling[j : j + 1], log_det, log_prior, none,
                  highest - LOST, logs)  # fmt: skip
        for k in range(n_components):
            highest, total = add_log(highest, total, logs[k, 0])
    return highest + math.log(total)


@compiled
def _log_prior(prior, weights, means, latent):
    value = 0.0
    for k in range(means.shape[0]):
        value += (prior.concentration - 1.0) * math.log(weights[k]) + log_prior_mean(prior, means[k])
    for g in range(latent.shape[0]):
        value += log_prior_covariance(prior, latent[g])
    return value


@compiled
def _log_likelihood(features, row_weights, prior, weights, means, scaling, log_norm):
    log_normalizers(np.log(weights), scaling, log_norm)
    return mixture_pass(features, row_weights, log_norm, means, scaling, not prior.correlated, np.empty(0),
                        np.empty((0, 0)), np.empty((0, 0, 0)), np.empty(0), np.empty((0, 0)))  # fmt: skip


@compiled
def log_posterior_of(features, row_weights, prior, weights, means, latent, scaling, log_norm):
    """Log posterior with respect to (weights, means, covariances), without the constant of the Dirichlet prior."""
    return _log_prior(prior, weights, means, latent) + _log_likelihood(
        features, row_weights, prior, weights, means, scaling, log_norm
    )


@compiled
def propose_whole(rng, prior, proposals, m, weights, means, latent, cholesky, scaling, work):
    """Draw a whole mixture from proposal m; False where rounding does not allow it."""
    n_components = means.shape[0]
    total = 0.0
    for k in range(n_components):
        weights[k] = max(rng.standard_gamma(proposals.alpha[m, k]), 1e-300)
        total += weights[k]
    for k in range(n_components):
        weights[k] /= total
    if prior.shared:
        if not draw_covariance(rng, prior, proposals, m, np.int64(0), work, latent[0], cholesky[0], scaling[0]):
            return False
        for k in range(1, n_components):
            put(scaling[k], scaling[0])
    for k in range(n_components):
        g = 0 if prior.shared else k
        if not draw_part(rng, prior, proposals, m, k, work, means[k], latent[g], cholesky[g], scaling[k]):
            return False
    return True


@compiled
def give_weight(weights, j, weight, out):
    """The weight of component j changed, the others in proportion: the log Jacobian, of the K - 2 that are scaled."""
    rest = (1.0 - weight) / (1.0 - weights[j])
    for i in range(weights.shape[0]):
        out[i] = weight if i == j else weights[i] * rest
    return (weights.shape[0] - 2.0) * math.log(rest)


@compiled
def _propose_single(rng, prior, proposals, state, new, work, near):
    """Replace one component in `new`: the proposal used, and log q(old) - log q(new), -inf where there is no move."""
    n_components = len(state.weights)
    m = rng.integers(0, len(proposals.alpha))
    j, k = rng.integers(0, n_components), rng.integers(0, n_components)
    g = 0 if prior.shared else j
    a = rng.standard_gamma(proposals.alpha[m, k])
    weight = a / (a + rng.standard_gamma(proposals.alpha[m].sum() - proposals.alpha[m, k]))
    if not 1e-12 < weight < 1.0 - 1e-12 or not draw_part(
        rng, prior, proposals, m, k, work, new.means[j], new.latent[g], new.cholesky[g], new.scaling[j]
    ):
        return m, -math.inf
    gain = give_weight(state.weights, j, weight, new.weights)
    gain += _log_single(prior, proposals, near[0], j, state)
    gain -= _log_single(prior, proposals, m, j, new)
    return m, gain


@compiled(inline="always")
def _propose_mixture(rng, prior, proposals, state, new, work, logs, table, near):
    """Replace all of `new`; returns as `_propose_single`."""
    m = rng.integers(0, len(proposals.alpha))
    if not propose_whole(rng, prior, proposals, m, new.weights, new.means, new.latent, new.cholesky, new.scaling, work):
        return m, -math.inf
    gain, near[0] = log_proposal(
        prior, proposals, near[0], state.weights, state.means, state.latent, state.cholesky, state.scaling, logs, table
    )
    way, _ = log_proposal(
        prior, proposals, m, new.weights, new.means, new.latent, new.cholesky, new.scaling, logs, table
    )
    return m, gain - way


@compiled(inline="always")
def _propose_together(rng, prior, proposals, joint, state, new, work, near):
    """Replace all of `new` by a normal proposal; returns as `_propose_single`."""
    q, made = propose_joint(
        rng, prior, proposals, joint, new.weights, new.means, new.latent, new.cholesky, new.scaling, work
    )
    m = joint.part[q]
    if not made:
        return m, -math.inf
    gain, near[1] = log_joint(
        prior, proposals, joint, near[1], state.weights, state.means, state.latent, state.cholesky, state.scaling
    )
    way, _ = log_joint(prior, proposals, joint, q, new.weights, new.means, new.latent, new.cholesky, new.scaling)
    return m, gain - way


@compiled
def _parts(state):
    return state.weights, state.means, state.latent, state.scaling


@compiled(inline="always")
def jump(rng, features, row_weights, bins, prior, proposals, joint, kind, log_likelihood, state, new, work,
         log_norm, logs, table, near):  # fmt: skip
    """Propose, and accept or not, in two stages where there are `bins`: the proposal used, -1 for none, and whether
    the state changed.

    `kind` is not REGROUP. `log_likelihood` is the state's, NaN if not known. `state` and `new` are a
    `ChainState`, the second scratch; `work` (5, D, D), `log_norm` (K,), `logs` (K, K), `table` (2^K,). `near` (2,)
    are the proposals nearest to the state, as far as known: of independent parts, and joint.
    """
    copy_state(new, state)
    m = -1
    if kind == WHOLE:
        m, gain = _propose_mixture(rng, prior, proposals, state, new, work, logs, table, near)
    elif kind == JOINT:
        m, gain = _propose_together(rng, prior, proposals, joint, state, new, work, near)
    else:
        m, gain = _propose_single(rng, prior, proposals, state, new, work, near)
    if gain == -math.inf:
        return m, False
    if len(bins.weights) > 0:
        rough = log_posterior_of(bins.features, bins.weights, prior, *_parts(new), log_norm)
        rough -= log_posterior_of(bins.features, bins.weights, prior, *_parts(state), log_norm)
        if not math.log(rng.random()) < gain + rough:
            return m, False
        gain = -rough
    gain += log_posterior_of(features, row_weights, prior, *_parts(new), log_norm)
    if math.isnan(log_likelihood):
        log_likelihood = _log_likelihood(
            features, row_weights, prior, state.weights, state.means, state.scaling, log_norm
        )
    gain -= _log_prior(prior, state.weights, state.means, state.latent) + log_likelihood
    if not math.log(rng.random()) < gain:
        return m, False
    copy_state(state, new)
    return m, True
