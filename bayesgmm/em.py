"""`fit_em`: maximum likelihood for a Gaussian mixture, from a table to a record with its history.

The work is done in coordinates in which the covariance of the rows is the identity (full, tied), the columns
have standard deviation one (diag), or one scale is common to all columns (spherical). Maximum likelihood does
not depend on that choice; results are given in the units of the table, the Jacobian included.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm import criteria
from bayesgmm.em_steps import Run, responsibilities
from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.params import MixtureParams
from bayesgmm.search import Problem, Start, search
from bayesgmm.spikes import SpikeRule, smallest_sd
from bayesgmm.structure import Structure, get_structure

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.data import Table

__all__ = ["EMResult", "fit_em", "fit_em_candidates"]

Array = NDArray[np.float64]

_REACHED = 1e-3
# Below this share of the total variance the columns count as linearly dependent.
_DEPENDENT = 1e-8


@dataclass(frozen=True, eq=False)
class EMResult:
    """A mixture fitted by maximum likelihood; every number in the units of the table.

    Parameters
    ----------
    params : MixtureParams
        Components in decreasing order of weight.
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

    def __str__(self) -> str:
        k, kind = self.params.n_components, self.params.covariance_type
        weights = ", ".join(f"{w:.3f}" for w in self.params.weights)
        return (
            f"Gaussian mixture of {k} component{'s' * (k > 1)} ({kind} covariance) by maximum likelihood: "
            f"log-likelihood {self.log_likelihood:.3f}, BIC {self.bic:.2f}, weights {weights}. {self.message}"
        )


def fit_em(
    X: Any,
    n_components: int,
    *,
    covariance_type: str | Structure = "full",
    n_init: int = 20,
    tol: float = 1e-6,
    max_iter: int = 1000,
    reg_covar: float = 1e-9,
    sample_weight: ArrayLike | None = None,
    random_seed: int | None = None,
    standardize: bool = False,
) -> EMResult:
    """Fit a Gaussian mixture by EM from many starts.

    Parameters
    ----------
    X : array_like, DataFrame or Table, shape (N, D)
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical"}
    n_init : int
        Number of starts.
    tol : float
        Stop when the log-likelihood (of all rows, in nats) is estimated to gain less than this.
    max_iter : int
        Iterations of one run.
    reg_covar : float
        Smallest variance of a component in any direction, as a share of that of all rows. (scikit-learn's is
        added to each variance, in units of the columns; here it is a bound, which EM respects without loss
        of monotonicity and which is not met unless a component collapses.)
    sample_weight : array_like (N,), optional
        An integer weight equals so many copies of the row. Not with a Table, which has its own.
    random_seed : int, optional
    standardize : bool
        Matters to ``"spherical"`` alone: one standard deviation in standardised columns instead of the units of
        the table. A Table says this itself.

    Returns
    -------
    EMResult

    Raises
    ------
    InputError
        Data or options that cannot be used.

    Warns
    -----
    NotConvergedWarning
        `max_iter` was reached, or every start collapsed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, 60), rng.normal(8, 2, 40)])[:, None]
    >>> em = fit_em(X, 2, random_seed=1)
    >>> em.params.weights.round(1), em.converged
    (array([0.6, 0.4]), True)
    """
    from bayesgmm.data import Table, prepare_table

    if isinstance(X, Table):
        if sample_weight is not None:
            raise InputError("sample_weight: the table has its own weights; leave it out.")
        table = X
    else:
        # The recording steps take a sort of each column; they are found later, if a narrow component asks.
        table = prepare_table(
            X, standardize=standardize, sample_weight=sample_weight, n_components=n_components, resolution=None
        )
    result, _ = fit_em_candidates(
        table, n_components, structure=covariance_type, n_init=n_init, tol=tol, max_iter=max_iter,
        reg_covar=reg_covar, random_seed=random_seed, resolution_known=table is X,
    )  # fmt: skip
    if not result.converged:
        warnings.warn(result.message, NotConvergedWarning, stacklevel=2)
    return result


def fit_em_candidates(
    table: Table,
    n_components: int,
    *,
    structure: str | Structure,
    n_init: int = 20,
    tol: float = 1e-6,
    max_iter: int = 1000,
    reg_covar: float = 1e-9,
    random_seed: int | None = None,
    resolution_known: bool = True,
) -> tuple[EMResult, list[MixtureParams]]:
    """`fit_em` of a Table, and the distinct optima it found, best first, on the scale of the model.

    Parameters
    ----------
    resolution_known : bool
        False looks for the recording steps of the columns when they are needed.

    Other parameters as `fit_em`.
    """
    structure = get_structure(structure)
    _check_options(table, n_components, n_init, tol, max_iter, reg_covar)
    used = table.weights > 0
    values, weights = table.values[used], table.weights[used]
    frame = _Coordinates.of(values, weights, structure, table.scale)

    def steps() -> Array:
        from bayesgmm.resolution import column_resolution

        found = table.resolution
        if not resolution_known:
            found = column_resolution("auto", values, weights, table.feature_names)
        return found / frame.column_sd

    total = float(weights.sum())
    rule = SpikeRule(structure, frame.to_columns, _once(steps), max(1.0, len(weights) / total))
    problem = Problem(
        frame.features, weights, structure, int(n_components), rule,
        tol=tol, max_iter=int(max_iter), floor=max(reg_covar, 1e-12),
    )  # fmt: skip
    starts = search(problem, int(n_init), np.random.default_rng(random_seed))
    result = _result(problem, frame, starts)
    return result, _distinct_optima(frame, starts, structure, table)
