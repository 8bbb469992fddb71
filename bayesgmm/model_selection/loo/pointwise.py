"""Pointwise log-likelihood of a fit, a block of rows at a time, and what every pointwise score needs.

The blocks come from the tree's ``log_likelihood`` where it is stored, and from the draws where it is not, so that
leave-one-out scores need no draws x rows numbers at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.data.copies import datum, multiplicity, weighted_spread
from bayesgmm.errors import InputError
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.posterior.diagnostics.convergence import r_hat
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = [
    "SCORE_MCSE", "RowScores", "Score", "log_likelihood_blocks", "log_mean", "log_ratio", "scored_weights",
    "sum_and_se",
]  # fmt: skip

Array = NDArray[np.float64]

SCORE_MCSE = 0.1  # of a row's score, above which the next repair is tried
_SCORE_R_HAT, _SCORE_ESS = 1.05, 100.0
_BLOCK_BYTES = 40_000_000


def log_likelihood_blocks(tree: xarray.DataTree) -> Iterator[tuple[slice, Array]]:
    """Walk over the rows of a fit.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.

    Yields
    ------
    slice, array (C, S, n)
        Rows of the block, and the log-likelihood under every draw of one observation of each, a copy of the row: log
        density per original unit, times the weight of a row that weighs less than one.

    Raises
    ------
    InputError
        If the tree holds neither a pointwise log-likelihood nor the data.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from bayesgmm.model_selection.loo.pointwise import log_likelihood_blocks
    >>> values = xr.Dataset({"obs": (("chain", "draw", "obs_id"), np.zeros((4, 9, 3)))})
    >>> [(rows, x.shape) for rows, x in log_likelihood_blocks(xr.DataTree.from_dict({"log_likelihood": values}))]
    [(slice(0, 3, None), (4, 9, 3))]
    """
    weight = scored_weights(tree)
    if "log_likelihood" in tree.children:
        values = tree["log_likelihood"].to_dataset()["obs"].transpose("chain", "draw", "obs_id").values
        n_chains, n_draws, n_rows = values.shape
        for where in _blocks(n_rows, n_chains * n_draws):
            yield where, np.asarray(values[..., where], dtype=np.float64) / multiplicity(weight[where])
        return
    if "observed_data" not in tree.children:
        raise InputError("this tree holds neither a pointwise log-likelihood nor the data; fit again.")
    rows = observed_rows(tree)[0]
    a = posterior_arrays(tree)
    sizes = tree["posterior"].sizes
    shape = (sizes["chain"], sizes["draw"])
    for where in _blocks(len(rows), len(a.weights)):
        density = pointwise_log_density(
            model_rows(tree, a, some=where), a.weights, a.means, a.scaling, row_model=a.row_model
        )
        yield where, ((density - a.log_jacobian(rows[where])) * datum(weight[where])).reshape(*shape, -1)


def scored_weights(tree: xarray.DataTree) -> Array:
    """(N,) weights of the rows that have scores; ones where none are recorded."""
    if "constant_data" in tree.children and "row_weight" in tree["constant_data"].data_vars:
        return np.asarray(tree["constant_data"].to_dataset()["row_weight"].values, dtype=np.float64)
    of_rows = next((name for name in ("log_likelihood", "observed_data") if name in tree.children), None)
    return np.ones(0 if of_rows is None else tree[of_rows].sizes["obs_id"])


def _blocks(n_rows: int, n_draws: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // (8 * n_draws))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def sum_and_se(elpd_i: Array, weights: Array | None = None) -> tuple[float, float]:
    """Sum of the scores of rows (N,), those of all copies of a row together, and its standard error over copies.

    It is sqrt(n var) with the number n of copies, as R loo has it (divisor n - 1).

    >>> sum_and_se(np.array([-1.0, -2.0, -3.0]))
    (-6.0, 1.7320508075688772)
    """
    return float(elpd_i.sum()), weighted_spread(elpd_i, np.ones(len(elpd_i)) if weights is None else weights)


class Score(NamedTuple):
    """A log mean, or log ratio of means, over draws, with its Monte Carlo standard error.

    The error counts draws by their effective sample size, so that it grows where chains disagree; R-hat and ESS of what
    is averaged say whether it can be believed. They may be laxer than those of the convergence criteria: it is the
    error that counts.
    """

    value: float
    mcse: float
    r_hat: float
    ess: float

    @property
    def converged(self) -> bool:
        """Whether chains agree, so that the error can be believed."""
        return math.isfinite(self.value) and self.r_hat < _SCORE_R_HAT and self.ess > _SCORE_ESS


@dataclass(frozen=True, eq=False)
class RowScores:
    """Scores of M rows from one run of a sampler; also what the run may be judged by.

    Attributes
    ----------
    elpd_i, mcse_i : arrays (M,)
        By row: score of all its copies, and its Monte Carlo error.
    converged_i : bool array (M,)
        Whether chains agree on the row's score, so that its error can be believed (`Score`).
    values : dict of arrays (C, S)
        Log densities under every draw, by which chains are compared.
    """

    elpd_i: Array
    mcse_i: Array
    converged_i: NDArray[np.bool_]
    values: dict[str, Array] = field(repr=False)

    @staticmethod
    def columns(scores: Sequence[Score]) -> tuple[Array, Array, NDArray[np.bool_]]:
        """The first three attributes."""
        elpd_i, mcse_i = np.array([score[:2] for score in scores]).reshape(-1, 2).T
        return elpd_i, mcse_i, np.array([score.converged for score in scores])


def log_mean(log_values: Array) -> Score:
    """log of the mean of exp(log_values) over draws (C, S), by the delta method."""
    return log_ratio(log_values, np.zeros_like(log_values))


def log_ratio(log_numerator: Array, log_denominator: Array) -> Score:
    """log (mean of u / mean of v) over draws (C, S) of log u and log v.

    By the delta method the error is that of the mean of u / mean(u) - v / mean(v), whose effective sample size is
    ArviZ's; a quantity that never changes has error 0. All are NaN where a mean is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model_selection.loo.pointwise import log_ratio
    >>> z = np.random.default_rng(0).normal(size=(4, 1000))
    >>> score = log_ratio(z, np.zeros_like(z))
    >>> abs(score.value - 0.5) < 3 * score.mcse < 0.1
    True
    """
    from arviz_stats.base import array_stats

    n = math.log(log_numerator.size)
    top, bottom = float(logsumexp(log_numerator)) - n, float(logsumexp(log_denominator)) - n
    if not (math.isfinite(top) and math.isfinite(bottom)):
        return Score(math.nan, math.nan, math.nan, 0.0)
    terms = np.exp(log_numerator - top) - np.exp(log_denominator - bottom)
    if np.ptp(terms) <= 1e-12:
        return Score(top - bottom, 0.0, 1.0, math.inf)
    with np.errstate(all="ignore"):
        ess = float(array_stats.ess(terms, method="mean"))
        return Score(top - bottom, float(terms.std(ddof=1)) / math.sqrt(ess), r_hat(terms), ess)
