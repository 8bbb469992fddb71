"""The missing cells of a row given those observed, under one component, normal or t."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["given_observed", "squared_distances"]

Array = NDArray[np.float64]


def given_observed(mean: Array, covariance: Array, observed: NDArray[np.bool_], rows: Array) -> tuple[Array, Array]:
    """Conditional mean and covariance of the cells that are missing.

    Parameters
    ----------
    mean, covariance : arrays (..., D), (..., D, D)
        Of one component, or of many draws and components.
    observed : bool array (D,)
    rows : array (n, O)
        The observed cells.

    Returns
    -------
    array (..., n, D - O), array (..., D - O, D - O)

    Examples
    --------
    >>> expected, spread = given_observed(np.zeros(2), np.array([[1.0, 0.8], [0.8, 1.0]]),
    ...                                   np.array([True, False]), np.array([[2.0]]))
    >>> expected.round(2), spread.round(2)
    (array([[1.6]]), array([[0.36]]))
    """
    missing, of_observed = ~observed, covariance[..., observed, :]
    across = of_observed[..., missing]
    slope = np.linalg.solve(of_observed[..., observed], across)  # (..., O, D - O)
    spread = covariance[..., missing, :][..., missing] - across.mT @ slope
    expected = mean[..., None, missing] + (rows - mean[..., None, observed]) @ slope
    return expected, 0.5 * (spread + spread.mT)


def squared_distances(mean: Array, covariance: Array, observed: NDArray[np.bool_], rows: Array) -> Array:
    """(..., n) squared Mahalanobis distances of the cells that are observed; arguments as in `given_observed`.

    Given these cells of a t component of v degrees of freedom, the others are t of v + O, and their scale matrix is
    (v + distance) / (v + O) times the conditional covariance (Kotz and Nadarajah 2004, section 1.11).
    """
    block = covariance[..., observed, :][..., observed]
    gap = rows - mean[..., None, observed]
    return np.asarray(np.einsum("...no,...on->...n", gap, np.linalg.solve(block, gap.mT)))
