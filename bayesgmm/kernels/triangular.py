"""Small triangular matrices: factors, inverses and products, compiled.

A few small matrices at a time, so compiled loops instead of a LAPACK call for each.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled, put

__all__ = [
    "cholesky_and_inverse", "factor", "invert", "invert_lower", "log_determinant", "multiply_lower", "rounding_removed",
]  # fmt: skip


@compiled
def factor(matrix, out):
    """Lower Cholesky factor of the lower triangle of matrix (D, D); False where it is not positive definite."""
    d = matrix.shape[0]
    for j in range(d):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= out[j, m] * out[j, m]
        if not 0.0 < pivot < math.inf:
            return False
        root = math.sqrt(pivot)
        out[j, j] = root
        for i in range(j + 1, d):
            total = matrix[i, j]
            for m in range(j):
                total -= out[i, m] * out[j, m]
            out[i, j] = total / root
            out[j, i] = 0.0
    return True


@compiled
def invert(lower, out):
    """out = inverse of the lower-triangular matrix lower; both (D, D)."""
    d = lower.shape[0]
    for j in range(d):
        out[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for m in range(j, i):
                total += lower[i, m] * out[m, j]
            out[i, j] = -total / lower[i, i]
            out[j, i] = 0.0


@compiled
def invert_lower(lower, out):
    """out[k] = inverse of the lower-triangular lower[k]; both (K, D, D)."""
    for k in range(lower.shape[0]):
        invert(lower[k], out[k])


@compiled
def cholesky_and_inverse(covariances, cholesky, inverse):
    """Lower factors of covariances (K, D, D) and their inverses.

    Returns a lower bound on the smallest eigenvalue of any of them, or -1 where one is not positive definite
    (the outputs are then undefined).
    """
    bound = np.inf
    for k in range(covariances.shape[0]):
        if not factor(covariances[k], cholesky[k]):
            return -1.0
        invert(cholesky[k], inverse[k])
        # No eigenvalue of the inverse covariance exceeds its trace.
        trace = 0.0
        for i in range(covariances.shape[1]):
            for j in range(i + 1):
                trace += inverse[k, i, j] * inverse[k, i, j]
        bound = min(bound, 1.0 / trace)
    return bound


@compiled
def log_determinant(cholesky):
    """Log determinant of a triangular matrix."""
    value = 0.0
    for i in range(cholesky.shape[0]):
        value += math.log(cholesky[i, i])
    return value


@compiled
def multiply_lower(a, b, out):
    """out = a b for lower-triangular a and b (D, D)."""
    d = a.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(j, i + 1):
                total += a[i, m] * b[m, j]
            out[i, j] = total
            if j < i:
                out[j, i] = 0.0


@compiled
def rounding_removed(cholesky, floor, matrix, latent):
    """latent = factor of cholesky cholesky' - diag(floor); False where that is not positive definite."""
    d = cholesky.shape[0]
    if floor.max() == 0.0:
        put(latent, cholesky)
        return True
    for i in range(d):
        for j in range(i + 1):
            total = -floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += cholesky[i, m] * cholesky[j, m]
            matrix[i, j] = total
    return factor(matrix, latent)
