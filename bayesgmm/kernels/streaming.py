"""Passes over draws: pointwise log densities, mean responsibilities, posterior predictive density.

Each streams over draws and holds one draw's rows at a time, never draws x rows x components; what is wanted of each
draw or row alone is found a block of rows at a time. Draws are divided among threads; the kernels release the
interpreter lock.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import add, compiled, plain
from bayesgmm.kernels.row_model import NORMAL, RowModel, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows, as_rows, count_rows, take_rows
from bayesgmm.kernels.threads import over_threads

__all__ = [
    "add_log_likelihoods", "mean_responsibilities", "pointwise_log_density", "predictive_log_density",
    "total_log_likelihood",
]  # fmt: skip

Array = NDArray[np.float64]

_ROWS = 65_536  # of a block: so many copies of rows, or responsibilities, are held at once


@compiled
def add_log_likelihoods(packed, row_weights, log_weights, means, scaling, row_model, out):
    """out[s] += weighted log-likelihood of the rows under draw s."""
    log_norm = np.empty(log_weights.shape[1])
    none, none2, none3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(log_weights.shape[0]):
        log_normalizers(log_weights[s], scaling[s], row_model, log_norm)
        out[s] += mixture_pass(packed, row_weights, log_norm, means[s], scaling[s], row_model,
                               none, none2, none3, none, none2)  # fmt: skip


@compiled
def _pointwise(packed, weights, means, scaling, row_model, out):
    """out[s, n] = log density of row n under draw s."""
    log_norm = np.empty(weights.shape[1])
    row_weights = np.ones(packed.features.shape[1])
    none, none2, none3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(packed, row_weights, log_norm, means[s], scaling[s], row_model, none, none2, none3, out[s], none2)


@compiled
def _responsibilities(packed, weights, means, scaling, row_model, total):
    """Add each draw's responsibilities (N, R) to total."""
    n_rows = packed.features.shape[1]
    log_norm = np.empty(weights.shape[1])
    row_weights = np.ones(n_rows)
    buffer = np.empty(total.shape)
    none, none2, none3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(packed, row_weights, log_norm, means[s], scaling[s], row_model, none, none2, none3, none, buffer)
        add(total, buffer)


@compiled
def _predictive(packed, weights, means, scaling, row_model, highest, total):
    """Running log-sum-exp over draws of each row's log density, as (highest, total)."""
    n_rows = packed.features.shape[1]
    log_norm = np.empty(weights.shape[1])
    row_weights = np.ones(n_rows)
    density = np.empty(n_rows)
    none2, none3 = np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(packed, row_weights, log_norm, means[s], scaling[s], row_model,
                     np.empty(0), none2, none3, density, none2)  # fmt: skip
        for n in range(n_rows):
            v = density[n]
            if v <= highest[n]:
                total[n] += np.exp(v - highest[n])
            else:
                total[n] = total[n] * np.exp(highest[n] - v) + 1.0
                highest[n] = v


def _blocks(rows: Array | Rows) -> Iterator[tuple[slice, Rows]]:
    """Slices of the rows, and each as `Rows`."""
    n_rows = count_rows(rows)
    for start in range(0, n_rows, _ROWS):
        where = slice(start, min(start + _ROWS, n_rows))
        yield where, take_rows(rows, where)


def pointwise_log_density(
    rows: Array | Rows, weights: Array, means: Array, scaling: Array, *, row_model: RowModel = NORMAL
) -> Array:
    """Log density of each row under each draw.

    Parameters
    ----------
    rows : array (N, D) or Rows
    weights, means, scaling : arrays (S, H), (S, K, D), (S, K, D, D)
        Draws, the first their heads (`kernels.row_model`); `scaling` holds inverse Cholesky factors.
    row_model : RowModel
        The density of a row given its component.

    Returns
    -------
    array (S, N)
    """
    packed = as_rows(rows)
    weights, means, scaling = plain(weights, means, scaling)
    out = np.empty((len(weights), packed.features.shape[1]))
    over_threads(lambda s: _pointwise(packed, weights[s], means[s], scaling[s], row_model, out[s]), len(weights))
    return out


def mean_responsibilities(
    rows: Array | Rows, weights: Array, means: Array, scaling: Array, *, row_model: RowModel = NORMAL
) -> Array:
    """(N, R) responsibilities averaged over draws, the background's last; arguments as in `pointwise_log_density`."""
    weights, means, scaling = plain(weights, means, scaling)
    classes = n_classes(row_model, means.shape[1])
    out = np.empty((count_rows(rows), classes))
    for where, packed in _blocks(rows):

        def work(s: slice, packed: Rows = packed) -> Array:
            total = np.zeros((packed.features.shape[1], classes))
            _responsibilities(packed, weights[s], means[s], scaling[s], row_model, total)
            return total

        total = np.sum(over_threads(work, len(weights)), axis=0)
        out[where] = total / total.sum(axis=1, keepdims=True)
    return out


def predictive_log_density(
    rows: Array | Rows, weights: Array, means: Array, scaling: Array, *, row_model: RowModel = NORMAL
) -> Array:
    """(N,) log of the density averaged over draws; arguments as in `pointwise_log_density`."""
    weights, means, scaling = plain(weights, means, scaling)
    out = np.empty(count_rows(rows))
    for where, packed in _blocks(rows):
        out[where] = _predictive_of_block(packed, weights, means, scaling, row_model)
    return out


def _predictive_of_block(packed: Rows, weights: Array, means: Array, scaling: Array, row_model: RowModel) -> Array:
    def work(s: slice) -> Array:
        highest, total = np.full(packed.features.shape[1], -np.inf), np.zeros(packed.features.shape[1])
        _predictive(packed, weights[s], means[s], scaling[s], row_model, highest, total)
        return highest + np.log(total)

    return np.logaddexp.reduce(over_threads(work, len(weights)), axis=0) - np.log(len(weights))


def total_log_likelihood(
    rows: Array | Rows,
    row_weights: Array,
    weights: Array,
    means: Array,
    scaling: Array,
    *,
    row_model: RowModel = NORMAL,
) -> Array:
    """(S,) weighted log-likelihood of each draw, row_weights (N,); arguments as in `pointwise_log_density`."""
    log_weights, out = np.log(weights), np.zeros(len(weights))
    log_weights, means, scaling = plain(log_weights, means, scaling)
    for where, packed in _blocks(rows):

        def work(s: slice, where: slice = where, packed: Rows = packed) -> None:
            add_log_likelihoods(packed, row_weights[where], log_weights[s], means[s], scaling[s], row_model, out[s])

        over_threads(work, len(weights))
    return out
