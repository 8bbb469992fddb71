"""Pareto-smoothed importance weights (Vehtari et al. 2024, JMLR 25(72)): ArviZ's, for every sort of draws."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["pareto_smoothed"]

Array = NDArray[np.float64]


def pareto_smoothed(log_weights: Array, r_eff: float = 1.0) -> tuple[Array, float]:
    """Log weights (S,) with a smoothed tail, normalised, and Pareto k.

    Chains that stand still can leave a tail of one value, or of so few that no distribution fits it. Then k is infinite
    and the weights are those that were given.

    >>> x = np.random.default_rng(0).normal(size=1000)
    >>> bool(pareto_smoothed(x)[1] < 0.7), pareto_smoothed(np.repeat([0.0, 3.0], 500))[1]
    (True, inf)
    """
    from arviz_stats.base import array_stats

    try:
        with np.errstate(all="ignore"):
            smoothed, k = array_stats.psislw(-log_weights, r_eff=r_eff)  # it takes log-likelihoods
    except ValueError:  # of a tail of one value
        k = math.nan
    if not math.isfinite(k) or not np.isfinite(smoothed).all():
        return log_weights - logsumexp(log_weights), math.inf
    return np.asarray(smoothed), float(k)
