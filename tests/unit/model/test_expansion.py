"""The log-likelihood to second order and its sampled remainder, against finite differences and passes over all rows."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.table_blocks import TableBlocks
from bayesgmm.model.background import structure_for
from bayesgmm.model.density.decoupled import value_and_gradient
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.expansion import Expansion, expand
from bayesgmm.model.density.hessian import hessian
from bayesgmm.model.density.remainder import sample_rows
from bayesgmm.model.density.surrogate import Surrogate
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import mixtures_at
from bayesgmm.model.proposals.importance import log_likelihoods


def setting(covariance_type: str, noise: bool, n: int = 400) -> tuple[Density, Surrogate, TableBlocks]:
    rng = np.random.default_rng(0)
    x = np.round(np.concatenate([rng.normal(0, 1, (n, 3)), rng.normal(2, 1.5, (n // 2, 3))]), 1)
    table = bg.prepare_table(x, sample_weight=rng.integers(1, 4, len(x)))
    structure = structure_for(table, covariance_type, "normal", noise)
    problem = Problem(table, structure, bg.MixturePrior(resolution="auto").resolve(table))
    em = bg.fit_em(table, 2, covariance_type=covariance_type, noise=noise, n_init=3, random_seed=1)
    params = em.params.rescale(-table.center / table.scale, 1.0 / table.scale)
    blocks = TableBlocks(table)
    rowless = Density.build(problem, params, rowless=True)
    return Density.build(problem, params), Surrogate(rowless, expand(blocks, params, structure.row_model)), blocks


@pytest.mark.parametrize(
    ("covariance_type", "noise"), [("full", False), ("tied", False), ("diag", True), ("spherical", False)]
)
def test_value_gradient_and_information_are_those_of_all_rows(covariance_type: str, noise: bool) -> None:
    density, surrogate, _ = setting(covariance_type, noise)
    origin = np.zeros(density.n_dim)
    value, gradient = value_and_gradient(density, origin)
    found, slope = surrogate.value_and_gradient(origin)
    np.testing.assert_allclose(found, value, rtol=1e-12)
    np.testing.assert_allclose(slope, gradient, atol=1e-9)
    exact = hessian(lambda u: value_and_gradient(density, u)[1], origin)
    np.testing.assert_allclose(hessian(lambda u: surrogate.value_and_gradient(u)[1], origin), exact, atol=1e-6)
    away = np.random.default_rng(1).normal(size=density.n_dim)
    step = 1e-5 * np.eye(density.n_dim)
    slopes = [
        (surrogate.value_and_gradient(away + e)[0] - surrogate.value_and_gradient(away - e)[0]) / 2e-5 for e in step
    ]
    np.testing.assert_allclose(surrogate.value_and_gradient(away)[1], slopes, atol=1e-5)


def test_certain_rows_leave_no_remainder() -> None:
    """Far components: the log-likelihood to second order is the log-likelihood, however far the draw."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(-50, 1, (200, 2)), rng.normal(50, 2, (100, 2))])
    table = bg.prepare_table(x, standardize=False, resolution=None)
    params = bg.MixtureParams(np.array([0.5, 0.5]), np.array([[-50.0, -50.0], [50.0, 50.0]]), np.array([np.eye(2)] * 2))
    expansion = expand(TableBlocks(table), params, bg.model.structure.get_structure("full").row_model)
    weights, means = np.array([[0.3, 0.7]]), np.array([[[-49.0, -51.0], [52.0, 50.0]]])
    cholesky = np.array([[[[1.5, 0.0], [0.4, 0.7]], [[2.0, 0.0], [-1.0, 3.0]]]])
    covariances = cholesky[0] @ cholesky[0].mT
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    terms = [np.log(weights[0, k]) + multivariate_normal.logpdf(x, means[0, k], covariances[k]) for k in range(2)]
    exact = logsumexp(terms, axis=0).sum()
    np.testing.assert_allclose(expansion.log_likelihoods(weights, means, cholesky)[0], exact, rtol=1e-10)


def test_the_sampled_remainder_is_right_within_its_standard_error() -> None:
    density, surrogate, blocks = setting("full", False, n=8000)
    expansion: Expansion = surrogate.expansion
    x = mixtures_at(density, np.random.default_rng(3).normal(size=(200, density.n_dim)))
    given = x.weights, x.means, x.cholesky
    exact, second = log_likelihoods(density, *given), expansion.log_likelihoods(*given)
    scores, errors = [], []
    for seed in range(20):
        rows = sample_rows(blocks, expansion, 600, np.random.default_rng(seed))
        rest, se = rows.remainders(*given)
        assert 450 < len(rows.weights) < 700
        errors.append(exact - second - rest)
        scores.append(errors[-1] / se)
    scores_, errors_ = np.array(scores), np.array(errors)
    assert np.abs(scores_.mean(axis=0)).max() < 5.0 / np.sqrt(20)  # unbiased for every draw
    assert 0.7 < np.sqrt((scores_**2).mean()) < 1.3
    assert errors_.std() < 0.3 * (exact - second).std()
    whole = sample_rows(blocks, expansion, 10**9, np.random.default_rng(0))
    rest, se = whole.remainders(*given)
    np.testing.assert_allclose(second + rest, exact, rtol=1e-12)
    assert not se.any()
