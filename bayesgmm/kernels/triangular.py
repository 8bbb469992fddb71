"""A mixture in triangular form: Cholesky factors of its covariances, and their inverses.

A few small matrices at a time, so compiled loops instead of a LAPACK call for each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled

__all__ = ["State", "cholesky_and_inverse", "invert_lower", "multiply_lower", "state_of"]

Array = NDArray[np.float64]


class State(NamedTuple):
    """Parameters of a mixture, as the kernel takes them."""

    weights: Array  # (K,)
    means: Array  # (K, D)
    cholesky: Array  # (K, D, D)
    scaling: Array  # (K, D, D), inverse of cholesky

    @property
    def covariances(self) -> Array:
        return self.cholesky @ np.swapaxes(self.cholesky, 1, 2)  # (K, D, D)


def state_of(weights: Array, means: Array, covariances: Array, floor: float) -> tuple[State, bool]:
    """State with these covariances (K, D, D), no eigenvalue below `floor`; and whether any had to be raised.

    Raising eigenvalues is the exact M-step under the constraint covariance >= floor * I, so that EM stays
    monotone with it.
    """
    cholesky, scaling = np.empty_like(covariances), np.empty_like(covariances)
    if cholesky_and_inverse(covariances, cholesky, scaling) > floor:
        return State(weights, means, cholesky, scaling), False
    values, vectors = np.linalg.eigh(covariances)
    # A little above the floor, or its last bit would raise a matrix on the floor again and again.
    raised = np.maximum(values, floor * (1.0 + 1e-9))
    cholesky_and_inverse((vectors * raised[:, None, :]) @ np.swapaxes(vectors, 1, 2), cholesky, scaling)
    return State(weights, means, cholesky, scaling), bool((values <= floor).any())


@compiled
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


@compiled
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
            if not 0.0 < pivot < np.inf:
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
        # No eigenvalue of the inverse covariance exceeds its trace.
        trace = 0.0
        for i in range(n):
            for j in range(i + 1):
                trace += inverse[k, i, j] * inverse[k, i, j]
        bound = min(bound, 1.0 / trace)
    return bound


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
