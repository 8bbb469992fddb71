"""The halves of EM, its acceleration, the spike rule and the pilot sample, each against an independent truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.em.acceleration import _MEMORY, Accelerator, _newton_step
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.em.responsibilities import responsibilities
from bayesgmm.em.search import _PILOT_FROM
from bayesgmm.em.spikes import SpikeRule
from bayesgmm.em.state import State, state_of
from bayesgmm.em.steps import e_step, em, m_step
from bayesgmm.kernels.rows import as_rows
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure


def start(rows: np.ndarray, n_components: int, covariance_type: str, seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    means = rows[rng.choice(len(rows), n_components, replace=False)]
    covariance = np.cov(rows.T, bias=True).reshape(rows.shape[1], -1)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    scatter = np.stack([covariance * w for w in weights])
    return state_of(weights, means, get_structure(covariance_type).project(scatter, weights), 1e-12)[0]


def naive_step(rows: np.ndarray, row_weights: np.ndarray, state: State, covariance_type: str):
    """One EM step as the textbook writes it."""
    covariances = state.covariances
    joint = np.column_stack(
        [np.log(w) + multivariate_normal.logpdf(rows, m, c) for w, m, c in zip(*state[:2], covariances, strict=True)]
    )
    r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)) * row_weights[:, None]
    counts = r.sum(axis=0)
    means = r.T @ rows / counts[:, None]
    scatter = np.stack([((rows - m) * r[:, [k]]).T @ (rows - m) for k, m in enumerate(means)])
    d = rows.shape[1]
    if covariance_type == "full":
        covariances = scatter / counts[:, None, None]
    elif covariance_type == "tied":
        covariances = np.stack([scatter.sum(axis=0) / counts.sum()] * len(counts))
    elif covariance_type == "diag":
        covariances = np.stack([np.diag(np.diag(s)) / n for s, n in zip(scatter, counts, strict=True)])
    elif covariance_type == "EEI":
        covariances = np.stack([np.diag(np.diag(scatter.sum(axis=0))) / counts.sum()] * len(counts))
    else:
        covariances = np.stack([np.eye(d) * np.trace(s) / (d * n) for s, n in zip(scatter, counts, strict=True)])
    return row_weights @ logsumexp(joint, axis=1), counts / counts.sum(), means, covariances


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_one_step_is_the_textbooks(covariance_type: str) -> None:
    rows = bg.datasets.load_iris()[0].to_numpy(dtype=float)
    row_weights = np.random.default_rng(1).uniform(0.5, 2.0, len(rows))
    state, structure = start(rows, 3, covariance_type), get_structure(covariance_type)
    statistics, log_likelihood = e_step(as_rows(rows), row_weights, state, structure)
    image, floored = m_step(statistics, structure)
    expected, weights, means, covariances = naive_step(rows, row_weights, state, covariance_type)
    assert log_likelihood == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(image.weights, weights, rtol=1e-10)
    np.testing.assert_allclose(image.means, means, rtol=1e-10)
    np.testing.assert_allclose(image.covariances, covariances, rtol=1e-8, atol=1e-12)
    assert not floored


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("seed", range(4))
def test_acceleration_climbs_and_ends_where_em_stands_still(covariance_type: str, seed: int) -> None:
    rows = bg.datasets.load_faithful().to_numpy(dtype=float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    packed, ones, structure = as_rows(rows), np.ones(len(rows)), get_structure(covariance_type)
    state = start(rows, 3, covariance_type, seed)
    fast = em(packed, ones, state, structure, tol=1e-8)
    assert fast.converged
    assert (np.diff(fast.trace) >= 0.0).all()
    plain = em(packed, ones, fast.state, structure, tol=1e-12, max_iter=3000, accelerate=False)
    assert plain.log_likelihood - fast.log_likelihood < 1e-6


def test_acceleration_saves_iterations() -> None:
    """Four components on Old Faithful, along a plateau: plain EM crawls."""
    rows = bg.datasets.load_faithful().to_numpy(dtype=float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    packed, ones, structure = as_rows(rows), np.ones(len(rows)), get_structure("full")
    state = start(rows, 4, "full", 2)
    fast = em(packed, ones, state, structure, tol=1e-6, max_iter=5000)
    plain = em(packed, ones, state, structure, tol=1e-6, max_iter=5000, accelerate=False)
    assert fast.n_passes < 0.5 * plain.n_passes


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_coordinates_go_there_and_back(covariance_type: str) -> None:
    rows = np.random.default_rng(3).normal(size=(60, 3))
    accelerator = Accelerator(get_structure(covariance_type))
    accelerator._set_anchor(start(rows, 3, covariance_type, 1), np.array([10.0, 20.0, 30.0]))
    state = start(rows, 3, covariance_type, 2)
    back = accelerator._state(accelerator._coordinates(state))
    for one, two in zip(back, state, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_newton_step_is_exact_on_a_quadratic() -> None:
    """EM on a quadratic with negative Hessian A takes the step A (x* - x); the step and gain must be Newton's."""
    rng = np.random.default_rng(4)
    size = _MEMORY
    half = rng.normal(size=(size, size))
    hessian = half @ half.T / size
    hessian /= 1.1 * np.linalg.eigvalsh(hessian).max()
    here = rng.normal(size=(_MEMORY + 1, size))
    steps = -here @ hessian
    moves, changes, direction = np.empty((_MEMORY, size)), np.empty((_MEMORY, size)), np.empty(size)
    gain = _newton_step(here, steps, moves, changes, direction)
    np.testing.assert_allclose(direction, -here[-1], rtol=1e-6)
    assert gain == pytest.approx(0.5 * here[-1] @ hessian @ here[-1], rel=1e-6)


def test_the_floor_is_the_constrained_maximum() -> None:
    """Three rows on one point: the variance stops at the floor, the log-likelihood never falls, nothing is NaN."""
    rows = np.concatenate([np.zeros(3), np.random.default_rng(5).normal(3.0, 1.0, 40)])[:, None]
    covariances = np.array([[[1e-3]], [[1.0]]])
    state, _ = state_of(np.array([0.1, 0.9]), np.array([[0.0], [3.0]]), covariances, 1e-6)
    run = em(as_rows(rows), np.ones(43), state, get_structure("full"), floor=1e-6)
    assert run.floored
    assert run.state.covariances[0, 0, 0] == pytest.approx(1e-6, rel=1e-6)
    assert np.isfinite(run.log_likelihood)
    assert (np.diff(run.trace) >= 0.0).all()


def test_responsibilities_sum_to_one() -> None:
    rows = bg.datasets.load_iris()[0].to_numpy(dtype=float)
    r = responsibilities(as_rows(rows), start(rows, 4, "full"), get_structure("full"))
    np.testing.assert_allclose(r.sum(axis=1), 1.0, rtol=1e-14)


def rule(name: str, d: int, resolution: float = 0.0, rows_per_weight: float = 1.0) -> SpikeRule:
    return SpikeRule(get_structure(name), np.eye(d), lambda: np.full(d, resolution), rows_per_weight)


@pytest.mark.parametrize(
    ("name", "d", "rows", "sd", "spike"),
    [
        ("full", 1, 2.0, 0.01, True),  # a close pair
        ("full", 1, 2.8, 0.038, False),  # as in the reference optimum of Old Faithful's eruptions
        ("full", 1, 100.0, 0.003, False),
        ("full", 1, 100.0, 0.0015, True),
        ("full", 4, 10.6, 0.004, True),  # nearly a hyperplane through ten rows of iris
        ("full", 4, 9.0, 0.087, False),
        ("diag", 4, 12.0, 0.02, False),
        ("tied", 2, 2.0, 0.01, False),  # shared by all the other rows
        ("full", 2, 0.3, 1.0, True),  # empty
        ("tied", 2, 0.3, 1.0, False),
    ],
)
def test_spike_rule(name: str, d: int, rows: float, sd: float, spike: bool) -> None:
    covariances = np.stack([np.diag(np.r_[sd**2, np.ones(d - 1)]), np.eye(d)])
    if name == "tied":
        covariances[1] = covariances[0]
    verdict = rule(name, d)(np.array([rows, 300.0]), covariances)
    assert verdict.tolist() == [spike, False]


def test_spike_rule_knows_the_recording_step() -> None:
    covariances, counts = np.array([[[0.01**2]], [[1.0]]]), np.array([200.0, 300.0])
    assert not rule("full", 1)(counts, covariances).any()
    assert rule("full", 1, resolution=0.1)(counts, covariances).tolist() == [True, False]


def test_spike_rule_counts_rows_not_weight() -> None:
    covariances, counts = np.array([[[0.01**2]], [[1.0]]]), np.array([0.2, 0.8])
    assert rule("full", 1, rows_per_weight=500.0)(counts, covariances).sum() == 0
    assert rule("full", 1, rows_per_weight=10.0)(counts, covariances).sum() == 1


def test_fits_do_not_depend_on_units() -> None:
    rows = bg.datasets.load_iris()[0].to_numpy(dtype=float)
    factor, shift = np.array([1e6, 1e-3, 1.0, 40.0]), np.array([1e7, 0.0, -5.0, 3.0])
    one = bg.fit_em(rows, 3, random_seed=1)
    two = bg.fit_em(rows * factor + shift, 3, random_seed=1)
    assert two.log_likelihood == pytest.approx(one.log_likelihood - len(rows) * np.log(factor).sum(), abs=1e-4)
    assert two.min_sd_relative == pytest.approx(one.min_sd_relative, rel=1e-3)


def test_spherical_may_mean_standardised_columns() -> None:
    frame = bg.datasets.load_faithful()
    scaled = bg.fit_em(frame / frame.std(ddof=0), 2, covariance_type="spherical", random_seed=1)
    asked = bg.fit_em(frame, 2, covariance_type="spherical", standardize=True, random_seed=1)
    from_table = bg.fit_em(bg.prepare_table(frame), 2, covariance_type="spherical", random_seed=1)
    expected = scaled.log_likelihood - len(frame) * np.log(frame.std(ddof=0)).sum()
    assert asked.log_likelihood == pytest.approx(expected, abs=1e-4)
    assert from_table.log_likelihood == pytest.approx(expected, abs=1e-4)
    sd = asked.params.standard_deviations / frame.std(ddof=0).to_numpy()
    np.testing.assert_allclose(sd[:, 0], sd[:, 1], rtol=1e-9)


def test_a_table_carries_its_own_weights() -> None:
    table = bg.prepare_table(bg.datasets.load_faithful())
    with pytest.raises(bg.InputError, match="sample_weight"):
        bg.fit_em(table, 2, sample_weight=np.ones(table.n_rows))


def test_weights_common_to_all_rows_leave_the_mixture() -> None:
    frame = bg.datasets.load_faithful()
    one = bg.fit_em(frame, 2, random_seed=1)
    small = bg.fit_em(frame, 2, sample_weight=np.full(len(frame), 1e-2), tol=1e-8, random_seed=1)
    np.testing.assert_allclose(small.params.means, one.params.means, rtol=1e-4)
    assert 100.0 * small.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("n_components", [1, 2])
def test_almost_dependent_columns_are_said(n_components: int) -> None:
    rng = np.random.default_rng(6)
    two = rng.normal(size=(80, 2))
    third = two.sum(axis=1) + 3e-6 * rng.normal(size=80)
    fit = bg.fit_em(np.column_stack([two, third]), n_components, n_init=3, random_seed=1)
    assert "linearly dependent" in fit.message
    assert np.isfinite(fit.params.covariances).all()


def test_many_rows_start_on_a_sample_and_end_on_all() -> None:
    rng = np.random.default_rng(7)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    rows = centres[rng.choice(3, 2 * _PILOT_FROM, p=[0.6, 0.3, 0.1])] + rng.normal(size=(2 * _PILOT_FROM, 2))
    fit = bg.fit_em(rows, 3, n_init=8, random_seed=1)
    assert fit.converged
    assert "short run" in set(fit.starts["status"])
    assert fit.n_reached_best == fit.starts["reached_best"].sum() >= 2
    parts = [
        np.log(w) + multivariate_normal.logpdf(rows, m, c)
        for w, m, c in zip(fit.params.weights, fit.params.means, fit.params.covariances, strict=True)
    ]
    assert fit.log_likelihood == pytest.approx(logsumexp(parts, axis=0).sum(), abs=1e-5)
    # Five standard errors of the mean of the smallest cluster; components come in decreasing order of weight.
    np.testing.assert_allclose(fit.params.means, centres, atol=5.0 / np.sqrt(0.1 * len(rows)))


def test_candidates_are_distinct_optima_on_the_scale_of_the_model() -> None:
    table = bg.prepare_table(bg.datasets.load_faithful())
    fit, candidates = fit_em_candidates(table, 3, structure="full", random_seed=1)
    best = candidates[0].rescale(table.center, table.scale)
    np.testing.assert_allclose(best.means, fit.params.means, rtol=1e-8)
    np.testing.assert_allclose(best.covariances, fit.params.covariances, rtol=1e-8)
    values = [
        logsumexp(
            [np.log(w) + multivariate_normal.logpdf(table.standardized, m, c)
             for w, m, c in zip(p.weights, p.means, p.covariances, strict=True)], axis=0,
        ).sum()
        for p in candidates
    ]  # fmt: skip
    assert (np.diff(values) < -5e-4).all()
