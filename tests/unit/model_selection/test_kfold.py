"""Held-out scores against closed forms; what a refit is given; folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from numpy.typing import NDArray

from bayesgmm.data.table import Table, prepare_table
from bayesgmm.errors import InputError
from bayesgmm.model.draws import Draws
from bayesgmm.model.structure import get_structure
from bayesgmm.model_selection.loo.kfold import kfold, kfold_elpd, random_folds, refit_repair

Array = NDArray[np.float64]

FULL = get_structure("full")
ROWS = np.random.default_rng(1).normal(3.0, 2.0, size=(9, 1))


def problem(weights: Array | None = None) -> Table:
    return prepare_table(ROWS, sample_weight=weights, resolution=None)


class NormalMean:
    """Refits of one component with sd 1 and a flat prior on its mean, both on the model's scale; draws independent."""

    def __init__(self, n_draws: int = 4000) -> None:
        self.n_draws, self.seen = n_draws, []

    def __call__(self, table: Table) -> Draws:
        self.seen.append(table.weights)
        total, y = table.weights.sum(), table.standardized[:, 0]
        rng = np.random.default_rng(len(self.seen))
        means = rng.normal(table.weights @ y / total, total**-0.5, (2, self.n_draws, 1, 1))
        shape = (2, self.n_draws)
        return Draws(
            np.ones((*shape, 1)), means, np.ones((*shape, 1, 1, 1)), np.zeros(shape), {}, np.zeros(2, dtype=np.int64),
            pd.DataFrame(), 0.0, False, "exact",
        )  # fmt: skip


def exact(table: Table, held_out: list[int], row: int) -> float:
    """Log predictive density of a row, original units."""
    weights = np.where(np.isin(np.arange(len(table.weights)), held_out), 0.0, table.weights)
    total, y = weights.sum(), table.standardized[:, 0]
    return st.norm(weights @ y / total, np.sqrt(1 + 1 / total)).logpdf(y[row]) - np.log(table.scale[0])


def test_scores_are_those_of_rows_held_out_together() -> None:
    table, refit = problem(), NormalMean()
    rows, folds = np.array([4, 0, 7]), np.array([0, 1, 0])
    result = kfold_elpd(refit, table, FULL, rows, folds)
    assert [np.flatnonzero(w == 0.0).tolist() for w in refit.seen] == [[4, 7], [0]]
    truth = np.array([exact(table, [4, 7], 4), exact(table, [0], 0), exact(table, [4, 7], 7)])
    assert (np.abs(result.elpd_i - truth) < 4.0 * result.mcse_i).all() and result.mcse_i.max() < 0.02
    assert result.n_folds == 2 and result.ok and result.elpd == pytest.approx(result.elpd_i.sum())
    assert str(result).startswith("elpd of 3 observations from 2 refits")


def test_k_fold_of_all_rows_with_a_weight() -> None:
    weights = np.array([1.0, 1, 1, 0, 1, 1, 2, 1, 1])
    table, refit = problem(weights), NormalMean()
    result = kfold(refit, table, FULL, n_folds=4, random_seed=5)
    assert result.rows.tolist() == [0, 1, 2, 4, 5, 6, 7, 8] and len(refit.seen) == 4
    assert np.bincount(result.folds).tolist() == [2, 2, 2, 2]
    for i, row in enumerate(result.rows):
        if row != 6:  # a row of weight 2 scores log E p^2
            truth = exact(table, result.rows[result.folds == result.folds[i]].tolist(), row)
            assert abs(result.elpd_i[i] - truth) < 4.0 * result.mcse_i[i]
    again = kfold(NormalMean(), table, FULL, n_folds=4, random_seed=5)
    np.testing.assert_array_equal(again.elpd_i, result.elpd_i)


def test_repair_leaves_rows_out_one_by_one_or_in_groups() -> None:
    table, refit = problem(), NormalMean()
    rows = np.array([1, 2, 8])
    elpd_i, mcse_i = refit_repair(refit, table, FULL)(rows, np.zeros(3))
    truth = np.array([exact(table, [row], row) for row in rows])
    assert (np.abs(elpd_i - truth) < 4.0 * mcse_i).all() and len(refit.seen) == 3
    grouped = NormalMean()
    refit_repair(grouped, table, FULL, max_refits=2)(np.arange(5), np.zeros(5))
    assert sorted((w == 0.0).sum() for w in grouped.seen) == [2, 3]


def test_a_refit_that_did_not_converge_repairs_nothing() -> None:
    result, errors = refit_repair(NormalMean(n_draws=20), problem(), FULL)(np.array([2]), np.zeros(1))
    assert np.isfinite(result).all() and np.isnan(errors).all()
    assert "1 of the refits did not converge" in str(
        kfold_elpd(NormalMean(n_draws=20), problem(), FULL, np.array([2]), np.array([0]))
    )


def test_folds() -> None:
    folds = random_folds(103, 10, random_seed=2)
    assert set(np.bincount(folds)) == {10, 11}
    assert (folds != random_folds(103, 10, random_seed=3)).any()
    with pytest.raises(InputError, match="n_folds=9 is more than the 8 rows"):
        random_folds(8, 9)
    with pytest.raises(InputError, match="n_folds=1 must be"):
        random_folds(8, 1)


@pytest.mark.parametrize(
    ("rows", "folds", "message"),
    [([9], [0], "row numbers 0..8"), ([], [], "row numbers"), ([1, 2], [0], "one fold for each"), ([1], [1], "gaps")],
)
def test_refusals(rows: list[int], folds: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kfold_elpd(NormalMean(), problem(), FULL, np.array(rows), np.array(folds))
