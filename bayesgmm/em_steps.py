"""The two halves of EM, and the loop that alternates them.

`e_step` is one pass of the compiled kernel; `m_step` turns its whitened statistics into parameters,

    mean_k += L_k sums_k / n_k,    scatter_k = L_k (outers_k - sums_k sums_k' / n_k) L_k',

and leaves the covariances to the structure. Nothing here knows about starts, units or tables.

The loop is plain EM (Dempster, Laird, Rubin 1977) with Anderson acceleration once asked for
(`acceleration`). It only ever moves to a higher log-likelihood, and stops when the gain still to come,
estimated by Aitken's rule or by its multi-secant generalisation, is below `tol`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.acceleration import Accelerator
from bayesgmm.kernels import log_normalizers, mixture_pass
from bayesgmm.structure import Structure
from bayesgmm.triangular import cholesky_and_inverse

__all__ = ["Run", "State", "Statistics", "e_step", "em", "m_step", "responsibilities", "state_of"]

Array = NDArray[np.float64]

_EMPTY = np.empty(0)
_EMPTY2 = np.empty((0, 0))
# A component with less weight than this has no say about its own mean.
_NO_ROWS = 1e-10


class State(NamedTuple):
    """Parameters as the kernel takes them."""

    weights: Array  # (K,)
    means: Array  # (K, D)
    cholesky: Array  # (K, D, D)
    scaling: Array  # (K, D, D), inverse of cholesky

    @property
    def covariances(self) -> Array:
        return self.cholesky @ np.swapaxes(self.cholesky, 1, 2)  # (K, D, D)


class Statistics(NamedTuple):
    """Sufficient statistics of the residuals, whitened by the parameters they were computed at."""

    counts: Array  # (K,)
    sums: Array  # (K, D)
    outers: Array  # (K, D, D), lower triangle
    at: State


@dataclass(frozen=True, eq=False)
class Run:
    """Where one run of EM ended.

    Parameters
    ----------
    state : State
        The last accepted parameters.
    counts : array (K,)
        Rows, by weight, that each component holds.
    log_likelihood : float
        At `state`.
    trace : array (n_iter,)
        Log-likelihood of each accepted iteration; never decreases.
    converged : bool
        The gain still to come was estimated below the tolerance.
    floored : bool
        A covariance sits on the variance floor.
    """

    state: State
    counts: Array
    log_likelihood: float
    trace: Array
    converged: bool
    floored: bool

    @property
    def n_iter(self) -> int:
        return len(self.trace)


@njit(cache=True, error_model="numpy")
def _unwhiten(means, cholesky, counts, sums, outers, new_means, scatter):
    """Means and scatter matrices in the units of the data, from whitened statistics."""
    n_components, n_features = means.shape
    centred = np.empty((n_features, n_features))
    left = np.empty((n_features, n_features))
    for k in range(n_components):
        for i in range(n_features):
            shift = 0.0
            for j in range(i + 1):
                shift += cholesky[k, i, j] * sums[k, j]
                value = outers[k, i, j] - sums[k, i] * sums[k, j] / counts[k]
                centred[i, j] = value
                centred[j, i] = value
            new_means[k, i] = means[k, i] + shift / counts[k]
        for i in range(n_features):
            for j in range(n_features):
                total = 0.0
                for m in range(i + 1):
                    total += cholesky[k, i, m] * centred[m, j]
                left[i, j] = total
        for i in range(n_features):
            for j in range(i + 1):
                total = 0.0
                for m in range(j + 1):
                    total += left[i, m] * cholesky[k, j, m]
                scatter[k, i, j] = total
                scatter[k, j, i] = total


def state_of(weights: Array, means: Array, covariances: Array, floor: float) -> tuple[State, bool]:
    """State with these covariances, their eigenvalues raised to `floor`; and whether any was raised.

    Clipping eigenvalues is the exact M-step under the constraint covariance >= floor * I, so EM stays
    monotone with it.
    """
    cholesky, scaling = np.empty_like(covariances), np.empty_like(covariances)
    if cholesky_and_inverse(covariances, cholesky, scaling) > floor:
        return State(weights, means, cholesky, scaling), False
    values, vectors = np.linalg.eigh(covariances)
    # Slightly above, or a matrix on the floor is clipped again for ever by its last bit.
    clipped = np.maximum(values, floor * (1.0 + 1e-9))
    raised = (vectors * clipped[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    if cholesky_and_inverse(raised, cholesky, scaling) < 0.0:
        raise FloatingPointError("a covariance on the variance floor is not positive definite")
    return State(weights, means, cholesky, scaling), bool((values <= floor).any())


def e_step(
    features: Array, row_weights: Array, state: State, structure: Structure
) -> tuple[Statistics, float]:
    """Statistics of the rows under `state`, and its log-likelihood; features (D, N)."""
    k, d = state.means.shape
    log_norm, counts = np.empty(k), np.empty(k)
    sums, outers = np.empty((k, d)), np.empty((k, d, d))
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    log_likelihood = mixture_pass(
        features, row_weights, log_norm, state.means, state.scaling, structure.diagonal,
        counts, sums, outers, _EMPTY, _EMPTY2,
    )  # fmt: skip
    return Statistics(counts, sums, outers, state), log_likelihood


def m_step(statistics: Statistics, structure: Structure, floor: float = 0.0) -> tuple[State, bool]:
    """Parameters that maximise the expected log-likelihood; and whether the variance floor was used."""
    at = statistics.at
    counts = np.maximum(statistics.counts, _NO_ROWS)
    means, scatter = np.empty_like(at.means), np.empty_like(at.cholesky)
    _unwhiten(at.means, at.cholesky, counts, statistics.sums, statistics.outers, means, scatter)
    return state_of(counts / counts.sum(), means, structure.project(scatter, counts), floor)


def responsibilities(features: Array, state: State, structure: Structure) -> Array:
    """(N, K) probability of each component for each row."""
    k, d = state.means.shape
    n_rows = features.shape[1]
    out, log_norm = np.empty((n_rows, k)), np.empty(k)
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    mixture_pass(
        features, np.ones(n_rows), log_norm, state.means, state.scaling, structure.diagonal,
        _EMPTY, np.empty((0, d)), np.empty((0, d, d)), _EMPTY, out,
    )  # fmt: skip
    return out


def em(
    features: Array,
    row_weights: Array,
    state: State,
    structure: Structure,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    floor: float = 1e-6,
    accelerate: bool = True,
) -> Run:
    """Alternate `e_step` and `m_step` until the gain still to come is below `tol` nats.

    Parameters
    ----------
    features : array (D, N)
    row_weights : array (N,)
    state : State
        Where to start.
    structure : Structure
    tol : float
        Estimated remaining gain in log-likelihood at which to stop.
    max_iter : int
        Passes over the rows, rejected extrapolations included.
    floor : float
        Smallest eigenvalue of a covariance.
    accelerate : bool
        Extrapolate from the last steps.

    Returns
    -------
    Run
    """
    accelerator = Accelerator(structure) if accelerate else None
    trace: list[float] = []
    accepted, safe = state, state
    counts = state.weights
    converged = floored = False
    last_gain = math.inf
    calm = 0
    for _ in range(max_iter):
        statistics, log_likelihood = e_step(features, row_weights, state, structure)
        gain = log_likelihood - trace[-1] if trace else math.inf
        if trace and not gain >= 0.0 and accelerator is not None and accelerator.extrapolated:
            state = safe
            accelerator.restart()
            continue
        if trace and not gain > -1e-9 * abs(log_likelihood):
            # Only rounding stops EM from climbing: this is the top, to machine precision.
            converged = math.isfinite(log_likelihood)
            break
        accepted, counts = state, statistics.counts
        trace.append(max(log_likelihood, trace[-1]) if trace else log_likelihood)
        safe, floored = m_step(statistics, structure, floor)
        if accelerator is None or floored:
            ratio = gain / last_gain if last_gain > 0.0 else 1.0
            remaining = gain * ratio / (1.0 - ratio) if ratio < 1.0 else math.inf
            state = safe
        else:
            state, remaining = accelerator.propose(statistics, safe)
        last_gain = gain
        calm = calm + 1 if remaining < tol and gain < tol else 0
        if calm >= 2:
            converged = True
            break
    return Run(accepted, counts, trace[-1], np.array(trace), converged, floored)
