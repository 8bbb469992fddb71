"""Rows with missing cells: the pass over patterns against dense arithmetic, a row at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm.kernels.allocation import allocation_pass, new_allocation
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import as_rows, is_complete

N, K = 400, 3


def gapped(d: int, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(N, d))
    rows[rng.random((N, d)) < share] = np.nan
    rows[7] = np.nan  # a row without any cell
    return rows


def mixture(d: int, diagonal: bool, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means, covariances and inverse factors."""
    rng = np.random.default_rng(seed)
    factors = np.tril(rng.normal(size=(K, d, d)), -1) * (not diagonal) + rng.uniform(0.5, 1.5, (K, 1, d)) * np.eye(d)
    scaling = np.tril(np.linalg.inv(factors))
    return rng.dirichlet(np.full(K, 3.0)), rng.normal(size=(K, d)), factors @ factors.mT, scaling


def dense(rows, weights, means, covariances, scaling):
    """Log density of each row, responsibilities, and E r, E r u, E r u u' of the whitened residual u of whole rows."""
    d = rows.shape[1]
    log_p, u, second = np.empty((N, K)), np.zeros((N, K, d)), np.zeros((N, K, d, d))
    for i, row in enumerate(rows):
        o = ~np.isnan(row)
        for k in range(K):
            block = covariances[k][np.ix_(o, o)]
            slope = covariances[k][:, o] @ np.linalg.inv(block)
            log_p[i, k] = np.log(weights[k])
            if o.any():
                log_p[i, k] += multivariate_normal.logpdf(row[o], means[k, o], block)
            u[i, k] = scaling[k] @ (slope @ (row[o] - means[k, o]))
            spread = scaling[k] @ (covariances[k] - slope @ covariances[k][o]) @ scaling[k].T
            second[i, k] = np.outer(u[i, k], u[i, k]) + spread
    density = np.logaddexp.reduce(log_p, axis=1)
    r = np.exp(log_p - density[:, None])
    return density, r, u, second


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("d", "share"), [(1, 0.3), (2, 0.2), (5, 0.3), (9, 0.5)])
def test_the_pass_is_the_dense_computation(d: int, share: float, diagonal: bool) -> None:
    rows, (weights, means, covariances, scaling) = gapped(d, share, d), mixture(d, diagonal, d)
    row_weights = np.random.default_rng(0).uniform(0.0, 2.0, N)
    log_norm, counts = np.empty(K), np.empty(K)
    sums, outers, density, r = np.empty((K, d)), np.empty((K, d, d)), np.empty(N), np.empty((N, K))
    log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    value = mixture_pass(as_rows(rows), row_weights, log_norm, means, scaling, RowModel(diagonal),
                         counts, sums, outers, density, r)  # fmt: skip
    expected, shares, u, second = dense(rows, weights, means, covariances, scaling)
    a = shares * row_weights[:, None]
    np.testing.assert_allclose(density, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(r, shares, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(value, row_weights @ expected, rtol=1e-12)
    np.testing.assert_allclose(counts, a.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sums, np.einsum("nk,nkd->kd", a, u), rtol=1e-10, atol=1e-11)
    whole = np.einsum("nk,nkde->kde", a, second)
    cells = np.eye(d, dtype=bool) if diagonal else np.tri(d, dtype=bool)  # the others are not used
    np.testing.assert_allclose(outers[:, cells], whole[:, cells], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weights_are", ["ones", "whole", "many", "fractional"])
def test_sums_of_completed_rows_have_the_expectation_of_the_pass(weights_are: str) -> None:
    d, rng = 3, np.random.default_rng(1)
    rows, (weights, means, covariances, scaling) = gapped(d, 0.3, 2), mixture(d, False, 2)
    row_weights = {
        "ones": np.ones(N), "whole": rng.integers(0, 4, N) + 0.0, "many": rng.choice([0.0, 1.0, 60.0, 200.0], N),
        "fractional": rng.uniform(0, 2.5, N),
    }  # fmt: skip
    a = row_weights[weights_are]
    fractional = weights_are == "fractional"
    log_norm, packed = np.empty(K), as_rows(rows)
    log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    allocation = new_allocation(K, d, N, fractional)
    watched = int(np.flatnonzero([is_complete(packed.features, i) and a[i] == 1.0 for i in range(N)] or [0])[0]) \
        if not fractional else -1  # fmt: skip
    lower, found, places = np.tril_indices(d), [], []
    for _ in range(1500):
        _, log_likelihood, place = allocation_pass(
            rng, packed, a, log_norm, means, scaling, RowModel(), True, watched, allocation
        )
        places.append(place)
        found.append(np.concatenate([allocation.counts, allocation.sums.ravel(), allocation.outers[:, *lower].ravel()]))
    density, r, u, second = dense(rows, weights, means, covariances, scaling)
    assert log_likelihood == pytest.approx(a @ density, rel=1e-12)
    # A fraction f of a copy has its missing cells from the power f of their density: f times 1 / f of the spread.
    copies = np.floor(a) + (a > np.floor(a))
    spread = second - u[..., None] * u[..., None, :]
    outer = np.einsum("nk,nkde->kde", r * a[:, None], u[..., None] * u[..., None, :])
    outer += np.einsum("nk,nkde->kde", r * copies[:, None], spread)
    expected = np.concatenate([(r * a[:, None]).sum(axis=0), np.einsum("nk,nkd->kd", r * a[:, None], u).ravel(),
                               outer[:, *lower].ravel()])  # fmt: skip
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - expected) < 4.5 * error).all()
    # Given the responsibilities alone, the spread: sums of u of copies that are independent.
    within = np.einsum("nk,nkd->kd", r * a[:, None], np.diagonal(second, axis1=2, axis2=3))
    within -= np.einsum("nk,nkd->kd", r**2 * a[:, None], u**2)
    if not fractional:
        spread = np.std([x[K : K + K * d] for x in found], axis=0) ** 2
        np.testing.assert_allclose(spread, within.ravel(), rtol=5.0 * np.sqrt(2.0 / 1500))
    if watched >= 0:
        p = r[watched]
        assert (np.abs(np.bincount(places, minlength=K) / 1500 - p) < 4.5 * np.sqrt(p * (1.0 - p) / 1500)).all()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_known_component_alone_has_a_say(share: float) -> None:
    d, rng = 3, np.random.default_rng(5)
    rows, (weights, means, covariances, scaling) = gapped(d, share, 3), mixture(d, False, 3)
    rows[7] = 0.0
    known = np.where(rng.random(N) < 0.5, rng.integers(0, K, N), -1)
    log_norm, packed = np.empty(K), as_rows(rows, known)
    log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    counts, sums, outers = np.empty(K), np.empty((K, d)), np.empty((K, d, d))
    density, r = np.empty(N), np.empty((N, K))
    value = mixture_pass(packed, np.ones(N), log_norm, means, scaling, RowModel(), counts, sums, outers, density, r)
    free, shares, u, _ = dense(rows, weights, means, covariances, scaling)
    told = known >= 0
    expected = np.where(told, free + np.log(shares[np.arange(N), known]), free)
    shares[told] = np.eye(K)[known[told]]
    np.testing.assert_allclose(density, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(r, shares, rtol=1e-11, atol=1e-14)
    assert value == pytest.approx(expected.sum(), rel=1e-12)
    np.testing.assert_allclose(sums, np.einsum("nk,nkd->kd", shares, u), rtol=1e-10, atol=1e-11)
    allocation = new_allocation(K, d, N, False)
    allocation_pass(rng, as_rows(rows[told], known[told]), np.ones(told.sum()), log_norm, means, scaling, RowModel(),
                    False, -1, allocation)  # fmt: skip
    np.testing.assert_array_equal(allocation.counts, np.bincount(known[told], minlength=K))


def test_patterns_are_sorted_and_rows_stay_in_place() -> None:
    rows = np.array([[1.0, np.nan], [1.0, 2.0], [np.nan, 3.0], [4.0, 5.0], [6.0, np.nan]])
    packed = as_rows(rows)
    assert packed.order.tolist() == [1, 3, 0, 4, 2]
    assert packed.first.tolist() == [0, 2, 4, 5]
    assert packed.observed.tolist() == [[1, 1], [1, 0], [0, 1]]
    assert len(as_rows(rows[[1, 3]]).order) == 0  # nothing to sort


def test_many_patterns_of_many_columns() -> None:
    """More columns than an integer has bits; nearly every row has a pattern of its own."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 70))
    rows[rng.random(rows.shape) < 0.5] = np.nan
    packed = as_rows(rows)
    for p in range(len(packed.observed)):
        for i in packed.order[packed.first[p] : packed.first[p + 1]]:
            assert (~np.isnan(rows[i]) == packed.observed[p].astype(bool)).all()
    assert sorted(packed.order.tolist()) == list(range(60))
