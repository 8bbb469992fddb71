"""Rows of a standard component, normal or t: what of them quantiles, ellipses and simulations ask.

Degrees of freedom are None where components are normal; else an array that goes with what it is asked beside.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, fdtri, gammaln, ndtr, ndtri, stdtr, stdtrit

__all__ = ["draw_rows", "marginal_cdf", "marginal_density", "marginal_quantile", "radius"]

Array = NDArray[np.float64]


def marginal_cdf(z: Array, df: Array | None = None) -> Array:
    """Distribution function of one column."""
    return np.asarray(ndtr(z) if df is None else stdtr(df, z))


def marginal_density(z: Array, df: Array | None = None) -> Array:
    """Density of one column.

    >>> marginal_density(np.zeros(2)).round(3), marginal_density(np.zeros(2), np.array([1.0, 1e6])).round(3)
    (array([0.399, 0.399]), array([0.318, 0.399]))
    """
    if df is None:
        return np.asarray(np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi))
    constant = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(df * math.pi)
    return np.asarray(np.exp(constant - 0.5 * (df + 1.0) * np.log1p(z**2 / df)))


def marginal_quantile(q: float, df: Array | None = None) -> Any:
    """Quantile of one column."""
    return ndtri(q) if df is None else stdtrit(df, q)


def draw_rows(rng: np.random.Generator, n_rows: int, n_features: int, df: Array | None = None) -> Array:
    """(n, D) rows; `df` (n,)."""
    z = rng.standard_normal((n_rows, n_features))
    return z if df is None else z * np.sqrt(df / rng.chisquare(df))[:, None]


def radius(probability: float, n_features: int, df: Array | None = None) -> Array:
    """Of the ball about the mean that holds so much.

    >>> radius(0.95, 2).round(3), radius(0.95, 2, df=np.array([5.0])).round(3)
    (np.float64(2.448), array([3.402]))
    """
    square = chdtri(n_features, 1.0 - probability) if df is None else n_features * fdtri(n_features, df, probability)
    return np.sqrt(square)
