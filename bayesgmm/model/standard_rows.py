"""Rows of a standard component, normal or t: what of them quantiles, ellipses and simulations ask.

Degrees of freedom are None where components are normal; else an array that goes with what it is asked beside.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, fdtri, ndtr, ndtri, stdtr, stdtrit

__all__ = ["draw_rows", "marginal_cdf", "marginal_quantile", "radius"]

Array = NDArray[np.float64]


def marginal_cdf(z: Array, df: Array | None = None) -> Array:
    """Distribution function of one column."""
    return np.asarray(ndtr(z) if df is None else stdtr(df, z))


def marginal_quantile(q: float, df: Array | None = None) -> Any:
    """Quantile of one column."""
    return ndtri(q) if df is None else stdtrit(df, q)


def draw_rows(rng: np.random.Generator, n_rows: int, n_features: int, df: Array | None = None) -> Array:
    """(n, D) rows; `df` (n,)."""
    z = rng.standard_normal((n_rows, n_features))
    return z if df is None else z * np.sqrt(df / rng.chisquare(df))[:, None]


def radius(probability: float, n_features: int, df: float | None = None) -> float:
    """Of the ball about the mean that holds so much.

    >>> round(radius(0.95, 2), 3), round(radius(0.95, 2, df=5.0), 3)
    (2.448, 3.402)
    """
    if df is None:
        return math.sqrt(chdtri(n_features, 1.0 - probability))
    return math.sqrt(n_features * fdtri(n_features, df, probability))
