"""Information criteria by hand, and in mclust's convention up to sign."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bayesgmm.em.criteria import aic, bic, icl


def test_aic_and_bic_by_hand() -> None:
    assert aic(-123.5, 7) == 2 * 7 + 2 * 123.5
    assert bic(-123.5, 7, 50) == pytest.approx(7 * math.log(50) + 247.0, rel=1e-15)


@pytest.mark.parametrize(
    ("log_likelihood", "n_parameters", "mclust"),
    [(-1126.326, 11, -2314.316), (-1130.264, 11, -2322.192)],
    ids=["EEE, 3 components", "VVV, 2 components"],
)
def test_bic_of_mclust_on_old_faithful(log_likelihood: float, n_parameters: int, mclust: float) -> None:
    assert -bic(log_likelihood, n_parameters, 272) == pytest.approx(mclust, abs=2e-3)


def test_icl_by_hand() -> None:
    """mclust: icl = bic + 2 sum(C log z), C the 0/1 matrix of the most probable component of each row."""
    z = np.array([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5], [1.0, 0.0]])
    mclust_bic = 2 * -10.0 - 3 * math.log(4)
    mclust_icl = mclust_bic + 2 * (math.log(0.9) + math.log(0.7) + math.log(0.5))
    assert -icl(-10.0, 3, z) == pytest.approx(mclust_icl, rel=1e-14)


def test_certain_classification_costs_nothing() -> None:
    assert icl(-10.0, 3, np.eye(3)) == pytest.approx(bic(-10.0, 3, 3))


def test_row_weights_count_rows() -> None:
    z = np.array([[0.9, 0.1], [0.3, 0.7]])
    repeated = icl(-10.0, 3, np.repeat(z, [3, 2], axis=0))
    assert icl(-10.0, 3, z, np.array([3.0, 2.0])) == pytest.approx(repeated, rel=1e-14)
