"""LOO against R loo, ArviZ and closed forms; the ladder of repairs, rung by rung."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats as st
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from test_waic import TRUTH, matrix, tree

import bayesgmm as bg
from bayesgmm.errors import InputError
from bayesgmm.model_selection.loo.loo import REPAIR_K, LooResult, loo, pareto_k_threshold, psis
from bayesgmm.model_selection.loo.pointwise import SCORE_MCSE, log_likelihood_blocks, log_mean, log_ratio

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

BAD = 39  # the row that R loo gives k 3.2


def reference(**options) -> LooResult:
    return loo(tree(matrix().reshape(4, 250, 40)), reff=1.0, **options)


def normal_mean(n_draws: int, seed: int = 0) -> tuple[xr.DataTree, Array]:
    """Draws of the mean of unit normals under a N(0, 4) prior, independent; and the exact leave-one-out scores."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0.5, 1.0, 12)
    precision = len(y) + 0.25
    theta = rng.normal(y.sum() / precision, precision**-0.5, (4, n_draws))
    exact = st.norm((y.sum() - y) / (precision - 1.0), np.sqrt(1.0 + 1.0 / (precision - 1.0))).logpdf(y)
    return tree(st.norm(theta[..., None], 1.0).logpdf(y)), exact


def test_equals_r_loo() -> None:
    """ArviZ rounds the length of the tail down, R up: k differs by a draw in the tail, scores hardly."""
    result = reference()
    good = np.arange(40) != BAD
    np.testing.assert_allclose(result.elpd_i[good], np.array(TRUTH["elpd_i"])[good], atol=2e-4)
    np.testing.assert_allclose(result.pareto_k, TRUTH["pareto_k"], atol=0.03)
    assert result.elpd_i[BAD] == pytest.approx(TRUTH["elpd_i"][BAD], abs=0.1)
    assert result.se == pytest.approx(TRUTH["se"], abs=0.1) and result.p == pytest.approx(TRUTH["p_loo"], abs=0.1)
    assert result.n_bad == 1 and not result.ok and np.isnan(result.mcse)
    assert "1 observation has a Pareto k above" in str(result)


def test_draws_of_an_approximation_are_weighed_as_in_arviz() -> None:
    """Draws of a wider normal than the posterior, with their log densities: the exact scores come out all the same."""
    import arviz as az

    rng = np.random.default_rng(5)
    y = rng.normal(0.5, 1.0, 12)
    precision = len(y) + 0.25
    posterior, wide = st.norm(y.sum() / precision, precision**-0.5), st.norm(y.sum() / precision + 0.1, 0.35)
    theta = wide.rvs((4, 1000), random_state=rng)
    data = tree(st.norm(theta[..., None], 1.0).logpdf(y))
    log_p, log_q = posterior.logpdf(theta) + 7.0, wide.logpdf(theta)
    dims = ("chain", "draw")
    data["sample_stats"] = xr.DataTree(xr.Dataset({"log_p": (dims, log_p), "log_q": (dims, log_q)}))
    data["posterior"] = xr.DataTree(xr.Dataset({"x": (dims, theta)}))
    result = loo(data)
    exact = st.norm((y.sum() - y) / (precision - 1.0), np.sqrt(1.0 + 1.0 / (precision - 1.0))).logpdf(y)
    assert (np.abs(result.elpd_i - exact) < 4.0 * result.mcse_i).all() and result.mcse_i.max() < 0.05
    theirs = az.loo_approximate_posterior(data, log_p=log_p.ravel(), log_q=log_q.ravel(), pointwise=True)
    np.testing.assert_allclose(result.elpd_i, theirs.elpd_i, rtol=1e-9)
    np.testing.assert_allclose(result.pareto_k, theirs.pareto_k, rtol=1e-9)
    unweighed = loo(data.filter(lambda node: node.name != "sample_stats"))
    assert (np.abs(unweighed.elpd_i - exact) > 4.0 * unweighed.mcse_i).any()


def test_likelihoods_of_very_different_size() -> None:
    """The Monte Carlo error from its definition with long numbers, where a draw has e^1500 times another's density."""
    rng = np.random.default_rng(0)
    x = -1500.0 * rng.random(200)
    elpd, _, _, error = psis(x[None], 1.0, None)
    with np.errstate(under="ignore"):
        weights = np.exp(array_stats.psislw(x, r_eff=1.0)[0].astype(np.longdouble))
        exact = np.sqrt(np.sum((weights * (np.exp(x.astype(np.longdouble) - elpd) - 1.0)) ** 2))
    assert error == pytest.approx(float(exact), rel=1e-9)


def test_equals_arviz() -> None:
    import arviz as az

    data = tree(matrix().reshape(4, 250, 40))
    data["posterior"] = xr.DataTree(xr.Dataset({"x": (("chain", "draw"), np.zeros((4, 250)))}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = az.loo(data, reff=0.7)
    ours = loo(data, reff=0.7)
    np.testing.assert_allclose(ours.elpd_i, theirs.elpd_i, rtol=1e-12)
    np.testing.assert_allclose(ours.pareto_k, theirs.pareto_k, rtol=1e-12)
    assert ours.p == pytest.approx(theirs.p) and ours.good_k == theirs.good_k


def test_closed_form_within_its_monte_carlo_error() -> None:
    z = []
    for seed in range(40):
        data, exact = normal_mean(500, seed)
        result = loo(data)
        assert result.ok and result.counts == {"PSIS": 12}
        z.append((result.elpd_i - exact) / result.mcse_i)
    spread = np.sqrt(np.mean(np.square(z)))
    # 480 scores, correlated within a seed by the one mean they share; 1 if the errors are right.
    assert 0.8 < spread < 1.25, spread


def test_a_repair_takes_over_the_rows_it_is_given() -> None:
    asked: list[tuple[IntArray, Array]] = []

    def exact(rows: IntArray, elpd_i: Array) -> tuple[Array, Array]:
        asked.append((rows, elpd_i))
        return np.full(len(rows), -30.0), np.full(len(rows), 0.01)

    before, after = reference(), reference(repairs={"chains": exact, "refit": pytest.fail})
    ((rows, elpd_i),) = asked
    assert rows.tolist() == [BAD] and elpd_i.tolist() == [before.elpd_i[BAD]]
    assert after.ok and after.n_repaired == 1 and after.counts == {"PSIS": 39, "chains": 1}
    assert after.elpd_i[BAD] == -30.0 and after.psis_elpd_i[BAD] == before.elpd_i[BAD]
    assert after.elpd == pytest.approx(before.elpd - 30.0 - before.elpd_i[BAD])
    assert after.p == pytest.approx(before.p + 30.0 + before.elpd_i[BAD])
    np.testing.assert_array_equal(after.pareto_k, before.pareto_k)
    assert np.isfinite(after.mcse) and "39 of 40 observations by PSIS; 1 by chains" in str(after)


@pytest.mark.parametrize("error", [np.nan, 5 * SCORE_MCSE])
def test_what_a_repair_cannot_settle_goes_down_the_ladder(error: float) -> None:
    """A score with a large error is better than that of PSIS; one without an error is none."""
    kept = reference().elpd_i[BAD] if np.isnan(error) else -25.0

    def vague(rows: IntArray, _: Array) -> tuple[Array, Array]:
        return np.full(len(rows), -25.0), np.full(len(rows), error)

    def refit(rows: IntArray, elpd_i: Array) -> tuple[Array, Array]:
        assert elpd_i.tolist() == [kept]
        return np.full(len(rows), -28.0), np.full(len(rows), 0.02)

    assert reference(repairs={"chains": vague, "refit": refit}).counts == {"PSIS": 39, "refit": 1}
    left = reference(repairs={"chains": vague})
    assert left.elpd_i[BAD] == kept and left.n_bad == 1 and not left.ok
    assert left.method_i[BAD] == ("PSIS" if np.isnan(error) else "chains")
    assert left.to_elpd_data().warning

    def failed(rows: IntArray, _: Array) -> tuple[Array, Array]:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)

    nothing = reference(repairs={"chains": failed})
    assert nothing.counts == {"PSIS": 40} and nothing.elpd == reference().elpd and not nothing.ok


def test_doubtful_rows_are_repaired_but_trusted_without() -> None:
    """Rows with k between 0.5 and the threshold: infinite variance of the weights, finite mean."""
    rng = np.random.default_rng(3)
    log_weight = 0.6 * rng.exponential(size=(4, 1000))  # Pareto with k 0.6
    data = tree(np.stack([-log_weight, np.zeros_like(log_weight) - 1e-3 * log_weight], axis=-1))
    plain = loo(data)
    assert REPAIR_K < plain.pareto_k[0] < plain.good_k and plain.ok
    repaired = loo(data, repairs={"chains": lambda rows, _: (np.full(len(rows), -9.0), np.full(len(rows), 0.0))})
    assert repaired.counts == {"PSIS": 1, "chains": 1} and repaired.elpd_i[0] == -9.0
    failed = loo(data, repairs={"chains": lambda rows, _: (np.full(len(rows), -9.0), np.full(len(rows), np.nan))})
    assert failed.ok and failed.elpd == plain.elpd and failed.counts == {"PSIS": 2}
    assert plain.mcse_i[0] < SCORE_MCSE == failed.mcse_i[0] and failed.mcse_i[1] == plain.mcse_i[1]


def test_a_repair_must_answer_for_every_row() -> None:
    with pytest.raises(InputError, match="'chains' must give one score and one error for each of 1 rows"):
        reference(repairs={"chains": lambda rows, _: (np.zeros(3), np.zeros(3))})


def test_arviz_compares_the_repaired_numbers() -> None:
    import arviz as az

    better = loo(normal_mean(500)[0])
    worse = loo(tree(next(log_likelihood_blocks(normal_mean(500)[0]))[1] - 1.0))
    table = az.compare({"a": better.to_elpd_data(), "b": worse.to_elpd_data()}, round_to="none")
    assert table.index[0] == "a" and table.loc["a", "elpd"] == better.elpd and table.loc["b", "p"] == worse.p
    assert table.loc["b", "elpd_diff"] == pytest.approx(-12.0)
    record = reference(
        repairs={"chains": lambda rows, _: (np.full(len(rows), -30.0), np.full(len(rows), 0.0))}
    ).to_elpd_data()
    assert not record.warning and record.pareto_k.max() < record.good_k < record.influence_pareto_k.max()


def test_a_row_without_weight_scores_nothing() -> None:
    values = next(log_likelihood_blocks(normal_mean(200)[0]))[1].copy()
    values[..., 3] = 0.0
    result = loo(tree(values))
    assert result.elpd_i[3] == 0.0 and result.pareto_k[3] == 0.0 and result.mcse_i[3] == 0.0 and result.ok


def test_log_likelihood_is_made_from_the_draws_where_it_is_not_stored() -> None:
    rows = np.random.default_rng(2).normal(size=(20, 2)) * [1.0, 30.0]
    weights = np.r_[np.ones(15), 2.0, 0.5, 1.0, 0.0, 1.0]
    fit = bg.BayesianGMM(1, draws=100, tune=100, chains=2, random_seed=1, escalate=False, progressbar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        posterior = fit.fit(rows, sample_weight=weights).posterior_
    without = xr.DataTree.from_dict({k: v.to_dataset() for k, v in posterior.children.items() if k != "log_likelihood"})
    without.attrs = posterior.attrs
    stored, made = (np.concatenate([x for _, x in log_likelihood_blocks(t)], axis=-1) for t in (posterior, without))
    assert stored.shape == (2, 100, 20)
    np.testing.assert_allclose(made, stored, rtol=1e-9, atol=1e-9)
    assert loo(without).elpd == pytest.approx(loo(posterior).elpd)


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least 25 draws, got 20"):
        loo(tree(np.random.default_rng(0).normal(size=(2, 10, 3))))
    with pytest.raises(InputError, match="neither a pointwise log-likelihood nor the data"):
        loo(xr.DataTree.from_dict({"posterior": xr.Dataset()}))


def test_threshold() -> None:
    assert pareto_k_threshold(100) == 0.5 and pareto_k_threshold(10_000) == 0.7


def test_log_ratio_and_its_error() -> None:
    rng = np.random.default_rng(4)
    z = []
    for _ in range(60):
        # E exp(N(0, s^2)) = exp(s^2 / 2); autocorrelated draws, as a sampler's.
        noise = rng.normal(size=(4, 600, 2))
        for t in range(1, 600):
            noise[:, t] = 0.5 * noise[:, t - 1] + np.sqrt(0.75) * noise[:, t]
        value, error, *_ = log_ratio(0.4 * noise[..., 0], 0.3 * noise[..., 1])
        z.append((value - (0.08 - 0.045)) / error)
    assert 0.75 < np.std(z) < 1.3 and abs(np.mean(z)) < 4 / np.sqrt(60)
    assert log_mean(np.full((2, 30), 3.0))[:2] == (pytest.approx(3.0), 0.0)
    failed = log_ratio(np.full((1, 9), -np.inf), np.zeros((1, 9)))
    assert np.isnan(failed[:3]).all() and not failed.converged


def test_dependent_draws_have_the_larger_error() -> None:
    """Draws worth a quarter of their number: twice the Monte Carlo error, up to what the longer tail smooths."""
    data = tree(matrix().reshape(4, 250, 40))
    trusted = loo(data, reff=1.0).pareto_k < 0.4
    ratio = loo(data, reff=0.25).mcse_i[trusted] / loo(data, reff=1.0).mcse_i[trusted]
    assert trusted.sum() > 10 and np.abs(ratio - 2.0).max() < 0.1, ratio


@pytest.mark.parametrize("values", [(0.0, -900.0), (0.0, -5.0, -900.0), (0.0, -300.0, -600.0, -900.0)])
def test_chains_that_stand_still_have_an_infinite_pareto_k(values: tuple[float, ...]) -> None:
    """Their tail has no distribution; the row is then repaired, or rough."""
    draws = np.repeat(values, 1200 // len(values)).reshape(4, 300, 1)
    result = loo(tree(draws))
    assert np.isposinf(result.pareto_k).all() and np.isfinite(result.elpd) and not result.ok
    exact = -np.log(np.mean(np.exp(-np.array(values, dtype=np.longdouble))))
    np.testing.assert_allclose(result.elpd, float(exact), rtol=1e-9)
