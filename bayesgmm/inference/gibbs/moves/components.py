"""One component at a time, drawn from all fitted components pooled: from one cluster to another."""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.inference.gibbs.moves.move import Move
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.triangular import log_determinant
from bayesgmm.model.proposals.conjugate import draw_part, log_parts, log_prior_part
from bayesgmm.model.proposals.orders import LOST, add_log

__all__ = ["MOVE", "give_weight"]


@compiled
def _log_single(prior, proposals, first, j, state):
    """Log density of component j, weight included, under all fitted components pooled, constants aside; and the
    proposal that gives most of it, with which it is quickest to begin (`first`)."""
    weights, means, latent, cholesky, scaling = state
    n_proposals, n_components = proposals.alpha.shape
    g = prior.own * j
    log_weight, log_rest = math.log(weights[j]), math.log1p(-weights[j])
    log_det, log_prior, none, parts = np.empty(1), np.empty(1), np.empty(0), np.arange(n_components)
    log_det[0], log_prior[0] = log_determinant(cholesky[g]), log_prior_part(prior, means[j], latent[g])
    logs = np.empty((n_components, 1))
    highest, total, nearest = -math.inf, 0.0, first
    for step in range(n_proposals):
        m = (first + step) % n_proposals
        alpha_sum = proposals.alpha[m].sum()
        for k in range(n_components):
            a = proposals.alpha[m, k]
            logs[k, 0] = proposals.log_beta[m, k] + (a - 1.0) * log_weight + (alpha_sum - a - 1.0) * log_rest
        log_parts(prior, proposals, m, parts, means[j : j + 1], scaling[j : j + 1], log_det, log_prior, none,
                  highest - LOST, logs)  # fmt: skip
        for k in range(n_components):
            if logs[k, 0] > highest:
                nearest = m
            highest, total = add_log(highest, total, logs[k, 0])
    return highest + math.log(total), nearest


@compiled
def give_weight(weights, j, weight, out):
    """The weight of component j changed, the others in proportion: the log Jacobian, of the K - 2 that are scaled."""
    rest = (1.0 - weight) / (1.0 - weights[j])
    for i in range(weights.shape[0]):
        out[i] = weight if i == j else weights[i] * rest
    return (weights.shape[0] - 2.0) * math.log(rest)


@compiled(inline="always")
def _propose(rng, target, library, own, near, state, work):
    """Replace one component in `work.new`."""
    prior, proposals, new, n_components = target.prior, library.proposals, work.new, len(state.weights)
    m = rng.integers(0, len(proposals.alpha))
    j, k = rng.integers(0, n_components), rng.integers(0, n_components)
    g = prior.own * j
    a = rng.standard_gamma(proposals.alpha[m, k])
    weight = a / (a + rng.standard_gamma(proposals.alpha[m].sum() - proposals.alpha[m, k]))
    if not 1e-12 < weight < 1.0 - 1e-12 or not draw_part(
        rng, prior, proposals, m, k, work.matrices, new.means[j], new.latent[g], new.cholesky[g], new.scaling[j]
    ):
        return -math.inf, m, False
    gain = give_weight(state.weights, j, weight, new.weights)
    back, near[0] = _log_single(prior, proposals, near[0], j, state)
    way, _ = _log_single(prior, proposals, m, j, new)
    return gain + back - way, m, False


MOVE = Move("single-component independence moves", _propose)
