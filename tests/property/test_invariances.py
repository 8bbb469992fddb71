"""What must not matter: the order of components, units and shifts of columns, the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesgmm as bg
from bayesgmm.kernels.row_model import NORMAL, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import as_rows
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure

seeds = st.integers(0, 2**32 - 1)
structures = st.sampled_from(COVARIANCE_TYPES)


def random_mixture(rng: np.random.Generator, k: int, d: int, covariance_type: str) -> MixtureParams:
    factors = 0.4 * rng.normal(size=(k, d, d)) + np.eye(d)
    covariances = get_structure(covariance_type).project(factors @ np.swapaxes(factors, 1, 2), np.ones(k))
    return MixtureParams(rng.dirichlet(np.full(k, 2.0)), 2 * rng.normal(size=(k, d)), covariances, covariance_type)


def kernel(rows: np.ndarray, params: MixtureParams) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, log density of each row and responsibilities."""
    k, n = params.n_components, len(rows)
    log_norm, density, r = np.empty(k), np.empty(n), np.empty((n, k))
    log_normalizers(np.log(params.weights), params.scaling, NORMAL, log_norm)
    total = mixture_pass(as_rows(rows), np.ones(n), log_norm, np.array(params.means), params.scaling,
                         NORMAL, np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)), density, r)  # fmt: skip
    return total, density, r


@settings(max_examples=40, deadline=None)
@given(seed=seeds, k=st.integers(1, 5), d=st.integers(1, 6), n=st.integers(1, 600))
def test_kernel_ignores_the_order_of_components(seed: int, k: int, d: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    params, rows, order = random_mixture(rng, k, d, "full"), 3 * rng.normal(size=(n, d)), rng.permutation(k)
    total, density, r = kernel(rows, params)
    total_2, density_2, r_2 = kernel(rows, params.permute(order))
    np.testing.assert_allclose(density_2, density, rtol=1e-12)
    np.testing.assert_allclose(r_2, r[:, order], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(r.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose([total, total_2], density.sum(), rtol=1e-11)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), d=st.integers(1, 4), covariance_type=structures)
def test_prior_ignores_the_order_of_components(seed: int, k: int, d: int, covariance_type: str) -> None:
    rng = np.random.default_rng(seed)
    table = bg.prepare_table(rng.normal(size=(40, d)))
    prior, structure = bg.MixturePrior(concentration=0.7).resolve(table), get_structure(covariance_type)
    params, order = random_mixture(rng, k, d, covariance_type), rng.permutation(k)
    density = Density.build(Problem(table, structure, prior), params)
    parts = [params, params.permute(order)]
    values = [density.log_prior(np.array(p.weights)[None], np.array(p.means)[None], p.cholesky[None])[0] for p in parts]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, d=st.integers(1, 3), covariance_type=st.sampled_from(("full", "tied", "diag")))
def test_em_follows_units_and_shifts(seed: int, d: int, covariance_type: str) -> None:
    """x -> shift + scale x changes the log-likelihood by -N sum log scale and the means accordingly."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(0, 1, (40, d)), rng.normal(7, 1.5, (30, d))])
    scale, shift = 10.0 ** rng.uniform(-3, 3, d), 100 * rng.normal(size=d)
    before = bg.fit_em(rows, 2, covariance_type=covariance_type, n_init=4, random_seed=1)
    after = bg.fit_em(shift + scale * rows, 2, covariance_type=covariance_type, n_init=4, random_seed=1)
    np.testing.assert_allclose(after.log_likelihood, before.log_likelihood - 70 * np.log(scale).sum(), atol=1e-3)
    np.testing.assert_allclose((after.params.means - shift) / scale, before.params.means, atol=1e-2)
    np.testing.assert_allclose(after.params.weights, before.params.weights, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), d=st.integers(1, 4), covariance_type=structures)
def test_pack_inverts_params_in_any_coordinates(seed: int, k: int, d: int, covariance_type: str) -> None:
    rng = np.random.default_rng(seed)
    table = bg.prepare_table(rng.normal(size=(30, d)))
    prior, structure = bg.MixturePrior().resolve(table), get_structure(covariance_type)
    density = Density.build(Problem(table, structure, prior), random_mixture(rng, k, d, covariance_type))
    params = random_mixture(rng, k, d, covariance_type)
    back = density.params(density.pack(params))
    np.testing.assert_allclose(back.weights, params.weights, rtol=1e-9)
    np.testing.assert_allclose(back.means, params.means, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(back.covariances, params.covariances, rtol=1e-8, atol=1e-9)


def clusters(rng: np.random.Generator, d: int) -> np.ndarray:
    """Two groups of rows so far apart that EM has one answer."""
    return np.concatenate([rng.normal(0.0, 1.0, (40, d)), rng.normal(9.0, 1.5, (30, d))])


def in_one_order(params: MixtureParams) -> MixtureParams:
    return params.permute(np.argsort(params.means[:, 0]))


@settings(max_examples=10, deadline=None)
@given(seed=seeds, d=st.integers(1, 3), covariance_type=structures)
def test_em_ignores_the_order_of_rows_and_columns(seed: int, d: int, covariance_type: str) -> None:
    rng = np.random.default_rng(seed)
    rows, order, columns = clusters(rng, d), rng.permutation(70), rng.permutation(d)
    options = {"covariance_type": covariance_type, "n_init": 4, "random_seed": 1}
    before = bg.fit_em(rows, 2, **options)
    after = bg.fit_em(rows[order][:, columns], 2, **options)
    np.testing.assert_allclose(after.log_likelihood, before.log_likelihood, atol=1e-4)
    a, b = in_one_order(before.params), in_one_order(after.params)
    np.testing.assert_allclose(b.weights, a.weights, atol=1e-4)
    np.testing.assert_allclose(np.sort(b.means), np.sort(a.means[:, columns]), atol=1e-2)
    np.testing.assert_allclose(b.covariances, a.covariances[:, columns][:, :, columns], atol=2e-2)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, d=st.integers(1, 3), covariance_type=structures)
def test_em_takes_a_weight_of_three_for_three_rows(seed: int, d: int, covariance_type: str) -> None:
    rng = np.random.default_rng(seed)
    rows, weights = clusters(rng, d), rng.integers(1, 4, 70)
    options = {"covariance_type": covariance_type, "n_init": 4, "random_seed": 1}
    weighted = bg.fit_em(rows, 2, sample_weight=weights, **options)
    copied = bg.fit_em(np.repeat(rows, weights, axis=0), 2, **options)
    np.testing.assert_allclose(weighted.log_likelihood, copied.log_likelihood, rtol=1e-6, atol=1e-4)
    a, b = in_one_order(weighted.params), in_one_order(copied.params)
    np.testing.assert_allclose(a.weights, b.weights, atol=1e-4)
    np.testing.assert_allclose(a.means, b.means, atol=1e-2)
    np.testing.assert_allclose(a.covariances, b.covariances, atol=2e-2)


def posterior(
    rows: np.ndarray, reference: MixtureParams, weights: np.ndarray | None = None, standardize: bool = True,
    **prior: object,
) -> Density:  # fmt: skip
    table = bg.prepare_table(rows, sample_weight=weights, standardize=standardize, resolution=None)
    resolved = bg.MixturePrior(resolution=None, **prior).resolve(table)  # type: ignore[arg-type]
    return Density.build(Problem(table, get_structure(reference.covariance_type), resolved), reference)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), d=st.integers(1, 4), covariance_type=structures)
def test_posterior_takes_a_weight_of_three_for_three_rows(seed: int, k: int, d: int, covariance_type: str) -> None:
    """Value and gradient at any point, in the same coordinates."""
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(40, d)), rng.integers(1, 4, 40)
    reference = random_mixture(rng, k, d, covariance_type)
    # A prior that does not look at the rows' range or middle, which copies do not move.
    weighted, copied = posterior(rows, reference, weights), posterior(np.repeat(rows, weights, axis=0), reference)
    for point in 0.5 * rng.normal(size=(3, weighted.n_dim)):
        (value, slope), (other, other_slope) = weighted.value_and_gradient(point), copied.value_and_gradient(point)
        np.testing.assert_allclose(value, other, rtol=1e-10)
        np.testing.assert_allclose(slope, other_slope, rtol=1e-7, atol=1e-7 * np.abs(slope).max())


@settings(max_examples=30, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), d=st.integers(1, 4), covariance_type=structures)
def test_posterior_ignores_the_order_of_rows_columns_and_components(
    seed: int, k: int, d: int, covariance_type: str
) -> None:
    """Log-likelihood plus log prior of one mixture; columns need an LKJ prior that has none among them."""
    rng = np.random.default_rng(seed)
    rows, reference = rng.normal(size=(50, d)), random_mixture(rng, k, d, covariance_type)
    order, columns, parts = rng.permutation(50), rng.permutation(d), rng.permutation(k)

    def turned(params: MixtureParams) -> MixtureParams:
        covariances = params.covariances[:, columns][:, :, columns]
        return MixtureParams(params.weights, params.means[:, columns], covariances, covariance_type).permute(parts)

    plain = posterior(rows, reference)
    other = posterior(rows[order][:, columns], turned(reference))
    found = []
    for params in [random_mixture(rng, k, d, covariance_type) for _ in range(3)]:
        pair = []
        for density, x in ((plain, params), (other, turned(params))):
            log_prior = density.log_prior(x.weights[None], x.means[None], x.cholesky[None])[0]
            # The prior is of the correlation's Cholesky factor: of the correlation matrix it is the same in any order.
            factor = x.cholesky / x.standard_deviations[:, :, None]
            powers = np.arange(d - 1, -1, -1)
            g = get_structure(covariance_type).n_matrices(k)
            if get_structure(covariance_type).pattern(d).correlated:
                log_prior -= (powers * np.log(np.diagonal(factor[:g], axis1=1, axis2=2))).sum()
            pair.append(kernel(density.packed.rows.features.T.copy(), x)[0] + log_prior)
        found.append(pair)
    np.testing.assert_allclose(*np.array(found).T, rtol=1e-9, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), d=st.integers(1, 3), covariance_type=structures)
def test_posterior_density_follows_units_and_shifts(seed: int, k: int, d: int, covariance_type: str) -> None:
    """On standardised columns the same point has the same density, value and gradient, whatever the units."""
    rng = np.random.default_rng(seed)
    rows, scale, shift = rng.normal(size=(50, d)), 10.0 ** rng.uniform(-3, 3, d), 100 * rng.normal(size=d)
    reference = random_mixture(rng, k, d, covariance_type)
    plain, moved = posterior(rows, reference), posterior(shift + scale * rows, reference)
    for point in 0.5 * rng.normal(size=(3, plain.n_dim)):
        (value, slope), (other, other_slope) = plain.value_and_gradient(point), moved.value_and_gradient(point)
        np.testing.assert_allclose(value, other, rtol=1e-7)
        np.testing.assert_allclose(slope, other_slope, rtol=1e-5, atol=1e-5 * np.abs(slope).max())
