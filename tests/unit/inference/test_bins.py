"""Bins of rows with missing cells: rows of one bin lack the same cells."""

from __future__ import annotations

import numpy as np

from bayesgmm.inference.gibbs.bins import _gathered


def test_rows_of_a_bin_lack_the_same_cells() -> None:
    rows = np.array([[0.1, 0.2], [0.3, 0.4], [0.2, np.nan], [0.4, np.nan], [np.nan, np.nan], [1.5, 0.1], [9.0, 9.0]])
    weights = np.array([1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 0.0])
    means, sums = _gathered(rows, weights, np.ones(2))
    order = np.lexsort(np.nan_to_num(means, nan=-1.0).T[::-1])
    expected = [[np.nan, np.nan], [0.25, 0.35], [0.3, np.nan], [1.5, 0.1]]
    np.testing.assert_allclose(means[order], expected)
    np.testing.assert_allclose(sums[order], [2.0, 4.0, 2.0, 1.0])
