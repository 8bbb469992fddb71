"""Laplace approximation with importance resampling, against quadrature and NUTS, and what says that it failed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import lognorm, norm

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.approximate.at_modes import _inverse_factor, check_affordable, laplace_part
from bayesgmm.inference.approximate.laplace import sample_laplace
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts.sample import sample_nuts
from bayesgmm.model.density.decoupled import value_and_gradient
from bayesgmm.model.density.hessian import hessian
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.build import build_tree
from bayesgmm.posterior.diagnostics.diagnose import diagnose

FULL = get_structure("full")


def problem_of(data, k: int, structure=FULL, prior: bg.MixturePrior | None = None):
    """The problem and its posterior modes, as the samplers take them."""
    table = bg.prepare_table(data)
    _, candidates = fit_em_candidates(table, k, structure=structure, n_init=10, random_seed=0)
    given = Problem(table, structure, (prior or bg.MixturePrior()).resolve(table))
    return given, find_modes(given, candidates)


def tree_of(draws: Draws, problem, inference: str):
    return build_tree(draws, problem[0], inference=inference, random_seed=1, standardize=True, log_likelihood=True)


@pytest.fixture(scope="module")
def faithful():
    return problem_of(bg.datasets.load_faithful(), 2)


@pytest.fixture(scope="module")
def laplace(faithful):
    return sample_laplace(*faithful, random_seed=1)


@pytest.fixture(scope="module")
def nuts_tree(faithful):
    return tree_of(sample_nuts(*faithful, random_seed=1, progressbar=False), faithful, "nuts")


def differences(tree, exact) -> tuple[float, float]:
    """Largest difference of posterior means, in posterior sds, and of log posterior sds."""
    shift, spread = [], []
    for name in ("weights", "means", "covariances"):
        a, b = (t["posterior"][name].values.reshape(4000, -1) for t in (tree, exact))
        shift.append(np.abs(a.mean(axis=0) - b.mean(axis=0)) / b.std(axis=0))
        spread.append(np.abs(np.log(a.std(axis=0) / b.std(axis=0))))
    return float(np.concatenate(shift).max()), float(np.concatenate(spread).max())


def test_agrees_with_nuts(faithful, laplace, nuts_tree) -> None:
    """Two samples of 4000: standard error of a mean about 0.025 sd, of an sd 2 %."""
    tree = tree_of(laplace, faithful, "laplace")
    shift, spread = differences(tree, nuts_tree)
    assert shift < 0.1
    assert spread < 0.1
    assert tree.attrs["pareto_k"] < 0.7
    assert diagnose(tree).ok


def test_posterior_of_one_component_by_quadrature() -> None:
    """Four rows: a posterior far from normal, whose moments a grid of means and sds gives."""
    problem = problem_of([[0.0], [1.0], [2.5], [7.0]], 1)
    (table, _, prior), _ = problem
    draws = sample_laplace(*problem, draws=5000, random_seed=3)
    assert draws.extra["pareto_k"] < 0.7
    m, log_s = np.meshgrid(np.linspace(-8.0, 8.0, 801), np.linspace(-3.0, 3.0, 801), indexing="ij")
    s = np.exp(log_s)
    (mu,), (sigma,) = prior.sd_parameters
    log_sd_prior = lognorm.logpdf(s, sigma, scale=np.exp(mu))
    log_p = norm.logpdf(m, prior.mean_loc[0], prior.mean_scale[0]) + log_sd_prior + log_s  # a density on the grid
    true_sd = np.sqrt(s**2 + prior.floor[0])
    for z in table.standardized[:, 0]:
        log_p = log_p + norm.logpdf(z, m, true_sd)
    weight = np.exp(log_p - log_p.max())
    weight /= weight.sum()
    ess = draws.extra["importance_ess"]
    for truth, values in ((m, draws.means[:, :, 0, 0]), (np.log(true_sd), np.log(draws.cholesky[:, :, 0, 0, 0]))):
        mean = float((weight * truth).sum())
        sd = float(np.sqrt((weight * (truth - mean) ** 2).sum()))
        assert values.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(ess))
        assert values.std() == pytest.approx(sd, rel=4 / np.sqrt(ess))


def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores(faithful) -> None:
    run = partial(sample_laplace, *faithful, draws=100, chains=3)
    first, second, other = run(random_seed=5, cores=1), run(random_seed=5, cores=2), run(random_seed=6)
    for name in ("weights", "means", "cholesky", "log_prior"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.shape == (3, 100, 2, 2)
    assert first.extra == second.extra
    assert not np.array_equal(first.means, other.means)


@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical"])
def test_other_structures_pass(covariance_type: str) -> None:
    problem = problem_of(bg.datasets.load_faithful(), 2, get_structure(covariance_type))
    draws = sample_laplace(*problem, random_seed=1)
    assert draws.extra["pareto_k"] < 0.5
    assert draws.extra["importance_ess"] > 3000


def test_duplicates_stand_side_by_side_and_are_counted(laplace) -> None:
    flat = laplace.log_prior.ravel()
    repeats = int((np.diff(flat) == 0).sum())
    assert len(np.unique(flat)) == laplace.extra["n_distinct"] == flat.size - repeats


def test_surplus_components_are_caught_and_said() -> None:
    """Four components on two clusters: the posterior is nothing like a few normals."""
    problem = problem_of(bg.datasets.load_faithful(), 4)
    draws = sample_laplace(*problem, random_seed=1, draws=500)
    assert draws.extra["pareto_k"] > 0.7
    assert draws.extra["n_distinct"] == 2000
    assert "not resampled" in draws.method
    diagnosis = diagnose(tree_of(draws, problem, "laplace"))
    assert not diagnosis.ok
    assert "intervals are not trustworthy" in diagnosis.verdict


def test_log_p_and_log_q_are_what_loo_needs(faithful, laplace) -> None:
    """LOO corrected by log_p - log_q is the plain LOO of the resampled draws, which need no correction."""
    import arviz as az

    tree = tree_of(laplace, faithful, "laplace")
    stats = tree["sample_stats"]
    difference = (stats["log_p"] - stats["log_q"]).values
    assert np.ptp(difference) < 0.2  # raw against smoothed weights
    jacobian = np.log(faithful[0].table.scale).sum() * faithful[0].table.n_rows
    constant = stats["log_p"].values - (tree["posterior"]["log_likelihood_total"].values + laplace.log_prior)
    np.testing.assert_allclose(constant, jacobian, atol=1e-6)
    corrected = az.loo_approximate_posterior(tree, log_p=stats["log_p"].values, log_q=stats["log_q"].values)
    assert corrected.elpd == pytest.approx(az.loo(tree).elpd, abs=0.05)


def test_mode_and_hessian_in_decoupled_coordinates(faithful) -> None:
    density = faithful[1][0].density
    part, evidence = laplace_part(density)
    value, gradient = value_and_gradient(density, part.mean)
    second = hessian(lambda u: value_and_gradient(density, u)[1], part.mean)
    # A Newton step from the mode, in sds.
    assert np.abs(np.linalg.solve(second, gradient)).max() < 0.02
    np.testing.assert_allclose(part.factor @ part.factor.T, np.linalg.inv(-second), rtol=0.05, atol=0.02)
    values = [value_and_gradient(density, part.mean + h * np.eye(density.n_dim)[3])[0] for h in (-0.01, 0.01)]
    assert (sum(values) - 2 * value) / 1e-4 == pytest.approx(second[3, 3], rel=1e-3)
    expected = value + 0.5 * density.n_dim * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(-second).logabsdet
    assert evidence == pytest.approx(expected, abs=0.02)


def test_a_hessian_without_flat_directions_is_inverted_as_it_is() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix = root @ root.T + np.eye(6)
    factor, log_det, curved = _inverse_factor(matrix, True, None)
    assert curved and np.array_equal(factor, np.tril(factor)) and (np.diag(factor) > 0.0).all()
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(matrix), rtol=1e-9)
    assert log_det == pytest.approx(np.linalg.slogdet(matrix).logabsdet, rel=1e-12)
    factor, log_det, curved = _inverse_factor(np.diag([4.0, 1e-3]), True, None)
    assert not curved and log_det == pytest.approx(np.log(4.0 * 0.05))
    np.testing.assert_allclose(factor @ factor.T, np.diag([0.25, 20.0]))


def test_many_parameters_are_refused_with_what_can_be_afforded() -> None:
    """Before any matrix of them: 14,761 parameters would take a Hessian of 1.7 GB."""
    rows = np.random.default_rng(0).normal(size=(300, 120))
    table = bg.prepare_table(rows)
    problem = Problem(table, FULL, bg.MixturePrior().resolve(table))
    with pytest.raises(bg.InputError, match=r"14761 parameters.*take covariance_type='diag' \(481 parameters\)"):
        check_affordable(problem, 2)
    diag = Problem(table, get_structure("diag"), problem.prior)
    check_affordable(diag, 2)


def test_a_posterior_without_a_maximum_is_refused_in_one_line() -> None:
    """Seven rows a component in twelve columns: each covariance closes in on a plane through its rows."""
    problem = problem_of(np.random.default_rng(0).normal(size=(14, 12)), 2)
    assert not any(mode.converged for mode in problem[1])
    with pytest.raises(bg.InputError, match=r"no maximum of the posterior .* covariance_type='diag'") as refused:
        sample_laplace(*problem, draws=100, random_seed=1, progressbar=False)
    assert "\n" not in str(refused.value)


def test_the_search_in_many_parameters_ends_where_newton_steps_do(monkeypatch) -> None:
    rng = np.random.default_rng(4)
    _, modes = problem_of(np.concatenate([rng.normal(size=(150, 5)), rng.normal(4.0, 1.0, size=(150, 5))]), 2)
    part, evidence = laplace_part(modes[0].density)
    monkeypatch.setattr("bayesgmm.inference.approximate.at_modes._FEW", 0)
    searched, also = laplace_part(modes[0].density)
    np.testing.assert_allclose(searched.mean, part.mean, atol=0.02)
    np.testing.assert_allclose(searched.factor, part.factor, atol=0.02)
    assert also == pytest.approx(evidence, abs=0.01)
