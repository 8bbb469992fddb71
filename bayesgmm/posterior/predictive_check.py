"""Posterior predictive check: statistics of the data beside those of tables that the fitted mixture gives.

A replicated table has one draw of the parameters, as many rows as the data, the cells missing that are missing there,
and is rounded as they are (Gelman, Meng and Stern 1996, Statistica Sinica 6, 733-760). Of one variable the statistics
are moments and extremes, of two their correlation. A mixture is fitted to means and standard deviations, so that these
hardly ever disagree; skewness, kurtosis, extremes and correlations may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_count, check_probability, check_seed
from bayesgmm.kernels.spacing import evenly_among_copies, evenly_spaced
from bayesgmm.model.background import Box
from bayesgmm.posterior.replicate import rows_of_draws
from bayesgmm.posterior.tree import observed_rows, posterior_arrays, read_draws

if TYPE_CHECKING:
    import xarray

__all__ = ["STATISTICS", "PredictiveCheck", "predictive_check"]

Array = NDArray[np.float64]

STATISTICS = ("mean", "sd", "skewness", "excess kurtosis", "smallest", "largest")
_MOST_ROWS = 3000


@dataclass(frozen=True, eq=False)
class PredictiveCheck:
    """Statistics of the data and of the replicated tables.

    Attributes
    ----------
    marginals : DataFrame
        A row for each column and each of `STATISTICS`: ``column, statistic, observed, median, lower, upper, p``; `p` is
        the share of replicated tables in which the statistic is larger than in the data.
    pairs : DataFrame
        A row for each pair of columns: ``first, second`` and the same numbers of their correlation.
    rows : array (n, D)
        The rows that were compared, in original units.
    edges : list of arrays
        Edges of bins of each column.
    heights : array (D, 3, bins)
        Share of the rows in each bin: of the data, and the interval of the replicated tables; NaN beyond the last bin.
    n_sets : int
        Replicated tables.
    n_rows : int
        Rows, or copies of rows, of which n were compared.
    ci_prob : float
    """

    marginals: pd.DataFrame
    pairs: pd.DataFrame
    rows: Array
    edges: list[Array]
    heights: Array
    n_sets: int
    n_rows: int
    ci_prob: float

    @property
    def outside(self) -> pd.DataFrame:
        """Statistics outside the interval of the replicated tables, those of pairs last."""
        both = pd.concat([self.marginals, self.pairs.assign(statistic="correlation")], ignore_index=True)
        return both[(both["observed"] < both["lower"]) | (both["observed"] > both["upper"])]


def predictive_check(
    tree: xarray.DataTree, box: Box | None = None, *, n_sets: int = 200, ci_prob: float = 0.95, random_seed: int = 0
) -> PredictiveCheck:
    """Compare the data with tables from the posterior predictive distribution.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    box : Box, optional
        Of the noise, on the model's scale.
    n_sets : int
        Replicated tables, of draws evenly spaced among those of the posterior.
    ci_prob : float
        Probability of the intervals.
    random_seed : int

    Returns
    -------
    PredictiveCheck
        Of more than 3,000 rows, or copies of rows, that many, evenly spaced.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.BayesianGMM(1, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5], [3.0]])
    >>> check = predictive_check(fit.posterior_, n_sets=50)
    >>> check.marginals["statistic"].tolist()
    ['mean', 'sd', 'skewness', 'excess kurtosis', 'smallest', 'largest']
    """
    check_count(n_sets, "n_sets", most=10_000)
    check_probability(ci_prob)
    check_seed(random_seed)
    values, row_weights, _ = observed_rows(tree)
    weights = np.ones(len(values)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    rows = values[evenly_among_copies(weights, _MOST_ROWS)]
    constants = tree["constant_data"].to_dataset()
    step = constants["resolution"].values if "resolution" in constants else np.zeros(rows.shape[1])
    names, gaps = read_draws(tree).feature_names, np.isnan(rows)
    edges = [_edges(column, s) for column, s in zip(rows.T, step, strict=True)]
    observed, found, counted = _statistics(rows), [], []
    for replicated in _tables(tree, box, gaps, step, n_sets, random_seed):
        found.append(_statistics(replicated))
        counted.append(_shares(replicated, edges))
    n_each = len(STATISTICS) * rows.shape[1]
    table = _compared(observed, np.array(found), ci_prob)
    marginals = table.iloc[:n_each].reset_index(drop=True)
    marginals.insert(0, "column", np.repeat(names, len(STATISTICS)))
    marginals.insert(1, "statistic", np.tile(STATISTICS, len(names)))
    pairs = table.iloc[n_each:].reset_index(drop=True)
    first, second = np.triu_indices(len(names), 1)
    pairs.insert(0, "first", np.array(names, dtype=object)[first])
    pairs.insert(1, "second", np.array(names, dtype=object)[second])
    band = np.quantile(counted, _tail(ci_prob), axis=0)
    heights = np.stack([_shares(rows, edges), band[0], band[1]], axis=1)
    return PredictiveCheck(marginals, pairs, rows, edges, heights, n_sets, int(np.ceil(weights.sum())), ci_prob)


def _tail(ci_prob: float) -> list[float]:
    return [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob]


def _tables(
    tree: xarray.DataTree, box: Box | None, gaps: NDArray[np.bool_], step: Array, n_sets: int, seed: int
) -> Iterator[Array]:
    """Replicated tables (n, D), one after the other."""
    a, rng = posterior_arrays(tree), np.random.default_rng(seed)
    draws = evenly_spaced(len(a.weights), n_sets)
    rounded = step > 0.0
    for s in range(n_sets):
        rows, _ = rows_of_draws(a, np.full(len(gaps), draws[s % len(draws)]), rng, box)
        rows[:, rounded] = step[rounded] * np.rint(rows[:, rounded] / step[rounded])
        rows[gaps] = np.nan
        yield rows


def _statistics(rows: Array) -> Array:
    """Those of every column, one column after the other, then the correlation of every pair."""
    mean, sd = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    z = (rows - mean) / np.maximum(sd, np.finfo(float).tiny)
    each = [mean, sd, np.nanmean(z**3, axis=0), np.nanmean(z**4, axis=0) - 3.0, np.nanmin(rows, axis=0),
            np.nanmax(rows, axis=0)]  # fmt: skip
    return np.concatenate([np.array(each).T.ravel(), _correlations(rows)[np.triu_indices(rows.shape[1], 1)]])


def _correlations(rows: Array) -> Array:
    """(D, D), each over the rows that have both cells."""
    if not np.isnan(rows).any():
        with np.errstate(all="ignore"):
            return np.atleast_2d(np.corrcoef(rows, rowvar=False))
    return pd.DataFrame(rows).corr().to_numpy()


def _compared(observed: Array, replicated: Array, ci_prob: float) -> pd.DataFrame:
    lower, upper = np.quantile(replicated, _tail(ci_prob), axis=0)
    larger = (replicated > observed).mean(axis=0) + 0.5 * (replicated == observed).mean(axis=0)
    return pd.DataFrame(
        {"observed": observed, "median": np.median(replicated, axis=0), "lower": lower, "upper": upper, "p": larger}
    )


def _edges(column: Array, step: float) -> Array:
    """About 25 bins over the observed cells; of a rounded column each holds the same number of steps."""
    low, high = float(np.nanmin(column)), float(np.nanmax(column))
    n_bins = int(np.clip(2.0 * np.sqrt((~np.isnan(column)).sum()), 5, 25))
    if step <= 0.0:
        return np.linspace(low, high, n_bins + 1)
    width = step * max(1, round((high - low) / n_bins / step))
    return np.asarray(low - 0.5 * step + width * np.arange(int(np.ceil((high - low + step) / width - 1e-9)) + 1))


def _shares(rows: Array, edges: list[Array]) -> Array:
    """(D, bins) share of the cells of each column in each bin."""
    out = np.full((len(edges), max(len(e) for e in edges) - 1), np.nan)
    for j, (column, e) in enumerate(zip(rows.T, edges, strict=True)):
        known = column[~np.isnan(column)]
        out[j, : len(e) - 1] = np.histogram(known, e)[0] / max(len(known), 1)
    return out
