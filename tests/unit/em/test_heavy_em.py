"""EM for t and noise components: against dense maximisation, mclust's noise model, and the truth of simulated rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_t

import bayesgmm as bg
from bayesgmm.em.far_rows import far_rows, neighbour_distance
from bayesgmm.em.tails import LARGEST_DF, SMALLEST_DF, tail_step
from bayesgmm.model.background import box_of
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure

NOISE = Path(__file__).parents[2] / "reference" / "noise"


def simulated(seed: int, n: int = 150, df: float = 4.0, noise: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [
        multivariate_t.rvs(loc, shape, df, size=n // 2, random_state=rng)
        for loc, shape in (([0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]]), ([7.0, 2.0], [[2.0, -0.5], [-0.5, 0.5]]))
    ]
    return np.concatenate([*parts, rng.uniform(-15.0, 20.0, (noise, 2))])


def dense(parameters: np.ndarray, rows: np.ndarray, each: bool, log_volume: float | None) -> float:
    """Log-likelihood of two t components, and a background, of free parameters."""
    means, factors = parameters[:4].reshape(2, 2), np.zeros((2, 2, 2))
    for k, (a, b, c) in enumerate(parameters[4:10].reshape(2, 3)):
        factors[k] = [[np.exp(a), 0.0], [b, np.exp(c)]]
    df = 2.0 + np.exp(parameters[10:12] if each else np.repeat(parameters[10], 2))
    logits = np.append(parameters[12:], 0.0)
    log_w = logits - np.logaddexp.reduce(logits)
    parts = [log_w[k] + multivariate_t.logpdf(rows, means[k], factors[k] @ factors[k].T, df[k]) for k in range(2)]
    if log_volume is not None:
        parts.append(np.full(len(rows), log_w[2] - log_volume))
    return float(np.logaddexp.reduce(parts, axis=0).sum())


@pytest.mark.parametrize(("component", "noise"), [("t", False), ("t_each", False), ("t", True)])
def test_em_ends_at_the_maximum(component: str, noise: bool) -> None:
    rows = simulated(3, noise=20 * noise)
    em = bg.fit_em(rows, 2, component=component, noise=noise, tol=1e-9, max_iter=5000, random_seed=1)
    log_volume = float(box_of(rows).log_widths.sum()) if noise else None
    p, factors = em.params, np.linalg.cholesky(em.params.covariances)
    weights = np.append(p.weights, [p.noise_weight] if noise else [])
    start = np.concatenate([
        p.means.ravel(), *([np.log(f[0, 0]), f[1, 0], np.log(f[1, 1])] for f in factors),
        np.resize(np.log(p.df - 2.0), 2), np.log(weights[:-1] / weights[-1]),
    ])  # fmt: skip
    each = component == "t_each"
    assert dense(start, rows, each, log_volume) == pytest.approx(em.log_likelihood, abs=1e-8)
    away = start + 0.1 * np.random.default_rng(0).standard_normal(len(start))
    best = minimize(lambda x: -dense(x, rows, each, log_volume), away, method="BFGS", options={"gtol": 1e-5})
    assert -best.fun == pytest.approx(em.log_likelihood, abs=1e-5)
    free = slice(None) if each else np.arange(len(start)) != 11
    np.testing.assert_allclose(best.x[free], start[free], atol=2e-3)
    assert em.params.n_parameters == len(start) - (not each)
    assert em.bic == pytest.approx(em.params.n_parameters * np.log(len(rows)) - 2.0 * em.log_likelihood)


def test_noise_is_mclusts() -> None:
    rows, theirs = pd.read_csv(NOISE / "rows.csv"), json.loads((NOISE / "mclust.json").read_text())
    em = bg.fit_em(rows, 2, noise=True, tol=1e-9, max_iter=5000, random_seed=1)
    assert np.exp(box_of(rows.to_numpy()).log_widths.sum()) == pytest.approx(theirs["volume"], rel=1e-10)
    assert em.log_likelihood == pytest.approx(theirs["log_likelihood"], abs=1e-8)
    np.testing.assert_allclose(em.params.weights, theirs["weights"], atol=1e-6)
    assert em.params.noise_weight == pytest.approx(theirs["noise_weight"], abs=1e-6)
    np.testing.assert_allclose(em.params.means, theirs["means"], atol=1e-5)
    assert em.bic + np.log(len(rows)) == pytest.approx(theirs["bic_with_two_parameters_for_noise"], abs=1e-6)


def test_degrees_of_freedom_are_recovered() -> None:
    """Within three standard errors, from the curvature of the log-likelihood along log v."""
    rows = simulated(5, n=6000)
    em = bg.fit_em(rows, 2, component="t", n_init=3, random_seed=1)
    p = em.params

    def value(log_df: float) -> float:
        parts = [np.log(w) + multivariate_t.logpdf(rows, m, c, np.exp(log_df)) for w, m, c in
                 zip(p.weights, p.means, p.covariances, strict=True)]  # fmt: skip
        return float(np.logaddexp.reduce(parts, axis=0).sum())

    at, h = float(np.log(p.df[0])), 0.05
    information = -(value(at + h) - 2.0 * value(at) + value(at - h)) / h**2
    # The other parameters are estimated too: their share of the information of log v is below one half.
    assert abs(at - np.log(4.0)) < 3.0 * np.sqrt(2.0 / information)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("component", ["t", "t_each"])
@pytest.mark.parametrize("gaps", [False, True])
def test_em_climbs(covariance_type: str, component: str, gaps: bool) -> None:
    from bayesgmm.em.problem import Coordinates
    from bayesgmm.em.starts import from_labels
    from bayesgmm.em.steps import em as run_em
    from bayesgmm.kernels.rows import rows_of

    rows = simulated(1, noise=15)
    labels = (rows[:, 0] > 3.5).astype(int)
    if gaps:
        rows[np.random.default_rng(2).random(rows.shape) < 0.15] = np.nan
    structure = get_structure(covariance_type).of(component, box_of(rows).log_widths)
    coordinates = Coordinates.of(rows, np.ones(len(rows)), structure, np.ones(2))
    structure = structure.moved(np.log(np.diag(coordinates.matrix)))
    filled = np.nan_to_num(coordinates.features)
    start = from_labels(filled, np.ones(len(rows)), labels, 2, structure, 1e-12)
    for accelerate in (False, True):
        run = run_em(
            rows_of(coordinates.features), np.ones(len(rows)), start, structure, tol=1e-7, max_iter=3000,
            accelerate=accelerate,
        )  # fmt: skip
        assert run.converged and (np.diff(run.trace) >= -1e-9).all()
        ends = run.log_likelihood if not accelerate else ends  # noqa: F821
    assert run.log_likelihood == pytest.approx(ends, abs=1e-4)


def test_units_change_nothing() -> None:
    rows = simulated(7, noise=25)
    scale, shift = np.array([1e3, 1e-2]), np.array([5.0, -7.0])
    options = {
        "component": "t",
        "noise": True,
        "random_seed": 1,
        "standardize": True,
    }
    one, other = (bg.fit_em(r, 2, **options) for r in (rows, rows * scale + shift))
    assert other.log_likelihood == pytest.approx(one.log_likelihood - len(rows) * np.log(scale).sum(), abs=1e-5)
    np.testing.assert_allclose(other.params.head, one.params.head, rtol=1e-3)
    np.testing.assert_allclose(other.params.means, one.params.means * scale + shift, rtol=1e-3)


def test_whole_weights_are_copies() -> None:
    rows = simulated(9, noise=15)
    weights = np.random.default_rng(0).integers(1, 4, len(rows))
    once = bg.fit_em(rows, 2, component="t", noise=True, sample_weight=weights, random_seed=1)
    thrice = bg.fit_em(np.repeat(rows, weights, axis=0), 2, component="t", noise=True, random_seed=1)
    assert once.log_likelihood == pytest.approx(thrice.log_likelihood, abs=1e-4)
    np.testing.assert_allclose(once.params.head, thrice.params.head, rtol=1e-2)


def test_bounds_of_the_degrees_of_freedom() -> None:
    structure, counts = get_structure("full").of("t"), np.array([50.0])
    normal = tail_step(counts, counts, -counts * 1.0, np.array([5.0]), structure)[0]  # log U - U is -1 at U = 1
    assert normal == LARGEST_DF
    heavy = tail_step(counts, counts, -9.0 * counts, np.array([5.0]), structure)[0]
    assert heavy == SMALLEST_DF


def test_far_rows_are_those_with_far_neighbours() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(95, 2)), rng.uniform(20.0, 90.0, (5, 2))])
    distance = neighbour_distance(rows)
    assert np.flatnonzero(far_rows(distance, np.ones(100), 0.05)).tolist() == [95, 96, 97, 98, 99]
    assert not far_rows(distance, np.ones(100), 0.0).any()
    assert not far_rows(neighbour_distance(rows[:1]), np.ones(1), 0.5).any()


def test_one_component_and_noise() -> None:
    """A share of noise of one third is found, and the cluster's mean is not drawn towards it."""
    rng = np.random.default_rng(4)
    rows = np.concatenate([rng.normal(size=(200, 2)), rng.uniform(-5.0, 25.0, (100, 2))])
    em = bg.fit_em(rows, 1, noise=True, random_seed=1)
    assert em.converged
    assert em.params.noise_weight == pytest.approx(1.0 / 3.0, abs=3.0 * np.sqrt(2.0 / 9.0 / 300.0))
    assert np.abs(em.params.means).max() < 4.0 / np.sqrt(200.0)
