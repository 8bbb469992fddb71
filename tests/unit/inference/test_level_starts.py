"""Modes that sit on common values, which EM sets aside, are found by the search of the posterior."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.level_starts import level_starts
from bayesgmm.inference.modes import find_modes
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure


def problem_of(rows: np.ndarray, structure: str = "full", **options: object) -> Problem:
    table = bg.prepare_table(rows, **options)  # type: ignore[arg-type]
    return Problem(table, get_structure(structure), bg.MixturePrior().resolve(table))


def amounts(n: int = 900, d: int = 3, step: float = 0.01) -> np.ndarray:
    """Amounts to the cent, half of each column zero."""
    rng = np.random.default_rng(4)
    return step * np.rint(np.where(rng.random((n, d)) < 0.5, 0.0, rng.lognormal(6.5, 1.3, (n, d))) / step)


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_the_best_mode_of_half_zeros_is_on_zeros(structure: str) -> None:
    problem = problem_of(amounts(), structure)
    _, candidates = fit_em_candidates(problem.table, 3, structure=structure, n_init=6, random_seed=1)
    best = find_modes(problem, candidates)[0]
    sds = best.params.standard_deviations * problem.table.scale
    assert (sds < 0.01).any(axis=1).sum() == 2  # two components on zeros of one column each, or of more
    without = best.density.value_and_gradient(best.density.pack(candidates[0]))[0]
    assert best.log_posterior > without + 1000.0


def test_the_start_divides_rows_by_what_they_share() -> None:
    rng = np.random.default_rng(0)
    gap = rng.random(400) < 0.1
    rows = np.round(rng.normal([20.0, 50.0], [5.0, 10.0], (400, 2)), 1)
    rows[gap] = -200.0, -200.0
    (start,) = level_starts(problem_of(rows), 2)
    assert sorted(start.weights) == pytest.approx(sorted([gap.mean(), 1.0 - gap.mean()]))
    weights = np.where(gap, 3.0, 1.0)
    (weighted,) = level_starts(problem_of(rows, sample_weight=weights), 2)
    assert weighted.weights.min() == pytest.approx(np.average(gap, weights=weights))


def test_missing_cells_are_no_common_value() -> None:
    rng = np.random.default_rng(0)
    code = rng.random(400) < 0.1
    rows = np.round(rng.normal([20.0, 50.0, 5.0], [5.0, 10.0, 1.0], (400, 3)), 1)
    rows[code, 0] = -200.0
    rows[~code & (rng.random(400) < 0.3), 0] = np.nan
    rows[rng.random(400) < 0.2, 2] = np.nan
    rows[7] = np.nan
    (start,) = level_starts(problem_of(rows), 2)
    assert start.weights.min() == pytest.approx((rows[:, 0] == -200.0).mean())


def test_tables_that_need_no_such_start_get_none() -> None:
    assert level_starts(problem_of(np.random.default_rng(0).normal(size=(50, 2))), 2) == []
    assert level_starts(problem_of(bg.datasets.load_faithful()), 2) == []  # no time of an eruption is worth a component
    assert level_starts(problem_of(amounts(), "tied"), 3) == []
    assert level_starts(problem_of(amounts()), 1) == []
    assert level_starts(problem_of(amounts(12)), 8) == []  # no group could be divided further
