"""Leave-one-out predictive density of many rows, from some of the draws, and from a random sample of the rows.

The score of row i is its posterior mean log density m_i, and the rest e_i = elpd_i - m_i, which is small. The first sum
to the posterior mean of the log-likelihood, which is known for all rows. So only the second need be estimated: by
sum_i w_i e_i over n sampled rows, weights w_i raised to those of all N, with standard error

    N sqrt((1 - n / N) var(e) / n).

That is the difference estimator of Magnusson, Vehtari, Jonasson and Andersen (2020, AISTATS, PMLR 108, 341-351), with
m_i for the approximation. Fits that are compared share the sample, so their differences are known better still.

elpd_i is by importance sampling of the draws, -log E 1 / p(y_i | theta). With so many rows the ratios hardly vary:
where they stay within a factor e their mean needs no smoothing, and their Pareto k is given as 0; else it is PSIS
(`model_selection.loo.loo`). Some hundred draws are enough; what error they leave is in the standard error. Of a long
table in memory the sample is all rows, and only draws are saved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.data.copies import datum, multiplicity
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model_selection.loo.loo import UNSMOOTHED, LooResult, pareto_k_threshold, psis
from bayesgmm.model_selection.loo.pointwise import sum_and_se
from bayesgmm.posterior.diagnostics.convergence import ess_of_means
from bayesgmm.posterior.tree import approximation_log_ratio, model_rows, observed_rows, posterior_arrays, read_draws

if TYPE_CHECKING:
    import xarray

__all__ = ["loo_of_sample"]

Array = NDArray[np.float64]

_FEWEST, _MOST, _WORK = 250, 1000, 1e10  # draws, and multiply-adds of all densities: some seconds on two cores
_BOUNDED = 1.0  # range of the log ratios of a row within which they need no smoothing
_NUMBERS = 5_000_000  # held at once


def loo_of_sample(tree: xarray.DataTree, n_rows: int) -> LooResult:
    """LOO of a fit that has many rows, or a random sample of them.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``: ``log_likelihood_total`` of all rows, ``observed_data`` the sample, whose weights sum to
        those of all rows.
    n_rows : int
        All rows, which those of the tree are a sample of, or all.

    Returns
    -------
    LooResult
        Rows are those of the sample; all carry the same small constant, by which ``elpd_i`` sum to ``elpd``.
        ``sampling_se`` is the standard error that comes of the sample and of the draws.
    """
    rows, weights, names = observed_rows(tree)
    w = np.ones(len(rows)) if weights is None else np.asarray(weights)
    a, by_chain = posterior_arrays(tree), read_draws(tree).log_likelihood
    total = by_chain.ravel()
    log_ratio = approximation_log_ratio(tree)
    # Chains that move slowly know means no better than so many independent draws.
    worth = float(len(total)) if log_ratio is not None else float(ess_of_means(by_chain[None])[0])
    log_ratio = np.zeros(len(total)) if log_ratio is None else log_ratio.ravel()
    work = float(len(rows)) * a.n_components * (a.means.shape[2] ** 2 + 10)
    some = evenly_spaced(len(total), int(min(max(_WORK / work, _FEWEST), _MOST)))
    log_share = log_ratio[some] - logsumexp(log_ratio[some])
    share = np.exp(log_share)
    mean_i, rest_i, lppd_i, mcse_i, range_i = (np.empty(len(rows)) for _ in range(5))
    pareto_k, of_draws = np.zeros(len(rows)), np.zeros(len(some))
    copies = multiplicity(w) * (w > 0.0)
    step = max(1, _NUMBERS // len(some))
    for start in range(0, len(rows), step):
        where = slice(start, min(start + step, len(rows)))
        packed = model_rows(tree, a, some=where)
        x = pointwise_log_density(packed, a.weights[some], a.means[some], a.scaling[some], row_model=a.row_model)
        x = (x - a.log_jacobian(rows[where])) * datum(w[where])  # (S, n)
        mean_i[where] = share @ x
        x -= mean_i[where]
        lppd_i[where] = np.log(share @ np.exp(x))
        inverse = np.exp(-x)
        of_mean = share @ inverse
        rest_i[where] = -np.log(of_mean)
        inverse /= of_mean
        inverse += x - 1.0  # what the score owes to each draw
        mcse_i[where] = np.sqrt(share**2 @ inverse**2)
        of_draws += inverse @ copies[where]
        range_i[where] = np.ptp(x, axis=0)
        for i in np.flatnonzero((range_i[where] > _BOUNDED) & (w[where] > 0.0)):
            rest_i[start + i], _, pareto_k[start + i], mcse_i[start + i] = psis(x[:, i], 1.0, log_share)
    good_k, draws_error = pareto_k_threshold(len(some)), float(np.sqrt(share**2 @ (of_draws - share @ of_draws) ** 2))
    draws_error *= math.sqrt(max(1.0, len(some) / worth))
    share = np.exp(log_ratio - logsumexp(log_ratio))
    mean = float(share @ total)
    shift = (mean - float(copies @ mean_i)) / float(copies.sum())
    elpd_i, p_i, ok = copies * (mean_i + rest_i + shift), copies * (lppd_i - rest_i), pareto_k <= good_k
    mcse_i = np.where(ok, copies * mcse_i, math.nan)
    elpd, se = sum_and_se(elpd_i, w)
    n = len(rows)
    of_total = math.sqrt(max(1.0, len(total) / worth)) * float(np.sqrt(share**2 @ (total - mean) ** 2))
    rows_error = math.sqrt(n * (1.0 - min(n / n_rows, 1.0))) * float(np.std(copies * rest_i, ddof=1))
    return LooResult(
        elpd=elpd, se=se, p=float(p_i.sum()), mcse=float(np.sqrt((mcse_i**2).sum())), good_k=good_k,
        n_samples=len(some), elpd_i=elpd_i, mcse_i=mcse_i, p_i=p_i, pareto_k=pareto_k,
        method_i=np.where(range_i <= _BOUNDED, UNSMOOTHED, "PSIS"), ok_i=ok, psis_elpd_i=elpd_i.copy(),
        row_names=names, weight_i=w, n_rows=n_rows if n_rows > n else None,
        sampling_se=math.hypot(rows_error, draws_error, of_total),
    )  # fmt: skip
