"""Independence proposals fitted to draws: what a Gibbs sampler needs to cross between modes.

Each of M proposals is a whole mixture whose parts are independent: weights Dirichlet(alpha), covariances
inverse-Wishart (or inverse-gamma, one a variance), means normal given the covariance, N(loc_k, Sigma_k / kappa_k). A
component that the prior describes better than such a fit, because it holds no rows, is taken from the prior. All
densities are with respect to weights, means and covariances, normalised, so that proposals can be mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import gammaln, multigammaln, psi

from bayesgmm.augmentation.complete_prior import (
    CompletePrior,
    draw_prior_component,
    log_prior_covariance,
    log_prior_mean,
)
from bayesgmm.augmentation.covariances import draw_inverse_wishart
from bayesgmm.augmentation.matrices import invert, rounding_removed
from bayesgmm.params import inverse_cholesky

__all__ = [
    "Proposals", "Sample", "draw_covariance", "draw_part", "fit_proposals", "log_covariance", "log_determinant",
    "log_part", "log_prior_part", "no_proposals",
]  # fmt: skip

Array = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)
_WIDEN = 0.8  # of the fitted precision, so that tails are no lighter than the posterior's


class Sample(NamedTuple):
    """Draws of one mode, components in one order; G is K, or 1 for a shared covariance."""

    weights: Array  # (S, K)
    means: Array  # (S, K, D)
    latent: Array  # (S, G, D, D) factors of the covariances before rounding
    cholesky: Array  # (S, G, D, D)


class Proposals(NamedTuple):
    """M fitted mixtures, and how likely rows are moved alone (`lone_rows`)."""

    alpha: Array  # (M, K)
    loc: Array  # (M, K, D)
    kappa: Array  # (M, K)
    mean_constant: Array  # (M, K) log normaliser of the mean's density
    shape: Array  # (M, G) degrees of freedom of the inverse-Wishart; twice the shape of the inverse-gammas
    root: Array  # (M, G, D, D) factor of the inverse-Wishart's scale; sqrt(2 b) on the diagonal for inverse-gammas
    constant: Array  # (M, G) log normaliser of the covariance's density
    log_dirichlet: Array  # (M,) log normaliser of all weights
    log_beta: Array  # (M, K) log normaliser of one weight
    empty: NDArray[np.bool_]  # (M, K) the component follows the prior
    rows: Array  # (N,) cumulated probability to move a row alone; length 0 for all alike


def no_proposals(n_components: int, n_features: int) -> Proposals:
    """M = 0."""
    k, d = n_components, n_features
    none = np.empty((0, k))
    return Proposals(none, np.empty((0, k, d)), none, none, none, np.empty((0, k, d, d)), none, np.empty(0), none,
                     np.empty((0, k), dtype=bool), np.empty(0))  # fmt: skip


def fit_proposals(samples: Sequence[Sample], prior: CompletePrior, rows: Array | None = None) -> Proposals:
    """One proposal for each sample, by moments and, for the covariances, maximum likelihood; `Proposals.rows`."""
    fitted = [_fit(sample, prior) for sample in samples]
    parts = (np.ascontiguousarray(np.stack(part)) for part in zip(*fitted, strict=True))
    proposals = Proposals._make([*parts, np.empty(0) if rows is None else rows])
    for m, sample in enumerate(samples):
        _mark_empty(prior, proposals, m, sample, inverse_cholesky(sample.cholesky))
    return proposals


def _fit(sample: Sample, prior: CompletePrior) -> tuple[Array, ...]:
    s, k, d = sample.means.shape
    g = sample.cholesky.shape[1]
    m, v = sample.weights.mean(axis=0), sample.weights.var(axis=0) + 1e-12
    total = max(float(np.median(m * (1.0 - m) / v - 1.0)), 1.0)
    alpha = np.maximum(_WIDEN * m * total, 0.5)
    loc = sample.means.mean(axis=0)
    scaling = inverse_cholesky(sample.cholesky)  # (S, G, D, D)
    whitened = np.einsum("sgij,sgj->sgi", np.broadcast_to(scaling, (s, k, d, d)), sample.means - loc)
    kappa = _WIDEN * d / np.maximum((whitened**2).sum(axis=2).mean(axis=0), 1e-12)
    shape, root, constant = np.empty(g), np.zeros((g, d, d)), np.empty(g)
    for j in range(g):
        shape[j], root[j], constant[j] = _fit_covariance(scaling[:, j], prior)
    others = alpha.sum() - alpha
    log_beta = gammaln(alpha.sum()) - gammaln(alpha) - gammaln(np.maximum(others, 1e-300))
    log_dirichlet = gammaln(alpha.sum()) - gammaln(alpha).sum()
    mean_constant = 0.5 * d * (np.log(kappa) - _LOG_2PI)
    return alpha, loc, kappa, mean_constant, shape, root, constant, log_dirichlet, log_beta, np.zeros(k, dtype=bool)


def _fit_covariance(scaling: Array, prior: CompletePrior) -> tuple[float, Array, float]:
    """Inverse-Wishart, or inverse-gammas, by maximum likelihood from inverse factors (S, D, D), widened."""
    d = scaling.shape[1]
    log_diag = np.log(np.diagonal(scaling, axis1=1, axis2=2))  # (S, D)
    if prior.correlated:
        # The mean precision is P = R'R, and its inverse U'U: no product is formed, since draws may be nearly singular.
        r = np.linalg.qr(scaling.reshape(-1, d) / math.sqrt(len(scaling)), mode="r")
        u = np.linalg.qr(solve_triangular(r, np.eye(d)).T, mode="r")
        nu = _wishart_df(2.0 * float(np.log(np.abs(np.diag(r))).sum() - log_diag.sum(axis=1).mean()), d)
        shape = max(_WIDEN * nu, d + 0.1)
        root = math.sqrt(shape) * (u * np.sign(np.diag(u))[:, None]).T
        return shape, root, _log_iw_constant(shape, np.diag(root))
    precisions = np.square(scaling[:, range(d), range(d)]).mean(axis=0)
    gap = np.log(precisions) - 2.0 * log_diag.mean(axis=0)
    shape = max(_WIDEN * _wishart_df(float(gap.mean()), 1), 0.5)
    diagonal = np.sqrt(shape / precisions)
    n_variances = 1 if prior.one_sd else d
    return shape, np.diag(diagonal), sum(_log_iw_constant(shape, diagonal[i : i + 1]) for i in range(n_variances))


def _wishart_df(gap: float, d: int) -> float:
    """Degrees of freedom nu that solve log |E P| - E log |P| = d log(nu / 2) - sum_i psi((nu - i) / 2)."""
    i = np.arange(d)

    def equation(nu: float) -> float:
        return d * math.log(nu / 2.0) - float(psi((nu - i) / 2.0).sum()) - gap

    low, high = d - 1 + 1e-3, 1e7
    if equation(low) < 0.0:
        return low
    return high if equation(high) > 0.0 else float(brentq(equation, low, high))


def _log_iw_constant(nu: float, root_diagonal: Array) -> float:
    d = len(root_diagonal)
    log_det = float(np.log(root_diagonal).sum())
    return float(nu * log_det - 0.5 * nu * d * math.log(2.0) - multigammaln(0.5 * nu, d))


@njit(cache=True, nogil=True, error_model="numpy")
def _mark_empty(prior, proposals, m, sample, scaling):
    """Set `empty` where the prior gives a component's draws a higher density than the fit."""
    for k in range(sample.means.shape[1]):
        g = 0 if prior.shared else k
        gain = 0.0
        for s in range(sample.means.shape[0]):
            cholesky = sample.cholesky[s, g]
            log_det = log_determinant(cholesky)
            gain += log_prior_part(prior, sample.means[s, k], sample.latent[s, g])
            gain -= log_part(prior, proposals, m, k, sample.means[s, k], cholesky, scaling[s, g], log_det, 0.0)
        proposals.empty[m, k] = gain > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def log_covariance(prior, proposals, m, g, cholesky, scaling, log_det):
    """Log density of a covariance under one fitted part; `log_det` is that of `cholesky`."""
    d = cholesky.shape[0]
    nu = proposals.shape[m, g]
    root = proposals.root[m, g]
    trace = 0.0
    if not prior.correlated:
        n_variances = 1 if prior.one_sd else d
        for i in range(n_variances):
            r = root[i, i] * scaling[i, i]
            trace += r * r
        return proposals.constant[m, g] - (nu + 2.0) * log_det * n_variances / d - 0.5 * trace
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for a in range(j, i + 1):
                total += scaling[i, a] * root[a, j]
            trace += total * total
    return proposals.constant[m, g] - (nu + d + 1.0) * log_det - 0.5 * trace


@njit(cache=True, nogil=True, error_model="numpy")
def _log_mean(prior, proposals, m, k, mean, scaling, log_det):
    d = mean.shape[0]
    kappa = proposals.kappa[m, k]
    square = 0.0
    for i in range(d):
        total = 0.0
        for j in range(0 if prior.correlated else i, i + 1):
            total += scaling[i, j] * (mean[j] - proposals.loc[m, k, j])
        square += total * total
    return proposals.mean_constant[m, k] - log_det - 0.5 * kappa * square


@njit(cache=True, nogil=True, error_model="numpy")
def log_determinant(cholesky):
    """Log determinant of a triangular matrix."""
    value = 0.0
    for i in range(cholesky.shape[0]):
        value += math.log(cholesky[i, i])
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def log_prior_part(prior, mean, latent):
    """Log prior density of a component's mean and, unless it is shared, its covariance."""
    value = log_prior_mean(prior, mean)
    return value if prior.shared else value + log_prior_covariance(prior, latent)


@njit(cache=True, nogil=True, error_model="numpy")
def log_part(prior, proposals, m, k, mean, cholesky, scaling, log_det, log_prior):
    """Log density of a component's mean and, unless it is shared, its covariance; `log_prior` is the prior's."""
    if proposals.empty[m, k]:
        return log_prior
    value = _log_mean(prior, proposals, m, k, mean, scaling, log_det)
    return value if prior.shared else value + log_covariance(prior, proposals, m, k, cholesky, scaling, log_det)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_part(rng, prior, proposals, m, k, work, mean, latent, cholesky, scaling):
    """Draw what `log_part` is the density of; False where rounding does not allow the covariance."""
    if proposals.empty[m, k]:
        draw_prior_component(rng, prior, mean, latent, cholesky, scaling, work[0], not prior.shared)
        return True
    if not prior.shared and not draw_covariance(rng, prior, proposals, m, k, work, latent, cholesky, scaling):
        return False
    d = mean.shape[0]
    noise = work[0, 0]
    for i in range(d):
        noise[i] = rng.standard_normal() / math.sqrt(proposals.kappa[m, k])
    for i in range(d):
        total = proposals.loc[m, k, i]
        for j in range(i + 1):
            total += cholesky[i, j] * noise[j]
        mean[i] = total
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def draw_covariance(rng, prior, proposals, m, g, work, latent, cholesky, scaling):
    """Draw what `log_covariance` is the density of; False where rounding does not allow it."""
    d = cholesky.shape[0]
    nu, root = proposals.shape[m, g], proposals.root[m, g]
    if not prior.correlated:
        v = 0.0
        for i in range(d):
            if i == 0 or not prior.one_sd:
                v = 0.5 * root[i, i] * root[i, i] / max(rng.standard_gamma(0.5 * nu), 1e-300)
            if not prior.floor[i] < v < math.inf:
                return False
            cholesky[i, i] = math.sqrt(v)
            scaling[i, i] = 1.0 / cholesky[i, i]
            latent[i, i] = math.sqrt(v - prior.floor[i])
        return True
    if not draw_inverse_wishart(rng, nu, root, work[0], work[1], cholesky):
        return False
    invert(cholesky, scaling)
    return rounding_removed(cholesky, prior.floor, work[0], latent)
