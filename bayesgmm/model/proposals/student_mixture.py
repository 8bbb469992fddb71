"""Proposals for bridge sampling: a Gaussian or t7, or a mixture of them, fitted to posterior draws."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp
from threadpoolctl import threadpool_limits

from bayesgmm.errors import InputError

__all__ = ["Proposal", "fit_proposal"]

Array = NDArray[np.float64]

_MAX_PARTS = 5
_DRAWS_PER_PART = 10  # times the dimension: fewer draws do not determine a covariance
_LEAST_GAIN = 0.02  # nats a draw that one part more must gain


@dataclass(frozen=True, eq=False)
class Proposal:
    """A mixture of M multivariate normal (``df = inf``) or Student t densities in n dimensions."""

    weights: Array  # (M,)
    means: Array  # (M, n)
    cholesky: Array  # (M, n, n) lower factors of the scale matrices
    df: float

    @property
    def log_constants(self) -> Array:
        """(M,) log weight plus log normalising constant of each part."""
        n = self.means.shape[1]
        logdet = np.log(np.diagonal(self.cholesky, axis1=1, axis2=2)).sum(axis=1)
        if math.isinf(self.df):
            constant = -0.5 * n * math.log(2.0 * math.pi)
        else:
            half = 0.5 * self.df
            constant = float(gammaln(half + 0.5 * n) - gammaln(half)) - 0.5 * n * math.log(self.df * math.pi)
        return np.log(self.weights) + constant - logdet

    def log_kernel(self, quadratic: Array) -> Array:
        """Log density, constants aside, at squared Mahalanobis distances."""
        if math.isinf(self.df):
            return -0.5 * quadratic
        return -0.5 * (self.df + self.means.shape[1]) * np.log1p(quadratic / self.df)

    def log_density(self, x: Array) -> Array:
        """(S,) log density at x (S, n)."""
        parts = [
            constant + self.log_kernel((np.linalg.solve(factor, (x - mean).T) ** 2).sum(axis=0))
            for constant, mean, factor in zip(self.log_constants, self.means, self.cholesky, strict=True)
        ]
        return logsumexp(parts, axis=0)

    def sample(self, n_samples: int, rng: np.random.Generator) -> Array:
        """(n_samples, n) independent draws."""
        n = self.means.shape[1]
        part = rng.choice(len(self.weights), n_samples, p=self.weights)
        noise = rng.standard_normal((n_samples, n))
        if math.isfinite(self.df):
            noise /= np.sqrt(rng.chisquare(self.df, n_samples) / self.df)[:, None]
        out = np.empty_like(noise)
        for m, (mean, factor) in enumerate(zip(self.means, self.cholesky, strict=True)):
            out[part == m] = mean + noise[part == m] @ factor.T
        return out

    def describe(self) -> str:
        """In words, for the record."""
        what = "Gaussian" if math.isinf(self.df) else f"t{self.df:.0f}"
        return what if len(self.weights) == 1 else f"mixture of {len(self.weights)} {what}"


def fit_proposal(draws: Array, *, random_seed: int = 0) -> Proposal:
    """The proposal of highest log density at draws that were held out of its fit, then fitted to all of them.

    Parameters
    ----------
    draws : array (C, S, n)
        Draws of C chains in unconstrained coordinates.

    Notes
    -----
    Candidates are one Gaussian or t7, with the covariance of Ledoit and Wolf (2004), and mixtures of up to five where
    there are ten draws a dimension for each part. The last third of every chain is held out.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.proposals.student_mixture import fit_proposal
    >>> x = np.random.default_rng(0).normal(size=(4, 300, 2))
    >>> fit_proposal(x).describe()
    'Gaussian'
    """
    n_chains, n_draws, n = draws.shape
    cut = max(2 * n_draws // 3, 1)
    train, test, everything = (a.reshape(-1, n) for a in (draws[:, :cut], draws[:, cut:], draws))
    if len(train) < n + 2 or len(test) < 1:
        raise InputError(f"{n_chains} x {n_draws} draws are too few for {n} parameters: sample more draws.")
    if (distinct := len(np.unique(train, axis=0))) < n + 2:  # chains that stand still, or copies of a likely draw
        raise InputError(
            f"Only {distinct} of {len(train)} draws are distinct, too few for {n} parameters: sample more draws, and "
            "with inference='nuts' if they are of an approximation."
        )
    try:
        with threadpool_limits(1):  # small matrices: threads only get in their own way
            return _best_fit(train, test, everything, random_seed)
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"The draws spread from {everything.std(axis=0).min():.2g} to {everything.std(axis=0).max():.2g} in the "
            "sampler's coordinates, so that their covariance is singular in floating-point numbers: fit with "
            "inference='nuts', or state narrower priors."
        ) from error


def _best_fit(train: Array, test: Array, everything: Array, random_seed: int) -> Proposal:
    n = train.shape[1]
    best, best_score = (1, math.inf), -math.inf
    for n_parts in range(1, max(1, min(_MAX_PARTS, len(train) // (_DRAWS_PER_PART * n))) + 1):
        try:
            fitted = {df: _fit(train, n_parts, df, random_seed) for df in (math.inf, 7.0)}
        except np.linalg.LinAlgError:
            if n_parts == 1:
                raise
            break
        scores = {df: float(q.log_density(test).mean()) for df, q in fitted.items()}
        df = max(scores, key=lambda key: scores[key])
        if scores[df] < best_score + _LEAST_GAIN:
            break
        best, best_score = (n_parts, df), scores[df]
    return _fit(everything, *best, random_seed)


def _fit(draws: Array, n_parts: int, df: float, random_seed: int) -> Proposal:
    """Moments of one Gaussian, or EM for a mixture of them; t parts take the matching covariances."""
    from sklearn.covariance import ledoit_wolf
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    spread = 1.0 if math.isinf(df) else (df - 2.0) / df
    if n_parts == 1:
        covariances, means, weights = ledoit_wolf(draws)[0][None], draws.mean(axis=0)[None], np.ones(1)
    else:
        em = GaussianMixture(n_parts, random_state=random_seed, init_params="k-means++", max_iter=200, tol=1e-2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture will do, a good one has less error
            try:
                em.fit(draws)
            except ValueError as error:  # a part that collapsed, or spreads beyond what floating-point numbers hold
                raise np.linalg.LinAlgError(str(error)) from error
        covariances, means, weights = em.covariances_, em.means_, em.weights_
    return Proposal(weights / weights.sum(), means, np.linalg.cholesky(spread * covariances), df)
