"""Bridge sampling, symmetrised proposals and empty components, against closed forms and other formulas."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from numpy.typing import NDArray

from bayesgmm.data.table import prepare_table
from bayesgmm.errors import InputError
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.bridge import bridge
from bayesgmm.model.proposals.student_mixture import Proposal, fit_proposal
from bayesgmm.model.proposals.symmetric import permuted_log_density, relevant_permutations
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure
from bayesgmm.model_selection.evidence.bridge_sampling import (
    Evidence,
    evidence_of_draws,
    mode_weights,
)
from bayesgmm.model_selection.evidence.empty_components import _ratio, log_empty_prior, log_empty_probability

Array = NDArray[np.float64]


def problem(covariance_type: str, k: int, *, rounded: bool = False, seed: int = 0) -> tuple[Density, Array]:
    """A density with K components in two dimensions, and flat vectors (30, n_dim) around its origin."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(25, 2)) * [1.0, 3.0]
    table = prepare_table(rows, sample_weight=rng.uniform(0.0, 2.0, 25))
    structure = get_structure(covariance_type)
    prior = MixturePrior(concentration=1.3, resolution=[0.3, 0.0] if rounded else None).resolve(table)
    factors = np.tril(0.3 * rng.normal(size=(k, 2, 2)), -1) + rng.uniform(0.4, 1.2, (k, 1, 2)) * np.eye(2)
    if not structure.correlated:
        factors = factors * np.eye(2)
    if structure.one_sd:
        factors = factors[:, :1, :1] * np.eye(2)
    if structure.shared:
        factors = np.broadcast_to(factors[:1], factors.shape)
    reference = MixtureParams(
        rng.dirichlet(np.ones(k)), rng.normal(size=(k, 2)), factors @ factors.mT, covariance_type
    )  # fmt: skip
    density = Density.build(Problem(table, structure, prior), reference)
    return density, 1.5 * rng.normal(size=(30, density.n_dim))


def random_proposal(n: int, parts: int, df: float, seed: int = 1) -> Proposal:
    rng = np.random.default_rng(seed)
    factors = np.tril(0.3 * rng.normal(size=(parts, n, n)), -1) + rng.uniform(0.8, 2.0, (parts, n, 1)) * np.eye(n)
    return Proposal(rng.dirichlet(np.ones(parts)), rng.normal(size=(parts, n)), factors, df)


def reordered(density: Density, x: Array, order: tuple[int, ...]) -> Array:
    weights, means, latent = density.unpack_latent(x)
    index = list(order)
    return density.pack_draws(weights[:, index], means[:, index], latent[:, index])


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_pack_draws_inverts_unpack(covariance_type: str, rounded: bool) -> None:
    density, x = problem(covariance_type, 3, rounded=rounded)
    np.testing.assert_allclose(density.pack_draws(*density.unpack_latent(x)), x, atol=1e-8)
    params = density.params(x[0])
    np.testing.assert_allclose(density.pack(params), x[0], atol=1e-6)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_reordering_keeps_the_density_of_the_flat_vector(covariance_type: str, rounded: bool) -> None:
    """Likelihood, prior and Jacobian: the flat target is symmetric, so the proposal needs no Jacobian either."""
    density, x = problem(covariance_type, 3, rounded=rounded)
    expected = density.log_posterior(x)
    assert expected[0] == pytest.approx(density.value_and_gradient(x[0])[0], rel=1e-14)
    for order in itertools.permutations(range(3)):
        np.testing.assert_allclose(density.log_posterior(reordered(density, x, order)), expected, rtol=1e-9)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize(("parts", "df"), [(1, math.inf), (1, 7.0), (2, math.inf), (2, 7.0)])
def test_permuted_density_equals_packing_every_permutation(covariance_type: str, parts: int, df: float) -> None:
    density, x = problem(covariance_type, 3, rounded=True)
    proposal = random_proposal(density.n_dim, parts, df)
    orders = np.array(list(itertools.permutations(range(3))))
    each = np.array([proposal.log_density(reordered(density, x, tuple(order))) for order in orders])
    total, first = permuted_log_density(proposal, density, *density.unpack_latent(x), orders)
    np.testing.assert_allclose(first, each[0], rtol=1e-9)
    np.testing.assert_allclose(total, np.logaddexp.reduce(each), rtol=1e-9)


@pytest.mark.parametrize("df", [math.inf, 7.0])
def test_proposal_density_and_draws(df: float) -> None:
    proposal = random_proposal(3, 2, df)
    x = np.random.default_rng(2).normal(size=(20, 3))
    shapes = proposal.cholesky @ proposal.cholesky.mT
    parts = [
        st.multivariate_normal(m, c).logpdf(x) if math.isinf(df) else st.multivariate_t(m, c, df).logpdf(x)
        for m, c in zip(proposal.means, shapes, strict=True)
    ]
    expected = np.logaddexp(*(np.log(w) + p for w, p in zip(proposal.weights, parts, strict=True)))
    np.testing.assert_allclose(proposal.log_density(x), expected, rtol=1e-12)
    # E exp(log r - log q) = 1 for any density r with lighter tails.
    y = proposal.sample(20_000, np.random.default_rng(3))
    ratio = np.exp(st.multivariate_normal(proposal.means[0], 0.5 * shapes[0]).logpdf(y) - proposal.log_density(y))
    assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / math.sqrt(len(ratio))


def test_fit_proposal_takes_what_describes_held_out_draws() -> None:
    rng = np.random.default_rng(4)
    assert fit_proposal(rng.normal(size=(4, 500, 3))).describe() == "Gaussian"
    assert fit_proposal(rng.standard_t(3, size=(4, 500, 1))).describe().endswith("t7")
    two = rng.normal(size=(4, 500, 2)) + 8.0 * rng.integers(0, 2, (4, 500, 1))
    assert fit_proposal(two).describe() == "mixture of 2 Gaussian"
    with pytest.raises(InputError, match="too few"):
        fit_proposal(rng.normal(size=(2, 5, 10)))


def test_bridge_error_is_what_repetition_shows() -> None:
    """Autocorrelated draws of a standard normal, a shifted wide proposal: z scores over 200 repetitions."""
    rng = np.random.default_rng(5)
    n_repeats, rho, truth = 200, 0.8, 0.5 * math.log(2.0 * math.pi)
    noise = rng.normal(size=(500, n_repeats, 4)) * math.sqrt(1.0 - rho**2)
    noise[0] = rng.normal(size=(n_repeats, 4))
    for t in range(1, 500):
        noise[t] += rho * noise[t - 1]
    proposal = st.norm(1.0, 1.3)
    z = []
    for repeat in range(n_repeats):
        x, y = noise[:, repeat].T, proposal.rvs(2000, random_state=rng)
        e = bridge(-0.5 * x**2, proposal.logpdf(x), -0.5 * y**2, proposal.logpdf(y))
        z.append((e.log_value - truth) / e.mcse)
    assert abs(np.mean(z)) < 4.0 / math.sqrt(n_repeats)
    assert 0.85 < np.std(z) < 1.2  # sd of a standard deviation: 0.05


def test_bridge_of_a_target_with_bounded_support() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.exponential(size=(4, 2000)), rng.normal(1.0, 2.0, 8000)
    target = np.where(y > 0, math.log(3.0) - np.abs(y), -np.inf)
    proposal = st.norm(1.0, 2.0)
    e = bridge(math.log(3.0) - x, proposal.logpdf(x), target, proposal.logpdf(y))
    assert abs(e.log_value - math.log(3.0)) < 4.0 * e.mcse < 0.1


def test_bridge_with_a_perfect_proposal_is_exact() -> None:
    x = np.random.default_rng(7).normal(size=(2, 50))
    e = bridge(x + 4.0, x, x.ravel() + 4.0, x.ravel())
    assert e.log_value == pytest.approx(4.0, abs=1e-8)
    assert e.mcse == pytest.approx(0.0, abs=1e-8)
    assert e.overlap == pytest.approx(1.0)


@pytest.mark.parametrize("shift", [0.5, 4.0, 12.0])
def test_a_bridge_in_the_air_is_bracketed(shift: float) -> None:
    """Where target and proposal hardly meet the estimate and its error say nothing, but two ends hold the truth."""
    rng, truth, n = np.random.default_rng(8), 0.5 * math.log(2.0 * math.pi), 200
    proposal, ends, z = st.norm(shift, 1.0), np.empty((n, 2)), np.empty(n)
    for i in range(n):
        x, y = rng.normal(size=(2, 200)), rng.normal(shift, 1.0, 400)
        e = bridge(-0.5 * x**2, proposal.logpdf(x), -0.5 * y**2, proposal.logpdf(y))
        ends[i], z[i] = (e.low - truth, truth - e.high), (e.log_value - truth) / e.mcse
    for t in (1.0, 2.0, 4.0):  # Markov's inequality, and the error of a frequency
        p = math.exp(-t)
        assert ((ends > t).mean(axis=0) <= p + 4.0 * math.sqrt(p * (1.0 - p) / n)).all()
    if shift < 1.0:  # unbiased: mean of exp(low) is Z
        assert (np.abs(np.exp(ends).mean(axis=0) - 1.0) < 4.0 * np.exp(ends).std(axis=0) / math.sqrt(n)).all()
        assert np.abs(ends).max() < 0.5
    if shift > 10.0:
        assert (ends < 0.0).all() and np.abs(z).max() > 5.0


@pytest.mark.parametrize("scale", [1e3, 1e7, 1e12])
def test_a_bridge_of_millions_of_nats_ends(scale: float) -> None:
    """Draws of a posterior that has no maximum: a number far from what its bracket allows, but no crash."""
    rng = np.random.default_rng(0)
    x, y = scale * rng.normal(size=(4, 100)), scale * rng.normal(size=400)
    e = bridge(x, np.zeros_like(x), y, np.zeros_like(y))
    assert np.isfinite(e.log_value) and abs(e.low - e.high) > scale


def test_bridge_refuses_what_it_cannot_use() -> None:
    x = np.zeros((2, 10))
    with pytest.raises(InputError, match="at least 4 draws"):
        bridge(x[:, :3], x[:, :3], x[0], x[0])
    with pytest.raises(InputError, match="not finite"):
        bridge(x - np.inf, x, x[0], x[0])
    with pytest.raises(InputError, match="misses the target"):
        bridge(x, x, x[0] - np.inf, x[0])


def on_a_line(places: Array) -> tuple[Proposal, Density, Array, Array, Array]:
    """Unit components at these places, a standard normal proposal around them and 50 draws of it."""
    rng, k = np.random.default_rng(8), len(places)
    means = places[:, None]
    table = prepare_table(np.repeat(means, 5, axis=0) + rng.normal(size=(5 * k, 1)), standardize=False)
    reference = MixtureParams(np.full(k, 1 / k), means, np.ones((k, 1, 1)))
    density = Density.build(Problem(table, get_structure("full"), MixturePrior().resolve(table)), reference)
    n = density.n_dim
    proposal = Proposal(np.ones(1), np.zeros((1, n)), np.eye(n)[None], math.inf)
    return proposal, density, *density.unpack_latent(rng.normal(size=(50, n)))


def test_only_permutations_that_matter_above_six_components() -> None:
    apart = 20.0 * np.arange(8.0)
    order, left_out = relevant_permutations(*on_a_line(apart))
    assert order.tolist() == [list(range(8))] and left_out == 0.0

    order, left_out = relevant_permutations(*on_a_line(np.where(apart == 140.0, 120.0, apart)))
    assert order.tolist() == [[*range(8)], [0, 1, 2, 3, 4, 5, 7, 6]] and left_out == 0.0

    order, left_out = relevant_permutations(*on_a_line(0.0 * apart))
    assert len({tuple(o) for o in order.tolist()}) == len(order) <= 5040
    assert order[0].tolist() == list(range(8)) and left_out > 0.01


def record(**changes: float) -> Evidence:
    return replace(Evidence(-12.345, 0.04, 0.0, 0.9, 3, 6, 0.0, "bridge sampling", np.zeros((2, 20)), 3), **changes)


def test_no_value_is_printed_when_it_is_not_known() -> None:
    assert str(record()) == "Log evidence for 3 components: -12.35, Monte Carlo error 0.04 (bridge sampling)."
    for bad in (record(mcse=0.6), record(mcse=math.nan), record(left_out=0.2)):
        assert not bad.ok
        assert "12.3" not in str(bad) and str(bad).startswith("No log evidence for 3 components: ")
    assert "Monte Carlo error is 0.6, above 0.5" in str(record(mcse=0.6))


def test_mode_weights_and_their_errors() -> None:
    values, errors = np.array([-10.0, -10.7, -14.0]), np.array([0.05, 0.1, 0.2])
    weights, se = mode_weights([record(value=v, mcse=e) for v, e in zip(values, errors, strict=True)])
    z = np.exp(values + 10.0)
    np.testing.assert_allclose(weights, z / z.sum())
    noisy = np.exp(values + 10.0 + errors * np.random.default_rng(10).normal(size=(200_000, 3)))
    np.testing.assert_allclose(se, (noisy / noisy.sum(axis=1, keepdims=True)).std(axis=0), rtol=0.05)


def test_too_few_draws_are_refused() -> None:
    table = prepare_table([[0.0], [1.0], [3.0]])
    prior = MixturePrior().resolve(table)
    with pytest.raises(InputError, match="at least 20 draws"):
        evidence_of_draws(
            np.ones((1, 5, 1)),
            np.ones((1, 5, 1, 1)),
            np.ones((1, 5, 1, 1, 1)),
            Problem(table, get_structure("full"), prior),
        )


def test_empty_component_prior_is_a_beta_integral() -> None:
    """E (1 - w)^A under w ~ Beta(e0, (K-1) e0), which is also right for weights that are not whole."""
    for total, k, e0 in [(7.0, 3, 1.0), (12.5, 4, 0.6), (3.0, 2, 2.0)]:
        beta = st.beta(e0, (k - 1) * e0)
        assert log_empty_prior(total, k, e0) == pytest.approx(math.log(beta.expect(lambda w, a=total: (1 - w) ** a)))


def test_empty_component_probability_by_the_textbook_formula() -> None:
    rng = np.random.default_rng(11)
    s, k, n = 40, 3, 6
    rows, row_weights = rng.normal(size=(n, 2)), np.array([1.0, 2.0, 0.0, 0.5, 1.0, 1.0])
    weights, means = rng.dirichlet(np.ones(k), s), 2.0 * rng.normal(size=(s, k, 2))
    factors = np.tril(0.3 * rng.normal(size=(s, k, 2, 2)), -1) + rng.uniform(0.3, 1.5, (s, k, 1, 2)) * np.eye(2)
    expected = []
    for t in range(s):
        joint = np.array([
            weights[t, j] * st.multivariate_normal(means[t, j], factors[t, j] @ factors[t, j].T).pdf(rows)
            for j in range(k)
        ])  # fmt: skip
        empty = [np.prod((joint[np.arange(k) != j].sum(axis=0) / joint.sum(axis=0)) ** row_weights) for j in range(k)]
        expected.append(math.log(np.mean(empty)))
    out = log_empty_probability(rows, weights, means, inverse_cholesky(factors), row_weights=row_weights)
    np.testing.assert_allclose(out, expected, rtol=1e-9)


def test_empty_component_ratio_says_when_few_draws_carry_it() -> None:
    log_p = np.full((4, 200), -30.0)
    log_p[0, 3] = -1.0
    rare = _ratio(log_p, -2.0, 3)
    assert not rare.ok and str(rare).startswith("No Bayes factor of 2 against 3 components")
    common = _ratio(np.log(np.random.default_rng(12).uniform(size=(4, 500))), -2.0, 3)
    assert common.ok and abs(common.value - (math.log(0.5) + 2.0)) < 4.0 * common.mcse
    nothing = _ratio(np.full((2, 50), -np.inf), -2.0, 3)
    assert not nothing.ok and nothing.value == -math.inf


def test_latent_factors_are_those_of_the_tree() -> None:
    density, x = problem("full", 2, rounded=True)
    latent = density.unpack_latent(x)[2]
    covariances = (lambda c: c @ c.mT)(density.unpack(x)[2])
    floor = np.array([0.3, 0.0]) ** 2 / 12.0
    again = latent_cholesky(covariances.reshape(-1, 2, 2), floor).reshape(latent.shape)
    np.testing.assert_allclose(again, latent, atol=1e-6)


def test_draws_that_are_copies_of_a_few_fit_no_proposal() -> None:
    """As importance resampling leaves them where a few draws of an approximation have all the weight."""
    draws = np.repeat(np.random.default_rng(0).normal(size=(1, 3, 4)), 100, axis=1)
    with pytest.raises(InputError, match="Only 2 of 200 draws are distinct, too few for 4 parameters"):
        fit_proposal(draws)


def test_draws_of_very_different_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts of a mixture are singular it is one Gaussian; where that is singular too there is no proposal."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(1, 300, 1)) * np.array([1e20, 1e20, 0.0, 0.0]) + rng.normal(size=(1, 300, 4))
    assert fit_proposal(draws).describe() in ("Gaussian", "t7")
    monkeypatch.setattr("sklearn.covariance.ledoit_wolf", lambda rows: (np.ones((4, 4)), 0.0))
    with pytest.raises(InputError, match="their covariance is singular in floating-point numbers"):
        fit_proposal(draws)
