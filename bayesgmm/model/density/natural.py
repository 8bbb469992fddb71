"""The posterior in terms of weights, means and covariances, compiled: densities, and draws from the prior.

Densities of the covariance S before rounding follow from those of (sd, correlation) by

    p(S) = prod_i p(s_i) (M_ii / s_i)^(2 eta - 2 + D - i) s_i^(-i) M_ii^(-(D - i)),   S = M M',  i = 0, ..., D - 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import polygamma, psi

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.row_model import RowModel, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.triangular import factor, invert
from bayesgmm.model.density.prior_density import log_sd_prior
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.structure import Structure

__all__ = [
    "CompletePrior", "cells_of", "complete_prior", "draw_prior_component", "log_likelihood_of", "log_posterior_of",
    "log_prior_covariance", "log_prior_mean", "log_prior_of", "row_model_of", "squares_by_variance",
]  # fmt: skip

Array = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_V_DRAWS = 20_000


class CompletePrior(NamedTuple):
    """A prior as the compiled conditionals take it; n_sd distinct sds."""

    mean_loc: Array  # (D,)
    mean_scale: Array  # (D,)
    sd: Array  # (2, n_sd) hyperparameters
    floor: Array  # (D,) variance of rounding
    shape: float  # of the inverse-gamma proposal of one variance before the data
    scale: Array  # (n_sd,)
    family: int
    eta: float
    concentration: float
    constant: float  # log normaliser of the density of one covariance
    own: int  # these four as in `Pattern`
    correlated: bool
    first: NDArray[np.int64]
    variance: NDArray[np.int64]
    background: Array  # (D,) or (0,), as in `RowModel`
    noise: tuple[float, float]  # of the beta prior of its weight
    df: tuple[float, float]  # shape and rate of the gamma prior of degrees of freedom


def complete_prior(prior: ResolvedPrior, structure: Structure) -> CompletePrior:
    """Pack a prior; `shape` and `scale` give a log variance the mean and spread that it has under the prior."""
    sd, d = prior.cells(structure), len(prior.floor)
    rng = np.random.default_rng(0)
    log_v = np.empty((_LOG_V_DRAWS, sd.shape[1]))
    _draw_log_variances(rng, prior.family.code, sd, log_v)
    spread = float(np.clip(log_v.var(axis=0).mean(), 1e-3, 60.0))
    shape = brentq(lambda a: float(polygamma(1, a)) - spread, 0.05, 2e3)
    return CompletePrior(
        mean_loc=np.ascontiguousarray(prior.mean_loc, dtype=float),
        mean_scale=np.ascontiguousarray(prior.mean_scale, dtype=float),
        sd=np.ascontiguousarray(sd),
        floor=np.ascontiguousarray(prior.rounding(structure)),
        shape=float(shape),
        scale=np.exp(log_v.mean(axis=0) + float(psi(shape))),
        family=prior.family.code,
        eta=prior.lkj_eta,
        concentration=prior.concentration,
        # Of the density with respect to S: ds^2 = 2 s ds for each sd, and the normaliser of the LKJ.
        constant=structure.log_prior_constant(d, prior.lkj_eta) - sd.shape[1] * math.log(2.0),
        **structure.pattern(d)._asdict(),
        background=np.array(structure.background),
        noise=prior.noise,
        df=prior.df,
    )


@compiled
def cells_of(prior, d):
    """Numbers that a component's covariance has of its own."""
    return prior.own * (d * (d + 1) // 2 if prior.correlated else prior.sd.shape[1])


@compiled
def squares_by_variance(prior, scatter):
    """(n_sd,) sums of squares behind each distinct variance; behind each are D / n_sd columns."""
    out = np.zeros(prior.sd.shape[1])
    for i in range(scatter.shape[0]):
        out[prior.variance[i]] += scatter[i, i]
    return out


@compiled
def _draw_sd(rng, family, a, b):
    """A component sd (before rounding) from its prior; codes are `ScaleFamily.code`."""
    if family == 0:
        return a * abs(rng.standard_normal())
    if family == 1:
        return a * abs(rng.standard_normal() / rng.standard_normal())
    if family == 2:
        return rng.standard_exponential() / a
    if family == 3:
        return math.exp(a + b * rng.standard_normal())
    return math.sqrt(b / rng.standard_gamma(a))


@compiled
def _draw_log_variances(rng, family, sd, out):
    for s in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[s, j] = 2.0 * math.log(_draw_sd(rng, family, sd[0, j], sd[1, j]))


@compiled
def draw_prior_component(rng, prior, mean, latent, cholesky, scaling, matrix, with_covariance):
    """A component from the prior: its mean and, if wanted, its covariance with and without rounding."""
    d = mean.shape[0]
    for j in range(d):
        mean[j] = prior.mean_loc[j] + prior.mean_scale[j] * rng.standard_normal()
    if not with_covariance:
        return
    latent[:] = 0.0
    sd = 0.0
    for i in range(d):
        if prior.variance[i] == i:
            sd = _draw_sd(rng, prior.family, prior.sd[0, i], prior.sd[1, i])
        sd = min(max(sd, 1e-150), 1e150)
        inside = 0.0
        if prior.correlated and i > 0:  # the row of an LKJ factor: a direction, and a squared length that is beta
            square = 0.0
            for j in range(i):
                latent[i, j] = rng.standard_normal()
                square += latent[i, j] * latent[i, j]
            g = rng.standard_gamma(0.5 * i)
            inside = g / (g + rng.standard_gamma(prior.eta - 0.5 + 0.5 * (d - i)))
            for j in range(i):
                latent[i, j] *= sd * math.sqrt(inside / square)
        latent[i, i] = sd * math.sqrt(max(1.0 - inside, 1e-300))
    for i in range(d):
        for j in range(i + 1):
            total = prior.floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += latent[i, m] * latent[j, m]
            matrix[i, j] = total
    if not factor(matrix, cholesky):
        put(cholesky, latent)
    invert(cholesky, scaling)


@compiled
def log_prior_mean(prior, mean):
    """Log prior density of one component's mean."""
    value = 0.0
    for j in range(mean.shape[0]):
        z = (mean[j] - prior.mean_loc[j]) / prior.mean_scale[j]
        value -= 0.5 * z * z + math.log(prior.mean_scale[j]) + _LOG_SQRT_2PI
    return value


@compiled
def log_prior_covariance(prior, latent):
    """Log density of S = latent latent', or of its distinct variances when nothing is correlated."""
    d = latent.shape[0]
    value = prior.constant
    for i in range(prior.sd.shape[1]):
        square = 0.0
        for j in range(i + 1):
            square += latent[i, j] * latent[i, j]
        sd = math.sqrt(square)
        log_sd = math.log(sd)
        value += log_sd_prior(prior.family, prior.sd[0, i], prior.sd[1, i], sd)[0]
        if not prior.correlated:
            value -= log_sd
            continue
        log_pivot = math.log(latent[i, i])
        value -= i * log_sd + (d - i) * log_pivot
        if i > 0:
            value += (2.0 * prior.eta - 2.0 + d - i) * (log_pivot - log_sd)
    return value


@compiled
def log_prior_of(prior, weights, means, latent):
    """Of normal components and no background, constants of the Dirichlet aside."""
    value = 0.0
    for k in range(means.shape[0]):
        value += (prior.concentration - 1.0) * math.log(weights[k]) + log_prior_mean(prior, means[k])
    for g in range(latent.shape[0]):
        value += log_prior_covariance(prior, latent[g])
    return value


@compiled
def row_model_of(prior):
    """The density of a row given its component."""
    return RowModel(not prior.correlated, prior.background)


@compiled
def log_likelihood_of(rows, row_weights, prior, weights, means, scaling, log_norm):
    row_model = row_model_of(prior)
    log_normalizers(np.log(weights), scaling, row_model, log_norm)
    return mixture_pass(rows, row_weights, log_norm, means, scaling, row_model, np.empty(0),
                        np.empty((0, 0)), np.empty((0, 0, 0)), np.empty(0), np.empty((0, 0)))  # fmt: skip


@compiled
def log_posterior_of(rows, row_weights, prior, weights, means, latent, scaling, log_norm):
    """Log posterior with respect to (weights, means, covariances), without the constant of the Dirichlet prior."""
    return log_prior_of(prior, weights, means, latent) + log_likelihood_of(
        rows, row_weights, prior, weights, means, scaling, log_norm
    )
