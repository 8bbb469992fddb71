"""A whole mixture from fitted independent parts: its symmetrised density and draws, compiled.

The posterior does not know the order of components, so the density of a whole mixture is symmetrised over it; since the
parts of a proposal are independent, the sum over all K! orders is the permanent of a (K, K) matrix.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import log_determinant
from bayesgmm.model.proposals.conjugate import (
    draw_covariance,
    draw_part,
    log_covariance,
    log_parts,
    log_prior_part,
)
from bayesgmm.model.proposals.orders import LOST, add_log, log_permanent

__all__ = ["MAX_WHOLE", "log_proposal", "propose_whole"]

MAX_WHOLE = 12  # components up to which a whole mixture is proposed: the permanent costs 2^K


@compiled
def log_proposal(prior, proposals, first, weights, means, latent, cholesky, scaling, logs, table):
    """Log density of a mixture under the symmetrised proposals, up to what no state changes; and the largest of them.

    What lies too far below the largest to show is not summed, so it is quickest to begin with that: `first`.
    """
    n_proposals, n_components = proposals.alpha.shape
    log_weight, log_det, log_prior = np.empty(n_components), np.empty(n_components), np.empty(n_components)
    bound, parts = np.empty(n_components), np.arange(n_components)
    for j in range(n_components):
        g = prior.own * j
        log_weight[j] = math.log(weights[j])
        log_det[j] = log_determinant(cholesky[g])
        log_prior[j] = log_prior_part(prior, means[j], latent[g])
    highest, total, nearest = -math.inf, 0.0, first
    for step in range(n_proposals):
        m = (first + step) % n_proposals
        value = proposals.log_dirichlet[m]
        if not prior.own:
            value += log_covariance(prior.correlated, prior.sd.shape[1], proposals.shape[m, 0], proposals.root[m, 0],
                                    proposals.constant[m, 0], scaling[0], log_det[0])  # fmt: skip
        for k in range(n_components):
            bound[k] = proposals.highest[m, k] - (0.0 if prior.own else log_det[0])
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
def propose_whole(rng, prior, proposals, m, weights, means, latent, cholesky, scaling, work):
    """Draw a whole mixture from proposal m; False where rounding does not allow it."""
    n_components = means.shape[0]
    total = 0.0
    for k in range(n_components):
        weights[k] = max(rng.standard_gamma(proposals.alpha[m, k]), 1e-300)
        total += weights[k]
    for k in range(n_components):
        weights[k] /= total
    if not prior.own:
        if not draw_covariance(
            rng, prior, proposals.shape[m, 0], proposals.root[m, 0], work, latent[0], cholesky[0], scaling[0]
        ):
            return False
        for k in range(1, n_components):
            put(scaling[k], scaling[0])
    for k in range(n_components):
        g = prior.own * k
        if not draw_part(rng, prior, proposals, m, k, work, means[k], latent[g], cholesky[g], scaling[k]):
            return False
    return True
