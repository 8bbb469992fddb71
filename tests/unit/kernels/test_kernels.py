"""The kernel against SciPy: densities, log-sum-exp, responsibilities and statistics to 2e-13 relative."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.kernels import streaming
from bayesgmm.kernels.block_math import exp_block, log_block
from bayesgmm.kernels.draw_blocks import _fill, responsibilities_of_draws
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers
from bayesgmm.kernels.row_pass import component_log_densities, mixture_pass
from bayesgmm.kernels.rows import as_rows

RTOL = 2e-13


def problem(n: int, d: int, k: int, seed: int = 0, spread: float = 2.0):
    rng = np.random.default_rng(seed)
    weights, means = rng.dirichlet(np.ones(k)), spread * rng.normal(size=(k, d))
    # Well conditioned: SciPy's eigenvalues lose digits in proportion to the condition number.
    factors = rng.normal(size=(k, d, d))
    covariances = np.eye(d) + factors @ np.swapaxes(factors, 1, 2) / d
    rows = means[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    return rows, rng.uniform(0.2, 2.0, n), weights, means, covariances


def run(rows, row_weights, weights, means, covariances, diagonal=False):
    (n, d), k = rows.shape, len(weights)
    cholesky = np.linalg.cholesky(covariances)
    scaling = np.ascontiguousarray(np.tril(np.linalg.inv(cholesky)))
    log_norm, counts, sums, outers = np.empty(k), np.empty(k), np.empty((k, d)), np.empty((k, d, d))
    density, r = np.empty(n), np.empty((n, k))
    with np.errstate(divide="ignore"):
        log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    packed = as_rows(rows)
    total = mixture_pass(
        packed, row_weights, log_norm, means, scaling, RowModel(diagonal), counts, sums, outers, density, r
    )
    return total, counts, sums, outers, density, r, cholesky


def truth(rows, weights, means, covariances):
    with np.errstate(divide="ignore"):
        parts = np.column_stack(
            [
                np.log(w) + multivariate_normal.logpdf(rows, m, c).reshape(len(rows))
                for w, m, c in zip(weights, means, covariances, strict=True)
            ]
        )
    density = logsumexp(parts, axis=1)
    return parts, density, np.exp(parts - density[:, None])


@pytest.mark.parametrize("n", [1, 7, 255, 256, 257, 1000])
@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 4), (2, 3), (3, 2), (4, 3), (5, 5), (8, 2), (9, 3), (20, 2)])
def test_against_scipy(n: int, d: int, k: int) -> None:
    rows, row_weights, weights, means, covariances = problem(n, d, k, seed=n + d)
    total, counts, sums, outers, density, r, cholesky = run(rows, row_weights, weights, means, covariances)
    _, expected, expected_r = truth(rows, weights, means, covariances)
    np.testing.assert_allclose(density, expected, rtol=RTOL)
    np.testing.assert_allclose(total, row_weights @ expected, rtol=RTOL)
    # A responsibility is the exponential of a difference of logs, so its error grows with their size.
    allowed = RTOL * np.maximum(expected_r, 1e-3) * np.maximum(1, np.abs(expected))[:, None]
    assert (np.abs(r - expected_r) <= allowed).all()
    weighted = row_weights[:, None] * r
    np.testing.assert_allclose(counts, weighted.sum(axis=0), rtol=RTOL)
    for j in range(k):
        y = np.linalg.solve(cholesky[j], (rows - means[j]).T)  # (D, N)
        scale = np.abs(y) @ weighted[:, j] + 1e-300
        assert (np.abs(sums[j] - y @ weighted[:, j]) <= 1e-12 * scale).all()
        outer = (y * weighted[:, j]) @ y.T
        bound = 1e-12 * ((np.abs(y) * weighted[:, j]) @ np.abs(y).T + 1e-300)
        assert (np.abs(np.tril(outers[j] - outer)) <= bound).all()


def test_points_forty_sd_away_and_tiny_weights() -> None:
    rows, row_weights, _, means, covariances = problem(300, 3, 3, seed=5)
    rows[::3] += 40.0 * np.sqrt(np.diagonal(covariances[0]))
    weights = np.array([1e-12, 0.4, 0.6 - 1e-12])
    total, counts, _, _, density, r, _ = run(rows, row_weights, weights, means, covariances)
    _, expected, expected_r = truth(rows, weights, means, covariances)
    np.testing.assert_allclose(density, expected, rtol=RTOL)
    np.testing.assert_allclose(total, row_weights @ expected, rtol=RTOL)
    np.testing.assert_allclose(r.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(counts, row_weights @ expected_r, rtol=1e-11)
    assert np.isfinite(r).all()


def test_component_densities_without_weights() -> None:
    rows, _, _, means, covariances = problem(700, 4, 3)
    scaling = np.ascontiguousarray(np.tril(np.linalg.inv(np.linalg.cholesky(covariances))))
    out = np.empty((700, 3))
    component_log_densities(np.ascontiguousarray(rows.T), means, scaling, NORMAL, out)
    parts, *_ = truth(rows, np.ones(3), means, covariances)
    np.testing.assert_allclose(out, parts, rtol=RTOL)


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_diagonal_path_equals_full_path(d: int) -> None:
    rows, row_weights, weights, means, covariances = problem(600, d, 3)
    covariances = covariances * np.eye(d)
    full = run(rows, row_weights, weights, means, covariances)
    diagonal = run(rows, row_weights, weights, means, covariances, diagonal=True)
    for a, b in zip(full[:3] + full[4:6], diagonal[:3] + diagonal[4:6], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
    for a, b in zip(full[3], diagonal[3], strict=True):
        np.testing.assert_allclose(np.diag(b), np.diag(a), rtol=1e-12)


def test_integer_row_weights_equal_copies() -> None:
    rows, _, weights, means, covariances = problem(90, 3, 2)
    copies = np.arange(90) % 4
    weighted = run(rows, copies.astype(float), weights, means, covariances)
    repeated = run(np.repeat(rows, copies, axis=0), np.ones(copies.sum()), weights, means, covariances)
    for a, b in zip(weighted[:4], repeated[:4], strict=True):
        np.testing.assert_allclose(np.tril(np.atleast_2d(a)), np.tril(np.atleast_2d(b)), rtol=1e-11, atol=1e-11)


def test_nan_stays_nan() -> None:
    rows, row_weights, weights, means, covariances = problem(50, 2, 2)
    means[1, 1] = np.nan
    total, _, _, _, density, r, _ = run(rows, row_weights, weights, means, covariances)
    assert np.isnan(total)
    assert np.isnan(density).all()
    assert np.isnan(r).all()


def test_a_component_without_weight_has_no_say() -> None:
    rows, row_weights, weights, means, covariances = problem(50, 2, 3)
    weights = np.array([0.0, 0.5, 0.5])
    _, counts, *_, density, r, _ = run(rows, row_weights, weights, means, covariances)
    assert counts[0] == 0.0
    assert (r[:, 0] == 0.0).all()
    assert np.isfinite(density).all()


def test_condition_number_of_a_million() -> None:
    """Whitened statistics lose nothing to cancellation."""
    rng = np.random.default_rng(2)
    orientation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    covariance = (orientation * np.geomspace(1, 1e-12, 4)) @ orientation.T
    covariance = 0.5 * (covariance + covariance.T)
    cholesky = np.linalg.cholesky(covariance)
    y = rng.normal(size=(500, 4))
    rows = 3.0 + y @ cholesky.T
    _, counts, sums, outers, *_ = run(rows, np.ones(500), np.ones(1), np.full((1, 4), 3.0), covariance[None])
    np.testing.assert_allclose(counts, [500.0], rtol=1e-14)
    # What rounding of the rows leaves: 1e-16 of a row of size 3, whitened by 1e6.
    np.testing.assert_allclose(sums[0] / 500, y.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(np.tril(outers[0]) / 500, np.tril(y.T @ y) / 500, atol=1e-7)


def test_skipped_outputs_change_nothing() -> None:
    rows, row_weights, weights, means, covariances = problem(300, 3, 2)
    full = run(rows, row_weights, weights, means, covariances)
    scaling = np.ascontiguousarray(np.tril(np.linalg.inv(np.linalg.cholesky(covariances))))
    log_norm, packed = np.empty(2), as_rows(rows)
    log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    none = np.empty(0), np.empty((0, 3)), np.empty((0, 3, 3)), np.empty(0), np.empty((0, 0))
    assert mixture_pass(packed, row_weights, log_norm, means, scaling, NORMAL, *none) == full[0]


def test_exponential() -> None:
    values = np.concatenate([[0.0, -1e-300, -1e-17, -708.0], -np.random.default_rng(7).exponential(100.0, 4092)])
    got, buffer = values.copy(), np.empty(4096)
    exp_block(got, buffer, buffer.view(np.int64), len(got))
    kept = values >= -708.0
    np.testing.assert_allclose(got[kept], np.exp(values[kept]), rtol=1e-15)
    np.testing.assert_array_equal(got[~kept], 0.0)


def test_exponential_of_infinity_and_nan() -> None:
    values, buffer = np.array([-np.inf, np.nan, -1e300, 0.0]), np.empty(4)
    exp_block(values, buffer, buffer.view(np.int64), 4)
    np.testing.assert_array_equal(values, [0.0, np.nan, 0.0, 1.0])


def test_logarithm() -> None:
    drawn = 1.0 + np.random.default_rng(8).exponential(50.0, 2043)
    values = np.concatenate([[1.0, 2.0, 1.0 + 2.0**-52, np.sqrt(2.0), np.nan], drawn])
    out, buffer = np.empty(2048), np.empty(2048)
    log_block(values, out, buffer, buffer.view(np.int64), 2048)
    np.testing.assert_allclose(out, np.log(values), rtol=4e-16, atol=0.0, equal_nan=True)


def test_passes_over_draws_do_not_depend_on_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(20)
    rows, row_weights = rng.normal(size=(700, 2)), rng.uniform(0.0, 2.0, 700)
    weights, means = rng.dirichlet(np.ones(3), size=5), rng.normal(size=(5, 3, 2))
    scaling = np.tril(rng.normal(size=(5, 3, 2, 2)), -1) + rng.uniform(0.5, 2.0, (5, 3, 1, 2)) * np.eye(2)
    draws = (weights, means, scaling)
    pointwise = streaming.pointwise_log_density(rows, *draws)
    whole = streaming.mean_responsibilities(rows, *draws)
    monkeypatch.setattr(streaming, "_ROWS", 256)
    np.testing.assert_allclose(streaming.mean_responsibilities(rows, *draws), whole, rtol=1e-14)
    np.testing.assert_allclose(
        streaming.predictive_log_density(rows, *draws), logsumexp(pointwise, axis=0) - np.log(5), rtol=1e-12
    )
    np.testing.assert_allclose(
        streaming.total_log_likelihood(rows, row_weights, *draws), pointwise @ row_weights, rtol=1e-12
    )


def test_one_kernel_serves_draws_of_any_layout() -> None:
    """Slices, transposed and read-only arrays compile nothing anew, and give the same numbers."""
    rng = np.random.default_rng(3)
    rows, weights, means = rng.normal(size=(9, 2)), rng.dirichlet(np.ones(3), size=4), rng.normal(size=(4, 3, 2))
    scaling = np.broadcast_to(np.eye(2), (4, 3, 2, 2)).copy()
    sliced = np.asfortranarray(rows), np.hstack([weights, weights])[:, :3], np.asfortranarray(means)
    still = np.broadcast_to(np.eye(2), (4, 3, 2, 2))
    whole = responsibilities_of_draws(rows, weights, means, scaling, row_model=NORMAL)
    again = [streaming.predictive_log_density(rows, weights, means, scaling)]
    again.append(streaming.total_log_likelihood(rows, np.ones(9), weights, means, scaling))
    kernels = (_fill, streaming._predictive, streaming.add_log_likelihoods)
    before = [len(k.signatures) for k in kernels]
    np.testing.assert_array_equal(responsibilities_of_draws(*sliced, still, row_model=NORMAL), whole)
    np.testing.assert_array_equal(streaming.predictive_log_density(*sliced, still), again[0])
    np.testing.assert_array_equal(streaming.total_log_likelihood(sliced[0], np.ones(9), *sliced[1:], still), again[1])
    assert [len(k.signatures) for k in kernels] == before


def test_a_machine_without_a_place_for_the_cache(tmp_path: Path) -> None:
    """Package and home directory read-only: Numba finds no place by itself, and importing must not fail for it."""
    code = (
        "import numba.core.caching as c; "
        "c.CacheImpl._locator_classes = [l for l in c.CacheImpl._locator_classes if 'UserProvided' in l.__name__]; "
        "import numpy as np; from bayesgmm.kernels.compiled import put; "
        "x = np.zeros(3, np.int8); put(x, x + np.int8(1)); print(x.sum(), put.stats.cache_path)"  # new
    )
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"3 {tmp_path}") and any(tmp_path.rglob("*.nbi"))
    assert f"compiled kernels are kept in {tmp_path}" in done.stderr and "set NUMBA_CACHE_DIR" in done.stderr
