"""Sizes, mean posterior probabilities and relative entropy, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bayesgmm.clustering.classification import classify

# Four observations, three classes; the third is nobody's most probable one.
P = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
# Entropies: 0.8 log 1/0.8 + 2 * 0.1 log 10, 0.6 log 1/0.6 + 2 * 0.2 log 5, 0.5 log 2 + 2 * 0.25 log 4, 0.
ENTROPIES = np.array([0.639032, 0.950271, 1.039721, 0.0])
LOG_3 = 1.098612


def test_by_hand() -> None:
    found = classify(P, np.ones(4), 3)
    assert found.sizes.tolist() == [3.0, 1.0, 0.0] and (found.n_min, found.n_max) == (0.0, 3.0)
    assert found.shares.tolist() == [0.75, 0.25, 0.0]
    assert found.average[:2] == pytest.approx([1.9 / 3.0, 1.0]) and np.isnan(found.average[2])
    assert (found.prob_min, found.prob_max) == pytest.approx((1.9 / 3.0, 1.0))
    assert found.relative_entropy == pytest.approx(1.0 - ENTROPIES.sum() / (4 * LOG_3), abs=1e-6)
    assert str(found) == (
        "3 classes by most probable component, of 0 to 3 observations, with mean posterior probabilities of 0.63 to "
        "> 0.99; relative entropy 0.40."
    )


def test_weights_count_observations() -> None:
    """Weights 2, 1, 0, 1: as if the first were there twice and the third not at all."""
    found, copied = classify(P, np.array([2.0, 1.0, 0.0, 1.0]), 3), classify(P[[0, 0, 1, 3]], np.ones(4), 3)
    assert found.sizes.tolist() == [3.0, 1.0, 0.0]
    assert found.average[0] == pytest.approx((2 * 0.8 + 0.6) / 3.0)
    assert found.relative_entropy == pytest.approx(1.0 - (2 * ENTROPIES[0] + ENTROPIES[1]) / (4 * LOG_3), abs=1e-6)
    assert found.relative_entropy == pytest.approx(copied.relative_entropy)


def test_noise_is_no_class() -> None:
    """The second observation is most probably noise; the first has 0.6 of 0.8 that is no noise."""
    p = np.array([[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])
    found = classify(p, np.ones(3), 2)
    assert found.sizes.tolist() == [1.0, 1.0]
    assert found.average.tolist() == pytest.approx([0.75, 1.0])
    entropy = 0.75 * np.log(4.0 / 3.0) + 0.25 * np.log(4.0)
    assert found.relative_entropy == pytest.approx(1.0 - entropy / (2 * np.log(2.0)))


def test_nothing_but_noise() -> None:
    found = classify(np.array([[0.1, 0.2, 0.7]]), np.ones(1), 2)
    assert found.n_max == 0.0 and np.isnan([found.prob_min, found.relative_entropy, *found.shares]).all()


def test_one_class_is_certain() -> None:
    found = classify(np.ones((3, 1)), np.ones(3), 1)
    assert (found.n_min, found.prob_min, found.relative_entropy) == (3.0, 1.0, 1.0)
