"""`fit_em`: maximum likelihood for a Gaussian mixture, from a table to a record with its history.

A thin shell: the maths is in `em.steps`, the starts in `em.search`, the coordinates in `em.problem`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_choice, check_count, check_flag, check_number, check_seed
from bayesgmm.data.checks import check_enough_rows
from bayesgmm.data.known_labels import check_known
from bayesgmm.data.resolution import column_resolution
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.em.fill import fill
from bayesgmm.em.problem import Coordinates, EMProblem
from bayesgmm.em.result import EMResult, distinct_optima, result_of
from bayesgmm.em.search import MOST_SHORT_RUNS, other_optima, search
from bayesgmm.em.spikes import SpikeRule
from bayesgmm.errors import InputError, NotConvergedWarning, warn
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.background import structure_for
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.structure import COMPONENTS, Structure, get_structure

__all__ = ["MOST_STARTS", "fit_em", "fit_em_candidates"]

Array = NDArray[np.float64]

MOST_STARTS = 10**5


def fit_em(
    X: Any,
    n_components: int,
    *,
    covariance_type: str | Structure = "full",
    component: str = "normal",
    noise: bool = False,
    n_init: int = 20,
    tol: float = 1e-6,
    max_iter: int = 1000,
    reg_covar: float = 1e-12,
    missing: str = "allow",
    sample_weight: ArrayLike | None = None,
    random_seed: int | None = None,
    standardize: bool = False,
) -> EMResult:
    """Fit a Gaussian mixture by EM from many starts.

    Parameters
    ----------
    X : array_like, frame of any library, or Table, shape (N, D)
    n_components : int
        Number of components K.
    covariance_type : {"full", "tied", "diag", "spherical", "EEI"}
        Structure of the covariances, by scikit-learn's name or mclust's (VVV, EEE, VVI, VII, EEI); EEI is one diagonal
        covariance for all components.
    component : {"normal", "t", "t_each"}
        Density of a component; "t" estimates degrees of freedom for all of them together, "t_each" for each.
    noise : bool
        Whether rows may belong to no component but to a background, uniform over the box of the data.
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
    missing : {"allow", "error"}
        As in `BayesianGMM`.
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
    check_choice(component, "component", COMPONENTS)
    check_flag(noise, "noise")
    structure = get_structure(covariance_type)
    check_count(n_components, "n_components")
    check_flag(standardize, "standardize")
    _check_options(n_init, max_iter, tol, reg_covar, random_seed)
    if isinstance(X, Table):
        if sample_weight is not None:
            raise InputError("sample_weight: the table has its own weights; leave it out.")
        table = X
    else:
        # The recording steps take a sort of each column; they are found later, if a narrow component asks.
        table = prepare_table(
            X, standardize=standardize, sample_weight=sample_weight, n_components=n_components, resolution=None,
            missing=missing,
        )  # fmt: skip
    structure = structure_for(table, structure, component, noise)
    result, _ = fit_em_candidates(
        table, n_components, structure=structure, n_init=n_init, tol=tol, max_iter=max_iter,
        reg_covar=reg_covar, random_seed=random_seed, resolution_known=table is X, look_further=False,
    )  # fmt: skip
    if not result.converged:
        warn(result.message, NotConvergedWarning)
    return result


def fit_em_candidates(
    table: Table,
    n_components: int,
    *,
    structure: str | Structure,
    n_init: int = 20,
    tol: float = 1e-6,
    max_iter: int = 1000,
    reg_covar: float = 1e-12,
    random_seed: int | None = None,
    resolution_known: bool = True,
    look_further: bool = True,
    short_runs: int = MOST_SHORT_RUNS,
) -> tuple[EMResult, list[MixtureParams]]:
    """`fit_em` of a Table, and the distinct optima of the likelihood, best first, on the scale of the model.

    Parameters
    ----------
    resolution_known : bool
        False looks for the recording steps of the columns when they are needed.
    look_further : bool
        Among the optima are some that the search for the best passes by (`em.search.other_optima`).
    short_runs : int
        Tries of a start, at most; the best goes on.

    `structure` is `covariance_type`; other parameters as `fit_em`.
    """
    structure = get_structure(structure)
    _check_options(n_init, max_iter, tol, reg_covar, random_seed)
    values, weights, used = table.values, table.weights, table.weights > 0
    if not used.all():
        values, weights = values[used], weights[used]
    check_enough_rows(values, n_components)
    check_known(table.known, n_components)
    with one_blas_thread():
        coordinates = Coordinates.of(values, weights, structure, table.scale, ordered=table.known is not None)
        # The box of the background, from the scale of the model to these coordinates.
        structure = structure.moved(np.log(np.diag(coordinates.matrix) / table.scale))

        @cache
        def steps() -> Array:
            found = table.resolution
            if not resolution_known:
                found = column_resolution("auto", values, weights, table.feature_names)
            return found / coordinates.column_sd

        rule = SpikeRule(structure, coordinates.to_columns, steps, max(1.0, len(weights) / weights.sum()))
        rows = rows_of(coordinates.features)
        if table.known is not None:
            rows = rows._replace(known=table.known[used])
        problem = EMProblem(
            rows, fill(rows, weights), weights, structure, int(n_components), rule,
            tol=float(tol), max_iter=int(max_iter), floor=max(float(reg_covar), 1e-14),
        )  # fmt: skip
        rng = np.random.default_rng(random_seed)
        starts = search(problem, int(n_init), rng, short_runs)
        others = other_optima(problem, rng) if look_further else []
        optima = distinct_optima(problem, coordinates, starts, others, table.center, table.scale)
        return result_of(problem, coordinates, starts), optima


def _check_options(n_init: Any, max_iter: Any, tol: Any, reg_covar: Any, random_seed: Any) -> None:
    check_count(n_init, "n_init", most=MOST_STARTS)
    check_count(max_iter, "max_iter")
    check_number(tol, "tol", "be a positive number", above=0.0)
    check_number(reg_covar, "reg_covar", "be a share of the variance, from 0 to below 1", least=0.0, below=1.0)
    check_seed(random_seed)
