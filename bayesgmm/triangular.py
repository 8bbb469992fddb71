"""Cholesky factors and triangular inverses of a few small matrices, without a LAPACK call for each."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["cholesky_and_inverse", "invert_lower"]


@njit(cache=True, error_model="numpy")
def invert_lower(lower, out):
    """out[k] = inverse of the lower-triangular lower[k]; both (K, D, D)."""
    n_matrices, n = lower.shape[0], lower.shape[1]
    for k in range(n_matrices):
        for j in range(n):
            out[k, j, j] = 1.0 / lower[k, j, j]
            for i in range(j + 1, n):
                total = 0.0
                for m in range(j, i):
                    total += lower[k, i, m] * out[k, m, j]
                out[k, i, j] = -total / lower[k, i, i]
                out[k, j, i] = 0.0


@njit(cache=True, error_model="numpy")
def cholesky_and_inverse(covariances, cholesky, inverse):
    """Lower factors of covariances (K, D, D) and their inverses.

    Returns a lower bound on the smallest eigenvalue of any of them, or -1 where one is not positive definite
    (the outputs are then undefined).
    """
    n_matrices, n = covariances.shape[0], covariances.shape[1]
    for k in range(n_matrices):
        for j in range(n):
            pivot = covariances[k, j, j]
            for m in range(j):
                pivot -= cholesky[k, j, m] * cholesky[k, j, m]
            if not (pivot > 0.0 and pivot < np.inf):
                return -1.0
            root = math.sqrt(pivot)
            cholesky[k, j, j] = root
            for i in range(j + 1, n):
                total = covariances[k, i, j]
                for m in range(j):
                    total -= cholesky[k, i, m] * cholesky[k, j, m]
                cholesky[k, i, j] = total / root
                cholesky[k, j, i] = 0.0
    invert_lower(cholesky, inverse)
    bound = np.inf
    for k in range(n_matrices):
        # The largest eigenvalue of the inverse is below its trace, the squared norm of `inverse`.
        trace = 0.0
        for i in range(n):
            for j in range(i + 1):
                trace += inverse[k, i, j] * inverse[k, i, j]
        bound = min(bound, 1.0 / trace)
    return bound
