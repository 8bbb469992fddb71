"""WAIC, the widely applicable information criterion (Watanabe 2010, JMLR 11, 3571-3594), as a legacy column.

elpd_waic_i = log E p(y_i | theta) - Var log p(y_i | theta), both over the posterior (Gelman, Hwang, Vehtari 2014,
Statistics and Computing 24, 997-1016). Where a variance exceeds 0.4 it cannot be trusted (Vehtari, Gelman, Gabry 2017);
mixtures with few rows a component meet this often, so `model_selection.loo.loo` is what to compare fits by. A row of
weight a has a times the score of one copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.data.copies import multiplicity
from bayesgmm.errors import InputError
from bayesgmm.model_selection.loo.pointwise import log_likelihood_blocks, scored_weights, sum_and_se
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["P_UNSTABLE", "WaicResult", "waic"]

Array = NDArray[np.float64]

P_UNSTABLE = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class WaicResult(Record):
    """WAIC of a fit, on the scale of the log predictive density (higher is better).

    Attributes
    ----------
    elpd, se : float
        Estimated expected log pointwise predictive density, and its standard error over rows.
    p : float
        Effective number of parameters, the sum of `p_i`.
    n_unstable : int
        Rows of which the `p_i` of a copy exceeds 0.4.
    elpd_i, p_i : arrays (N,)
        Of all copies of a row.
    """

    elpd: float
    se: float
    p: float
    n_unstable: int
    elpd_i: Array
    p_i: Array

    @property
    def ok(self) -> bool:
        """Whether every row's variance is small enough to be trusted."""
        return self.n_unstable == 0

    def __str__(self) -> str:
        words = f"elpd_waic {self.elpd:.1f} (SE {self.se:.1f}; legacy), p_waic {self.p:.1f}"
        if self.ok:
            return words + "."
        rows = "1 observation has" if self.n_unstable == 1 else f"{self.n_unstable} observations have"
        return f"{words}; {rows} p_waic above {P_UNSTABLE:g}, so it is not to be trusted: use LOO."


def waic(tree: xarray.DataTree) -> WaicResult:
    """WAIC from the draws of a fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.

    Returns
    -------
    WaicResult

    Raises
    ------
    InputError
        If there is only one draw.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.model_selection.loo.waic import waic
    >>> fit = bg.BayesianGMM(1, random_seed=1, progressbar=False).fit([[1.0], [2.0], [4.0], [2.5], [3.0]])
    >>> result = waic(fit.posterior_)
    >>> result.elpd_i.shape, result.p > 0
    ((5,), True)
    """
    scores: list[Array] = []
    penalties: list[Array] = []
    for _, values in log_likelihood_blocks(tree):
        flat = values.reshape(-1, values.shape[-1])
        if len(flat) < 2:
            raise InputError("WAIC needs at least two draws: sample more.")
        p = flat.var(axis=0, ddof=1)
        penalties.append(p)
        scores.append(logsumexp(flat, axis=0) - math.log(len(flat)) - p)
    weights = scored_weights(tree)
    p_copy, times = np.concatenate(penalties), multiplicity(weights)
    elpd_i, p_i = times * np.concatenate(scores), times * p_copy
    elpd, se = sum_and_se(elpd_i, weights)
    return WaicResult(elpd, se, float(p_i.sum()), int((p_copy > P_UNSTABLE).sum()), elpd_i, p_i)
