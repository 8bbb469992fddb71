"""The state of a chain, in compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled, put

__all__ = ["ChainState", "copy_component", "copy_covariance", "copy_state", "new_copy"]

Array = NDArray[np.float64]


class ChainState(NamedTuple):
    """One mixture; G is K, or 1 for a shared covariance."""

    weights: Array  # (H,) a head, see `kernels.row_model`
    means: Array  # (K, D)
    latent: Array  # (G, D, D) factors of the covariances before rounding
    cholesky: Array  # (G, D, D)
    scaling: Array  # (K, D, D) inverses of `cholesky`


@compiled
def copy_state(target, source):
    """Overwrite a ChainState by another one."""
    put(target.weights, source.weights)
    put(target.means, source.means)
    put(target.latent, source.latent)
    put(target.cholesky, source.cholesky)
    put(target.scaling, source.scaling)


@compiled
def copy_covariance(g, k, target, source):
    """Covariance g and the scaling of component k."""
    put(target.latent[g], source.latent[g])
    put(target.cholesky[g], source.cholesky[g])
    put(target.scaling[k], source.scaling[k])


@compiled
def copy_component(k, own, target, source):
    """Component k of `target` as that of `source`; a shared covariance is left alone."""
    target.weights[k] = source.weights[k]
    put(target.means[k], source.means[k])
    if own:
        copy_covariance(k, k, target, source)


@compiled
def new_copy(state):
    """A ChainState with memory of its own."""
    return ChainState(
        state.weights.copy(), state.means.copy(), state.latent.copy(), state.cholesky.copy(), state.scaling.copy()
    )
