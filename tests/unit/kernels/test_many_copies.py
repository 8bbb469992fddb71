"""A row of a large weight with missing cells: its completed copies drawn by their sums, against many of weight one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bayesgmm.kernels.completed import add_completed

Array = NDArray[np.float64]

AXES = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0].T.copy()
SEEN, FREE = AXES[:2], AXES[2:].copy()  # two known directions of four columns, and two that are not
KNOWN = np.array([[1.5], [-0.5]])


def sums(copies: Array, known: Array, seed: int) -> Array:
    """Count, sums and products of completed rows, in one vector."""
    total, outer = np.zeros(4), np.zeros((4, 4))
    count = add_completed(np.random.default_rng(seed), SEEN.T @ known, copies, copies, len(copies), FREE, total, outer)
    return np.concatenate([[count], total, outer[np.tril_indices(4)]])


@pytest.mark.parametrize("weight", [60.0, 60.5, 300.0])
def test_sums_of_many_copies_have_the_distribution_of_single_ones(weight: float) -> None:
    """Kolmogorov-Smirnov of each of 15 sums and of 4 products of them, 2,000 draws of each kind, p > 1e-5."""
    whole = int(weight)
    alone = np.append(np.ones(whole), weight - whole)
    one = np.array([sums(np.array([weight]), KNOWN, s) for s in range(2000)])
    many = np.array([sums(alone, np.tile(KNOWN, len(alone)), 10_000 + s) for s in range(2000)])
    assert (one[:, 0] == weight).all() and many[0, 0] == pytest.approx(weight)
    for of in (lambda x: x, lambda x: np.stack([x[:, 1] * x[:, 5], x[:, 6] * x[:, 7], x[:, 8] * x[:, 9]], axis=1)):
        for a, b in zip(of(one).T, of(many).T, strict=True):
            if np.ptp(a) > 0.0:
                assert stats.ks_2samp(a, b).pvalue > 1e-5
    # E |u|^2 of a copy is |known|^2 + 2, the number of columns that are not known; its variance is that of chi^2.
    squares, expected = one[:, [5, 7, 10, 14]].sum(axis=1), weight * (KNOWN**2).sum() + 2.0 * len(alone[alone > 0.0])
    assert abs(squares.mean() - expected) < 4.5 * np.sqrt(2.0 * 2.0 * len(alone) / 2000)
    # What is known of each copy is known of the sum.
    np.testing.assert_allclose(one[:, 1:5] @ SEEN.T, np.tile(weight * KNOWN[:, 0], (2000, 1)), rtol=1e-9)


def test_work_does_not_grow_with_the_weight() -> None:
    """A copy at a time would take a day."""
    assert sums(np.array([1e12]), KNOWN, 0)[0] == 1e12
