"""Independence proposals fitted to draws: what a Gibbs sampler needs to cross between modes.

Each of M proposals is a whole mixture whose parts are independent: weights Dirichlet(alpha), covariances
inverse-Wishart (or inverse-gamma, one a variance), means normal given the covariance, N(loc_k, Sigma_k / kappa_k). A
component that the prior describes better than such a fit, because it holds no rows, is taken from the prior. All
densities are with respect to weights, means and covariances, normalised, so that proposals can be mixed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.triangular import invert, rounding_removed
from bayesgmm.kernels.wishart import draw_inverse_wishart
from bayesgmm.model.density.natural import draw_prior_component, log_prior_covariance, log_prior_mean

__all__ = [
    "Proposals", "draw_covariance", "draw_part", "log_covariance", "log_parts",
    "log_prior_part", "no_proposals",
]  # fmt: skip

Array = NDArray[np.float64]


class Proposals(NamedTuple):
    """M fitted mixtures, and how likely rows are moved alone (`inference.gibbs.moves.lone_rows`)."""

    alpha: Array  # (M, K)
    loc: Array  # (M, K, D)
    kappa: Array  # (M, K)
    mean_constant: Array  # (M, K) log normaliser of the mean's density
    shape: Array  # (M, G) degrees of freedom of the inverse-Wishart; twice the shape of the inverse-gammas
    root: Array  # (M, G, D, D) factor of the inverse-Wishart's scale; sqrt(2 b) on the diagonal for inverse-gammas
    constant: Array  # (M, G) log normaliser of the covariance's density
    highest: Array  # (M, K) largest log density of a mean and its covariance; of the mean whitened, if that is shared
    log_dirichlet: Array  # (M,) log normaliser of all weights
    log_beta: Array  # (M, K) log normaliser of one weight
    empty: NDArray[np.bool_]  # (M, K) the component follows the prior
    rows: Array  # (N,) cumulated probability to move a row alone; length 0 for all alike


def no_proposals(n_components: int, n_features: int) -> Proposals:
    """M = 0."""
    k, d = n_components, n_features
    none = np.empty((0, k))
    return Proposals(none, np.empty((0, k, d)), none, none, none, np.empty((0, k, d, d)), none, none, np.empty(0), none,
                     np.empty((0, k), dtype=bool), np.empty(0))  # fmt: skip


@compiled
def log_covariance(correlated, n_variances, nu, root, constant, scaling, log_det):
    """Log density of a covariance under a fitted part; `log_det` is that of its factor, `scaling` the factor's inverse.

    Arrays and not records are taken: handing over a record costs as much as the work.
    """
    d = scaling.shape[0]
    trace = 0.0
    if not correlated:
        for i in range(n_variances):
            r = root[i, i] * scaling[i, i]
            trace += r * r
        return constant - (nu + 2.0) * log_det * n_variances / d - 0.5 * trace
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for a in range(j, i + 1):
                total += scaling[i, a] * root[a, j]
            trace += total * total
    return constant - (nu + d + 1.0) * log_det - 0.5 * trace


@compiled
def log_prior_part(prior, mean, latent):
    """Log prior density of a component's mean and, unless it is shared, its covariance."""
    value = log_prior_mean(prior, mean)
    return value + log_prior_covariance(prior, latent) if prior.own else value


@compiled
def log_parts(prior, proposals, m, parts, means, scaling, log_det, log_prior, bound, least, logs):
    """Add to logs[i, j] the log density, under part i of proposal m, of component j: its mean and, unless that is
    shared, its covariance.

    Parameters
    ----------
    parts : (P,) int
    means, scaling : (J, D), (J, D, D)
    log_det, log_prior : (J,) log determinants of the factors, and prior densities
    bound : (P,) or (0,)
        The largest that each row can have; if given, the rows are those of a permanent that is wanted if it is not
        surely below `least`, else `least` is what entries that are wanted are not below.
    least : float
    logs : (P, J) with the log densities of the weights; -inf where not wanted

    Returns
    -------
    float : the sum of the largest of each row, -inf if the permanent is not wanted
    """
    d, done, rest = means.shape[1], 0.0, bound.sum()
    correlated, n_variances, first, own = prior.correlated, prior.sd.shape[1], prior.first, prior.own
    for at in range(parts.shape[0]):
        k, best = parts[at], -math.inf
        empty, kappa, highest = proposals.empty[m, k], proposals.kappa[m, k], proposals.highest[m, k]
        together = bound.shape[0] > 0
        rest -= bound[at] if together else 0.0
        least_here = least - done - rest if together else least
        for c in range(means.shape[0]):
            value = logs[at, c]
            if empty:
                value += log_prior[c]
            else:
                square = 0.0
                for i in range(d):
                    total = 0.0
                    for j in range(first[i], i + 1):
                        total += scaling[c, i, j] * (means[c, j] - proposals.loc[m, k, j])
                    square += total * total
                value -= 0.5 * kappa * square
                if not own:
                    value += highest - log_det[c]
                elif value + highest < least_here:
                    value = -math.inf
                else:
                    value += proposals.mean_constant[m, k] - log_det[c]
                    value += log_covariance(correlated, n_variances, proposals.shape[m, k], proposals.root[m, k],
                                            proposals.constant[m, k], scaling[c], log_det[c])  # fmt: skip
            logs[at, c] = value
            best = max(best, value)
        done += best
        if together and (done == -math.inf or done + rest < least):
            return -math.inf
    return done


@compiled
def draw_part(rng, prior, proposals, m, k, work, mean, latent, cholesky, scaling):
    """Draw what `log_parts` gives the density of; False where rounding does not allow the covariance."""
    if proposals.empty[m, k]:
        draw_prior_component(rng, prior, mean, latent, cholesky, scaling, work[0], prior.own > 0)
        return True
    if prior.own and not draw_covariance(
        rng, prior, proposals.shape[m, k], proposals.root[m, k], work, latent, cholesky, scaling
    ):
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


@compiled
def draw_covariance(rng, prior, nu, root, work, latent, cholesky, scaling):
    """Draw what `log_covariance` is the density of; False where rounding does not allow it."""
    d = cholesky.shape[0]
    if not prior.correlated:
        v = 0.0
        for i in range(d):
            if prior.variance[i] == i:
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
