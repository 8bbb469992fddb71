"""Laplace's approximation of many rows: the same posterior as with every row, and a verdict on surplus components."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.table_blocks import TableBlocks
from bayesgmm.inference.approximate.laplace import sample_laplace
from bayesgmm.inference.approximate.large import is_large, sample_laplace_large
from bayesgmm.inference.approximate.one_less import large_posterior
from bayesgmm.inference.modes import find_modes
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.diagnostics.approximation import approximation_fault

FULL = get_structure("full")


def clusters(n: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    centres = np.array([[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]])
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def problem_and_optimum(k: int, n: int = 3000):
    table = bg.prepare_table(clusters(n), resolution=None)
    em = bg.fit_em(table, k, n_init=8, random_seed=1)
    problem = Problem(table, FULL, bg.MixturePrior().resolve(table))
    return problem, em.params.rescale(-table.center / table.scale, 1.0 / table.scale)


@pytest.fixture(scope="module")
def three():
    return problem_and_optimum(3)


def test_agrees_with_the_approximation_of_every_row(three) -> None:
    problem, optimum = three
    found = sample_laplace_large(problem, TableBlocks(problem.table), optimum, random_seed=1, progressbar=False)
    [mode, *_] = modes = find_modes(problem, [optimum])
    exact = sample_laplace(problem, modes, random_seed=2, progressbar=False)
    np.testing.assert_allclose(found.modes["log_posterior"][0], mode.log_posterior, atol=0.5)
    np.testing.assert_allclose(found.modes["laplace_log_evidence"][0], mode.log_evidence, atol=0.05)
    assert found.extra["pareto_k"] < 0.5 and found.extra["log_weight_se"] < 0.05
    order = np.argsort(found.weights.mean(axis=(0, 1)))
    other = np.argsort(exact.weights.mean(axis=(0, 1)))
    a, b = found.means[:, :, order].reshape(4000, -1), exact.means[:, :, other].reshape(4000, -1)
    assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / b.std(axis=0)).max() < 0.1  # standard error 0.03
    assert np.abs(np.log(a.std(axis=0) / b.std(axis=0))).max() < 0.1


def test_log_likelihoods_of_the_draws_are_those_of_all_rows(three) -> None:
    problem, optimum = three
    found = sample_laplace_large(problem, TableBlocks(problem.table), optimum, draws=25, random_seed=1)
    kept = found.stats.pop("log_likelihood") - problem.table.log_jacobian.sum()
    error = kept - found.log_likelihood(problem.table, FULL)
    assert np.median(np.abs(error)) < 2.0 * found.extra["log_weight_se"] < 0.1


def test_draws_do_not_depend_on_threads_or_passes(three) -> None:
    problem, optimum = three

    class Counted(TableBlocks):
        passes = 0

        def __iter__(self):
            type(self).passes += 1
            return super().__iter__()

    one, two = (
        sample_laplace_large(problem, Counted(problem.table), optimum, draws=100, random_seed=1, cores=cores)
        for cores in (1, 2)
    )
    np.testing.assert_array_equal(one.means, two.means)
    assert Counted.passes <= 2 * 8  # however many draws


def test_surplus_components_are_told() -> None:
    """Four components of three clusters: the posterior is not normal around the optimum, and mostly elsewhere."""
    problem, optimum = problem_and_optimum(4)
    draws = large_posterior(problem, [optimum], None, random_seed=1, cores=None, draws=500, chains=4, progressbar=False)
    fault = approximation_fault({"inference": "laplace", **draws.extra})
    assert fault is not None and not draws.extra["pareto_k"] < 0.7
    assert "one of the 4 components is empty" in fault
    assert any("take fewer components" in note for note in draws.notes)
    vague = {"inference": "laplace", "pareto_k": 0.1, "importance_ess": 4000.0, "log_weight_se": 0.9}
    assert "standard error" in (approximation_fault(vague) or "")


def test_needed_components_are_not_called_surplus(three) -> None:
    problem, optimum = three
    draws = large_posterior(problem, [optimum], None, random_seed=1, cores=None, draws=250, chains=4, progressbar=False)
    assert "surplus" not in draws.extra
    assert approximation_fault({"inference": "laplace", **draws.extra}) is None


def test_which_tables_are_large() -> None:
    rows = np.random.default_rng(0).normal(size=(60_000, 2))
    table = bg.prepare_table(rows, resolution=None)
    assert is_large(table, "normal")
    assert not is_large(table, "t")  # not a function of sums over the rows
    assert not is_large(bg.prepare_table(rows[:1000], resolution=None), "normal")
    rows[0, 0] = np.nan
    assert not is_large(bg.prepare_table(rows, resolution=None), "normal")
