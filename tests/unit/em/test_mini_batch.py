"""Mini-batch EM: near the maximum of all rows after one pass, honest about order, the same for pieces of any kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.errors import InputError, NotConvergedWarning

WEIGHTS, MEANS, SDS = (
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]),
    np.array([1.0, 0.7, 1.3]),
)


def rows(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.choice(3, n, p=WEIGHTS)
    return MEANS[z] + SDS[z, None] * rng.normal(size=(n, 2))


def log_likelihood(params: bg.MixtureParams, X: np.ndarray) -> float:
    each = [np.log(w) + multivariate_normal(m, c).logpdf(X)
            for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)]  # fmt: skip
    return float(np.logaddexp.reduce(each, axis=0).sum())


def pieces(X: np.ndarray, size: int = 1000) -> list[np.ndarray]:
    return [X[start : start + size] for start in range(0, len(X), size)]


def test_one_pass_ends_within_the_error_of_estimation() -> None:
    """2 (log L(maximum) - log L(theta)) is chi-squared with P = 17 degrees of freedom at the truth: on average the
    truth is 8.5 nats below, and the first 5,000 of 60,000 rows 8.5 * 11 = 94."""
    X = rows(60_000)
    best = bg.fit_em(X, 3, random_seed=1)
    once = bg.fit_em(iter(pieces(X)), 3, batch_size=256, random_seed=1)
    assert once.converged
    assert once.params.n_parameters == 17
    missed = best.log_likelihood - log_likelihood(once.params, X)
    assert 0.0 < missed < 0.5 * 8.5
    assert np.isnan([once.log_likelihood, once.aic, once.bic, once.icl]).all()
    assert "the log-likelihood of all is not known" in once.message


def test_rows_that_can_be_read_again_have_their_criteria() -> None:
    X = rows(20_000, 1)
    found = bg.fit_em(pd.DataFrame(X, columns=["a", "b"]), 3, batch_size=2000, random_seed=1)
    assert found.log_likelihood == pytest.approx(log_likelihood(found.params, X), rel=1e-12)
    assert found.bic == pytest.approx(17 * np.log(20_000) - 2 * found.log_likelihood)
    read = bg.fit_em(bg.Batches(pieces(X, 700)), 3, batch_size=2000, random_seed=1)
    assert read.log_likelihood == pytest.approx(log_likelihood(read.params, X), rel=1e-12)
    assert "one more pass" in read.message


def test_few_rows_are_fitted_by_em_itself() -> None:
    X = rows(3000, 2)
    assert bg.fit_em(X, 3, batch_size=500, random_seed=1).log_likelihood == pytest.approx(
        bg.fit_em(X, 3, random_seed=1).log_likelihood, abs=1e-3
    )


def test_an_order_that_is_not_random_is_said() -> None:
    X = rows(30_000, 3)
    X = X[np.argsort(X[:, 1] + np.random.default_rng(0).normal(0, 20, len(X)))]
    with pytest.warns(NotConvergedWarning, match="order of the rows is not random \\(column 'x2'\\): shuffle them"):
        found = bg.fit_em(iter(pieces(X)), 3, batch_size=1000, random_seed=1)
    assert not found.converged


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "EEI"])
def test_a_batch_as_large_as_all_until_then_is_an_em_step(kind: str) -> None:
    """With one component the mixture is the moments of the rows: the steps' shares are known, and so is their sum."""
    X = rows(9000, 4)
    em = bg.MiniBatchEM(1, covariance_type=kind, first_rows=3000, batch_size=3000, random_seed=1)
    for piece in pieces(X, 3000):
        em.partial_fit(piece)
    share = np.array([1.0, 0.5**0.6, (1 / 3) ** 0.6])
    one = np.array([1.0 - share[1], share[1], 0.0])
    two = np.append(one[:2] * (1.0 - share[2]), share[2])
    counts = np.array([0.5, 2.0, 3.0])
    mixed = (counts @ np.stack([np.array([1.0, 0.0, 0.0]), one, two])) / counts.sum()
    weights = np.repeat(mixed, 3000)
    mean = weights @ X / weights.sum()
    assert em.result().params.means[0] == pytest.approx(mean, abs=1e-9)
    variances = weights @ (X - mean) ** 2 / weights.sum()
    expected = np.full(2, variances.mean()) if kind == "spherical" else variances
    assert np.diagonal(em.result().params.covariances[0]) == pytest.approx(expected, rel=1e-6)


def test_weights_count_as_copies_on_average() -> None:
    X = rows(12_000, 5)
    w = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    found = bg.MiniBatchEM(3, random_seed=1)
    for start in range(0, len(X), 1000):
        found.partial_fit(X[start : start + 1000], sample_weight=w[start : start + 1000])
    best = bg.fit_em(X, 3, sample_weight=w, random_seed=1)
    assert found.result().params.means == pytest.approx(best.params.means, abs=0.06)
    assert found.n_seen_ == 12_000


def test_what_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="no rows have been seen"):
        bg.MiniBatchEM(2).result()
    with pytest.raises(InputError, match="component='normal'"):
        bg.fit_em(rows(100), 2, batch_size=10, component="t")
    with pytest.raises(InputError, match="batch_size"):
        bg.fit_em(rows(100), 2, batch_size=0)
    em = bg.MiniBatchEM(2).partial_fit(pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 1.0]}))
    with pytest.raises(InputError, match="the column 'b' is missing"):
        em.partial_fit(pd.DataFrame({"a": [0.0, 1.0], "c": [0.0, 1.0]}))
    with pytest.raises(InputError, match="NaN"):
        em.partial_fit(pd.DataFrame({"a": [0.0, np.nan], "b": [0.0, 1.0]}))
    with pytest.raises(InputError, match="gone through once: give a list of tables"):
        bg.fit_em(iter([rows(100)]), 2)
    with pytest.raises(InputError, match="is text, no table: read the file"):
        bg.fit_em("table.parquet", 2)
    with pytest.raises(InputError, match="leave these rows out or mend them"):
        bg.fit_em(bg.Batches([rows(100) * np.nan]), 2)
