"""A mixture as EM takes it: in triangular form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.triangular import cholesky_and_inverse

__all__ = ["State", "state_of"]

Array = NDArray[np.float64]


class State(NamedTuple):
    """Parameters of a mixture, as the kernel takes them."""

    weights: Array  # (H,) a head, see `kernels.row_model`
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
