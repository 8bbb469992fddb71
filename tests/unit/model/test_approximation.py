"""Importance weights, their Pareto k, resampling; decoupled coordinates; proposals at modes."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import expon, multivariate_t, norm
from test_density import CASES, IDS, Problem, gradient_by_differences

from bayesgmm.data.table import prepare_table
from bayesgmm.errors import InputError
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.decoupled import from_affine, log_prior_of_decoupled, to_affine, value_and_gradient
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem as Given
from bayesgmm.model.proposals.at_modes import LocalProposal, Part, mixtures_at
from bayesgmm.model.proposals.importance import log_likelihoods, resample, smooth_weights


@pytest.mark.parametrize("rate", [0.65, 0.8])
def test_pareto_k_is_the_tail_of_the_weights(rate: float) -> None:
    """x ~ Exp(rate) for a target Exp(1 - rate): weights exp((2 rate - 1) x) have tail index (2 rate - 1) / rate."""
    samples = expon.rvs(scale=1.0 / rate, size=(10, 50_000), random_state=1)
    got = np.mean([smooth_weights((2.0 * rate - 1.0) * x).pareto_k for x in samples])
    assert got == pytest.approx((2.0 * rate - 1.0) / rate, abs=0.07)  # tails of 671: 3 standard errors


def test_a_proposal_with_heavy_tails_passes_and_one_with_light_tails_fails() -> None:
    rng = np.random.default_rng(2)
    wide, narrow = 2.0 * rng.normal(size=4000), 0.3 * rng.normal(size=4000)
    assert smooth_weights(norm.logpdf(wide) - norm.logpdf(wide, scale=2.0)).pareto_k < 0.3
    assert not smooth_weights(norm.logpdf(narrow) - norm.logpdf(narrow, scale=0.3)).ok


def test_weights_give_the_moments_of_the_target() -> None:
    x = 1.5 * np.random.default_rng(3).normal(size=20_000) + 0.3
    w = smooth_weights(norm.logpdf(x) - norm.logpdf(x, 0.3, 1.5))
    assert np.exp(w.log_weights).sum() == pytest.approx(1.0)
    assert np.exp(w.log_weights) @ x == pytest.approx(0.0, abs=4 / np.sqrt(w.ess))
    assert np.exp(w.log_weights) @ x**2 == pytest.approx(1.0, abs=4 * np.sqrt(2 / w.ess))


def test_draws_outside_the_support_have_no_weight() -> None:
    x = np.random.default_rng(4).normal(size=2000)
    inside = x > -1.0
    w = smooth_weights(np.where(inside, 0.1 * x, -np.inf))
    assert np.exp(w.log_weights[~inside]).max() < 1e-200
    assert np.isfinite(w.pareto_k) and w.ess < inside.sum()


def test_equal_weights_are_no_tail() -> None:
    w = smooth_weights(np.full(100, -3.0))
    assert (w.pareto_k, w.ess) == (0.0, 100.0)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        smooth_weights(np.zeros(24))
    with pytest.raises(InputError, match="finite"):
        smooth_weights(np.full(100, -np.inf))


def test_resampling_takes_each_draw_as_often_as_its_weight_says() -> None:
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.ones(50))
    for _ in range(20):
        index = resample(np.log(weights), 400, rng)
        counts = np.bincount(index, minlength=50)
        assert (np.diff(index) >= 0).all()
        assert (counts >= np.floor(400 * weights)).all()
        assert (counts <= np.ceil(400 * weights)).all()


def test_threads_divide_the_work_and_keep_its_order() -> None:
    for cores in (None, 1, 3, 100):
        parts = over_threads(lambda s: np.arange(s.start, s.stop), 7, cores)
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(7))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_decoupled_density_is_the_affine_one_with_its_jacobian(case) -> None:
    density, rng = (p := Problem(*case)).density, p.rng
    u = rng.normal(size=density.n_dim)

    def affine(points):
        return to_affine(density, points.reshape(-1, density.n_dim)).reshape(points.shape)

    jacobian = [gradient_by_differences(lambda z, i=i: affine(z)[..., i], u) for i in range(density.n_dim)]
    value, gradient = value_and_gradient(density, u)
    x = affine(u[None])[0]
    expected = density.value_and_gradient(x)[0] + np.linalg.slogdet(np.array(jacobian)).logabsdet
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-8)
    np.testing.assert_allclose(from_affine(density, x[None])[0], u, atol=1e-12)
    values = np.vectorize(lambda z: value_and_gradient(density, z)[0], signature="(n)->()")
    slopes = gradient_by_differences(values, u)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8 * np.abs(slopes).max())


@pytest.mark.parametrize("case", CASES[::4], ids=IDS[::4])
def test_prior_and_likelihood_add_up_to_the_posterior(case) -> None:
    problem = Problem(*case)
    density = problem.density
    u = problem.rng.normal(size=(5, density.n_dim))
    x = mixtures_at(density, u)
    likelihood = log_likelihoods(density, x.weights, x.means, x.cholesky, cores=2)
    expected = [value_and_gradient(density, z)[0] for z in u]
    np.testing.assert_allclose(log_prior_of_decoupled(density, u) + likelihood, expected, rtol=1e-10)


def proposal_of(problem: Problem, orders: np.ndarray) -> LocalProposal:
    """Two parts in different coordinates, far from each other's origin."""
    first = problem.density
    second = Density.build(Given(problem.table, problem.structure, problem.numbers), problem.mixture())
    n, rng = first.n_dim, np.random.default_rng(6)
    parts = []
    for density, df in ((first, 5.0), (second, 30.0)):
        a = rng.normal(size=(n, n))
        parts.append(Part(density, rng.normal(size=n), np.linalg.cholesky(a @ a.T / n + np.eye(n)), df))
    return LocalProposal(tuple(parts), np.array([0.3, 0.7]), orders)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_density_of_a_mixture_of_proposals_in_one_set_of_coordinates(covariance_type: str) -> None:
    """Everything restated in the first part's EM-affine coordinates, by SciPy and numerical Jacobians."""
    problem = Problem(covariance_type, "log_normal", True, 3, 2)
    orders = np.array(list(permutations(range(3))))[[0, 3, 4]]
    proposal = proposal_of(problem, orders)
    common = problem.density
    x = proposal.sample(3, np.random.default_rng(7))
    points = common.pack_draws(x.weights, x.means, x.latent)
    for s, point in enumerate(points):
        terms = []
        for weight, part in zip(proposal.weights, proposal.parts, strict=True):
            for order in orders:

                def to_part(z, part=part, order=order):
                    flat = z.reshape(-1, z.shape[-1])
                    w, m, t = common.unpack_latent(flat)
                    packed = part.density.pack_draws(w[:, order], m[:, order], t[:, order])
                    return from_affine(part.density, packed).reshape(z.shape)

                u = to_part(point)
                jacobian = [
                    gradient_by_differences(lambda z, i=i: to_part(z)[..., i], point, h=1e-3) for i in range(len(point))
                ]
                log_det = np.linalg.slogdet(np.array(jacobian)).logabsdet
                shape = part.factor @ part.factor.T
                log_q = multivariate_t.logpdf(u, part.mean, shape, df=part.df)
                terms.append(np.log(weight / len(orders)) + log_q + log_det)
        likelihood = log_likelihoods(common, x.weights, x.means, x.cholesky)[s]
        prior = common.value_and_gradient(point)[0] - likelihood  # in the common coordinates
        assert proposal.log_ratio(x.take([s]))[0] == pytest.approx(logsumexp(terms) - prior, rel=1e-6)


def test_components_that_exchange_are_symmetrised_and_others_are_not() -> None:
    rng = np.random.default_rng(8)
    rows = np.concatenate([rng.normal(0, 1, 100), rng.normal(30, 1, 100)])[:, None]
    table = prepare_table(rows)
    problem = Problem("full", "log_normal", False, 3, 1)
    numbers = problem.prior.resolve(table)
    z = table.standardized
    means = np.array([[z[:100].mean()], [z[:100].mean() + 0.001], [z[100:].mean()]])
    covariances = np.full((3, 1, 1), z[:100].var())
    reference = MixtureParams(np.array([0.25, 0.25, 0.5]), means, covariances)
    density = Density.build(Given(table, problem.structure, numbers), reference)
    part = Part(density, np.zeros(density.n_dim), np.eye(density.n_dim), 20.0)
    built = LocalProposal.build((part,), np.ones(1), rng)
    assert {tuple(order) for order in built.orders} == {(0, 1, 2), (1, 0, 2)}


def test_adapting_moves_a_proposal_to_the_weighted_draws() -> None:
    problem = Problem("full", "log_normal", False, 2, 1)
    n = problem.density.n_dim
    part = Part(problem.density, np.zeros(n), np.eye(n), 50.0)
    proposal = LocalProposal((part,), np.ones(1), np.arange(2)[None])
    rng = np.random.default_rng(9)
    x = proposal.sample(20_000, rng)
    u = from_affine(part.density, part.density.pack_draws(x.weights, x.means, x.latent))
    # Weights that turn N(0, 1) into N(shift, 1).
    weights = np.exp(u @ np.full(n, 0.5))
    adapted = proposal.adapted(x, weights / weights.sum())
    assert len(adapted.parts) == 2
    np.testing.assert_allclose(adapted.weights, [0.5, 0.5])
    np.testing.assert_allclose(adapted.parts[1].mean, 0.5 * 50 / 48, atol=0.1)
    np.testing.assert_allclose(adapted.parts[1].factor, np.eye(n), atol=0.1)
