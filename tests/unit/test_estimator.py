"""`BayesianGMM`: scikit-learn's contract, the DataTree contract, and what ArviZ makes of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import bayesgmm as bg
from bayesgmm.kernels.streaming import mean_responsibilities

# scikit-learn's check and why it cannot hold.
EXPECTED_FAILURES = {
    "check_dataframe_column_names_consistency": "new rows are matched by name, in any order, and the error is one line",
    "check_sample_weight_equivalence_on_dense_data": "fits 30 columns to fewer rows than columns, which is refused",
}


@pytest.fixture(scope="module")
def faithful() -> bg.BayesianGMM:
    return bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
@pytest.mark.filterwarnings("ignore:y has 3 classes:UserWarning")
def test_scikit_learn_checks() -> None:
    estimator = bg.BayesianGMM(
        2, draws=40, tune=60, chains=2, n_init=3, escalate=False, random_seed=0, progressbar=False
    )
    results = check_estimator(estimator, expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert {r["check_name"] for r in results if r["status"] == "xfail"} <= set(EXPECTED_FAILURES)
    assert len(results) > 30
    assert len(list(estimator_checks_generator(estimator))) == len(results)


def test_tree_contract(faithful: bg.BayesianGMM) -> None:
    tree = faithful.posterior_
    sizes = {"chain": 4, "draw": 1000, "component": 2, "feature": 2, "feature_bis": 2}
    posterior = tree["posterior"]
    assert posterior["weights"].dims == ("chain", "draw", "component")
    assert posterior["means"].dims == ("chain", "draw", "component", "feature")
    assert posterior["covariances"].dims == ("chain", "draw", "component", "feature", "feature_bis")
    assert posterior["log_likelihood_total"].dims == ("chain", "draw")
    assert {d: n for d, n in posterior.sizes.items()} == sizes
    assert tree["log_likelihood"]["obs"].dims == ("chain", "draw", "obs_id")
    assert list(posterior["feature"].values) == ["eruptions", "waiting"]
    np.testing.assert_allclose(posterior["weights"].sum("component"), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        tree["log_likelihood"]["obs"].sum("obs_id"), posterior["log_likelihood_total"], rtol=1e-10
    )
    for group in ("sample_stats", "observed_data", "constant_data"):
        assert group in tree.children
    assert {"diverging", "n_steps", "permutation"} <= set(tree["sample_stats"].data_vars)
    assert {"random_seed", "n_components", "prior", "inference", "relabelling", "versions"} <= set(tree.attrs)


def test_arviz_works_on_the_tree_as_it_is(faithful: bg.BayesianGMM) -> None:
    import arviz as az

    tree = faithful.posterior_
    table = az.summary(tree, var_names=["weights", "means"], round_to="none")
    assert float(table["r_hat"].astype(float).max()) < 1.01
    loo = az.loo(tree)
    assert loo.elpd == pytest.approx(faithful.score_samples(bg.datasets.load_faithful()).sum(), abs=15.0)
    assert (np.asarray(loo.pareto_k) < 0.7).all()
    for plot in (az.plot_trace_dist, az.plot_rank):
        assert plot(tree, var_names=["weights", "means"], backend="matplotlib") is not None
    import matplotlib.pyplot as plt

    plt.close("all")


def test_converged_and_right(faithful: bg.BayesianGMM) -> None:
    diagnosis = faithful.diagnose()
    assert diagnosis.ok
    assert diagnosis.n_divergences == 0
    summary = faithful.summary()
    close = (summary["mean"] - summary["mle"]).abs() < 1.5 * summary["sd"]
    assert close.all(), summary
    assert list(faithful.means_[:, 0]) == sorted(faithful.means_[:, 0])


def test_same_seed_same_draws_whatever_cores(faithful: bg.BayesianGMM) -> None:
    again = bg.BayesianGMM(2, random_seed=1, cores=1, progressbar=False).fit(bg.datasets.load_faithful())
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(
            faithful.posterior_["posterior"][name].values, again.posterior_["posterior"][name].values
        )
    other = bg.BayesianGMM(2, random_seed=2, progressbar=False).fit(bg.datasets.load_faithful())
    assert not np.array_equal(faithful.posterior_["posterior"]["means"], other.posterior_["posterior"]["means"])


def test_predict_proba_averages_over_draws(faithful: bg.BayesianGMM) -> None:
    frame = bg.datasets.load_faithful().head(5)
    rows = frame.to_numpy()
    posterior = faithful.posterior_["posterior"]
    w = posterior["weights"].values.reshape(-1, 2)
    m = posterior["means"].values.reshape(-1, 2, 2)
    scaling = np.linalg.inv(np.linalg.cholesky(posterior["covariances"].values.reshape(-1, 2, 2, 2)))
    expected = mean_responsibilities(rows, w, m, np.ascontiguousarray(np.tril(scaling)))
    np.testing.assert_allclose(faithful.predict_proba(frame), expected, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(faithful.predict_proba(frame).sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(faithful.predict(frame), expected.argmax(axis=1))


def test_names_of_the_columns_are_kept_where_they_are_text() -> None:
    frame = bg.datasets.load_faithful().head(40)
    swapped = frame[["waiting", "eruptions"]]
    fit = bg.BayesianGMM(1, draws=50, chains=2, inference="laplace", random_seed=1, progressbar=False)
    arrow, batch = pa.table(dict(swapped)), pa.table(dict(swapped)).to_batches()[0]
    for X in (swapped, pl.from_pandas(swapped), pl.from_pandas(swapped).lazy(), arrow, batch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.NotConvergedWarning)
            fit.fit(X)
        assert fit.feature_names_in_.tolist() == ["waiting", "eruptions"]
        assert fit.feature_names_in_.dtype == object
        assert fit.table_.feature_names == ("waiting", "eruptions")
        assert fit.posterior_["posterior"]["feature"].values.tolist() == ["waiting", "eruptions"]
    for X in (frame.to_numpy(), pd.DataFrame(frame.to_numpy()), bg.prepare_table(frame)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.NotConvergedWarning)
            fit.fit(X)
        assert not hasattr(fit, "feature_names_in_")


def test_new_rows_by_name(faithful: bg.BayesianGMM, tmp_path: Path) -> None:
    """Of any library, in any order, with columns to spare; a fit that was loaded does the same."""
    frame = bg.datasets.load_faithful().head(4)
    faithful.save(tmp_path / "fit.nc")
    loaded = bg.load(tmp_path / "fit.nc")
    expected = faithful.score_samples(frame)
    spare = frame.assign(more="x")[["more", "waiting", "eruptions"]]
    columns = {name: spare[name].tolist() for name in spare}
    for fit in (faithful, loaded):
        for X in (frame, spare, pl.DataFrame(columns), pl.LazyFrame(columns), pa.table(columns)):
            np.testing.assert_array_equal(fit.score_samples(X), expected)
            np.testing.assert_array_equal(fit.predict_proba(X), faithful.predict_proba(frame))
        np.testing.assert_array_equal(
            fit.marginal().log_density(pl.DataFrame(columns)), fit.marginal().log_density(frame)
        )
        assert fit.assignment(frame.iloc[::-1]).table.index.tolist() == [3, 2, 1, 0]
        assert fit.assignment(pl.DataFrame(columns)).table.index.tolist() == [0, 1, 2, 3]
        with pytest.raises(bg.InputError, match="lack the column 'eruptions'"):
            fit.predict_proba(frame[["waiting"]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            np.testing.assert_array_equal(fit.score_samples(frame.to_numpy()), expected)
        with (
            pytest.raises(bg.InputError, match="expecting 2 features"),
            pytest.warns(UserWarning, match="feature names"),
        ):
            fit.predict(frame[["waiting"]].to_numpy())


@pytest.mark.parametrize("size", [1e152, 1e154, 1e160, 1e300])
def test_rows_far_from_all_others_are_judged_or_refused(faithful: bg.BayesianGMM, size: float) -> None:
    frame = bg.datasets.load_faithful().head(3).astype(float)
    for far in ([size, size], [-size, 0.0], [4.0, size]):
        frame.loc[1] = far
        for answer in (
            faithful.predict_proba, faithful.score_samples, faithful.outlier_score, faithful.marginal().log_density,
            lambda X: faithful.assignment(X).probabilities,
        ):  # fmt: skip
            if size < 1e153:
                assert np.isfinite(answer(frame)).all(axis=None)
            else:
                with pytest.raises(bg.InputError, match="in row 1, column"):
                    answer(frame)
    with pytest.raises(bg.InputError, match="'waiting' = 1e"):
        faithful.conditional({"waiting": size})
    assert "nan" not in str(faithful.conditional({"waiting": 1e100}))


def test_sample_follows_the_posterior_predictive(faithful: bg.BayesianGMM) -> None:
    rows, component = faithful.sample(20_000, random_seed=1)
    se = faithful.table_.values.std(axis=0) / np.sqrt(len(rows))
    expected = faithful.weights_ @ faithful.means_
    assert (np.abs(rows.mean(axis=0) - expected) < 5 * se + 0.02 * faithful.table_.scale).all()
    share = np.bincount(component, minlength=2) / len(rows)
    np.testing.assert_allclose(share, faithful.weights_, atol=0.015)


def test_row_weights_equal_copies() -> None:
    frame = bg.datasets.load_faithful().head(60)
    options = dict(draws=1500, tune=500, random_seed=3, progressbar=False, log_likelihood=False)
    doubled = bg.BayesianGMM(2, **options).fit(pd.concat([frame, frame], ignore_index=True))
    weighted = bg.BayesianGMM(2, **options).fit(frame, sample_weight=np.full(60, 2.0))
    assert weighted.em_.log_likelihood == pytest.approx(doubled.em_.log_likelihood, abs=1e-3)
    sd = doubled.posterior_["posterior"]["means"].std(("chain", "draw")).values
    assert (np.abs(weighted.means_ - doubled.means_) < 0.15 * sd).all()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("inference", "magic", "inference='magic'"),
        ("sampler", "magic", "sampler='magic'"),
        ("covariance_type", "magic", "covariance_type='magic'"),
        ("draws", 0, "draws=0"),
        ("chains", 1.5, "chains=1.5"),
        ("cores", 0, "cores=0"),
        ("target_accept", 1.0, "target_accept=1.0"),
        ("n_components", 0, "n_components"),
        ("n_components", None, "n_components"),
        ("covariance_type", None, "covariance_type=None"),
        ("standardize", "no", "standardize='no'"),
        ("chains", 10**6, "chains=1000000 must be at most 1,000"),
        ("prior", "wide", "prior='wide'"),
    ],
)
def test_bad_options_are_one_line(option: str, value: object, message: str) -> None:
    with pytest.raises(bg.InputError) as error:
        bg.BayesianGMM(**{option: value}).fit(bg.datasets.load_faithful())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical", "EEI"])
def test_structures(covariance_type: str) -> None:
    fit = bg.BayesianGMM(2, covariance_type=covariance_type, random_seed=1, progressbar=False)
    fit.fit(bg.datasets.load_faithful())
    assert fit.diagnose().ok, fit.diagnose()
    covariances = fit.posterior_["posterior"]["covariances"].values
    if covariance_type in ("tied", "EEI"):
        np.testing.assert_array_equal(covariances[..., 0, :, :], covariances[..., 1, :, :])
    if covariance_type != "tied":
        assert (covariances[..., 0, 1] == 0).all()


def test_auto_keeps_laplace_where_it_is_good_and_says_so() -> None:
    fit = bg.BayesianGMM(2, inference="auto", random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    assert fit.posterior_.attrs["inference"] == "laplace"
    assert fit.diagnose().ok
    assert "was kept" in str(fit.diagnose())


def test_an_approximation_that_fails_is_refused_downstream() -> None:
    fit = bg.BayesianGMM(4, inference="laplace", random_seed=1, progressbar=False)
    with pytest.warns(bg.NotConvergedWarning, match="Pareto k"):
        fit.fit(bg.datasets.load_faithful())
    with pytest.raises(bg.InputError, match="force=True"):
        fit.log_evidence()
    with pytest.raises(bg.InputError, match="force=True"):
        fit.loo()


def test_an_approximation_worth_few_draws_is_refused_downstream() -> None:
    """Pareto k may look well where a handful of draws carry all the weight."""
    fit = bg.BayesianGMM(1, inference="laplace", random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    assert np.isfinite(fit.loo().elpd)
    for worth, refused in ((399.0, True), (400.0, False)):
        fit.posterior_.attrs |= {"pareto_k": 0.64, "importance_ess": worth}
        for score in (fit.loo, fit.log_evidence):
            if refused:
                with pytest.raises(bg.InputError, match=r"worth 399 draws \(400 at least\): .*force=True"):
                    score()
                assert score(force=True)
            else:
                assert score()


def test_a_fit_numbers_the_components_of_em_as_those_of_its_posterior() -> None:
    """The largest component of EM comes first; the posterior's are in an order of their own."""
    from itertools import permutations

    from bayesgmm.posterior.summary import in_posterior_order

    rng = np.random.default_rng(4)
    rows = np.concatenate([rng.normal(at, 1.0, (n, 2)) for at, n in ((0.0, 70), (9.0, 130), (-9.0, 90))])
    frame = pd.DataFrame(rows, columns=["Weight (lb)", "Power (hp)"])
    em = bg.fit_em(frame, 3, n_init=5, random_seed=1)
    assert (np.diff(em.params.weights) < 0.0).all()
    assert em.feature_names == ("Weight (lb)", "Power (hp)") and "Weight (lb), mean" in em._repr_html_()
    assert "x1, mean" in em.params._repr_html_()
    options = {"inference": "gibbs", "draws": 300, "n_init": 5, "random_seed": 1, "progressbar": False}
    fit = bg.BayesianGMM(3, **options).fit(frame)
    for order in permutations(range(3)):
        found = in_posterior_order(em.params.permute(list(order)), fit.posterior_)
        np.testing.assert_array_equal(found.means, fit.em_.params.means)
    np.testing.assert_allclose(fit.em_.params.means, fit.means_, atol=0.3)
    np.testing.assert_allclose(fit.em_.params.weights, fit.weights_, atol=0.03)
