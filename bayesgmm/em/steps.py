"""The two halves of EM, and the loop that alternates them.

`e_step` is one pass of the compiled kernel; `m_step` turns its whitened statistics into parameters,

    mean_k += L_k sums_k / n_k,    scatter_k = L_k (outers_k - sums_k sums_k' / n_k) L_k',

and leaves the covariances to the structure; of t components see `em.tails`. Nothing here knows about starts, units
or tables.

The loop is EM (Dempster, Laird and Rubin 1977), extrapolated by `acceleration`. It never moves to a lower
log-likelihood, and stops when the gain still to come, estimated by Aitken's rule or by its quasi-Newton
generalisation, is below `tol` twice in a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.acceleration import Accelerator
from bayesgmm.em.state import State, state_of
from bayesgmm.em.tails import tail_step
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows
from bayesgmm.model.structure import Structure

__all__ = ["EStep", "Run", "Statistics", "e_step", "em", "em_by", "is_hopeless", "m_step", "unwhiten"]

Array = NDArray[np.float64]

_NONE_1, _NONE_2 = np.empty(0), np.empty((0, 0))
# A component that holds less than this has no say about its own mean.
_NO_ROWS = 1e-10
_FAST = 0.5


class Statistics(NamedTuple):
    """Sufficient statistics of the residuals, whitened by the parameters `at` which they were computed."""

    counts: Array  # (C,) as `kernels.row_pass.mixture_pass` gives them
    sums: Array  # (K, D)
    outers: Array  # (K, D, D), lower triangle
    at: State


type EStep = Callable[[State], tuple[Statistics, float]]


@dataclass(frozen=True, eq=False)
class Run:
    """Where one run of EM ended.

    Parameters
    ----------
    state : State
        The last accepted parameters.
    counts : array (K,)
        Sum of row weights that each component holds.
    log_likelihood : float
        At `state`.
    trace : array (n_iter,)
        Log-likelihood of each accepted iteration; never decreases.
    n_passes : int
        Passes over the rows, rejected extrapolations included.
    converged : bool
        The gain still to come was estimated below the tolerance.
    floored : bool
        A covariance sits on the variance floor.
    """

    state: State
    counts: Array
    log_likelihood: float
    trace: Array
    n_passes: int
    converged: bool
    floored: bool


def e_step(rows: Rows, row_weights: Array, state: State, structure: Structure) -> tuple[Statistics, float]:
    """Statistics of the rows under `state`, and its log-likelihood."""
    counts = np.empty(structure.n_counts(len(state.means)))
    sums, outers = np.empty_like(state.means), np.empty_like(state.cholesky)
    log_norm, row_model = np.empty_like(state.weights), structure.row_model
    log_normalizers(np.log(state.weights), state.scaling, row_model, log_norm)
    log_likelihood = mixture_pass(
        rows, row_weights, log_norm, state.means, state.scaling, row_model,
        counts, sums, outers, _NONE_1, _NONE_2,
    )  # fmt: skip
    return Statistics(counts, sums, outers, state), log_likelihood


def m_step(statistics: Statistics, structure: Structure, floor: float = 1e-14) -> tuple[State, bool]:
    """Parameters of highest expected log-likelihood with no eigenvalue below `floor`; was any below it?"""
    at, k = statistics.at, len(statistics.at.means)
    classes = structure.n_classes(k)
    counts = np.maximum(statistics.counts[:classes], _NO_ROWS)
    head, held, rows = counts / counts.sum(), counts[:k], counts[:k]
    if structure.n_df(k):
        held = np.maximum(statistics.counts[classes : classes + k], 1e-3 * _NO_ROWS)
        tail = statistics.counts[classes + k :]
        df, rows = tail_step(counts[:k], held, tail, at.weights[classes:], structure)
        head = np.append(head, df)
    means, scatter = np.empty_like(at.means), np.empty_like(at.cholesky)
    unwhiten(at.means, at.cholesky, held, statistics.sums, statistics.outers, means, scatter)
    return state_of(head, means, structure.project(scatter, rows), floor)


def em(
    rows: Rows, row_weights: Array, state: State, structure: Structure, *,
    tol: float = 1e-6, max_iter: int = 1000, floor: float = 1e-12, accelerate: bool = True,
    target: float = -math.inf, patience: int = 10,
) -> Run:  # fmt: skip
    """Alternate `e_step` and `m_step` until the gain still to come is below `tol`.

    Parameters
    ----------
    rows : Rows
        Of N rows.
    row_weights : array (N,)
    state : State
        Where to start.
    structure : Structure
    tol : float
        In nats of the total log-likelihood.
    max_iter : int
        Passes over the rows, rejected extrapolations included.
    floor : float
        Smallest eigenvalue of a covariance, in squared units of the features.
    accelerate : bool
        Extrapolate from the last few iterations.
    target, patience : float, int
        Log-likelihood to beat. The run is abandoned once its last `patience` iterations gained less than a tenth of
        what it still lacks.

    Returns
    -------
    Run
    """
    return em_by(
        lambda state: e_step(rows, row_weights, state, structure), state, structure,
        tol=tol, max_iter=max_iter, floor=floor, accelerate=accelerate, target=target, patience=patience,
    )  # fmt: skip


def em_by(
    step: EStep, state: State, structure: Structure, *,
    tol: float = 1e-6, max_iter: int = 1000, floor: float = 1e-12, accelerate: bool = True,
    target: float = -math.inf, patience: int = 10,
) -> Run:  # fmt: skip
    """`em` of rows that only their E-step knows."""
    accelerator = Accelerator(structure) if accelerate else None
    trace: list[float] = []
    accepted = image = state
    k = len(state.means)
    counts = state.weights[:k]
    last_gain = math.inf
    converged = floored = extrapolated = False
    calm = n_passes = 0
    while n_passes < max_iter and not converged:
        n_passes += 1
        statistics, log_likelihood = step(state)
        gain = log_likelihood - trace[-1] if trace else math.inf
        if extrapolated and not gain >= 0.0 and accelerator is not None:
            accelerator.restart()
            state, extrapolated = image, False
            continue
        # Plain EM climbs but for rounding.
        trace.append(max(log_likelihood, trace[-1]) if trace else log_likelihood)
        accepted, counts = state, statistics.counts[:k]
        image, floored = m_step(statistics, structure, floor)
        # Where the gains shrink fast by themselves, extrapolation costs more than it saves.
        if accelerator is None or floored or (not extrapolated and gain < _FAST * last_gain):
            state, extrapolated, to_come = image, False, _aitken(gain, last_gain)
        else:
            state, extrapolated, to_come = accelerator.propose(accepted, image, counts)
        last_gain = gain
        if is_hopeless(trace, target, patience):
            break
        calm = calm + 1 if gain < tol and to_come < tol else 0
        converged = calm >= 2
    return Run(accepted, counts, trace[-1], np.array(trace), n_passes, converged, floored)


def is_hopeless(trace: Sequence[float] | Array, target: float, patience: int) -> bool:
    """Whether the last `patience` iterations gained less than a tenth of what is missing to `target`."""
    return len(trace) > patience and target - trace[-1] > 10.0 * (trace[-1] - trace[-1 - patience])


def _aitken(gain: float, last_gain: float) -> float:
    """Sum of all gains to come, if they go on shrinking by the same factor."""
    if gain <= 0.0 or last_gain <= 0.0:
        return gain
    ratio = gain / last_gain
    return gain * ratio / (1.0 - ratio) if ratio < 1.0 else math.inf


@compiled
def unwhiten(means, cholesky, counts, sums, outers, new_means, scatter):
    """Means and scatter matrices in the units of the features, from whitened statistics."""
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
