"""Predictive distributions, highest-density regions and outlier scores, against the joint density by SciPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _rows import oracle_responsibilities, scaled_tree
from scipy.special import logsumexp
from scipy.stats import norm

from bayesgmm.errors import InputError
from bayesgmm.posterior import outliers
from bayesgmm.posterior.highest_density import highest_density_region
from bayesgmm.posterior.outliers import outlier_score
from bayesgmm.posterior.predict import PredictiveDistribution, conditional, marginal
from bayesgmm.posterior.tree import observed_rows, read_draws


@pytest.fixture(scope="module")
def tree():
    return scaled_tree(distance=1.2)


def joint(tree, rows):
    """(n,) log posterior predictive density."""
    log_density = oracle_responsibilities(tree, rows)[1]
    return logsumexp(log_density, axis=0) - np.log(len(log_density))


def one_column(tree, column, x):
    draws = read_draws(tree)
    w, m = draws.weights.reshape(-1, 3), draws.means.reshape(-1, 3, 2)[..., column]
    s = np.sqrt(draws.covariances.reshape(-1, 3, 2, 2)[..., column, column])
    return np.array([(w * norm(m, s).pdf(v)).sum(axis=1).mean() for v in x])


@pytest.mark.parametrize("value", [-2.0, 0.5, 9.0])
def test_a_conditional_density_is_joint_over_marginal(tree, value):
    x = np.linspace(-6.0, 6.0, 41)
    found = conditional(tree, {"x0": value})
    expected = joint(tree, np.column_stack([np.full(41, value), x])) - np.log(one_column(tree, 0, [value]))
    assert found.features == ("x1",)
    np.testing.assert_allclose(found.log_density(x), expected, atol=1e-9)


def test_moments_and_quantiles_are_the_integrals(tree):
    found = conditional(tree, {"x1": 0.4})
    x = np.linspace(-14.0, 14.0, 20_001)
    density = np.exp(found.log_density(x))
    step = x[1] - x[0]
    assert density.sum() * step == pytest.approx(1.0, abs=1e-9)
    mean = (x * density).sum() * step
    assert found.mean["x0"] == pytest.approx(mean, abs=1e-8)
    assert found.sd["x0"] == pytest.approx(np.sqrt(((x - mean) ** 2 * density).sum() * step), abs=1e-8)
    for q in (0.001, 0.3, 0.975):
        at = found.quantile(q).loc[q, "x0"]
        assert found.cdf([at])[0] == pytest.approx(q, abs=1e-10)
        assert density[x <= at].sum() * step == pytest.approx(q, abs=2e-3)
    table = found.summary(0.8)
    assert table.columns[-2:].tolist() == ["ci_10%", "ci_90%"]


def test_marginals_leave_columns_out(tree):
    x = np.linspace(-5.0, 5.0, 21)
    np.testing.assert_allclose(np.exp(marginal(tree, "x1").log_density(x)), one_column(tree, 1, x), rtol=1e-9)
    rows = observed_rows(tree)[0]
    both = marginal(tree)
    np.testing.assert_allclose(both.log_density(rows), joint(tree, rows), atol=1e-9)
    turned = marginal(tree, ["x1", "x0"])
    np.testing.assert_allclose(
        turned.log_density(pd.DataFrame(rows, columns=["x0", "x1"])), joint(tree, rows), atol=1e-9
    )
    assert both.effective_draws == pytest.approx(240.0)


def test_samples_have_the_moments(tree):
    found = marginal(tree)
    rows = found.sample(20_000, random_seed=1)
    error = found.sd / np.sqrt(20_000)
    assert (np.abs(rows.mean() - found.mean) < 4 * error).all()
    np.testing.assert_allclose(rows.cov(), found.covariance, atol=0.25)
    pd.testing.assert_frame_equal(rows, found.sample(20_000, random_seed=1))


def test_known_values_speak_about_the_draws():
    tree = scaled_tree(spread=0.3, distance=1.2)
    near, far = conditional(tree, {"x0": 0.0}), conditional(tree, {"x0": 60.0})
    assert near.effective_draws > 150
    assert far.effective_draws < 20
    assert "do not rely" in str(far)
    assert "do not rely" not in str(near)
    np.testing.assert_allclose(near.component_probabilities.sum(), 1.0)


@pytest.mark.parametrize("ci_prob", [0.3, 0.6, 0.95])
def test_a_region_holds_its_probability_in_the_least_length(ci_prob):
    means = np.array([[[-4.0], [0.0], [3.0]]])
    distribution = PredictiveDistribution(
        np.array([[0.3, 0.5, 0.2]]), means, np.array([[[[0.3]], [[1.0]], [[0.02]]]]), ("x",), {}, 1.0
    )
    region = highest_density_region(distribution, ci_prob)
    mass = sum(np.diff(distribution.cdf(i))[0] for i in region.intervals)
    assert mass == pytest.approx(ci_prob, abs=5e-4)
    np.testing.assert_allclose(distribution.log_density(region.intervals.ravel()), region.log_level, atol=1e-6)
    x = np.linspace(-9.0, 7.0, 400_001)
    density = np.sort(np.exp(distribution.log_density(x)))[::-1] * (x[1] - x[0])
    shortest = np.searchsorted(np.cumsum(density), ci_prob) * (x[1] - x[0])
    assert np.diff(region.intervals, axis=1).sum() == pytest.approx(shortest, abs=5e-3)
    middle = region.intervals.mean(axis=1)
    assert region.contains(middle).all()
    assert not region.contains([-9.0, 7.0]).any()


def test_a_region_over_several_columns_holds_its_probability(tree):
    region = highest_density_region(marginal(tree), 0.7)
    fresh = marginal(tree).sample(4000, random_seed=9)
    assert region.contains(fresh).mean() == pytest.approx(0.7, abs=4 * np.sqrt(2 * 0.21 / 4000))
    assert "log density above" in str(region)


def test_outlier_scores_are_those_of_the_definition(tree, monkeypatch):
    rows = observed_rows(tree)[0]
    monkeypatch.setattr(outliers, "BLOCK_BYTES", 8 * 240 * 7)  # seven rows a block
    table = outlier_score(tree, ci_prob=0.8)
    np.testing.assert_allclose(table["score"], -joint(tree, rows), atol=1e-9)
    each = oracle_responsibilities(tree, rows)[1]
    np.testing.assert_allclose(table[["lower", "upper"]].T, np.quantile(each, [0.1, 0.9], axis=0), atol=1e-9)
    np.testing.assert_array_equal(table["rank"], pd.Series(joint(tree, rows)).rank().astype(int))
    assert list(table.index[:2]) == ["r0", "r1"]


def test_a_new_row_gets_the_rank_it_would_have_and_its_tail_probability(tree):
    rows = observed_rows(tree)[0]
    fitted = outlier_score(tree)
    again = outlier_score(tree, rows)
    np.testing.assert_array_equal(fitted["rank"], again["rank"])
    new = outlier_score(tree, np.array([[40.0, 40.0]]), row_names=["far"])
    assert new.loc["far", "rank"] == 1
    assert new.loc["far", "lower"] <= -new.loc["far", "score"] <= new.loc["far", "upper"]
    assert new.loc["far", "tail_probability"] == pytest.approx(1 / 4001)
    simulated = marginal(tree).sample(3000, random_seed=4).to_numpy()
    tail = outlier_score(tree, simulated)["tail_probability"]
    assert np.abs(np.quantile(tail, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.04  # uniform


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda t: conditional(t, {"z": 1.0}), "no column 'z'"),
        (lambda t: conditional(t, {"x0": np.nan}), "finite"),
        (lambda t: conditional(t, {"x0": "a"}), "finite"),
        (lambda t: conditional(t, {"x0": 1.0, "x1": 2.0}), "every column"),
        (lambda t: conditional(t, {"x0": 1.0}, features="x0"), "given already"),
        (lambda t: marginal(t, "z"), "no column 'z'"),
        (lambda t: marginal(t, ["x0", "x0"]), "twice"),
        (lambda t: marginal(t).quantile(0.0), "q=0.0"),
        (lambda t: marginal(t).cdf(0.0), "name the column"),
        (lambda t: marginal(t).log_density([[1.0]]), "shape"),
        (lambda t: marginal(t).sample(0), "n_samples"),
        (lambda t: outlier_score(t, ci_prob=2.0), "ci_prob"),
    ],
)
def test_bad_input_is_named(tree, call, match):
    with pytest.raises(InputError, match=match):
        call(tree)
