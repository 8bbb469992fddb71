"""How unusual a row is: the posterior predictive density, its rank, and how sure we are of it.

The score of a row is minus the log of the posterior predictive density, so the whole posterior is in it. The interval
is that of the log density over draws: wide where the model is unsure of the density itself. The tail probability puts
the score on a scale without units: how often a row from the fitted distribution would be at least as unusual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.arguments import MOST_SAMPLES, check_count, check_probability, check_seed
from bayesgmm.data.copies import are_whole
from bayesgmm.kernels.draw_blocks import BLOCK_BYTES
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.streaming import mean_responsibilities, pointwise_log_density, predictive_log_density
from bayesgmm.posterior.predict import marginal
from bayesgmm.posterior.tree import PosteriorArrays, model_rows, named_rows, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["outlier_score"]

Array = NDArray[np.float64]

_TIE = 1e-9  # log densities closer than this are one


def outlier_score(
    tree: xarray.DataTree,
    rows: Any = None,
    *,
    ci_prob: float = 0.95,
    row_names: Sequence[Any] | pd.Index[Any] | None = None,
    n_samples: int = 4000,
    random_seed: int | None = 0,
) -> pd.DataFrame:
    """Anomaly score of each row.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    rows, row_names
        As in `clustering.assignment.assignment`.
    ci_prob : float
        Probability of the equal-tailed interval of the log density.
    n_samples : int
        Simulated rows that the tail probability comes from; it is never below 1 / (n_samples + 1).
    random_seed : int or None

    Returns
    -------
    DataFrame (N rows)
        ``score``, minus the log posterior predictive density per original unit; ``rank`` among the fitted rows, 1
        the most unusual (a new row's rank is the one it would have among them; a row of weight a is a of them);
        ``tail_probability``, the probability that a row of the posterior predictive distribution is at least as
        unusual; ``log_density`` = -score, with ``lower`` and ``upper``, the interval over draws; where few draws make
        up the predictive density, as for rows far from all others, it is widened to hold that too. A row with missing
        cells has the density of those that it has, its tail probability is that of rows with the same cells, and ranks
        then go by tail probability. Where there is a noise component, ``noise_probability``, and the tail probability
        is that among rows that are no noise.

    Notes
    -----
    Fitted rows helped to shape the density that they are measured by, which makes them look less unusual than they
    are; leave-one-out densities (`az.loo`) do without that.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.posterior.outliers import outlier_score
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> table = outlier_score(fit.posterior_, [[3.0, 95.0], [2.0, 55.0]], row_names=["odd", "usual"])
    >>> table["rank"].to_dict()["odd"], bool(table["tail_probability"]["usual"] > 0.5)
    (1, True)
    """
    check_probability(ci_prob)
    check_count(n_samples, "n_samples", most=MOST_SAMPLES)
    check_seed(random_seed)
    values, names, _ = named_rows(tree, rows, row_names)
    a = posterior_arrays(tree)
    z = a.to_model(values)
    log_density, bounds = np.empty(len(values)), np.empty((2, len(values)))
    ends = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
    n_block = max(1, BLOCK_BYTES // (8 * len(a.weights)))
    for start in range(0, len(values), n_block):
        where = slice(start, start + n_block)
        each = pointwise_log_density(z[where], a.weights, a.means, a.scaling, row_model=a.row_model)
        log_density[where] = logsumexp(each, axis=0) - np.log(len(each))
        bounds[:, where] = np.quantile(each, ends, axis=0, overwrite_input=True)
    log_density -= a.log_jacobian(values)
    bounds -= a.log_jacobian(values)
    fitted, weight, _ = observed_rows(tree)
    simulated = marginal(tree).sample(n_samples, random_seed=random_seed).to_numpy()
    tails = _tail_probability(values, log_density, simulated, a)
    if np.isnan(values).any() or np.isnan(fitted).any():  # densities of different cells are not to be compared
        others, own = _tail_probability(fitted, _predictive(fitted, a), simulated, a), tails
    else:
        others, own = (log_density if rows is None else _predictive(fitted, a)), log_density
    out = pd.DataFrame(
        {
            "score": -log_density,
            "rank": _ranks(own, others, np.ones(len(fitted)) if weight is None else weight),
            "tail_probability": tails,
            "log_density": log_density,
            "lower": np.minimum(bounds[0], log_density),
            "upper": np.maximum(bounds[1], log_density),
        },
        index=names,
    )
    if a.n_classes > a.n_components:
        packed = model_rows(tree, a, None if rows is None else values)
        r = mean_responsibilities(packed, a.weights, a.means, a.scaling, row_model=a.row_model)
        out["noise_probability"] = r[:, -1]
    return out


def _ranks(own: Array, others: Array, weights: Array) -> NDArray[Any]:
    """1 + the weight of the rows that are more unusual; whole where weights are."""
    order = np.argsort(others, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weights[order])])
    ranks = 1.0 + before[np.searchsorted(others[order], own - _TIE, side="left")]
    return ranks.astype(np.int64) if are_whole(weights) else ranks


def _tail_probability(values: Array, log_density: Array, simulated: Array, a: PosteriorArrays) -> Array:
    """(N,) how often a simulated row, in the cells that the row has, is at least as unusual."""
    _, order, first, patterns, _ = as_rows(values)
    parts = [(order[first[p] : first[p + 1]], seen.astype(bool)) for p, seen in enumerate(patterns)]
    out = np.empty(len(values))
    for where, seen in parts or [(np.arange(len(values)), np.ones(values.shape[1], dtype=bool))]:
        known = np.sort(_predictive(np.where(seen, simulated, np.nan), a))
        out[where] = (1 + np.searchsorted(known, log_density[where], side="right")) / (1 + len(simulated))
    return out


def _predictive(values: Array, a: PosteriorArrays) -> Array:
    out = predictive_log_density(a.to_model(values), a.weights, a.means, a.scaling, row_model=a.row_model)
    return out - a.log_jacobian(values)
