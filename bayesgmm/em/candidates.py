"""From a table to the optima of its likelihood: searched in the coordinates of EM, told in its units."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import check_count, check_number, check_seed
from bayesgmm.data.checks import check_enough_rows
from bayesgmm.data.known_labels import check_known
from bayesgmm.data.resolution import column_resolution
from bayesgmm.data.table import Table
from bayesgmm.em.fill import fill
from bayesgmm.em.problem import Coordinates, EMProblem
from bayesgmm.em.result import EMResult, distinct_optima, result_of
from bayesgmm.em.search import MOST_SHORT_RUNS, other_optima, search
from bayesgmm.em.spikes import SpikeRule
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.structure import Structure, get_structure

__all__ = ["MOST_STARTS", "check_em_options", "fit_em_candidates"]

Array = NDArray[np.float64]

MOST_STARTS = 10**5


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
    check_em_options(n_init, max_iter, tol, reg_covar, random_seed)
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
        return result_of(problem, coordinates, starts, table.feature_names), optima


def check_em_options(n_init: Any, max_iter: Any, tol: Any, reg_covar: Any, random_seed: Any) -> None:
    check_count(n_init, "n_init", most=MOST_STARTS)
    check_count(max_iter, "max_iter")
    check_number(tol, "tol", "be a positive number", above=0.0)
    check_number(reg_covar, "reg_covar", "be a share of the variance, from 0 to below 1", least=0.0, below=1.0)
    check_seed(random_seed)
