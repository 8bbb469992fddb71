"""Fitting `Proposals` to draws: by moments and, for the covariances, maximum likelihood, widened."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import gammaln, psi

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.triangular import log_determinant
from bayesgmm.kernels.wishart import log_wishart_constant
from bayesgmm.model.density.natural import CompletePrior
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.proposals.conjugate import Proposals, log_parts, log_prior_part

__all__ = ["fit_proposals"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2.0 * math.pi)
_WIDEN = 0.8  # of the fitted precision, so that tails are no lighter than the posterior's


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
    highest = mean_constant + (constant + _log_peak(prior, shape, root) if prior.own else 0.0)
    empty = np.zeros(k, dtype=bool)
    return alpha, loc, kappa, mean_constant, shape, root, constant, highest, log_dirichlet, log_beta, empty


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
        return shape, root, log_wishart_constant(shape, np.diag(root).copy())
    precisions = np.square(scaling[:, range(d), range(d)]).mean(axis=0)
    gap = np.log(precisions) - 2.0 * log_diag.mean(axis=0)
    shape = max(_WIDEN * _wishart_df(float(gap.mean()), 1), 0.5)
    diagonal = np.sqrt(shape / precisions)
    n_variances = prior.sd.shape[1]
    return shape, np.diag(diagonal), sum(log_wishart_constant(shape, diagonal[i : i + 1]) for i in range(n_variances))


def _log_peak(prior: CompletePrior, shape: Array, root: Array) -> Array:
    """Of log |L|^-1, from the density of the mean, plus the log density of L L', constants aside, the largest (G,)."""
    d = root.shape[1]
    n = prior.sd.shape[1]
    power = shape + (d + 2.0 if prior.correlated else 2.0 + d / n)
    log_root = np.log(np.diagonal(root, axis1=1, axis2=2)[:, :n]).sum(axis=1)
    return -power * (log_root - 0.5 * n * np.log(power)) - 0.5 * n * power


def _wishart_df(gap: float, d: int) -> float:
    """Degrees of freedom nu that solve log |E P| - E log |P| = d log(nu / 2) - sum_i psi((nu - i) / 2)."""
    i = np.arange(d)

    def equation(nu: float) -> float:
        return d * math.log(nu / 2.0) - float(psi((nu - i) / 2.0).sum()) - gap

    low, high = d - 1 + 1e-3, 1e7
    if equation(low) < 0.0:
        return low
    return high if equation(high) > 0.0 else float(brentq(equation, low, high))


@compiled
def _mark_empty(prior, proposals, m, sample, scaling):
    """Set `empty` where the prior gives a component's draws a higher density than the fit."""
    log_det, log_prior, none, out, part = np.empty(1), np.empty(1), np.empty(0), np.empty((1, 1)), np.empty(1, np.int64)
    for k in range(sample.means.shape[1]):
        g = prior.own * k
        part[0] = k
        gain = 0.0
        for s in range(sample.means.shape[0]):
            log_det[0] = log_determinant(sample.cholesky[s, g])
            log_prior[0] = log_prior_part(prior, sample.means[s, k], sample.latent[s, g])
            out[0, 0] = 0.0
            log_parts(prior, proposals, m, part, sample.means[s, k : k + 1], scaling[s, g : g + 1], log_det, log_prior,
                      none, -math.inf, out)  # fmt: skip
            gain += log_prior[0] - out[0, 0]
        proposals.empty[m, k] = gain > 0.0
