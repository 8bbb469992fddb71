"""Leave-one-out scores against exact enumeration (`oracle`), before repair and after each repair.

Posterior draws come from the plain Gibbs sampler, those of MixIS from the package's own NUTS or Gibbs sweeps, the
refits without a row from the plain sampler again. Errors are measured in the reported Monte Carlo errors and in nats.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.em import fit_em_candidates
from bayesgmm.inference.left_out import refit_gibbs, sample_leave_one_out_gibbs
from bayesgmm.inference.mixis import sample_leave_one_out
from bayesgmm.inference.modes import find_modes
from bayesgmm.kfold import held_out_scores, kfold_elpd, refit_repair
from bayesgmm.loo import LooResult, Repair, loo
from bayesgmm.mixis import leave_one_out_scores, mixis_repair, posterior_draws
from bayesgmm.prior import ResolvedPrior
from bayesgmm.waic import waic

sys.path.insert(0, str(Path(__file__).parent))
from test_evidence_exact import FULL, exact, fitted, problem, sample

Array = NDArray[np.float64]

_FAST = {("galaxies", 2), ("two", 1)}
CASES = [
    pytest.param(name, k, marks=() if (name, k) in _FAST else pytest.mark.slow)
    for name in ("galaxies", "two", "three", "rounded")
    for k in (1, 2, 3, 4)
]


def mixis(name: str, k: int) -> Repair:
    """The repair by MixIS, drawn by NUTS."""
    table, prior = problem(name)
    _, candidates = fit_em_candidates(table, k, structure=FULL, n_init=10, random_seed=1)
    run = partial(
        sample_leave_one_out, table, FULL, prior, find_modes(table, FULL, prior, candidates), draws=6000, tune=1000,
        target_accept=0.95, random_seed=3, progressbar=False,
    )  # fmt: skip
    return mixis_repair(table, FULL, lambda shares: run(shares))


def mixis_gibbs(name: str, k: int, draws: int = 4000) -> Repair:
    """The repair by MixIS, drawn by Gibbs sweeps."""
    table, prior = problem(name)
    run = partial(
        sample_leave_one_out_gibbs, table, FULL, prior, posterior_draws(fitted(name, k)[0]), draws=draws,
        judge=partial(leave_one_out_scores, table, FULL), random_seed=3,
    )  # fmt: skip
    return mixis_repair(table, FULL, lambda shares: run(shares))


def gibbs_without(table: Table, prior: ResolvedPrior, k: int) -> Draws:
    """Draws given the rows of weight 1 of a table, in its scaling."""
    weights, means, sds = sample(table, prior, k, n_draws=4000, seed=5)
    shape = weights.shape[:2]
    return Draws(
        weights, means[..., None], sds[..., None, None], np.zeros(shape), {}, np.zeros(4, dtype=np.int64),
        pd.DataFrame(), 0.0, False, "Gibbs",
    )  # fmt: skip


@cache
def all_rows(method: Callable[[str, int], Repair], name: str, k: int) -> tuple[Array, Array]:
    """Scores and Monte Carlo errors of every row from one run, shares by PSIS."""
    return method(name, k)(np.arange(11), loo(fitted(name, k)[0]).elpd_i)


@cache
def repaired(name: str, k: int) -> LooResult:
    return loo(fitted(name, k)[0], repairs={"MixIS": mixis(name, k)})


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
    ("method", "name", "k"),
    [
        (mixis, "galaxies", 2),
        pytest.param(mixis, "two", 4, marks=pytest.mark.slow),
        (mixis_gibbs, "rounded", 1),
        (mixis_gibbs, "galaxies", 3),
        pytest.param(mixis_gibbs, "two", 4, marks=pytest.mark.slow),
    ],
)
def test_all_rows_from_one_run(method: Callable[[str, int], Repair], name: str, k: int) -> None:
    truth = exact(name, k).log_loo
    elpd_i, mcse_i = all_rows(method, name, k)
    assert np.isfinite(mcse_i).all(), "the run did not converge"
    together = np.linalg.norm(mcse_i)
    assert (np.abs(elpd_i - truth) < 4.0 * mcse_i).all()
    assert abs(elpd_i.sum() - truth.sum()) < 4.0 * together < 0.4


def test_sweeps_and_nuts_agree() -> None:
    """Two samplers of one mixture of leave-one-out posteriors."""
    (a, se_a), (b, se_b) = (all_rows(method, "galaxies", 2) for method in (mixis, mixis_gibbs))
    assert (np.abs(a - b) < 4.0 * np.hypot(se_a, se_b)).all()
    assert np.hypot(se_a, se_b).max() < 0.1


@pytest.mark.parametrize(("name", "k"), [("galaxies", 2), ("rounded", 3)])
def test_refits_from_draws_of_the_posterior_are_exact(name: str, k: int) -> None:
    """Rows one by one, and two at once, by sweeps that start from the posterior of all rows."""
    (table, prior), posterior = problem(name), posterior_draws(fitted(name, k)[0])

    def refit(without: Table) -> Draws:
        rows = np.flatnonzero(without.weights == 0.0)
        return refit_gibbs(
            without, FULL, prior, posterior, table.weights, draws=4000, random_seed=7,
            judge=lambda found: held_out_scores(table, FULL, found, rows),
        )  # fmt: skip

    rows = np.array([0, 4, 10])
    alone = kfold_elpd(refit, table, FULL, rows, np.arange(3))
    truth = exact(name, k).log_loo[rows]
    assert alone.ok and (np.abs(alone.elpd_i - truth) < np.minimum(4.0 * alone.mcse_i, 0.1)).all(), (alone, truth)
    together = kfold_elpd(refit, table, FULL, rows[:2], np.zeros(2, dtype=np.int64))
    by_oracle = kfold_elpd(lambda t: gibbs_without(t, prior, k), table, FULL, rows[:2], np.zeros(2, dtype=np.int64))
    error = np.hypot(together.mcse_i, by_oracle.mcse_i)
    assert (np.abs(together.elpd_i - by_oracle.elpd_i) < 4.0 * error).all() and error.max() < 0.1


@pytest.mark.parametrize(("name", "k"), [("galaxies", 3), pytest.param("two", 4, marks=pytest.mark.slow)])
def test_exact_refits_settle_what_is_left(name: str, k: int) -> None:
    (table, prior), truth = problem(name), exact(name, k).log_loo
    result = loo(
        fitted(name, k)[0],
        repairs={
            "MixIS": lambda rows, elpd_i: (elpd_i, np.full(len(rows), np.nan)),  # a run that did not converge
            "K-fold": refit_repair(lambda held_out: gibbs_without(held_out, prior, k), table, FULL),
        },
    )
    assert result.ok and result.counts["K-fold"] == result.n_repaired > 0
    fixed = result.method_i == "K-fold"
    assert (np.abs(result.elpd_i - truth)[fixed] < 4.0 * result.mcse_i[fixed]).all()
    assert abs(result.elpd - truth.sum()) < 0.1
