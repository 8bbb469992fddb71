"""A covariance given the rows of its component: the Metropolis step of the Gibbs sampler, compiled.

For Sigma = S + diag(step^2 / 12) the prior (sd family, LKJ) is not conjugate, so Sigma is proposed from an
inverse-Wishart IW(nu0 + n, Psi0 + scatter) and accepted with probability min(1, h(Sigma') / h(Sigma)),
h = p(S) / IW(Sigma; nu0, Psi0): the likelihood cancels. With few rows (nu0, Psi0) resemble the prior. With many, the
prior is nearly a power of the sds, s^-(D + 1) each, which nu0 = 0 and a negligible Psi0 match; a larger nu0 would raise
|Sigma| to a power that rejects everything in ten dimensions, and a larger Psi0 every cluster tighter than the prior
expects. The choice depends on the rows alone. The same with inverse-gamma proposals, one a variance, for diagonal
covariances. A few rows do not keep a component from being much tighter than Psi0 expects, and a prior that is positive
at sd = 0 allows it; half of the proposals from a few rows therefore take a Psi0 shrunk at random, whatever the state,
or a chain would hardly ever leave such a component.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.inference.gibbs.near_floor import STEPS, any_near_floor, near_floor, step_matrix, step_variance
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import factor, invert, rounding_removed
from bayesgmm.kernels.wishart import draw_inverse_wishart, refresh_wishart
from bayesgmm.model.density.natural import log_prior_covariance, squares_by_variance
from bayesgmm.model.density.prior_density import log_sd_prior

__all__ = ["before_data", "update_covariance"]

_RICH = 4.0  # rows, besides two for each column, from which proposals follow the rows alone
_LITTLE = 0.01  # of a row's worth of sum of squares
_SHRUNK = 3.0  # mean of the log of the factor by which the scale of a proposal is divided


@compiled
def _log_correction(prior, nu, scale, latent, cholesky, scaling):
    """log p(S) - log IW(Sigma; nu, 2 diag(scale)), constants aside."""
    d = latent.shape[0]
    value = log_prior_covariance(prior, latent)
    for i in range(d):
        value += (nu + d + 1.0) * math.log(cholesky[i, i])
        for j in range(i + 1):
            value += scale[j] * scaling[i, j] * scaling[i, j]
    return value


@compiled
def _log_correction_variance(prior, j, shape, scale, variance, floor):
    """log p(v - floor) - log IG(v; shape, scale) of one variance v, constants aside; -inf at or below the floor."""
    latent = variance - floor
    if not latent > 0.0:
        return -math.inf
    sd = math.sqrt(latent)
    value = log_sd_prior(prior.family, prior.sd[0, j], prior.sd[1, j], sd)[0] - math.log(sd)
    return value + (shape + 1.0) * math.log(variance) + scale / variance


@compiled
def _usual_scale(usual, square, n, rich):
    """Scale of the proposal of one variance before the data; `square` is the sum of squares of its `n` rows."""
    return min(usual, _LITTLE * square / n) if rich else usual


@compiled
def _scale_before_data(rng, usual, square, n, rich):
    """The same, shrunk at random in half of the cases that are not rich."""
    scale = _usual_scale(usual, square, n, rich)
    return scale if rich or rng.random() >= 0.5 else scale * math.exp(-_SHRUNK * rng.standard_exponential())


@compiled
def _degrees_before_data(prior, n, d):
    """Degrees of freedom of the proposal of a matrix before the data, and whether it follows the rows alone."""
    rich = n >= _RICH + 2.0 * d
    return 0.0 if rich else 2.0 * prior.shape + d - 1.0, rich


@compiled
def before_data(prior, n, scatter):
    """What a proposal given `n` rows has before the data: degrees of freedom (for variances, the shape), and scales."""
    d = scatter.shape[0]
    scale = np.empty(d)
    if prior.correlated:
        nu, rich = _degrees_before_data(prior, n, d)
        for i in range(d):
            scale[i] = _usual_scale(prior.scale[i], scatter[i, i], n, rich)
        return nu, scale
    square = squares_by_variance(prior, scatter)
    rows = n * (d // len(square))
    rich = rows >= _RICH
    for i in range(d):
        j = prior.variance[i]
        scale[i] = _usual_scale(prior.scale[j], square[j], rows, rich)
    return 0.0 if rich else prior.shape, scale


@compiled
def update_covariance(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling):
    """Propose and accept or not a covariance given `n` rows with sum of squares `scatter` (D, D; lower) about the mean.

    `work` is (5, D, D). Returns the number of proposals and of those accepted. With `refresh` below 1 a matrix is
    proposed near the present one, that share of the rows behind it replaced: in many columns a proposal that does not
    know the present matrix is hardly ever accepted under an LKJ prior.
    """
    d = scatter.shape[0]
    if prior.correlated:
        accepted = _update_matrix(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling)
        if not any_near_floor(prior.floor, n, scatter):
            return 1, accepted
        steps, made = step_matrix(rng, prior, n, scatter, work, latent, cholesky, scaling)
        return 1 + steps, accepted + made
    square = squares_by_variance(prior, scatter)
    n_variances, tried, accepted = len(square), 0, 0
    rows = n * (d // n_variances)
    rich = rows >= _RICH
    shape = 0.0 if rich else prior.shape
    for j in range(n_variances):
        sd, made = latent[j, j], 0
        old = cholesky[j, j] * cholesky[j, j]
        scale = _scale_before_data(rng, prior.scale[j], square[j], rows, rich)
        new = (scale + 0.5 * square[j]) / rng.standard_gamma(shape + 0.5 * rows)
        if 0.0 < new < math.inf:
            gain = _log_correction_variance(prior, j, shape, scale, new, prior.floor[j])
            gain -= _log_correction_variance(prior, j, shape, scale, old, prior.floor[j])
            if math.log(rng.random()) < gain:
                sd, made = math.sqrt(new - prior.floor[j]), 1
        tried += 1
        if near_floor(prior.floor[j], rows, square[j]):
            sd, steps = step_variance(rng, prior, j, rows, square[j], sd)
            tried, made = tried + STEPS, made + steps
        accepted += made
        for i in range(d if made > 0 else 0):
            if prior.variance[i] == j:
                latent[i, i] = sd
                cholesky[i, i] = math.sqrt(sd * sd + prior.floor[j])
                scaling[i, i] = 1.0 / cholesky[i, i]
    return tried, accepted


@compiled
def _update_matrix(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling):
    d = scatter.shape[0]
    matrix, root, spare, proposal, inverse = work[0], work[1], work[2], work[3], work[4]
    nu0, rich = _degrees_before_data(prior, n, d)
    scale = np.empty(d)
    for i in range(d):
        scale[i] = _scale_before_data(rng, prior.scale[i], scatter[i, i], n, rich)
        for j in range(i + 1):
            matrix[i, j] = scatter[i, j] + (2.0 * scale[i] if i == j else 0.0)
    if not factor(matrix, root):
        return 0
    nu = nu0 + n
    if refresh < 1.0 and nu > d + 1.0:
        made = refresh_wishart(rng, max(1, int(refresh * nu)), nu, root, scaling, matrix, spare, inverse)
        if made:
            invert(inverse, proposal)
    else:
        made = draw_inverse_wishart(rng, nu, root, matrix, spare, proposal)
        if made:
            invert(proposal, inverse)
    before = root
    if not made or not rounding_removed(proposal, prior.floor, matrix, before):
        return 0
    gain = _log_correction(prior, nu0, scale, before, proposal, inverse)
    gain -= _log_correction(prior, nu0, scale, latent, cholesky, scaling)
    if not math.log(rng.random()) < gain:
        return 0
    put(latent, before)
    put(cholesky, proposal)
    put(scaling, inverse)
    return 1
