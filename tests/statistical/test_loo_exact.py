"""Leave-one-out scores against exact enumeration (`oracle`), before repair and after each repair.

Posterior draws come from the plain Gibbs sampler, chains without a row from the package's own sweeps, the refits
without a row from the plain sampler again. Errors are measured in the reported Monte Carlo errors and in nats.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from test_evidence_exact import FULL, exact, fitted, problem, sample

from bayesgmm.data.table import Table
from bayesgmm.inference.gibbs.left_out import bridge_repair
from bayesgmm.model.draws import Draws
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model_selection.loo.kfold import refit_repair
from bayesgmm.model_selection.loo.loo import LooResult, Repair, loo
from bayesgmm.model_selection.loo.waic import waic
from bayesgmm.posterior.tree import equal_draws

Array = NDArray[np.float64]

_FAST = {("galaxies", 2), ("two", 1)}
CASES = [
    pytest.param(name, k, marks=() if (name, k) in _FAST else pytest.mark.slow)
    for name in ("galaxies", "two", "three", "rounded")
    for k in (1, 2, 3, 4)
]


def bridged(name: str, k: int) -> Repair:
    """The repair by short chains without the row, from the plain sampler's draws."""
    table, prior = problem(name)
    return bridge_repair(Problem(table, FULL, prior), equal_draws(fitted(name, k)[0]), random_seed=3)


def gibbs_without(table: Table, prior: ResolvedPrior, k: int) -> Draws:
    """Draws given the rows of weight 1 of a table, in its scaling."""
    weights, means, sds = sample(table, prior, k, n_draws=4000, seed=5)
    shape = weights.shape[:2]
    return Draws(
        weights, means[..., None], sds[..., None, None], np.zeros(shape), {}, np.zeros(4, dtype=np.int64),
        pd.DataFrame(), 0.0, False, "Gibbs",
    )  # fmt: skip


@cache
def all_rows(name: str, k: int) -> tuple[Array, Array]:
    """Scores and Monte Carlo errors of every row."""
    return bridged(name, k)(np.arange(11), loo(fitted(name, k)[0]).elpd_i)


@cache
def repaired(name: str, k: int) -> LooResult:
    return loo(fitted(name, k)[0], repairs={"bridge sampling": bridged(name, k)})


@pytest.mark.parametrize(("name", "k"), CASES)
def test_elpd_is_exact_after_repair(name: str, k: int) -> None:
    result, truth = repaired(name, k), exact(name, k).log_loo
    assert result.ok, str(result)
    assert abs(result.elpd - truth.sum()) < 0.1, (result.elpd, truth.sum(), result.mcse)
    fixed = result.method_i != "PSIS"
    error = np.abs(result.elpd_i - truth)
    assert (error[fixed] < 4.0 * result.mcse_i[fixed]).all() and (error < 0.1).all(), (error, result.mcse_i)


@pytest.mark.parametrize("k", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_psis_and_waic_are_optimistic(k: int) -> None:
    """What the repairs are for; at K = 3 every k is below the threshold, and PSIS is off all the same."""
    truth, result = exact("galaxies", k).log_loo.sum(), repaired("galaxies", k)
    before = result.psis_elpd_i.sum()
    assert before - truth > 0.4 > 4.0 * abs(result.elpd - truth), (truth, before, result.elpd)
    assert waic(fitted("galaxies", k)[0]).elpd > before
    assert (result.pareto_k.max() < result.good_k) == (k == 3)


@pytest.mark.parametrize(
    ("name", "k"),
    [
        ("galaxies", 2),
        ("rounded", 1),
        ("galaxies", 3),
        pytest.param("two", 4, marks=pytest.mark.slow),
        pytest.param("three", 3, marks=pytest.mark.slow),
    ],
)
def test_every_row_by_short_chains(name: str, k: int) -> None:
    """Rows that PSIS scores well, too: what chains bring is judged where nothing was to be repaired."""
    truth = exact(name, k).log_loo
    elpd_i, mcse_i = all_rows(name, k)
    assert np.isfinite(mcse_i).all() and mcse_i.max() < 0.1
    together = np.linalg.norm(mcse_i)
    assert (np.abs(elpd_i - truth) < 4.0 * mcse_i).all()
    assert abs(elpd_i.sum() - truth.sum()) < 4.0 * together < 0.5


@pytest.mark.parametrize(("name", "k"), [("galaxies", 3), pytest.param("two", 4, marks=pytest.mark.slow)])
def test_exact_refits_settle_what_is_left(name: str, k: int) -> None:
    (table, prior), truth = problem(name), exact(name, k).log_loo
    result = loo(
        fitted(name, k)[0],
        repairs={
            "first": lambda rows, elpd_i: (elpd_i, np.full(len(rows), np.nan)),  # a run that did not converge
            "K-fold": refit_repair(lambda held_out: gibbs_without(held_out, prior, k), table, FULL),
        },
    )
    assert result.ok and result.counts["K-fold"] == result.n_repaired > 0
    fixed = result.method_i == "K-fold"
    assert (np.abs(result.elpd_i - truth)[fixed] < 4.0 * result.mcse_i[fixed]).all()
    assert abs(result.elpd - truth.sum()) < 0.1
