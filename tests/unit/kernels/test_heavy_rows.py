"""Rows of t components and of a background: the pass against dense arithmetic, a row at a time, and what
the pass that draws allocations sums against its expectation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma as scipy_digamma
from scipy.stats import multivariate_normal, multivariate_t

from bayesgmm.kernels.allocation import allocation_pass, new_allocation
from bayesgmm.kernels.row_model import RowModel, digamma, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.streaming import total_log_likelihood

N, K = 300, 3


def test_digamma_is_scipys() -> None:
    x = np.geomspace(1e-3, 1e6, 200)
    np.testing.assert_allclose([digamma(v) for v in x], scipy_digamma(x), rtol=1e-13, atol=1e-13)


def dense(rows, head, means, covariances, widths):
    """Log density of each row in each class, weights included, and E(u), E(log U - U) of each row and component."""
    d = rows.shape[1]
    classes = K + (len(widths) > 0)
    df = np.broadcast_to(head[classes:], K) if len(head) > classes else None
    log_p, u, tail = np.zeros((N, classes)), np.ones((N, K)), np.zeros((N, K))
    for i, row in enumerate(rows):
        o = ~np.isnan(row)
        for k in range(K):
            log_p[i, k] = np.log(head[k])
            block = covariances[k][np.ix_(o, o)]
            gap = row[o] - means[k, o]
            if o.any() and df is None:
                log_p[i, k] += multivariate_normal.logpdf(row[o], means[k, o], block)
            elif o.any():
                log_p[i, k] += multivariate_t.logpdf(row[o], means[k, o], block, df[k])
            if df is not None:
                shape, rate = (
                    0.5 * (df[k] + o.sum()),
                    0.5 * (df[k] + (gap @ np.linalg.solve(block, gap) if o.any() else 0.0)),
                )
                u[i, k] = shape / rate
                tail[i, k] = scipy_digamma(shape) - np.log(rate) - u[i, k]
        if len(widths):
            log_p[i, K] = np.log(head[K]) - widths[o].sum()
    assert d
    return log_p, u, tail


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("n_df", [0, 1, K])
@pytest.mark.parametrize(("d", "share"), [(1, 0.0), (3, 0.0), (3, 0.3)])
def test_the_pass_is_the_dense_computation(d: int, share: float, n_df: int, background: bool, diagonal: bool) -> None:
    rng = np.random.default_rng([d, n_df, background, diagonal, share > 0.0])
    rows = rng.standard_t(2.0, size=(N, d))
    rows[rng.random((N, d)) < share] = np.nan
    factors = np.tril(rng.normal(size=(K, d, d)), -1) * (not diagonal) + rng.uniform(0.5, 1.5, (K, 1, d)) * np.eye(d)
    covariances, means = factors @ factors.mT, rng.normal(size=(K, d))
    scaling = np.ascontiguousarray(np.tril(np.linalg.inv(factors)))
    widths = rng.uniform(0.5, 2.0, d) if background else np.empty(0)
    classes = K + background
    head = np.concatenate([rng.dirichlet(np.full(classes, 3.0)), rng.uniform(2.1, 30.0, n_df)])
    a, row_model = rng.uniform(0.0, 2.0, N), RowModel(diagonal, widths)
    log_norm, counts = np.empty(len(head)), np.empty(classes + 2 * K * (n_df > 0))
    sums, outers, density, r = np.empty((K, d)), np.empty((K, d, d)), np.empty(N), np.empty((N, classes))
    log_normalizers(np.log(head), scaling, row_model, log_norm)
    value = mixture_pass(as_rows(rows), a, log_norm, means, scaling, row_model, counts, sums, outers, density, r)

    log_p, u, tail = dense(rows, head, means, covariances, widths)
    expected = np.logaddexp.reduce(log_p, axis=1)
    shares = np.exp(log_p - expected[:, None])
    np.testing.assert_allclose(density, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(r, shares, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(value, a @ expected, rtol=1e-12)
    np.testing.assert_allclose(counts[:classes], a @ shares, rtol=1e-12)
    each = a[:, None] * shares[:, :K]
    if n_df:
        np.testing.assert_allclose(counts[classes : classes + K], (each * u).sum(axis=0), rtol=1e-11)
        np.testing.assert_allclose(counts[classes + K :], (each * tail).sum(axis=0), rtol=1e-11)
    whole = each * u
    second, first = np.zeros((K, d, d)), np.zeros((K, d))
    for i, row in enumerate(rows):  # E r u y and E r u y y': of the missing cells, the spread counts r
        o = ~np.isnan(row)
        for k in range(K):
            slope = covariances[k][:, o] @ np.linalg.inv(covariances[k][np.ix_(o, o)])
            y = scaling[k] @ (slope @ (row[o] - means[k, o]))
            spread = scaling[k] @ (covariances[k] - slope @ covariances[k][o]) @ scaling[k].T
            first[k] += whole[i, k] * y
            second[k] += whole[i, k] * np.outer(y, y) + each[i, k] * spread
    np.testing.assert_allclose(sums, first, rtol=1e-9, atol=1e-10)
    cells = np.eye(d, dtype=bool) if diagonal else np.tri(d, dtype=bool)
    np.testing.assert_allclose(outers[:, cells], second[:, cells], rtol=1e-9, atol=1e-10)
    one = total_log_likelihood(rows, a, head[None], means[None], scaling[None], row_model=row_model)
    np.testing.assert_allclose(one, [value], rtol=1e-12)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("n_df", [0, 1, K])
@pytest.mark.parametrize(("d", "share", "diagonal"), [(3, 0.0, True), (15, 0.0, False), (3, 0.3, False)])
def test_drawn_statistics_have_the_expectation_of_the_pass(
    d: int, share: float, diagonal: bool, n_df: int, background: bool
) -> None:
    rng = np.random.default_rng([d, n_df, background, diagonal])
    rows = rng.standard_t(2.0, size=(N, d))
    rows[rng.random((N, d)) < share] = np.nan
    below = np.tril(0.3 * rng.normal(size=(K, d, d)), -1) * (not diagonal)
    factors = below + rng.uniform(0.5, 1.5, (K, 1, d)) * np.eye(d)
    means, scaling = rng.normal(size=(K, d)), np.ascontiguousarray(np.tril(np.linalg.inv(factors)))
    widths = rng.uniform(1.0, 2.0, d) * (2.5 if d > 3 else 1.0) if background else np.empty(0)
    classes = K + background
    head = np.concatenate([rng.dirichlet(np.full(classes, 3.0)), rng.uniform(2.1, 30.0, n_df)])
    a, row_model = rng.choice([0.0, 1.0, 1.0, 2.0, 3.0, 70.0], N), RowModel(diagonal, widths)
    log_norm, counts = np.empty(len(head)), np.empty(classes + 2 * K * (n_df > 0))
    sums, outers, r = np.empty((K, d)), np.empty((K, d, d)), np.empty((N, classes))
    log_normalizers(np.log(head), scaling, row_model, log_norm)
    packed = as_rows(rows)
    value = mixture_pass(packed, a, log_norm, means, scaling, row_model, counts, sums, outers, np.empty(0), r)
    n_counts, cells = classes + K * (n_df > 0), np.arange(d) if diagonal else np.tril_indices(d)
    places = (cells, cells) if diagonal else cells
    allocation, found = new_allocation(K, d, N, False, n_counts), []
    for _ in range(600):
        _, log_likelihood, _ = allocation_pass(
            rng, packed, a, log_norm, means, scaling, row_model, True, -1, allocation
        )
        found.append(np.concatenate([
            allocation.counts, allocation.sums.ravel(), allocation.outers[:, *places].ravel()
        ]))  # fmt: skip
    np.testing.assert_allclose(log_likelihood, value, rtol=1e-12)
    expected = np.concatenate([counts[:n_counts], sums.ravel(), outers[:, *places].ravel()])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - expected) < 5.0 * error + 1e-9).all()
    if n_df:  # each copy has a precision of its own: the variance of their sum
        _, u, _ = dense(rows, head, means, factors @ factors.mT, widths)
        shape = 0.5 * (np.broadcast_to(head[classes:], K) + (~np.isnan(rows)).sum(axis=1)[:, None])
        spread = a @ (r[:, :K] * u**2 * (1.0 + 1.0 / shape) - (r[:, :K] * u) ** 2)
        drawn = np.var(found, axis=0)[classes:n_counts]
        np.testing.assert_allclose(drawn, spread, rtol=6.0 * np.sqrt(2.0 / 600))
