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

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.state import copy_state
from bayesgmm.model.density.natural import _log_likelihood, _log_prior, log_posterior_of
from bayesgmm.model.proposals.conjugate import (
    draw_part,
    log_determinant,
    log_parts,
    log_prior_part,
)
from bayesgmm.model.proposals.joint import log_joint, propose_joint
from bayesgmm.model.proposals.orders import LOST, add_log
from bayesgmm.model.proposals.whole import log_proposal, propose_whole

__all__ = [
    "JOINT", "N_KINDS", "REGROUP", "SINGLE", "WHOLE", "give_weight", "jump",

]  # fmt: skip

# What a jump replaces: a component, the mixture by independent parts, the mixture jointly; the allocation of all rows
# (`regrouping`).
SINGLE, WHOLE, JOINT, REGROUP = range(4)
N_KINDS = 4


@compiled
def _log_single(prior, proposals, first, j, state):
    """Log density of component j, weight included, under all fitted components pooled, constants aside."""
    weights, means, latent, cholesky, scaling = state
    n_proposals, n_components = proposals.alpha.shape
    g = prior.own * j
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
    g = prior.own * j
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
