"""Small triangular matrices, compiled."""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled, put

__all__ = ["factor", "invert", "rounding_removed"]


@compiled
def factor(matrix, out):
    """Lower Cholesky factor of the lower triangle of matrix (D, D); False where it is not positive definite."""
    d = matrix.shape[0]
    for j in range(d):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= out[j, m] * out[j, m]
        if not pivot > 0.0:
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
