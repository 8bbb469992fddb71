"""The missing cells of a row given those observed, under one normal component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["given_observed"]

Array = NDArray[np.float64]


def given_observed(mean: Array, covariance: Array, observed: NDArray[np.bool_], rows: Array) -> tuple[Array, Array]:
    """Conditional mean and covariance of the cells that are missing.

    Parameters
    ----------
    mean, covariance : arrays (D,), (D, D)
    observed : bool array (D,)
    rows : array (n, O)
        The observed cells.

    Returns
    -------
    array (n, D - O), array (D - O, D - O)

    Examples
    --------
    >>> expected, spread = given_observed(np.zeros(2), np.array([[1.0, 0.8], [0.8, 1.0]]),
    ...                                   np.array([True, False]), np.array([[2.0]]))
    >>> expected.round(2), spread.round(2)
    (array([[1.6]]), array([[0.36]]))
    """
    missing = ~observed
    across = covariance[np.ix_(observed, missing)]
    slope = np.linalg.solve(covariance[np.ix_(observed, observed)], across)  # (O, D - O)
    spread = covariance[np.ix_(missing, missing)] - across.T @ slope
    return mean[missing] + (rows - mean[observed]) @ slope, 0.5 * (spread + spread.T)
