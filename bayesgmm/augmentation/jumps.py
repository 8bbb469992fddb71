"""Jumps between modes: Metropolis moves of the posterior itself, with `bayesgmm.augmentation.proposals`.

Three moves. The whole mixture at once crosses between modes that a Gibbs sampler cannot leave: from independent parts,
or jointly (`joint`). One component at a time, drawn from all fitted components pooled, moves a component from one
cluster to another. The posterior does not know the order of components, so the density of a whole mixture is
symmetrised over it; since the parts of a proposal are independent, the sum over all K! orders is the permanent of a (K,
K) matrix. Proposals are fixed while they are in use, so the chain keeps the posterior as its distribution (Tierney
1994, independence chains).

Two more moves were tried and gave no more effective draws a sweep on iris, Old Faithful, three overlapping clusters and
20,000 rows, K = 5: two components replaced by two fitted ones that suit the rest, which splits one cluster and merges
two (Jain and Neal 2004), accepted in 1 to 9 % of the tries; and the joint weight of two components divided anew with
their joint mean and covariance kept (Richardson and Green 1997), accepted in 16 to 32 %.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.augmentation.complete_prior import log_prior_covariance, log_prior_mean
from bayesgmm.augmentation.joint import log_joint, propose_joint
from bayesgmm.augmentation.permanent import LOST, add_log, log_permanent
from bayesgmm.augmentation.proposals import (
    draw_covariance,
    draw_part,
    log_covariance,
    log_determinant,
    log_part,
    log_prior_part,
)
from bayesgmm.kernels import log_normalizers, mixture_pass

__all__ = [
    "JOINT", "MAX_WHOLE", "SINGLE", "WHOLE", "give_weight", "jump", "log_posterior_of", "log_proposal", "propose_whole",
]  # fmt: skip

MAX_WHOLE = 12  # components up to which a whole mixture is proposed: the permanent costs 2^K
# What a jump replaces: a component, the mixture by independent parts, the mixture jointly.
SINGLE, WHOLE, JOINT = range(3)


@njit(cache=True, nogil=True, error_model="numpy")
def log_proposal(prior, proposals, weights, means, latent, cholesky, scaling, logs, table):
    """Log density of a mixture under the symmetrised proposals, up to what no state changes."""
    n_proposals, n_components = proposals.alpha.shape
    per_component = np.empty((3, n_components))
    log_weight, log_det, log_prior = per_component[0], per_component[1], per_component[2]
    for j in range(n_components):
        g = 0 if prior.shared else j
        log_weight[j] = math.log(weights[j])
        log_det[j] = log_determinant(cholesky[g])
        log_prior[j] = log_prior_part(prior, means[j], latent[g])
    highest, total = -math.inf, 0.0
    for m in range(n_proposals):
        for j in range(n_components):
            g = 0 if prior.shared else j
            for k in range(n_components):
                logs[k, j] = (proposals.alpha[m, k] - 1.0) * log_weight[j] + log_part(
                    prior, proposals, m, k, means[j], cholesky[g], scaling[j], log_det[j], log_prior[j]
                )
        value = proposals.log_dirichlet[m]
        if prior.shared:
            value += log_covariance(prior, proposals, m, 0, cholesky[0], scaling[0], log_det[0])
        value += log_permanent(logs, table, highest - LOST - value)
        highest, total = add_log(highest, total, value)
    return highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_single(prior, proposals, weight, mean, latent, cholesky, scaling):
    """Log density of one component, weight included, under all fitted components pooled, constants aside."""
    n_proposals, n_components = proposals.alpha.shape
    log_weight, log_rest = math.log(weight), math.log1p(-weight)
    log_det, log_prior = log_determinant(cholesky), log_prior_part(prior, mean, latent)
    highest, total = -math.inf, 0.0
    for m in range(n_proposals):
        alpha_sum = proposals.alpha[m].sum()
        for k in range(n_components):
            a = proposals.alpha[m, k]
            value = proposals.log_beta[m, k] + (a - 1.0) * log_weight + (alpha_sum - a - 1.0) * log_rest
            value += log_part(prior, proposals, m, k, mean, cholesky, scaling, log_det, log_prior)
            highest, total = add_log(highest, total, value)
    return highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_prior(prior, weights, means, latent):
    value = 0.0
    for k in range(means.shape[0]):
        value += (prior.concentration - 1.0) * math.log(weights[k]) + log_prior_mean(prior, means[k])
    for g in range(latent.shape[0]):
        value += log_prior_covariance(prior, latent[g])
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _log_likelihood(features, row_weights, prior, weights, means, scaling, log_norm):
    log_normalizers(np.log(weights), scaling, log_norm)
    return mixture_pass(features, row_weights, log_norm, means, scaling, not prior.correlated, np.empty(0),
                        np.empty((0, 0)), np.empty((0, 0, 0)), np.empty(0), np.empty((0, 0)))  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def log_posterior_of(features, row_weights, prior, weights, means, latent, scaling, log_norm):
    """Log posterior with respect to (weights, means, covariances), without the constant of the Dirichlet prior."""
    return _log_prior(prior, weights, means, latent) + _log_likelihood(
        features, row_weights, prior, weights, means, scaling, log_norm
    )


@njit(cache=True, nogil=True, error_model="numpy")
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
        if not draw_covariance(rng, prior, proposals, m, 0, work, latent[0], cholesky[0], scaling[0]):
            return False
        for k in range(1, n_components):
            scaling[k] = scaling[0]
    for k in range(n_components):
        g = 0 if prior.shared else k
        if not draw_part(rng, prior, proposals, m, k, work, means[k], latent[g], cholesky[g], scaling[k]):
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def give_weight(weights, j, weight, out):
    """The weight of component j changed, the others in proportion: the log Jacobian, of the K - 2 that are scaled."""
    rest = (1.0 - weight) / (1.0 - weights[j])
    for i in range(weights.shape[0]):
        out[i] = weight if i == j else weights[i] * rest
    return (weights.shape[0] - 2.0) * math.log(rest)


@njit(cache=True, nogil=True, error_model="numpy")
def _propose_single(rng, prior, proposals, state, new, work):
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
    gain += _log_single(
        prior, proposals, state.weights[j], state.means[j], state.latent[g], state.cholesky[g], state.scaling[j]
    )
    gain -= _log_single(prior, proposals, weight, new.means[j], new.latent[g], new.cholesky[g], new.scaling[j])
    return m, gain


@njit(cache=True, nogil=True, error_model="numpy")
def _propose_mixture(rng, prior, proposals, state, new, work, logs, table):
    """Replace all of `new`; returns as `_propose_single`."""
    m = rng.integers(0, len(proposals.alpha))
    if not propose_whole(rng, prior, proposals, m, new.weights, new.means, new.latent, new.cholesky, new.scaling, work):
        return m, -math.inf
    gain = log_proposal(
        prior, proposals, state.weights, state.means, state.latent, state.cholesky, state.scaling, logs, table
    )
    gain -= log_proposal(prior, proposals, new.weights, new.means, new.latent, new.cholesky, new.scaling, logs, table)
    return m, gain


@njit(cache=True, nogil=True, error_model="numpy")
def _propose_together(rng, prior, proposals, joint, state, new, work):
    """Replace all of `new` by a normal proposal; returns as `_propose_single`."""
    m, made = propose_joint(
        rng, prior, proposals, joint, new.weights, new.means, new.latent, new.cholesky, new.scaling, work
    )
    if not made:
        return m, -math.inf
    gain = log_joint(prior, proposals, joint, state.weights, state.means, state.latent, state.cholesky, state.scaling)
    return m, gain - log_joint(prior, proposals, joint, new.weights, new.means, new.latent, new.cholesky, new.scaling)


@njit(cache=True, nogil=True, error_model="numpy")
def jump(rng, features, row_weights, prior, proposals, joint, kind, log_likelihood, state, new, work, log_norm, logs,
         table):  # fmt: skip
    """Propose, and accept or not: the proposal used, -1 for none, and whether the state changed.

    `kind` is SINGLE, WHOLE or JOINT. `log_likelihood` is the state's, NaN if not known. `state` and `new` are a
    `ChainState`, the second scratch; `work` (5, D, D), `log_norm` (K,), `logs` (K, K), `table` (2^K,).
    """
    new.weights[:], new.means[:], new.latent[:] = state.weights, state.means, state.latent
    new.cholesky[:], new.scaling[:] = state.cholesky, state.scaling
    m = -1
    if kind == WHOLE:
        m, gain = _propose_mixture(rng, prior, proposals, state, new, work, logs, table)
    elif kind == JOINT:
        m, gain = _propose_together(rng, prior, proposals, joint, state, new, work)
    else:
        m, gain = _propose_single(rng, prior, proposals, state, new, work)
    if gain == -math.inf:
        return m, False
    gain += log_posterior_of(features, row_weights, prior, new.weights, new.means, new.latent, new.scaling, log_norm)
    if math.isnan(log_likelihood):
        log_likelihood = _log_likelihood(
            features, row_weights, prior, state.weights, state.means, state.scaling, log_norm
        )
    gain -= _log_prior(prior, state.weights, state.means, state.latent) + log_likelihood
    if not math.log(rng.random()) < gain:
        return m, False
    state.weights[:], state.means[:], state.latent[:] = new.weights, new.means, new.latent
    state.cholesky[:], state.scaling[:] = new.cholesky, new.scaling
    return m, True
