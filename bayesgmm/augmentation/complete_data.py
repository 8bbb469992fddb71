"""Parameters given the complete data: the conditional draws of a Gibbs sampler, compiled.

Given the allocations the components are independent and a component's data enter through its count, sum and sum of
squares. Weights are Dirichlet, means normal given the covariance. For the covariance Sigma = S + diag(step^2 / 12) the
prior (sd family, LKJ) is not conjugate, so Sigma is proposed from an inverse-Wishart IW(nu0 + n, Psi0 + scatter) and
accepted with probability min(1, h(Sigma') / h(Sigma)), h = p(S) / IW(Sigma; nu0, Psi0): the likelihood cancels. With
few rows (nu0, Psi0) resemble the prior. With many, the prior is nearly a power of the sds, s^-(D + 1) each, which
nu0 = 0 and a negligible Psi0 match; a larger nu0 would raise |Sigma| to a power that rejects everything in ten
dimensions, and a larger Psi0 every cluster tighter than the prior expects. The choice depends on the rows alone. The
same with inverse-gamma proposals, one a variance, for diagonal covariances. A few rows do not keep a component from
being much tighter than Psi0 expects, and a prior that is positive at sd = 0 allows it; half of the proposals from a
few rows therefore take a Psi0 shrunk at random, whatever the state, or a chain would hardly ever leave such a
component. Components without rows are drawn from the prior itself. Densities of S follow from those of (sd,
correlation) by

    p(S) = prod_i p(s_i) (M_ii / s_i)^(2 eta - 2 + D - i) s_i^(-i) M_ii^(-(D - i)),   S = M M',  i = 0, ..., D - 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import polygamma, psi

from bayesgmm.log_posterior import log_sd_prior
from bayesgmm.prior import ResolvedPrior, lkj_log_constant
from bayesgmm.structure import Structure

__all__ = [
    "CompletePrior",
    "complete_prior",
    "draw_prior_component",
    "draw_weights",
    "update_covariance",
    "update_mean",
]

Array = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_V_DRAWS = 20_000
_RICH = 4.0  # rows, besides two for each column, from which proposals follow the rows alone
_LITTLE = 0.01  # of a row's worth of sum of squares
_SHRUNK = 3.0  # mean of the log of the factor by which the scale of a proposal is divided


class CompletePrior(NamedTuple):
    """A prior as the compiled conditionals take it; sds per column, or one for all (`one_sd`)."""

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
    correlated: bool
    shared: bool
    one_sd: bool


def complete_prior(prior: ResolvedPrior, structure: Structure) -> CompletePrior:
    """Pack a prior; `shape` and `scale` give a log variance the mean and spread that it has under the prior."""
    sd = prior.cells(structure)
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
        constant=_covariance_constant(structure, len(prior.floor), sd.shape[1], prior.lkj_eta),
        correlated=structure.correlated,
        shared=structure.shared,
        one_sd=sd.shape[1] == 1,
    )


def _covariance_constant(structure: Structure, n_features: int, n_sd: int, eta: float) -> float:
    """Of the density with respect to S: ds^2 = 2 s ds for each sd, and the normaliser of the LKJ."""
    return -n_sd * math.log(2.0) + (lkj_log_constant(n_features, eta) if structure.correlated else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_sd(rng, family, a, b):
    """A component sd (before rounding) from its prior; codes as in `bayesgmm.priors`."""
    if family == 0:
        return a * abs(rng.standard_normal())
    if family == 1:
        return a * abs(rng.standard_normal() / rng.standard_normal())
    if family == 2:
        return rng.standard_exponential() / a
    if family == 3:
        return math.exp(a + b * rng.standard_normal())
    return math.sqrt(b / rng.standard_gamma(a))


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_log_variances(rng, family, sd, out):
    for s in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[s, j] = 2.0 * math.log(_draw_sd(rng, family, sd[0, j], sd[1, j]))


@njit(cache=True, nogil=True, error_model="numpy")
def draw_weights(rng, counts, concentration, out):
    """out ~ Dirichlet(concentration + counts)."""
    total = 0.0
    for k in range(counts.shape[0]):
        out[k] = max(rng.standard_gamma(concentration + counts[k]), 1e-300)
        total += out[k]
    for k in range(counts.shape[0]):
        out[k] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def factor(matrix, out):
    """Lower Cholesky factor of the lower triangle of matrix (D, D); False where it is not positive definite."""
    d = matrix.shape[0]
    for j in range(d):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= out[j, m] * out[j, m]
        if not pivot > 0.0:
            return False
        root = math.sqrt(pivot)
        out[j, j] = root
        for i in range(j + 1, d):
            total = matrix[i, j]
            for m in range(j):
                total -= out[i, m] * out[j, m]
            out[i, j] = total / root
            out[j, i] = 0.0
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def invert(lower, out):
    d = lower.shape[0]
    for j in range(d):
        out[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for m in range(j, i):
                total += lower[i, m] * out[m, j]
            out[i, j] = -total / lower[i, i]
            out[j, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def rounding_removed(cholesky, floor, matrix, latent):
    """latent = factor of cholesky cholesky' - diag(floor); False where that is not positive definite."""
    d = cholesky.shape[0]
    if floor.max() == 0.0:
        latent[:] = cholesky
        return True
    for i in range(d):
        for j in range(i + 1):
            total = -floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += cholesky[i, m] * cholesky[j, m]
            matrix[i, j] = total
    return factor(matrix, latent)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_prior_component(rng, prior, mean, latent, cholesky, scaling, matrix, with_covariance):
    """A component from the prior: its mean and, if wanted, its covariance with and without rounding."""
    d = mean.shape[0]
    for j in range(d):
        mean[j] = prior.mean_loc[j] + prior.mean_scale[j] * rng.standard_normal()
    if not with_covariance:
        return
    latent[:] = 0.0
    one = _draw_sd(rng, prior.family, prior.sd[0, 0], prior.sd[1, 0]) if prior.one_sd else 0.0
    for i in range(d):
        sd = one if prior.one_sd else _draw_sd(rng, prior.family, prior.sd[0, i], prior.sd[1, i])
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
        cholesky[:] = latent
    invert(cholesky, scaling)


@njit(cache=True, nogil=True, error_model="numpy")
def update_mean(rng, prior, n, total, centre, scaling, matrix, root, vector, mean):
    """mean ~ its conditional, given `n` rows with sum `total` of deviations from `centre`, and the covariance."""
    d = mean.shape[0]
    if not prior.correlated:
        for j in range(d):
            precision = scaling[j, j] * scaling[j, j]
            prior_precision = 1.0 / (prior.mean_scale[j] * prior.mean_scale[j])
            p = n * precision + prior_precision
            location = (precision * (n * centre[j] + total[j]) + prior_precision * prior.mean_loc[j]) / p
            mean[j] = location + rng.standard_normal() / math.sqrt(p)
        return
    # Deviations from `centre` throughout, so that nothing cancels.
    for i in range(d):
        prior_precision = 1.0 / (prior.mean_scale[i] * prior.mean_scale[i])
        vector[i] = prior_precision * (prior.mean_loc[i] - centre[i])
        for j in range(i + 1):
            p = 0.0
            for m in range(i, d):
                p += scaling[m, i] * scaling[m, j]
            matrix[i, j] = n * p + (prior_precision if i == j else 0.0)
            vector[i] += p * total[j]
            if j < i:
                vector[j] += p * total[i]
    factor(matrix, root)
    for i in range(d):
        v = vector[i]
        for m in range(i):
            v -= root[i, m] * vector[m]
        vector[i] = v / root[i, i]
    for i in range(d):
        vector[i] += rng.standard_normal()
    for i in range(d - 1, -1, -1):
        v = vector[i]
        for m in range(i + 1, d):
            v -= root[m, i] * vector[m]
        vector[i] = v / root[i, i]
    for i in range(d):
        mean[i] = centre[i] + vector[i]


@njit(cache=True, nogil=True, error_model="numpy")
def log_prior_mean(prior, mean):
    """Log prior density of one component's mean."""
    value = 0.0
    for j in range(mean.shape[0]):
        z = (mean[j] - prior.mean_loc[j]) / prior.mean_scale[j]
        value -= 0.5 * z * z + math.log(prior.mean_scale[j]) + _LOG_SQRT_2PI
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def log_prior_covariance(prior, latent):
    """Log density of S = latent latent', or of its distinct variances when nothing is correlated."""
    d = latent.shape[0]
    value = prior.constant
    for i in range(1 if prior.one_sd and not prior.correlated else d):
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


@njit(cache=True, nogil=True, error_model="numpy")
def _log_correction(prior, nu, scale, latent, cholesky, scaling):
    """log p(S) - log IW(Sigma; nu, 2 diag(scale)), constants aside."""
    d = latent.shape[0]
    value = log_prior_covariance(prior, latent)
    for i in range(d):
        value += (nu + d + 1.0) * math.log(cholesky[i, i])
        for j in range(i + 1):
            value += scale[j] * scaling[i, j] * scaling[i, j]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _log_correction_variance(prior, j, shape, scale, variance, floor):
    """log p(v - floor) - log IG(v; shape, scale) of one variance v, constants aside; -inf at or below the floor."""
    latent = variance - floor
    if not latent > 0.0:
        return -math.inf
    sd = math.sqrt(latent)
    value = log_sd_prior(prior.family, prior.sd[0, j], prior.sd[1, j], sd)[0] - math.log(sd)
    return value + (shape + 1.0) * math.log(variance) + scale / variance


@njit(cache=True, nogil=True, error_model="numpy")
def _scale_before_data(rng, usual, square, n, rich):
    """Scale of the proposal of one variance before the data; `square` is the sum of squares of its `n` rows."""
    if rich:
        return min(usual, _LITTLE * square / n)
    return usual * math.exp(-_SHRUNK * rng.standard_exponential()) if rng.random() < 0.5 else usual


@njit(cache=True, nogil=True, error_model="numpy")
def update_covariance(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling):
    """Propose and accept or not a covariance given `n` rows with sum of squares `scatter` (D, D; lower) about the mean.

    `work` is (5, D, D). Returns the number of proposals and of those accepted. With `refresh` below 1 a matrix is
    proposed near the present one, that share of the rows behind it replaced: in many columns a proposal that does not
    know the present matrix is hardly ever accepted under an LKJ prior.
    """
    d = scatter.shape[0]
    if prior.correlated:
        return 1, _update_matrix(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling)
    n_variances = 1 if prior.one_sd else d
    accepted = 0
    for j in range(n_variances):
        square = 0.0
        for i in range(d):
            if prior.one_sd or i == j:
                square += scatter[i, i]
        rows = n * d if prior.one_sd else n
        old = cholesky[j, j] * cholesky[j, j]
        rich = rows >= _RICH
        shape = 0.0 if rich else prior.shape
        scale = _scale_before_data(rng, prior.scale[j], square, rows, rich)
        new = (scale + 0.5 * square) / rng.standard_gamma(shape + 0.5 * rows)
        if not 0.0 < new < math.inf:
            continue
        gain = _log_correction_variance(prior, j, shape, scale, new, prior.floor[j])
        gain -= _log_correction_variance(prior, j, shape, scale, old, prior.floor[j])
        if math.log(rng.random()) < gain:
            accepted += 1
            for i in range(d):
                if prior.one_sd or i == j:
                    cholesky[i, i] = math.sqrt(new)
                    scaling[i, i] = 1.0 / cholesky[i, i]
                    latent[i, i] = math.sqrt(new - prior.floor[j])
    return n_variances, accepted


@njit(cache=True, nogil=True, error_model="numpy")
def _update_matrix(rng, prior, refresh, n, scatter, work, latent, cholesky, scaling):
    d = scatter.shape[0]
    matrix, root, spare, proposal, inverse = work[0], work[1], work[2], work[3], work[4]
    rich = n >= _RICH + 2.0 * d
    nu0 = 0.0 if rich else 2.0 * prior.shape + d - 1.0
    scale = np.empty(d)
    for i in range(d):
        scale[i] = _scale_before_data(rng, prior.scale[i], scatter[i, i], n, rich)
        for j in range(i + 1):
            matrix[i, j] = scatter[i, j] + (2.0 * scale[i] if i == j else 0.0)
    if not factor(matrix, root):
        return 0
    nu = nu0 + n
    if refresh < 1.0 and nu > d + 1.0:
        made = _refreshed(rng, max(1, int(refresh * nu)), nu, root, scaling, matrix, spare, inverse)
        if made:
            invert(inverse, proposal)
    else:
        made = _inverse_wishart(rng, nu, root, matrix, spare, proposal)
        if made:
            invert(proposal, inverse)
    before = root
    if not made or not rounding_removed(proposal, prior.floor, matrix, before):
        return 0
    gain = _log_correction(prior, nu0, scale, before, proposal, inverse)
    gain -= _log_correction(prior, nu0, scale, latent, cholesky, scaling)
    if not math.log(rng.random()) < gain:
        return 0
    latent[:] = before
    cholesky[:] = proposal
    scaling[:] = inverse
    return 1


@njit(cache=True, nogil=True, error_model="numpy")
def _inverse_wishart(rng, nu, root, triangle, inverse, out):
    """out = Cholesky factor of a draw from the inverse-Wishart(nu, root root'); False where it is not finite."""
    d = root.shape[0]
    # V'V is Wishart(nu, I) for this lower-triangular V, so root V^-1 is the Cholesky factor of an inverse-Wishart.
    for i in range(d):
        for j in range(i):
            triangle[i, j] = rng.standard_normal()
        triangle[i, i] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (nu - (d - 1.0 - i))))
        if not triangle[i, i] > 0.0:
            return False
    invert(triangle, inverse)
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(j, i + 1):
                total += root[i, m] * inverse[m, j]
            out[i, j] = total
            if j < i:
                out[j, i] = 0.0
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _refreshed(rng, times, nu, root, scaling, precision, spare, out):
    """A draw from the inverse-Wishart(nu, root root') near the present covariance: `times` of its nu rows are replaced.

    A Wishart precision P is a sum of nu squares x x'. Given P, one of them is x = J'u, P = J'J, with u in the unit
    ball, |u|^2 beta(D / 2, (nu - D) / 2) and its direction uniform; it is taken out and a new one, x ~ N(0, Psi^-1),
    put in. This is reversible with respect to the Wishart, as an autoregressive step is for a normal. `out` is the
    inverse Cholesky factor of the new covariance; False where rounding errors made P indefinite.
    """
    d = root.shape[0]
    u, x = spare[0], spare[1]
    out[:] = scaling
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(i, d):
                total += scaling[m, i] * scaling[m, j]
            precision[i, j] = total
    for _ in range(times):
        square = 0.0
        for i in range(d):
            u[i] = rng.standard_normal()
            square += u[i] * u[i]
        a = rng.standard_gamma(0.5 * d)
        length = math.sqrt(a / (a + rng.standard_gamma(0.5 * (nu - d))) / square)
        for i in range(d):
            total = 0.0
            for m in range(i, d):
                total += out[m, i] * u[m]
            x[i] = length * total
        for i in range(d):
            u[i] = rng.standard_normal()
        for i in range(d - 1, -1, -1):  # solve root' u = noise
            for m in range(i + 1, d):
                u[i] -= root[m, i] * u[m]
            u[i] /= root[i, i]
        for i in range(d):
            for j in range(i + 1):
                precision[i, j] += u[i] * u[j] - x[i] * x[j]
        # out: lower triangular with out' out = precision.
        for j in range(d - 1, -1, -1):
            for i in range(j, -1, -1):
                total = precision[j, i]
                for m in range(j + 1, d):
                    total -= out[m, j] * out[m, i]
                if i == j:
                    if not total > 0.0:
                        return False
                    out[j, j] = math.sqrt(total)
                else:
                    out[j, i] = total / out[j, j]
    return True
