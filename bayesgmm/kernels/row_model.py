"""The density of a row given its component: the one thing that passes over the rows do not know themselves.

A pass asks a row model for four things, compiled: the constant of a component (`log_normalizers`), the residuals of a
block of rows (`residuals_block`), their log densities (`log_density`, within the loop of the pass) and what the rows
add to the sums of their component (`add_block`). Prediction asks it for quantiles and noise. There is one
row model so far, the normal density: with the whitened residual y = scaling (x - mean),

    log p(x) = log det scaling - D/2 log(2 pi) - |y|^2 / 2,

and a row adds itself, with its responsibility, to the sums of y and y y'. Another one (t, noise) is a
field of `RowModel` and its case in these functions; no pass changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, ndtri

from bayesgmm.kernels.block_math import accumulate, whiten
from bayesgmm.kernels.compiled import compiled

__all__ = ["NORMAL", "RowModel", "add_block", "log_density", "log_normalizers", "residuals_block"]

Array = NDArray[np.float64]

LOG_2PI = math.log(2.0 * math.pi)


class RowModel(NamedTuple):
    """The normal density; passes take it as it is, compiled or not."""

    diagonal: bool = False  # covariances are diagonal: only the diagonals of factors are read

    @staticmethod
    def cdf(z: Array) -> Array:
        """Distribution function of one column of a standard component."""
        return np.asarray(ndtr(z))

    @staticmethod
    def quantile(q: float) -> float:
        """Quantile of one column of a standard component."""
        return float(ndtri(q))

    @staticmethod
    def noise(rng: np.random.Generator, n_rows: int, n_features: int) -> Array:
        """(n, D) rows of a standard component."""
        return rng.standard_normal((n_rows, n_features))

    @staticmethod
    def radius(probability: float, n_features: int) -> float:
        """Of the ball about the mean of a standard component that holds so much of it."""
        return math.sqrt(chdtri(n_features, 1.0 - probability))


NORMAL = RowModel()


@compiled
def log_normalizers(log_weights, scaling, out):
    """out[k] = log weight_k + log det scaling_k - D/2 log(2 pi)."""
    n_components, n_features = scaling.shape[0], scaling.shape[1]
    for k in range(n_components):
        total = log_weights[k] - 0.5 * n_features * LOG_2PI
        for d in range(n_features):
            total += math.log(scaling[k, d, d])
        out[k] = total


@compiled(inline="always")
def residuals_block(row_model, features, start, n, mean, scaling, centred, y, square):
    """y (D, block) = the whitened residuals of rows start..start+n, and `square` (block,) what their densities are
    functions of: squared lengths."""
    whiten(features, start, n, mean, scaling, row_model.diagonal, centred, y, square)


@compiled(inline="always")
def log_density(row_model, log_norm, square):
    """Log density of a row, from the constant of the component and what `residuals_block` gives."""
    return log_norm - 0.5 * square


@compiled(inline="always")
def add_block(row_model, y, r, n, weighted, total, outer):
    """Add to the sums of a component what rows with residuals y and weights r give: sum r y to `total`, and sum r y y'
    (lower triangle; the diagonal alone if covariances are diagonal) to `outer`."""
    accumulate(y, r, n, row_model.diagonal, weighted, total, outer)
