"""The compiled pass against scipy, row by row and component by component."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.kernels import _exp_block, _log_block, component_log_densities, log_normalizers, mixture_pass

# Rounding of a dozen operations on numbers of the size of a log density.
REL = 2e-13
NO_1, NO_2 = np.empty(0), np.empty((0, 0))


def mixture(rng, k, d, diagonal=False):
    """Weights, means, covariances and inverse Cholesky factors of a random mixture."""
    weights = rng.dirichlet(np.ones(k))
    means = rng.normal(scale=3.0, size=(k, d))
    raw = rng.normal(size=(k, d, d + 2))
    covariances = raw @ np.swapaxes(raw, 1, 2) / d + 0.1 * np.eye(d)
    if diagonal:
        covariances = covariances * np.eye(d)
    scaling = np.linalg.inv(np.linalg.cholesky(covariances))
    return weights, means, covariances, np.tril(scaling)


def run(rows, weights, means, scaling, diagonal=False, row_weights=None):
    """Every output of one pass."""
    (n, d), k = rows.shape, len(weights)
    features = np.ascontiguousarray(rows.T)
    row_weights = np.ones(n) if row_weights is None else row_weights
    log_norm = np.empty(k)
    with np.errstate(divide="ignore"):
        log_normalizers(np.log(weights), scaling, log_norm)
    counts, sums, outers = np.empty(k), np.empty((k, d)), np.empty((k, d, d))
    density, responsibilities = np.empty(n), np.empty((n, k))
    total = mixture_pass(
        features, row_weights, log_norm, means, scaling, diagonal, counts, sums, outers, density, responsibilities
    )
    return total, counts, sums, outers, density, responsibilities


def truth(rows, weights, means, covariances, scaling, row_weights=None):
    """The same numbers by scipy and einsum."""
    row_weights = np.ones(len(rows)) if row_weights is None else row_weights
    each = np.stack(
        [np.atleast_1d(multivariate_normal.logpdf(rows, m, c)) for m, c in zip(means, covariances, strict=True)], 1
    )
    joint = each + np.log(weights)
    density = logsumexp(joint, axis=1)
    responsibilities = np.exp(joint - density[:, None])
    weighted = responsibilities * row_weights[:, None]
    y = np.einsum("kij,nkj->nki", scaling, rows[:, None] - means)
    outers = np.einsum("nk,nki,nkj->kij", weighted, y, y)
    sums = np.einsum("nk,nki->ki", weighted, y)
    return row_weights @ density, weighted.sum(0), sums, outers, density, responsibilities, each


def compare(got, want, rows_scale=1.0):
    total, counts, sums, outers, density, responsibilities = got
    assert_allclose(density, want[4], rtol=REL)
    assert_allclose(total, want[0], rtol=REL)
    # An error in a log density is a relative error of the responsibility, so it is bounded by the log density's size.
    bound = REL * max(1.0, np.abs(want[6]).max())
    assert_allclose(responsibilities, want[5], rtol=bound, atol=1e-300)
    n = max(1.0, want[1].sum())
    lower = np.tril_indices(sums.shape[1])
    assert_allclose(counts, want[1], rtol=bound, atol=bound * 1e-3)
    assert_allclose(sums, want[2], rtol=bound, atol=bound * n)
    assert_allclose(outers[:, lower[0], lower[1]], want[3][:, lower[0], lower[1]], rtol=bound, atol=bound * n)


@pytest.mark.parametrize("n", [1, 7, 255, 256, 257, 1000])
@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 4), (2, 3), (3, 2), (4, 5), (5, 1), (7, 3), (20, 2)])
def test_pass_equals_scipy(n, d, k):
    rng = np.random.default_rng([n, d, k])
    weights, means, covariances, scaling = mixture(rng, k, d)
    rows = means[rng.integers(k, size=n)] + rng.normal(scale=2.0, size=(n, d))
    compare(run(rows, weights, means, scaling), truth(rows, weights, means, covariances, scaling))


def test_row_weights():
    rng = np.random.default_rng(1)
    weights, means, covariances, scaling = mixture(rng, 3, 2)
    rows = rng.normal(scale=3.0, size=(300, 2))
    row_weights = rng.integers(0, 4, size=300).astype(float)
    got = run(rows, weights, means, scaling, row_weights=row_weights)
    compare(got, truth(rows, weights, means, covariances, scaling, row_weights))
    repeated = run(np.repeat(rows, row_weights.astype(int), axis=0), weights, means, scaling)
    for one, two in zip(got[:3], repeated[:3], strict=True):
        assert_allclose(one, two, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 6])
def test_diagonal_path_equals_full_path(d):
    rng = np.random.default_rng(d)
    weights, means, covariances, scaling = mixture(rng, 3, d, diagonal=True)
    rows = rng.normal(scale=3.0, size=(300, d))
    diagonal, full = run(rows, weights, means, scaling, diagonal=True), run(rows, weights, means, scaling)
    compare(full, truth(rows, weights, means, covariances, scaling))
    for i in (0, 1, 2, 4, 5):
        assert_allclose(diagonal[i], full[i], rtol=1e-12, atol=1e-11)
    variances = np.diagonal(diagonal[3], axis1=1, axis2=2)
    assert_allclose(variances, np.diagonal(full[3], axis1=1, axis2=2), rtol=1e-12)


def test_far_points_and_tiny_weights():
    """Forty sd away from everything, and a component of weight 1e-12: no underflow, no loss of digits."""
    rng = np.random.default_rng(3)
    _, means, covariances, scaling = mixture(rng, 3, 2)
    weights = np.array([1e-12, 0.4, 0.6 - 1e-12])
    cholesky = np.linalg.cholesky(covariances)
    directions = rng.normal(size=(50, 2))
    directions *= 40.0 / np.linalg.norm(directions, axis=1, keepdims=True)
    rows = np.concatenate([means[0] + directions @ cholesky[0].T, means[0] + 0.1 * rng.normal(size=(50, 2))])
    got, want = run(rows, weights, means, scaling), truth(rows, weights, means, covariances, scaling)
    compare(got, want)
    assert np.isfinite(got[4]).all()
    assert got[5][50:, 0].min() > 0.0


def test_component_of_weight_zero_takes_no_rows():
    rng = np.random.default_rng(4)
    _, means, covariances, scaling = mixture(rng, 3, 2)
    rows = rng.normal(size=(20, 2))
    got = run(rows, np.array([0.0, 0.3, 0.7]), means, scaling)
    want = truth(rows, np.array([0.3, 0.7]), means[1:], covariances[1:], scaling[1:])
    assert_allclose(got[4], want[4], rtol=REL)
    assert_array_equal(got[5][:, 0], 0.0)


def test_nan_row_gives_nan_and_leaves_others_alone():
    rng = np.random.default_rng(5)
    weights, means, covariances, scaling = mixture(rng, 2, 2)
    rows = rng.normal(size=(300, 2))
    rows[17, 1] = np.nan
    got = run(rows, weights, means, scaling)
    clean = np.delete(np.arange(300), 17)
    assert np.isnan(got[0])
    assert np.isnan(got[4][17])
    want = truth(rows[clean], weights, means, covariances, scaling)
    assert_allclose(got[4][clean], want[4], rtol=REL)
    assert_allclose(got[5][clean], want[5], rtol=1e-11)


def test_skipped_outputs_change_nothing():
    rng = np.random.default_rng(6)
    weights, means, _, scaling = mixture(rng, 2, 3)
    rows = rng.normal(size=(300, 3))
    full = run(rows, weights, means, scaling)
    log_norm = np.empty(2)
    log_normalizers(np.log(weights), scaling, log_norm)
    features = np.ascontiguousarray(rows.T)
    alone = mixture_pass(
        features, np.ones(300), log_norm, means, scaling, False,
        NO_1, np.empty((0, 3)), np.empty((0, 3, 3)), NO_1, NO_2,
    )  # fmt: skip
    assert alone == full[0]


@pytest.mark.parametrize(("d", "diagonal"), [(1, False), (3, False), (3, True), (20, False)])
def test_component_log_densities(d, diagonal):
    rng = np.random.default_rng(d)
    weights, means, covariances, scaling = mixture(rng, 3, d, diagonal)
    rows = rng.normal(scale=3.0, size=(131, d))
    out = np.empty((131, 3))
    component_log_densities(np.ascontiguousarray(rows.T), means, scaling, diagonal, out)
    assert_allclose(out, truth(rows, weights, means, covariances, scaling)[6], rtol=REL)


def test_exp_block():
    buffer = np.empty(4096)
    values = np.concatenate([[0.0, -1e-300, -1e-17, -708.0], -np.random.default_rng(7).exponential(100.0, 4092)])
    got = values.copy()
    _exp_block(got, buffer, buffer.view(np.int64), len(got))
    normal = values >= -708.0
    assert_allclose(got[normal], np.exp(values[normal]), rtol=1e-15)
    assert_array_equal(got[~normal], 0.0)


def test_exp_block_limits():
    buffer = np.empty(4)
    values = np.array([-np.inf, np.nan, -1e300, 0.0])
    _exp_block(values, buffer, buffer.view(np.int64), 4)
    assert_array_equal(values, [0.0, np.nan, 0.0, 1.0])


def test_log_block():
    values = np.concatenate([[1.0, 2.0, 1.0 + 2.0**-52, np.sqrt(2.0)], 1.0 + np.random.default_rng(8).exponential(50, 2044)])
    out, buffer = np.empty(2048), np.empty(2048)
    _log_block(values, out, buffer, buffer.view(np.int64), 2048)
    assert_allclose(out, np.log(values), rtol=4e-16, atol=1e-300)
    bad = np.array([np.nan, 1.0])
    _log_block(bad, out, buffer, buffer.view(np.int64), 2)
    assert np.isnan(out[0]) and out[1] == 0.0
