"""Highest-density regions: the smallest set of values that holds a given probability.

Along one column the region is a union of intervals, more than one where the density has several modes; its level is
found so that the intervals hold exactly the probability. Over several columns it is the set where the log density
exceeds a level, the quantile of the log density of simulated rows.

Hyndman (1996), The American Statistician 50, 120-126.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from bayesgmm.arguments import MOST_SAMPLES, check_count, check_instance, check_probability, check_seed
from bayesgmm.posterior.predict import PredictiveDistribution
from bayesgmm.record import Record

__all__ = ["HighestDensityRegion", "highest_density_region"]

Array = NDArray[np.float64]

_GRID = 800


@dataclass(frozen=True, eq=False, repr=False)
class HighestDensityRegion(Record):
    """Where the density is highest.

    Attributes
    ----------
    ci_prob : float
        Probability inside.
    log_level : float
        Log density at the border, per original unit.
    intervals : array (M, 2) or None
        Of a single column, ascending; None over several columns.
    """

    ci_prob: float
    log_level: float
    intervals: Array | None
    distribution: PredictiveDistribution

    def contains(self, rows: Any) -> NDArray[np.bool_]:
        """(n,) whether each row (n, A) is inside."""
        return self.distribution.log_density(rows) >= self.log_level

    def __str__(self) -> str:
        head = f"{100 * self.ci_prob:g} % highest-density region of {', '.join(self.distribution.features)}: "
        if self.intervals is None:
            return head + f"log density above {self.log_level:.4g}."
        return head + " and ".join(f"[{low:.4g}, {high:.4g}]" for low, high in self.intervals) + "."


def highest_density_region(
    distribution: PredictiveDistribution, ci_prob: float = 0.95, *, n_samples: int = 4000, random_seed: int | None = 0
) -> HighestDensityRegion:
    """Highest-density region of a predictive distribution.

    Parameters
    ----------
    distribution : PredictiveDistribution
        From `posterior.predict.marginal` or `conditional`.
    ci_prob : float
        Probability inside.
    n_samples : int
        Simulated rows that the level comes from over several columns; its probability inside has a standard error
        of sqrt(ci_prob (1 - ci_prob) / n_samples).
    random_seed : int or None

    Returns
    -------
    HighestDensityRegion

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.posterior.highest_density import highest_density_region
    >>> from bayesgmm.posterior.predict import PredictiveDistribution
    >>> two = PredictiveDistribution(np.array([[0.5, 0.5]]), np.array([[[-5.0], [5.0]]]), np.ones((1, 2, 1, 1)),
    ...                              ("x",), {}, 1.0)
    >>> print(highest_density_region(two))
    95 % highest-density region of x: [-6.96, -3.04] and [3.04, 6.96].
    """
    what = "a PredictiveDistribution, from fit.marginal() or fit.conditional()"
    check_instance(distribution, "distribution", PredictiveDistribution, what)
    check_probability(ci_prob)
    check_count(n_samples, "n_samples", most=MOST_SAMPLES)
    check_seed(random_seed)
    if len(distribution.features) > 1:
        simulated = distribution.sample(n_samples, random_seed=random_seed)
        level = float(np.quantile(distribution.log_density(simulated), 1.0 - ci_prob))
        return HighestDensityRegion(ci_prob, level, None, distribution)
    grid = _grid(distribution, ci_prob)
    log_density, cumulative = distribution.log_density(grid), distribution.cdf(grid)

    def edges(level: float) -> Array:
        """Crossings of the level, by linear interpolation of the log density; ends (M, 2)."""
        above = np.concatenate([[False], log_density[1:-1] > level, [False]])
        at = np.flatnonzero(above[:-1] != above[1:])
        share = np.clip((level - log_density[at]) / (log_density[at + 1] - log_density[at]), 0.0, 1.0)
        return (at + share).reshape(-1, 2)

    def inside(level: float) -> float:
        return float(np.diff(np.interp(edges(level), np.arange(len(grid)), cumulative), axis=1).sum()) - ci_prob

    level = float(brentq(inside, log_density.max() - 60.0, log_density.max() - 1e-9))

    def border(position: float) -> float:
        low, high = grid[int(position)], grid[min(int(position) + 1, len(grid) - 1)]
        ends = distribution.log_density([low, high]) - level
        if ends[0] * ends[1] >= 0.0:
            return float(np.interp(position, np.arange(len(grid)), grid))
        return float(brentq(lambda x: distribution.log_density([x])[0] - level, low, high, rtol=1e-10))

    intervals = np.array([[border(a), border(b)] for a, b in edges(level)])
    return HighestDensityRegion(ci_prob, level, intervals, distribution)


def _grid(distribution: PredictiveDistribution, ci_prob: float) -> Array:
    """Ascending values: even steps, and quantiles of simulated ones, which are close where the density is."""
    tail = min(1e-5, 0.01 * (1.0 - ci_prob))
    low, high = distribution.quantile([tail, 1.0 - tail]).iloc[:, 0]
    reach = 0.1 * (high - low)
    simulated = distribution.sample(20 * _GRID, random_seed=0).iloc[:, 0]
    near = np.quantile(simulated, np.linspace(0.0, 1.0, _GRID))
    return np.unique(np.concatenate([np.linspace(low - reach, high + reach, _GRID), near]))
