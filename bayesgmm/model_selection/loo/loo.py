"""Leave-one-out predictive density: Pareto-smoothed importance sampling, and repairs where it fails.

PSIS-LOO (Vehtari, Gelman, Gabry 2017, Statistics and Computing 27, 1413-1432; Vehtari, Simpson, Gelman, Yao, Gabry
2024, JMLR 25, 72) is ArviZ's, a row at a time. A row whose Pareto k exceeds min(1 - 1 / log10 S, 0.7) is not to be
trusted. It is repaired: bridge sampling between the posterior and that without the row, from short chains
(`inference.gibbs.left_out`), or exact refits (`model_selection.loo.kfold`). Rows with k above 0.5, whose weights have
no variance, go with it: on eleven galaxies and K = 3 all k are below 0.7 and PSIS is 0.6 nats above the exact answer
all the same. Every row says what its number came from; the numbers before repair are kept.

A row of weight a is a copies of it. One copy is left out, and a times its score is that of the row: a log E p(y_i |
theta), over the posterior of all else, the other copies included. Of a row with a weight below one all is left out, and
its score is log E p(y_i | theta)^a. Pareto k, and whether a score is good enough, are those of one copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.copies import copied_rows, multiplicity
from bayesgmm.errors import InputError
from bayesgmm.model.proposals.pareto import pareto_smoothed
from bayesgmm.model_selection.loo.pointwise import SCORE_MCSE, log_likelihood_blocks, scored_weights, sum_and_se
from bayesgmm.posterior.diagnostics.convergence import ess_of_means
from bayesgmm.posterior.tree import approximation_log_ratio
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["REPAIR_K", "UNSMOOTHED", "LooResult", "Repair", "loo", "pareto_k_threshold", "psis", "repaired"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Repair = Callable[[IntArray, Array], tuple[Array, Array]]

UNSMOOTHED = "importance sampling"  # of ratios that hardly vary, which need no smoothing
REPAIR_K = 0.5  # Pareto k from which the weights have no variance
_MOST_COPIES = 1_000_000  # that ArviZ gets
_MIN_DRAWS = 25  # PSIS fits the tail to a fifth of the draws, five at least


@dataclass(frozen=True, eq=False, repr=False)
class LooResult(Record):
    """Leave-one-out predictive density of a fit.

    Attributes
    ----------
    elpd, se : float
        Expected log pointwise predictive density, and its standard error over rows; with weights, over copies.
    p : float
        Effective number of parameters, the sum of `p_i`.
    mcse : float
        Monte Carlo standard error of `elpd`, rows counted as independent; NaN if some row's is unknown.
    good_k : float
        Largest trusted Pareto k.
    n_samples : int
        Draws, chains pooled.
    elpd_i, mcse_i, p_i : arrays (N,)
        By row: the score, of all copies together, its Monte Carlo error, and log predictive density less the score.
    weight_i : array (N,)
        Copies of each row.
    pareto_k : array (N,)
        Before repair.
    method_i : array of str (N,)
        ``"PSIS"`` or the name of the repair.
    ok_i : bool array (N,)
        Whether PSIS could be trusted or a repair succeeded.
    psis_elpd_i : array (N,)
        Before repair.
    row_names : array (N,)
    n_rows : int or None
        Of how many observations the rows are a random sample (`model_selection.loo.of_sample`); None: they are all.
    sampling_se : float
        Standard error of `elpd` that comes of the sample and of the draws.
    """

    elpd: float
    se: float
    p: float
    mcse: float
    good_k: float
    n_samples: int
    elpd_i: Array
    mcse_i: Array
    p_i: Array
    pareto_k: Array
    method_i: NDArray[np.str_]
    ok_i: NDArray[np.bool_]
    psis_elpd_i: Array
    row_names: NDArray[Any]
    weight_i: Array
    n_rows: int | None = None
    sampling_se: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every row's score can be trusted."""
        return bool(self.ok_i.all())

    @property
    def n_bad(self) -> int:
        """Rows whose score cannot be trusted."""
        return int((~self.ok_i).sum())

    @property
    def n_repaired(self) -> int:
        """Rows with a score from a repair that succeeded."""
        return int((self.ok_i & ~np.isin(self.method_i, ("PSIS", UNSMOOTHED))).sum())

    @property
    def counts(self) -> dict[str, int]:
        """Rows by the method of their score, PSIS first."""
        names, first, counts = np.unique(self.method_i, return_index=True, return_counts=True)
        order = sorted(range(len(names)), key=lambda j: (names[j] != "PSIS", first[j]))
        return {str(names[j]): int(counts[j]) for j in order}

    def to_elpd_data(self) -> Any:
        """ArviZ's record of these numbers, repaired, for ``az.compare({k: result.to_elpd_data(), ...})``.

        As in ``az.reloo``, the Pareto k of a row whose repair succeeded is 0; the k before repair are in
        ``influence_pareto_k``. Rows of whole weights are there as often as they count, up to 1,000,000 in all: ArviZ
        knows no weights. Of a random sample of rows each is there once.
        """
        import xarray as xr
        from arviz_stats.utils import ELPDDataLOO

        copies = None if self.n_rows is not None else copied_rows(self.weight_i, _MOST_COPIES)
        index = np.arange(len(self.elpd_i)) if copies is None else copies
        of_one = copies is not None or self.n_rows is not None
        share = multiplicity(self.weight_i) if of_one else np.ones(len(self.elpd_i))

        def by_row(values: Array) -> xr.DataArray:
            return xr.DataArray(values[index], dims=["obs_id"], coords={"obs_id": self.row_names[index]})

        repaired = self.ok_i & (self.method_i != "PSIS")
        return ELPDDataLOO(
            elpd=self.elpd, se=self.se, p=self.p, n_samples=self.n_samples, n_data_points=len(index),
            scale="log", warning=not self.ok, good_k=self.good_k, elpd_i=by_row(self.elpd_i / share),
            pareto_k=by_row(np.where(repaired, 0.0, self.pareto_k)), influence_pareto_k=by_row(self.pareto_k),
            p_loo_i=by_row(self.p_i / share),
        )  # fmt: skip

    def __str__(self) -> str:
        n, counts = len(self.elpd_i), self.counts
        sentence = f"elpd_loo {self.elpd:.1f} (SE {self.se:.1f}), p_loo {self.p:.1f}; "
        sentence += "; ".join(
            f"{m} of {n} observations by PSIS" if name == "PSIS" else f"{m} by {name}" for name, m in counts.items()
        )
        sentence += f"; largest Pareto k {self.pareto_k.max():.2f} before repair" if self.n_repaired else (
            f"; largest Pareto k {self.pareto_k.max():.2f}"
        )  # fmt: skip
        if self.n_rows is not None:
            sentence += f"; estimated from a random sample of {self.n_rows:,} observations (SE {self.sampling_se:.2g})"
        if self.ok:
            return sentence + "."
        have = "1 observation has" if self.n_bad == 1 else f"{self.n_bad} observations have"
        return (
            f"{sentence}. {have} a Pareto k above {self.good_k:.2f} and no score that is accurate to {SCORE_MCSE}: "
            "elpd_loo is likely too high."
        )


def loo(tree: xarray.DataTree, *, repairs: Mapping[str, Repair] | None = None, reff: float | None = None) -> LooResult:
    """Leave-one-out predictive density from the draws of a fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    repairs : mapping of str to callable, optional
        As in `repaired`.
    reff : float, optional
        Relative efficiency of the draws, as in ``az.loo``. By default every row has its own, the effective sample
        size of its likelihood over the number of draws (as R loo has it): the parameters of components say nothing
        about it when labels switch.

    Returns
    -------
    LooResult

    Raises
    ------
    InputError
        If there are fewer than 25 draws, or a repair returns something else than one number a row.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.model_selection.loo.loo import loo
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> result = loo(fit.posterior_)
    >>> result.ok, result.counts
    (True, {'PSIS': 272})
    """
    parts = []
    n_samples = 0
    log_ratio = approximation_log_ratio(tree)
    weight_i = scored_weights(tree)
    for where, values in log_likelihood_blocks(tree):
        n_samples = values.shape[0] * values.shape[1]
        if n_samples < _MIN_DRAWS:
            raise InputError(f"LOO needs at least {_MIN_DRAWS} draws, got {n_samples}: sample more.")
        by_row = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        known = np.full(len(by_row), reff or 1.0)
        if reff is None and log_ratio is None:
            known = _relative_efficiency(by_row)
        parts += [
            psis(row, float(r), log_ratio) if weight > 0.0 else (0.0, 0.0, 0.0, 0.0)
            for row, r, weight in zip(by_row, known, weight_i[where], strict=True)
        ]
    elpd_i, lppd_i, pareto_k, mcse_i = np.array(parts).T
    elpd_i, lppd_i, mcse_i = (a * multiplicity(weight_i) for a in (elpd_i, lppd_i, mcse_i))
    ok_i = pareto_k <= pareto_k_threshold(n_samples)
    names = tree["log_likelihood" if "log_likelihood" in tree.children else "observed_data"].to_dataset()
    result = LooResult(
        *_sums(elpd_i, lppd_i - elpd_i, np.where(ok_i, mcse_i, math.nan), weight_i),
        good_k=pareto_k_threshold(n_samples), n_samples=n_samples, elpd_i=elpd_i,
        mcse_i=np.where(ok_i, mcse_i, math.nan), p_i=lppd_i - elpd_i, pareto_k=pareto_k,
        method_i=np.full(len(elpd_i), "PSIS"), ok_i=ok_i, psis_elpd_i=elpd_i.copy(), row_names=names["obs_id"].values,
        weight_i=weight_i,
    )  # fmt: skip
    return repaired(result, repairs) if repairs else result


def repaired(result: LooResult, repairs: Mapping[str, Repair]) -> LooResult:
    """The scores of rows with a Pareto k above 0.5 computed again.

    Parameters
    ----------
    result : LooResult
        Of `loo`, without repairs.
    repairs : mapping of str to callable
        By name, in the order to try: ``repair(rows, elpd_i) -> (elpd_i, mcse_i)`` gets the numbers of the rows still
        open, with their scores so far, and gives scores and Monte Carlo errors, NaN where it failed. Rows with a
        Pareto k above 0.5 are open at first; a row stays open while the error of a copy is NaN or above 0.1. Where no
        repair succeeds a row keeps PSIS if its k can be trusted, with an error of at least 0.1 a copy, else the best
        finite number, as a rough one.
    """
    open_i, ok_i = result.pareto_k > min(REPAIR_K, result.good_k), result.ok_i.copy()
    elpd_i, mcse_i, method_i = result.elpd_i.copy(), result.mcse_i.copy(), result.method_i.astype(object)
    largest = SCORE_MCSE * multiplicity(result.weight_i)
    for name, repair in repairs.items():
        rows = np.flatnonzero(open_i)
        if len(rows) == 0:
            break
        scores, errors = (np.asarray(a, dtype=np.float64) for a in repair(rows, elpd_i[rows]))
        if scores.shape != rows.shape or errors.shape != rows.shape:
            raise InputError(f"the repair {name!r} must give one score and one error for each of {len(rows)} rows.")
        done = np.isfinite(scores) & (errors <= largest[rows])
        better = (method_i[rows] == "PSIS") | (errors < np.nan_to_num(mcse_i[rows], nan=math.inf))
        kept = done | (~ok_i[rows] & np.isfinite(scores) & np.isfinite(errors) & better)
        elpd_i[rows[kept]], mcse_i[rows[kept]], method_i[rows[kept]] = scores[kept], errors[kept], name
        ok_i[rows[done]], open_i[rows[done]] = True, False
    # What PSIS says of a row that none could repair is worth no more than what they were to reach.
    mcse_i = np.where(ok_i & open_i, np.maximum(mcse_i, largest), mcse_i)
    p_i = result.p_i + result.elpd_i - elpd_i
    elpd, se, p, mcse = _sums(elpd_i, p_i, mcse_i, result.weight_i)
    return replace(
        result, elpd=elpd, se=se, p=p, mcse=mcse, elpd_i=elpd_i, mcse_i=mcse_i, p_i=p_i,
        method_i=method_i.astype(str), ok_i=ok_i,
    )  # fmt: skip


def _sums(elpd_i: Array, p_i: Array, mcse_i: Array, weight_i: Array) -> tuple[float, float, float, float]:
    return *sum_and_se(elpd_i, weight_i), float(p_i.sum()), float(np.sqrt((mcse_i**2).sum()))


def pareto_k_threshold(n_samples: int) -> float:
    """Largest Pareto k that so many draws can bear, min(1 - 1 / log10 S, 0.7).

    >>> pareto_k_threshold(4000)
    0.7
    """
    return min(1.0 - 1.0 / math.log10(n_samples), 0.7)


def _relative_efficiency(log_likelihood: Array) -> Array:
    """Of the likelihoods (N, C, S) of rows: effective sample size over the number of draws, 1 where it is not known."""
    density = np.exp(log_likelihood - log_likelihood.max(axis=(1, 2), keepdims=True))
    reff = ess_of_means(density) / density[0].size
    return np.where(np.isfinite(reff), reff, 1.0)


def _log_sum_exp(values: Array) -> float:
    """As scipy's, which takes 0.1 ms a call, of which there are two a row."""
    highest = values.max()
    return float(highest + np.log(np.exp(values - highest).sum()))


def psis(log_likelihood: Array, reff: float, log_ratio: Array | None) -> tuple[float, float, float, float]:
    """elpd, log posterior predictive density, Pareto k and Monte Carlo error of one row, from draws (C, S).

    With `log_ratio` the draws are independent ones of an approximation, and are weighed by it (Magnusson, Andersen,
    Jonasson and Vehtari 2019, PMLR 97); as ``az.loo_approximate_posterior``.
    """
    rough = log_likelihood.ravel() if log_ratio is None else (log_likelihood + log_ratio).ravel()
    lppd = _log_sum_exp(rough) - (math.log(rough.size) if log_ratio is None else 0.0)
    if log_ratio is None and np.ptp(rough) <= 1e-12:  # a row of weight 0
        return lppd, lppd, 0.0, 0.0
    ratio = log_likelihood.ravel() if log_ratio is None else (log_likelihood - log_ratio).ravel()
    log_weights, pareto_k = pareto_smoothed(-ratio, reff)
    elpd = _log_sum_exp(log_weights + log_likelihood.ravel())
    # Of the self-normalised estimate of the density, then of its log (delta method).
    spread = np.exp(log_weights + log_likelihood.ravel() - elpd) - np.exp(log_weights)
    return elpd, lppd, pareto_k, math.sqrt(float((spread**2).sum()) / min(reff, 1.0))
