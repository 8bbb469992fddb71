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
from scipy.special import logsumexp

from bayesgmm.arguments import MOST_SAMPLES, check_count, check_probability, check_seed
from bayesgmm.kernels.draw_blocks import BLOCK_BYTES
from bayesgmm.kernels.streaming import pointwise_log_density, predictive_log_density
from bayesgmm.posterior.predict import marginal
from bayesgmm.posterior.tree import PosteriorArrays, named_rows, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["outlier_score"]

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
        the most unusual (a new row's rank is the one it would have among them); ``tail_probability``, the
        probability that a row of the posterior predictive distribution is at least as unusual; ``log_density`` =
        -score, with ``lower`` and ``upper``, the interval over draws; where few draws make up the predictive density,
        as for rows far from all others, it is widened to hold that too.

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
    tails = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
    n_block = max(1, BLOCK_BYTES // (8 * len(a.weights)))
    for start in range(0, len(values), n_block):
        where = slice(start, start + n_block)
        each = pointwise_log_density(z[where], a.weights, a.means, a.scaling, row_model=a.row_model)
        log_density[where] = logsumexp(each, axis=0) - np.log(len(each))
        bounds[:, where] = np.quantile(each, tails, axis=0, overwrite_input=True)
    log_density -= a.log_jacobian
    bounds -= a.log_jacobian
    fitted = log_density if rows is None else _predictive(observed_rows(tree)[0], a)
    simulated = np.sort(_predictive(marginal(tree).sample(n_samples, random_seed=random_seed).to_numpy(), a))
    lower_than = np.searchsorted(simulated, log_density, side="right")
    return pd.DataFrame(
        {
            "score": -log_density,
            "rank": 1 + np.searchsorted(np.sort(fitted), log_density - _TIE, side="left"),
            "tail_probability": (1 + lower_than) / (1 + n_samples),
            "log_density": log_density,
            "lower": np.minimum(bounds[0], log_density),
            "upper": np.maximum(bounds[1], log_density),
        },
        index=names,
    )


def _predictive(values: np.ndarray[Any, np.dtype[np.float64]], a: PosteriorArrays) -> Any:
    out = predictive_log_density(a.to_model(values), a.weights, a.means, a.scaling, row_model=a.row_model)
    return out - a.log_jacobian
