"""Exact refits without some rows: the last repair of LOO, and K-fold cross-validation of all rows.

A row is held out by giving it weight 0, so that the prior and the scaling stay those of the whole table: the same
model, and the predictive density of what it has not seen. A row of weight a is held out with all its copies, and scores
a times what one copy does. As a repair of LOO one copy is left out, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import check_count
from bayesgmm.data.copies import datum, multiplicity
from bayesgmm.data.table import Table, log_jacobian
from bayesgmm.errors import InputError
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model.draws import Draws
from bayesgmm.model.structure import Structure
from bayesgmm.model_selection.loo.loo import Repair
from bayesgmm.model_selection.loo.pointwise import RowScores, log_mean, sum_and_se
from bayesgmm.record import Record

__all__ = ["KFoldResult", "Refit", "held_out_scores", "kfold", "kfold_elpd", "random_folds", "refit_repair"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Refit = Callable[[Table], Draws]

_BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False, repr=False)
class KFoldResult(Record):
    """Predictive density of rows under fits that have not seen them.

    Attributes
    ----------
    elpd, se : float
        Sum of the scores, and its standard error over rows; with weights, over copies.
    rows : int array (M,)
        The rows scored.
    elpd_i, mcse_i : arrays (M,)
        By row: log predictive density, of all its copies, and its Monte Carlo error.
    folds : int array (M,)
        Fold of each row; rows of one fold were held out together.
    ok_i : bool array (M,)
        Whether the chains of the refit agree on the row's score (`model_selection.loo.pointwise.Score`).
    """

    elpd: float
    se: float
    rows: IntArray
    elpd_i: Array
    mcse_i: Array
    folds: IntArray
    ok_i: NDArray[np.bool_]

    @property
    def n_folds(self) -> int:
        """Number of refits."""
        return int(self.folds.max()) + 1

    @property
    def ok(self) -> bool:
        """Whether every refit converged."""
        return bool(self.ok_i.all())

    def __str__(self) -> str:
        words = f"elpd of {len(self.rows)} observations from {self.n_folds} refits: {self.elpd:.1f} (SE {self.se:.1f})"
        failed = len(set(self.folds[~self.ok_i].tolist()))
        return words + (f"; {failed} of the refits did not converge: sample longer." if failed else ".")


def random_folds(n_rows: int, n_folds: int, random_seed: int | None = 0) -> IntArray:
    """(N,) fold 0..n_folds-1 of each row, at random, sizes as equal as can be.

    >>> random_folds(5, 2, random_seed=1)
    array([0, 0, 1, 0, 1])
    """
    check_count(n_folds, "n_folds", least=2)
    if n_folds > n_rows:
        raise InputError(f"n_folds={n_folds} is more than the {n_rows} rows: use at most {n_rows}.")
    return np.random.default_rng(random_seed).permutation(np.arange(n_rows) % n_folds)


def kfold_elpd(
    refit: Refit, table: Table, structure: Structure, rows: IntArray, folds: IntArray, *, one_copy: bool = False
) -> KFoldResult:
    """Scores of some rows, those of one fold held out together; folds go to joblib's backend, if one is set.

    Parameters
    ----------
    refit : callable
        Takes the table with weight 0 on the rows held out and returns draws on the model's scale; a sampler with its
        other arguments bound, the whole table's prior among them.
    table, structure
        What the fit was made with.
    rows, folds : int arrays (M,)
        Rows to score, and the fold 0, 1, ... of each.
    one_copy : bool
        Hold out one copy of each row, in place of all.

    Returns
    -------
    KFoldResult

    Raises
    ------
    InputError
        If `folds` are not numbered without gaps, or a row is out of range.
    """
    from joblib import Parallel, delayed

    rows, folds = np.asarray(rows, dtype=np.int64), np.asarray(folds, dtype=np.int64)
    if rows.shape != folds.shape or len(rows) == 0 or rows.min() < 0 or rows.max() >= table.n_rows:
        raise InputError(f"rows must be row numbers 0..{table.n_rows - 1}, with one fold for each.")
    if set(folds.tolist()) != set(range(int(folds.max()) + 1)):
        raise InputError(f"folds must be numbered 0, 1, ... without gaps, got {sorted(set(folds.tolist()))}.")
    elpd_i, mcse_i, ok_i = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows), dtype=bool)
    held_out = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    of_fold = delayed(_fold)
    scores = Parallel()(of_fold(refit, table, structure, rows[members], one_copy) for members in held_out)
    for members, found in zip(held_out, scores, strict=True):
        elpd_i[members], mcse_i[members], ok_i[members] = found
    elpd, se = sum_and_se(elpd_i, table.weights[rows])
    return KFoldResult(elpd, se, rows, elpd_i, mcse_i, folds, ok_i)


def _fold(
    refit: Refit, table: Table, structure: Structure, rows: IntArray, one_copy: bool
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Scores of the rows of a fold, their errors, and whether the chains agree, in whatever process joblib chose."""
    weights = table.weights.copy()
    weights[rows] -= datum(weights[rows]) if one_copy else weights[rows]
    draws = refit(replace(table, weights=weights))
    blocks = [
        held_out_scores(table, structure, draws, rows[start : start + _BLOCK_ROWS])
        for start in range(0, len(rows), _BLOCK_ROWS)
    ]
    return (
        np.concatenate([b.elpd_i for b in blocks]),
        np.concatenate([b.mcse_i for b in blocks]),
        np.concatenate([b.converged_i for b in blocks]),
    )


def held_out_scores(table: Table, structure: Structure, draws: Draws, rows: IntArray) -> RowScores:
    """Log predictive density of some rows, all copies by the weights of `table`, from draws that have not seen them."""
    standardized = (table.values[rows] - table.center) / table.scale
    known = None if table.known is None else table.known[rows]
    density = pointwise_log_density(as_rows(standardized, known), *draws.flat(), row_model=structure.row_model)
    values = (density - log_jacobian(table.values[rows], table.scale)) * datum(table.weights[rows])
    by_row = {str(row): np.ascontiguousarray(v.reshape(draws.shape[:2])) for row, v in zip(rows, values.T, strict=True)}
    elpd_i, mcse_i, converged_i = RowScores.columns([log_mean(v) for v in by_row.values()])
    times = multiplicity(table.weights[rows])
    return RowScores(times * elpd_i, times * mcse_i, converged_i, by_row)


def kfold(
    refit: Refit, table: Table, structure: Structure, *, n_folds: int = 10, random_seed: int | None = 0
) -> KFoldResult:
    """K-fold cross-validation of all rows with a weight; arguments as in `kfold_elpd` and `random_folds`."""
    rows = np.flatnonzero(table.weights > 0.0)
    return kfold_elpd(refit, table, structure, rows, random_folds(len(rows), n_folds, random_seed))


def refit_repair(
    refit: Refit, table: Table, structure: Structure, *, max_refits: int = 10, random_seed: int | None = 0
) -> Repair:
    """A repair for `model_selection.loo.loo.loo`: up to `max_refits` rows are left out one by one, which is exact.

    More rows than that are left out in `max_refits` groups at random, so each score is also without the other rows of
    its group: slightly low.
    """
    check_count(max_refits, "max_refits")

    def repair(rows: IntArray, _: Array) -> tuple[Array, Array]:
        m = len(rows)
        folds = np.arange(m) if m <= max_refits else (
            np.random.default_rng(random_seed).permutation(np.arange(m) % max_refits)
        )  # fmt: skip
        result = kfold_elpd(refit, table, structure, rows, folds, one_copy=True)
        return result.elpd_i, np.where(result.ok_i, result.mcse_i, math.nan)

    return repair
