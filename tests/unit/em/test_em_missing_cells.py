"""EM with missing cells: monotone, a stationary point of the dense likelihood, and the textbook's M-step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.em.fill import filled
from bayesgmm.em.state import state_of
from bayesgmm.em.steps import e_step, m_step
from bayesgmm.kernels.rows import as_rows
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure


def gapped(seed: int = 0, share: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factor = np.array([[1.0, 0.0, 0.0], [0.7, 0.7, 0.0], [-0.4, 0.2, 0.8]])
    X = rng.normal(size=(240, 3)) @ factor.T + np.where(rng.random(240) < 0.4, 5.0, 0.0)[:, None] * [1.0, 0.2, -0.5]
    X[rng.random(X.shape) < share] = np.nan
    X[11] = np.nan
    return X


def dense(X: np.ndarray, params: bg.MixtureParams) -> float:
    value = 0.0
    for row in X:
        o = ~np.isnan(row)
        parts = [
            w * (multivariate_normal.pdf(row[o], m[o], c[np.ix_(o, o)]) if o.any() else 1.0)
            for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
        ]
        value += np.log(sum(parts))
    return value


@pytest.mark.parametrize("structure", COVARIANCE_TYPES)
def test_climbs_to_a_maximum_of_the_likelihood_of_observed_cells(structure: str) -> None:
    X = gapped()
    em = bg.fit_em(X, 2, covariance_type=structure, random_seed=1)
    assert em.converged
    assert (np.diff(em.log_likelihood_trace) >= 0.0).all()
    assert em.log_likelihood == pytest.approx(dense(X, em.params), rel=1e-12)
    weights, means = em.params.weights, em.params.means
    for step in (-1e-3, 1e-3):  # every mean, and the weights: a step either way is a step down
        for k in range(2):
            for j in range(3):
                moved = means.copy()
                moved[k, j] += step
                params = bg.MixtureParams(weights, moved, em.params.covariances, structure)
                assert dense(X, params) < em.log_likelihood + 1e-6
        params = bg.MixtureParams(weights + [step, -step], means, em.params.covariances, structure)
        assert dense(X, params) < em.log_likelihood + 1e-6


def test_one_step_is_the_textbooks() -> None:
    """Conditional means, and conditional covariances added (Ghahramani and Jordan 1994), a row at a time."""
    X, rng, full = gapped(1), np.random.default_rng(2), get_structure("full")
    row_weights = rng.uniform(0.2, 2.0, len(X))
    factors = np.tril(rng.normal(size=(2, 3, 3)), -1) * 0.3 + np.eye(3)
    start = state_of(np.array([0.3, 0.7]), rng.normal(size=(2, 3)), factors @ factors.mT, 1e-12)[0]
    statistics, _ = e_step(as_rows(X), row_weights, start, full)
    new, _ = m_step(statistics, full)
    log_p, expected, spread = np.empty((len(X), 2)), np.empty((len(X), 2, 3)), np.zeros((len(X), 2, 3, 3))
    for i, row in enumerate(X):
        o = ~np.isnan(row)
        for k in range(2):
            c, m = start.covariances[k], start.means[k]
            slope = c[:, o] @ np.linalg.inv(c[np.ix_(o, o)])
            expected[i, k], spread[i, k] = m + slope @ (row[o] - m[o]), c - slope @ c[o]
            density = multivariate_normal.logpdf(row[o], m[o], c[np.ix_(o, o)]) if o.any() else 0.0
            log_p[i, k] = np.log(start.weights[k]) + density
    r = np.exp(log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)) * row_weights[:, None]
    counts = r.sum(axis=0)
    means = np.einsum("nk,nkd->kd", r, expected) / counts[:, None]
    off = expected - means
    covariances = np.einsum("nk,nkde->kde", r, off[..., None] * off[..., None, :] + spread) / counts[:, None, None]
    np.testing.assert_allclose(new.weights, counts / counts.sum(), rtol=1e-12)
    np.testing.assert_allclose(new.means, means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(new.covariances, covariances, rtol=1e-10, atol=1e-12)


def test_one_component_in_one_column_is_that_of_its_observed_cells() -> None:
    x = np.random.default_rng(3).normal(3.0, 2.0, 50)
    gaps = x.copy()
    gaps[::7] = np.nan
    em, known = bg.fit_em(gaps[:, None], 1), gaps[~np.isnan(gaps)]
    assert em.params.means[0, 0] == pytest.approx(known.mean(), rel=1e-6)
    assert em.params.covariances[0, 0, 0] == pytest.approx(known.var(), rel=1e-4)


def test_cells_filled_in_have_the_spread_of_those_observed() -> None:
    """A mean filled in would make a spike, and k-means cut it off."""
    rng = np.random.default_rng(4)
    complete = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.8], [0.8, 1.0]], 4000)
    rows = complete.copy()
    rows[rng.random(4000) < 0.5, 1] = np.nan
    out, gaps = filled(rows, np.ones(4000)), np.isnan(rows[:, 1])
    np.testing.assert_array_equal(out[~np.isnan(rows)], rows[~np.isnan(rows)])
    assert np.std(out[gaps, 1]) == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(out[gaps].T)[0, 1] == pytest.approx(0.8, abs=0.03)
