"""The record that `fit_em` returns, and how it is made from the starts of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em import criteria
from bayesgmm.em.problem import Coordinates, EMProblem
from bayesgmm.em.responsibilities import largest_responsibility
from bayesgmm.em.search import Start
from bayesgmm.em.tails import df_in_words
from bayesgmm.model.params import MixtureParams
from bayesgmm.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EMResult", "distinct_optima", "result_of"]

Array = NDArray[np.float64]

_REACHED = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class EMResult(Record):
    """A mixture fitted by maximum likelihood; every number in the units of the table.

    Parameters
    ----------
    params : MixtureParams
        Components in decreasing order of weight; in a fit, ``em_``, in the order of the posterior's.
    log_likelihood : float
        Of all rows, in nats.
    aic, bic, icl : float
        Lower is better; mclust reports their negatives.
    converged : bool
        The gain still to come was estimated below `tol`, and no variance had to be kept from shrinking.
    n_iter : int
        Iterations of the run that is reported.
    log_likelihood_trace : array (n_iter,)
        Log-likelihood of each; never decreases.
    starts : DataFrame
        One row a start: ``method``, ``log_likelihood``, ``n_iter`` (of all its runs), ``status`` ("converged",
        "max_iter", "collapsed" or "short run"), ``min_sd_relative`` and ``reached_best``. A short run ended on a
        sample of the rows; its log-likelihood is that of the long run that took it further, if one did.
    n_reached_best : int
        Starts that reached this log-likelihood to within 0.001.
    min_sd_relative : float
        Smallest component standard deviation in any direction, each column in units of its own.
    message : str
        What happened, in sentences.
    feature_names : tuple of str
        Names of the columns.
    """

    params: MixtureParams
    log_likelihood: float
    aic: float
    bic: float
    icl: float
    converged: bool
    n_iter: int
    log_likelihood_trace: Array
    starts: pd.DataFrame
    n_reached_best: int
    min_sd_relative: float
    message: str
    feature_names: tuple[str, ...]

    def __str__(self) -> str:
        params, kind = self.params, self.params.kind
        order = np.argsort(-params.weights, kind="stable")
        weights = ", ".join(f"{w:.3f}" for w in params.weights[order])
        noise = f", noise {params.noise_weight:.3f}" if kind.noise else ""
        df = params.df if params.df is None or len(params.df) == 1 else params.df[order]
        tails = "" if df is None else f", degrees of freedom {', '.join(map(df_in_words, df))}"
        return (
            f"Mixture of {kind.counted(params.n_components)} ({kind.covariance_type} covariance) by maximum "
            f"likelihood: log-likelihood {self.log_likelihood:.3f}, BIC {self.bic:.2f}, mixing proportions (largest "
            f"first) {weights}{noise}{tails}. {self.message}"
        )


def result_of(
    problem: EMProblem, coordinates: Coordinates, starts: list[Start], feature_names: tuple[str, ...]
) -> EMResult:
    """The best start that did not collapse, in the units of the table, and the table of all starts."""
    best = max(starts, key=lambda start: start.rank)
    run, params = best.run, coordinates.params(best.run, problem.structure)
    total = float(problem.row_weights.sum())
    log_likelihood = float(coordinates.log_likelihood(run.log_likelihood))
    largest = largest_responsibility(problem.rows, run.state, problem.structure)
    table = _starts_table(coordinates, starts, best, total)
    return EMResult(
        params=params,
        log_likelihood=log_likelihood,
        aic=criteria.aic(log_likelihood, params.n_parameters),
        bic=criteria.bic(log_likelihood, params.n_parameters, total),
        icl=criteria.icl(log_likelihood, params.n_parameters, largest[:, None], problem.row_weights),
        converged=run.converged and best.method != "regularised",
        n_iter=len(run.trace),
        log_likelihood_trace=np.asarray(coordinates.log_likelihood(run.trace)),
        starts=table,
        n_reached_best=int(table["reached_best"].sum()),
        min_sd_relative=coordinates.min_sd_relative(run, total),
        message=" ".join(_sentences(best, table, log_likelihood, coordinates.dependent)),
        feature_names=feature_names,
    )


def distinct_optima(
    problem: EMProblem, coordinates: Coordinates, starts: list[Start], others: list[Start], center: Array, scale: Array
) -> list[MixtureParams]:
    """Optima that differ in log-likelihood, best first, of the columns (x - center) / scale.

    One that both reached is taken from `starts`.
    """
    found: list[Start] = []
    for part in (starts, others):
        for start in sorted(part, key=lambda start: start.rank, reverse=True):
            if start.status in ("collapsed", "abandoned"):
                continue
            near = (abs(start.run.log_likelihood - other.run.log_likelihood) for other in found)
            if not any(gap < _REACHED for gap in near):
                found.append(start)
    found.sort(key=lambda start: start.rank, reverse=True)
    mixtures = (coordinates.params(start.run, problem.structure) for start in found)
    return [mixture.rescale(-center / scale, 1.0 / scale) for mixture in mixtures]


def _starts_table(coordinates: Coordinates, starts: list[Start], best: Start, total: float) -> pd.DataFrame:
    import pandas as pd

    threshold = best.rank[0], best.run.log_likelihood - _REACHED
    rows = [
        {
            "method": start.method,
            "log_likelihood": float(coordinates.log_likelihood(start.run.log_likelihood)),
            "n_iter": start.n_iter,
            "status": start.status,
            "min_sd_relative": coordinates.min_sd_relative(start.run, total),
            "reached_best": starts[start.leader].rank >= threshold,
        }
        for start in starts
    ]
    return pd.DataFrame(rows)


def _sentences(best: Start, table: pd.DataFrame, log_likelihood: float, dependent: bool) -> list[str]:
    collapsed = int((table["status"] == "collapsed").sum())
    reached, n_starts = int(table["reached_best"].sum()), len(table)
    out = ["The columns are almost linearly dependent: drop one, or take covariance_type='diag'."] * dependent
    if best.method == "closed form":
        return ["One component: the estimate is in closed form.", *out]
    if best.method == "regularised":
        return [
            f"All {_counted(collapsed, 'start')} collapsed: a component shrank onto observations that (nearly) agree, "
            "where the likelihood is unbounded; components were kept from being narrower than 3 % of the table, which "
            "is not a maximum of the likelihood: look for values that many observations share, use fewer components, "
            "or a simpler covariance_type.",
            *out,
        ]
    n_iter = len(best.run.trace)
    out.append(f"{'Converged' if best.run.converged else 'Not converged'} after {_counted(n_iter, 'iteration')}.")
    at = f"at the best log-likelihood that was found, {log_likelihood:.4f}"
    out.append(f"{reached} of {_counted(n_starts, 'start')} ended {at}." if reached else f"One start ended {at}.")
    if not best.run.converged:
        out.append("Raise max_iter.")
    if reached == 1 and n_starts > 1:
        out.append("A larger n_init may find a better one.")
    if collapsed:
        verb = "is" if collapsed == 1 else "are"
        why = "a component shrank onto observations that (nearly) agree"
        out.append(f"{_counted(collapsed, 'start')} collapsed ({why}) and {verb} set aside.")
    return out


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
