"""Copies of a row of large weight: a multinomial draw, in a time that does not depend on their number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from bayesgmm.kernels.picks import _draw_copies

SHARES = np.array([0.2, 0.0, 0.5, 0.3])


@pytest.mark.parametrize("copies", [51, 10**6, 10**12])
def test_moments_are_those_of_a_multinomial(copies: int) -> None:
    rng, times = np.random.default_rng(0), 4000
    drawn = np.zeros((times, 4))
    for row in drawn:
        _draw_copies(rng, copies, 3.0 * SHARES, row)
    assert (drawn.sum(axis=1) == copies).all() and (drawn[:, 1] == 0).all()
    mean, covariance = copies * SHARES, copies * (np.diag(SHARES) - np.outer(SHARES, SHARES))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=5 * np.sqrt(covariance.max() / times))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=5 * covariance.max() * np.sqrt(2 / times))


def test_two_components_are_binomial() -> None:
    rng, drawn = np.random.default_rng(1), np.zeros((20_000, 2))
    for row in drawn:
        _draw_copies(rng, 3, np.array([1.0, 3.0]), row)
    expected = len(drawn) * np.array([27, 27, 9, 1]) / 64
    assert chisquare(np.bincount(drawn[:, 0].astype(int)), expected).pvalue > 1e-3


@pytest.mark.parametrize(("r", "expected"), [([1.0, 0.0], [9, 0]), ([0.0, 1.0], [0, 9]), ([1.0, 1e-300], [9, 0])])
def test_components_without_responsibility_get_none(r: list[float], expected: list[int]) -> None:
    drawn = np.zeros(2)
    _draw_copies(np.random.default_rng(2), 9, np.array(r), drawn)
    assert drawn.tolist() == expected
