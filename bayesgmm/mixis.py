"""Mixture importance sampling for leave-one-out densities (Silva and Zanella 2024, JASA 119, 2369-2381).

One more run, on the mixture of the leave-one-out posteriors of the rows in question,

    q(theta) ~ p(theta) p(y | theta) R(theta),    R(theta) = sum_j s_j / p(y_j | theta),

gives all of them: p(y_i | y_-i) = E_q[1 / R] / E_q[1 / (p(y_i | theta) R)]. Both averages are of bounded quantities, so
they always have a variance, which posterior draws cannot promise. The shares s_j are ours (the paper has 1): with
s_j near p(y_j | y_-j) every row gets the same share of the draws, where an outlier would take them all. With a single
row q is its leave-one-out posterior, and the run an exact refit.

`bayesgmm.density.Density.leaving_one_out` is q for NUTS, `bayesgmm.inference.left_out` samples it by sweeps; any
sampler of q will do here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.elpd import SCORE_MCSE, RowScores, log_ratio
from bayesgmm.loo import Repair
from bayesgmm.streaming import pointwise_log_density
from bayesgmm.structure import Structure
from bayesgmm.tree import posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["MixisResult", "leave_one_out_scores", "mixis", "mixis_repair", "posterior_draws"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MixisResult(RowScores):
    """Leave-one-out densities log p(y_i | y_-i) of M rows from one run; `values` has log R besides.

    Attributes
    ----------
    share_i : array (M,)
        Share of the draws that are of the row's own leave-one-out posterior.
    """

    share_i: Array

    def __str__(self) -> str:
        m = len(self.elpd_i)
        words = (
            f"MixIS of {m} row{'s' * (m != 1)}: largest Monte Carlo error {self.mcse_i.max():.2g}, "
            f"smallest share of the draws {self.share_i.min():.1%}"
        )
        failed = m - int(self.converged_i.sum())
        if not failed:
            return words + "."
        return f"{words}; {failed} did not converge: sample longer, or refit without them."


def mixis(log_likelihood: Array, log_shares: Array, *, names: Sequence[object] | None = None) -> MixisResult:
    """Leave-one-out densities from draws of the mixture of leave-one-out posteriors.

    Parameters
    ----------
    log_likelihood : array (C, S, M)
        Log-likelihood, under each draw, of the rows that may be left out.
    log_shares : array (M,)
        Log of the s_j that the draws were made with.
    names : sequence of length M, optional
        Of the rows.

    Returns
    -------
    MixisResult

    Examples
    --------
    One row left out: the draws are of its leave-one-out posterior, and the answer is the mean of its density.

    >>> import numpy as np
    >>> from bayesgmm.mixis import mixis
    >>> x = np.random.default_rng(0).normal(-2.0, 0.3, size=(4, 1000, 1))
    >>> result = mixis(x, np.zeros(1))
    >>> bool(np.isclose(result.elpd_i[0], np.log(np.exp(x).mean()))), float(result.share_i[0])
    (True, 1.0)
    """
    log_left = log_shares - log_likelihood  # (C, S, M)
    log_r = logsumexp(log_left, axis=-1)
    called = range(log_left.shape[-1]) if names is None else names
    values = {"log_mixture": log_r}
    scores, share_i = [], np.empty(log_left.shape[-1])
    for i, name in enumerate(called):
        own = np.ascontiguousarray(log_likelihood[..., i])
        scores.append(log_ratio(-log_r, -own - log_r))
        share_i[i] = np.exp(log_left[..., i] - log_r).mean()
        values[f"log_density[{name}]"] = own
    return MixisResult(*RowScores.columns(scores), values, share_i)


def leave_one_out_scores(table: Table, structure: Structure, draws: Draws, log_shares: Array) -> MixisResult:
    """`mixis` of the rows with a finite log share (N,), in the order of the table; shares are on the model's scale."""
    rows = np.flatnonzero(np.isfinite(log_shares))
    log_jacobian, weight = float(np.log(table.scale).sum()), table.weights[rows]
    w, m, scaling = draws.flat()
    density = pointwise_log_density(table.standardized[rows], w, m, scaling, diagonal=structure.diagonal)
    values = ((density - log_jacobian) * weight).reshape(*draws.shape[:2], -1)
    return mixis(values, log_shares[rows] - log_jacobian * weight, names=list(table.row_names[rows]))


def posterior_draws(tree: xarray.DataTree) -> Draws:
    """The draws of a fit's ``posterior_`` on the model's scale, to start from; `log_prior` and more are left out."""
    a, sizes = posterior_arrays(tree), tree["posterior"].sizes
    c, s = sizes["chain"], sizes["draw"]
    weights, means, cholesky = (x.reshape(c, s, *x.shape[1:]) for x in (a.weights, a.means, a.cholesky))
    unknown, start = np.full((c, s), np.nan), np.zeros(c, dtype=np.int64)
    return Draws(weights, means, cholesky, unknown, {}, start, pd.DataFrame(), 0.0, False, str(tree.attrs["method"]))


def mixis_repair(table: Table, structure: Structure, sample: Callable[[Array], Draws], *, rounds: int = 2) -> Repair:
    """A repair for `bayesgmm.loo.loo` from a sampler of the mixture of leave-one-out posteriors.

    Parameters
    ----------
    table, structure
        What the fit was made with.
    sample : callable
        Takes log shares (N,), -inf for rows that stay in, and returns draws of
        ``Density.leaving_one_out(log_shares)``; `bayesgmm.inference.mixis.sample_leave_one_out` with its first
        arguments bound.
    rounds : int
        Runs at most: rows whose Monte Carlo error is above 0.1 are left out in the next, which takes its shares from
        the one before.

    Returns
    -------
    callable
        ``repair(rows, elpd_i) -> (elpd_i, mcse_i)``; the error of a row on which chains disagree is NaN.
    """
    log_jacobian = float(np.log(table.scale).sum())

    def repair(rows: IntArray, elpd_i: Array) -> tuple[Array, Array]:
        scores, errors = elpd_i.copy(), np.full(len(rows), np.nan)
        for _ in range(rounds):
            open_ = np.flatnonzero(~(errors <= SCORE_MCSE))
            if len(open_) == 0:
                break
            log_shares = np.full(table.n_rows, -np.inf)
            log_shares[rows[open_]] = scores[open_] + log_jacobian * table.weights[rows[open_]]  # the model's scale
            result = leave_one_out_scores(table, structure, sample(log_shares), log_shares)
            place = np.argsort(np.argsort(rows[open_]))  # of each row among the results, in the order of the table
            found, ok = result.elpd_i[place], result.converged_i[place]
            scores[open_] = np.where(np.isfinite(found), found, scores[open_])
            errors[open_] = np.where(ok, result.mcse_i[place], np.nan)
        return scores, errors

    return repair
