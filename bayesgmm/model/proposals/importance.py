"""How far an approximation can be trusted: importance weights, their Pareto k, and resampling.

Draws of an approximation q have importance weights p / q. Pareto smoothing (PSIS) replaces the largest by the
quantiles of a generalised Pareto distribution fitted to them; its shape k says whether averages under p can be had
from draws of q at all: below 0.7 they can, above they cannot, and then neither can the approximation's own intervals
be trusted (Yao et al. 2018).

Vehtari, A., Simpson, D., Gelman, A., Yao, Y., Gabry, J. (2024). Pareto smoothed importance sampling. JMLR 25(72).
Yao, Y., Vehtari, A., Simpson, D., Gelman, A. (2018). Yes, but did it work? ICML.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import plain
from bayesgmm.kernels.streaming import add_log_likelihoods
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.proposals.pareto import pareto_smoothed

__all__ = ["PARETO_K_MAX", "ImportanceWeights", "log_likelihoods", "resample", "smooth_weights"]

Array = NDArray[np.float64]

PARETO_K_MAX = 0.7
_LEAST_DRAWS = 25  # a tail of five


@dataclass(frozen=True, eq=False)
class ImportanceWeights:
    """Smoothed importance weights of S draws.

    Attributes
    ----------
    log_weights : array (S,)
        Logarithms of the smoothed weights, which sum to one.
    pareto_k : float
        Shape of the tail of the raw weights; infinite where they cannot be judged.
    ess : float
        Effective number of draws, 1 / sum of squared weights.
    """

    log_weights: Array
    pareto_k: float
    ess: float

    @property
    def ok(self) -> bool:
        """Whether averages under the target can be had from these draws."""
        return self.pareto_k < PARETO_K_MAX


def smooth_weights(log_ratios: Array) -> ImportanceWeights:
    """Pareto-smoothed importance weights.

    Parameters
    ----------
    log_ratios : array (S,)
        Log target minus log proposal density, constants aside; -inf (or NaN) outside the target's support.

    Raises
    ------
    InputError
        For fewer than 25 draws, or when no ratio is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import norm, t
    >>> from bayesgmm.model.proposals.importance import smooth_weights
    >>> x = t.rvs(5, size=2000, random_state=0)
    >>> smooth_weights(norm.logpdf(x) - t.logpdf(x, 5)).ok
    True
    """
    ratios = np.where(np.isnan(log_ratios), -np.inf, np.asarray(log_ratios, dtype=float))
    if ratios.size < _LEAST_DRAWS:
        raise InputError(f"{ratios.size} draws are too few to judge an approximation: take at least {_LEAST_DRAWS}.")
    highest = float(ratios.max())
    if not math.isfinite(highest):
        raise InputError("no draw of the approximation has a finite posterior density; use inference='nuts'.")
    if ratios.max() - ratios.min() < 1e-12:  # equal weights have no tail to fit
        return ImportanceWeights(np.full(ratios.size, -math.log(ratios.size)), 0.0, float(ratios.size))
    inside = np.isfinite(ratios)
    # A finite stand-in for weights of zero: the smoothing takes differences of logarithms.
    ratios = np.where(inside, ratios, ratios[inside].min() - 700.0) - highest
    log_weights, pareto_k = pareto_smoothed(ratios)
    ess = 1.0 / float(np.exp(2.0 * log_weights).sum())
    return ImportanceWeights(log_weights, pareto_k, ess)


def resample(log_weights: Array, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Systematic resampling: (size,) ascending indices, so that copies of one draw stand side by side.

    Draw s is taken floor or ceil(size w_s) times, so a draw is repeated only where its weight asks for it; side by
    side, repetitions show as autocorrelation and lower every effective sample size that is computed later.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.proposals.importance import resample
    >>> resample(np.log([0.5, 0.25, 0.25]), 4, np.random.default_rng(0))
    array([0, 0, 1, 2])
    """
    edges = np.cumsum(np.exp(log_weights - np.max(log_weights)))
    places = (np.arange(size) + rng.random()) / size
    return np.minimum(np.searchsorted(edges / edges[-1], places), len(edges) - 1)


def log_likelihoods(
    density: Density, weights: Array, means: Array, cholesky: Array, *, cores: int | None = None
) -> Array:
    """(S,) log-likelihood of the rows of `density` under draws (S, K), (S, K, D), (S, K, D, D) on the model's scale.

    Streams over the draws: memory does not grow with draws times rows. A draw that is not a mixture has -inf.
    """
    rows, row_weights = density.packed.rows, density.packed.row_weights
    row_model = density.structure.row_model
    log_weights = np.log(np.maximum(weights, np.finfo(float).tiny))
    log_weights, means, scaling = plain(log_weights, means, inverse_cholesky(cholesky))
    out = np.zeros(len(weights))

    def work(s: slice) -> None:
        add_log_likelihoods(rows, row_weights, log_weights[s], means[s], scaling[s], row_model, out[s])

    over_threads(work, len(weights), cores)
    return np.where(np.isnan(out), -np.inf, out)
