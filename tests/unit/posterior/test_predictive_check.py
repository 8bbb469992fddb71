"""The posterior predictive check: statistics by their definitions, and a model that fails is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kurtosis, skew

import bayesgmm as bg
from bayesgmm.posterior.predictive_check import STATISTICS, predictive_check

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
OPTIONS = {"inference": "laplace", "draws": 200, "chains": 2, "n_init": 3, "random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(2, **OPTIONS).fit(bg.datasets.load_faithful())


def test_statistics_are_those_of_scipy_and_pandas(fit: bg.BayesianGMM) -> None:
    check = predictive_check(fit.posterior_, n_sets=20)
    X = bg.datasets.load_faithful()
    expected = [
        value
        for x in X.to_numpy().T
        for value in (x.mean(), x.std(), skew(x), kurtosis(x), x.min(), x.max())
    ]  # fmt: skip
    np.testing.assert_allclose(check.marginals["observed"], expected, rtol=1e-10)
    assert check.marginals["statistic"].tolist() == list(STATISTICS) * 2
    assert check.pairs["observed"].tolist() == pytest.approx([X.corr().iloc[0, 1]])
    assert (check.marginals["lower"] <= check.marginals["median"]).all()
    assert (check.marginals["median"] <= check.marginals["upper"]).all()


def test_a_model_that_holds_has_few_statistics_outside(fit: bg.BayesianGMM) -> None:
    rows, _ = fit.sample(400, random_seed=3)
    again = bg.BayesianGMM(2, **OPTIONS).fit(rows)
    assert len(predictive_check(again.posterior_).outside) <= 2


def test_a_model_without_the_clusters_is_found_by_the_kurtosis() -> None:
    one = bg.BayesianGMM(1, **OPTIONS).fit(bg.datasets.load_faithful())
    outside = predictive_check(one.posterior_).outside
    assert {"excess kurtosis"} <= set(outside["statistic"])  # two humps are flatter than a normal distribution


def test_replicates_lack_the_same_cells_and_are_rounded_alike() -> None:
    X = bg.datasets.load_faithful().round(0)
    X.iloc[:30, 0] = np.nan
    with_gaps = bg.BayesianGMM(1, **OPTIONS).fit(X)
    check = predictive_check(with_gaps.posterior_, n_sets=30)
    extremes = check.marginals[check.marginals["statistic"].isin(["smallest", "largest"])]
    assert extremes["lower"].apply(float.is_integer).any()
    np.testing.assert_allclose(check.marginals["observed"][0], X.iloc[:, 0].mean())
    np.testing.assert_allclose(check.pairs["observed"][0], X.corr().iloc[0, 1])


def test_a_row_of_weight_three_is_three_rows() -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    weights = np.ones(30)
    weights[:5] = 3.0
    weights[5] = 0.0
    weighted = bg.BayesianGMM(1, **OPTIONS).fit(X, sample_weight=weights)
    copies = X.loc[np.repeat(np.arange(30), weights.astype(int))]
    check = predictive_check(weighted.posterior_, n_sets=5)
    assert check.n_rows == len(copies) == len(check.rows)
    np.testing.assert_allclose(check.marginals["observed"][0], copies["a"].mean())


def test_bands_are_shares_of_replicated_tables(fit: bg.BayesianGMM) -> None:
    check = predictive_check(fit.posterior_, n_sets=200)
    for j, edges in enumerate(check.edges):
        observed, low, high = check.heights[j][:, : len(edges) - 1]
        assert observed.sum() == pytest.approx(1.0)
        assert (low <= high).all()
        assert np.mean((observed >= low) & (observed <= high)) > 0.75


def test_of_many_rows_three_thousand_are_compared() -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 1))
    one = bg.BayesianGMM(1, **OPTIONS).fit(rows)
    check = predictive_check(one.posterior_, n_sets=5)
    assert (check.n_rows, len(check.rows)) == (5000, 3000)
