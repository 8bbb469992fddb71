"""EM: its two halves, monotone likelihood, spikes, weights, and what it says about them."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

import bayesgmm as bg
from bayesgmm.model.structure import COVARIANCE_TYPES


def log_likelihood(rows: np.ndarray, params: bg.MixtureParams) -> float:
    parts = [
        np.log(w) + multivariate_normal.logpdf(rows, m, c).reshape(len(rows))
        for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
    ]
    return float(logsumexp(parts, axis=0).sum())


def blobs(seed: int, n: int, centres: list[list[float]], sds: list[float]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(c, s, (n, len(c))) for c, s in zip(centres, sds, strict=True)])


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_fixed_point_of_scikit_learn(covariance_type: str) -> None:
    """scikit-learn started at our optimum stays there: the two M-steps agree."""
    rows = bg.datasets.load_iris()[0].to_numpy()
    em = bg.fit_em(rows, 3, covariance_type=covariance_type, random_seed=1)
    precision = np.linalg.inv(em.params.covariances)
    own = {
        "full": precision, "tied": precision[0], "diag": np.diagonal(precision, axis1=1, axis2=2),
        "spherical": precision[:, 0, 0],
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = GaussianMixture(3, covariance_type=covariance_type, max_iter=3, tol=0.0, reg_covar=0.0,
                                weights_init=em.params.weights, means_init=em.params.means,
                                precisions_init=own[covariance_type]).fit(rows)  # fmt: skip
    np.testing.assert_allclose(other.means_, em.params.means, atol=2e-3)
    np.testing.assert_allclose(other.score(rows) * len(rows), em.log_likelihood, atol=1e-4)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_log_likelihood_in_original_units(covariance_type: str) -> None:
    frame = bg.datasets.load_faithful()
    em = bg.fit_em(frame, 2, covariance_type=covariance_type, random_seed=1)
    assert em.log_likelihood == pytest.approx(log_likelihood(frame.to_numpy(), em.params), abs=1e-6)
    assert (np.diff(em.log_likelihood_trace) >= -1e-9 * abs(em.log_likelihood)).all()


@pytest.mark.parametrize(("rows", "n_components", "log_likelihood", "df"), [
    ("iris", 2, -488.9148, 13), ("iris", 3, -361.4295, 18), ("faithful", 2, -1157.6800, 7),
    ("faithful", 3, -1133.4782, 10),
])  # fmt: skip
def test_one_diagonal_for_all_components_as_in_mclust(
    rows: str, n_components: int, log_likelihood: float, df: int
) -> None:
    """mclust 6.0.0, Mclust(x, G, modelNames = "EEI"); ours starts more often, so it may find more."""
    table = bg.datasets.load_iris()[0] if rows == "iris" else bg.datasets.load_faithful()
    em = bg.fit_em(table, n_components, covariance_type="EEI", random_seed=1)
    assert em.log_likelihood > log_likelihood - 1e-3
    assert em.params.n_parameters == df
    covariances = em.params.covariances
    np.testing.assert_array_equal(covariances, np.broadcast_to(np.diag(np.diag(covariances[0])), covariances.shape))


@pytest.mark.parametrize(("name", "mclusts"), [("full", "VVV"), ("tied", "EEE"), ("diag", "VVI"), ("spherical", "VII")])
def test_mclusts_names_of_structures(name: str, mclusts: str) -> None:
    rows = bg.datasets.load_faithful()
    ours, theirs = (bg.fit_em(rows, 2, covariance_type=n, n_init=2, random_seed=1) for n in (name, mclusts))
    assert theirs.params.covariance_type == name and theirs.log_likelihood == ours.log_likelihood
    with pytest.raises(bg.InputError, match="VVI"):
        bg.fit_em(rows, 2, covariance_type="VXI")


def test_criteria_in_mclusts_convention() -> None:
    """mclust gives BIC -2314.316 for EEE with three components on Old Faithful (log-likelihood -1126.326)."""
    frame = bg.datasets.load_faithful()
    em = bg.fit_em(frame, 3, covariance_type="tied", random_seed=1)
    assert em.params.n_parameters == 11
    assert -em.bic == pytest.approx(-2314.316, abs=0.05)
    assert em.aic == pytest.approx(-2 * em.log_likelihood + 2 * 11)
    parts = np.column_stack(
        [np.log(w) + multivariate_normal.logpdf(frame, m, c)
         for w, m, c in zip(em.params.weights, em.params.means, em.params.covariances, strict=True)]
    )  # fmt: skip
    largest = np.exp(parts - logsumexp(parts, axis=1, keepdims=True)).max(axis=1)
    assert em.icl == pytest.approx(em.bic - 2 * np.log(largest).sum(), rel=1e-9)


def test_number_of_parameters() -> None:
    """K - 1 weights, K D means and the cells of the covariances, counted by hand for K = 3, D = 4."""
    expected = {"full": 2 + 12 + 30, "tied": 2 + 12 + 10, "diag": 2 + 12 + 12, "spherical": 2 + 12 + 3}
    rows = bg.datasets.load_iris()[0]
    for name, count in expected.items():
        assert bg.fit_em(rows, 3, covariance_type=name, n_init=2, random_seed=0).params.n_parameters == count


def test_one_component_is_closed_form() -> None:
    rows = bg.datasets.load_faithful().to_numpy()
    em = bg.fit_em(rows, 1)
    np.testing.assert_allclose(em.params.means[0], rows.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(em.params.covariances[0], np.cov(rows.T, bias=True), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_integer_weights_equal_copies(covariance_type: str) -> None:
    rows = blobs(0, 40, [[0, 0], [6, 3]], [1, 1.4])
    copies = 1 + np.arange(80) % 3
    weighted = bg.fit_em(rows, 2, covariance_type=covariance_type, sample_weight=copies, random_seed=1)
    repeated = bg.fit_em(np.repeat(rows, copies, axis=0), 2, covariance_type=covariance_type, random_seed=1)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-4)
    np.testing.assert_allclose(weighted.params.means, repeated.params.means, atol=1e-3)
    assert weighted.bic == pytest.approx(repeated.bic, abs=1e-3)


def test_a_tight_cluster_is_found_and_no_spike() -> None:
    rows = np.concatenate([blobs(1, 300, [[0.0, 0.0]], [1.0]), blobs(2, 100, [[3.0, 3.0]], [0.05])])
    em = bg.fit_em(rows, 2, random_seed=1)
    assert em.converged
    assert sorted(em.params.weights) == pytest.approx([0.25, 0.75], abs=0.02)
    assert em.params.standard_deviations.min() == pytest.approx(0.05, rel=0.2)


def test_a_small_cluster_is_found() -> None:
    rows = np.concatenate([blobs(3, 380, [[0.0, 0.0]], [1.0]), blobs(4, 20, [[8.0, 0.0]], [1.0])])
    em = bg.fit_em(rows, 2, random_seed=1)
    assert min(em.params.weights) == pytest.approx(0.05, abs=0.005)


def test_tied_rows_make_no_spike() -> None:
    """The likelihood is unbounded at three identical rows; the best other optimum is wanted, and named."""
    rows = blobs(5, 60, [[0.0, 0.0], [5.0, 5.0]], [1.0, 1.0])
    rows[:3] = rows[0]
    em = bg.fit_em(rows, 3, random_seed=2)
    assert em.min_sd_relative > 0.01
    assert np.isfinite(em.log_likelihood)
    sizes = em.params.weights * len(rows)
    assert sizes.min() > 3.5 or em.params.standard_deviations.min() > 0.05


def test_only_spikes_are_possible() -> None:
    """More components than distinct places: regularised, finite, and it says so."""
    rows = np.repeat([[0.0, 0.0], [1.0, 0.5], [2.0, -1.0], [4.0, 4.0]], 10, axis=0)
    with pytest.warns(bg.NotConvergedWarning):
        em = bg.fit_em(rows, 4, random_seed=1)
    assert not em.converged
    assert np.isfinite(em.log_likelihood)
    assert np.isfinite(em.params.covariances).all()
    assert "collapse" in em.message.lower() or "kept from shrinking" in em.message.lower()


def test_starts_table_and_seed() -> None:
    frame = bg.datasets.load_iris()[0]
    em, again = (bg.fit_em(frame, 3, n_init=9, random_seed=4) for _ in range(2))
    assert len(em.starts) == 9
    assert {"method", "log_likelihood", "n_iter", "status", "min_sd_relative", "reached_best"} <= set(em.starts)
    assert len(set(em.starts["method"])) >= 4
    assert em.starts["reached_best"].sum() == em.n_reached_best
    assert em.log_likelihood == again.log_likelihood
    pd.testing.assert_frame_equal(em.starts, again.starts)
    assert str(em.n_reached_best) in em.message


def test_not_converged_is_said() -> None:
    with pytest.warns(bg.NotConvergedWarning):
        em = bg.fit_em(bg.datasets.load_faithful(), 4, n_init=2, max_iter=2, random_seed=1)
    assert not em.converged


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_components": 0}, "n_components"), ({"n_init": 0}, "n_init"), ({"tol": -1.0}, "tol"),
     ({"max_iter": 0}, "max_iter"), ({"covariance_type": "round"}, "'round'")],
)  # fmt: skip
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(bg.InputError, match=message) as error:
        bg.fit_em(bg.datasets.load_faithful(), **({"n_components": 2} | options))
    assert "\n" not in str(error.value)


def test_a_fit_takes_less_than_three_times_the_data() -> None:
    """Table, prior and EM together: the copy of the values, the features, and what passes on the way."""
    rng = np.random.default_rng(8)
    rows = 4.0 * rng.normal(size=(3, 5))[rng.integers(3, size=300_000)] + rng.normal(size=(300_000, 5))
    bg.fit_em(rows[:300], 3, n_init=2)
    bg.MixturePrior().resolve(bg.prepare_table(rows[:300]))
    tracemalloc.start()
    table = bg.prepare_table(rows)
    bg.MixturePrior().resolve(table)
    bg.fit_em(table, 3, n_init=2, random_seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.0 * rows.nbytes
