"""Data augmentation: one compiled pass that draws the component of every row and sums over what it drew.

The twin of `bayesgmm.kernels.mixture_pass`: the same whitened residuals and responsibilities, but instead of
weighting rows by responsibilities it draws an allocation from them, and its statistics are those of the complete
data. A row of weight a counts as a copies of itself, each allocated on its own; what remains of a weight that is not
whole is one more copy that counts for that fraction.

A fraction f of a copy is not a mixture: the target has the power f of the marginal density, the complete data have the
power f of one component's. With z drawn from the responsibilities r, a move of the parameters that is reversible for
the complete data is therefore accepted with probability min(1, prod (r'_z / r_z)^(1 - f)) over the fractional copies;
the pass returns the logarithm of that ratio for the copies allocated last.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.block_math import BLOCK, FAST, accumulate
from bayesgmm.kernels import weigh_block

__all__ = ["allocation_pass"]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _draw_block(rng, start, n, row_weights, r, total, allocated):
    """Allocate the whole copies of each row of a block: allocated[k, b] counts those in component k."""
    last = r.shape[0] - 1
    for k in range(last + 1):
        for b in range(n):
            allocated[k, b] = 0.0
    for b in range(n):
        copies = int(row_weights[start + b])
        for _ in range(copies):
            u = rng.random() * total[b]
            k = 0
            u -= r[0, b]
            while u >= 0.0 and k < last:
                k += 1
                u -= r[k, b]
            allocated[k, b] += 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_fractions(rng, start, n, row_weights, r, total, allocated, component, log_r):
    """Allocate the fractional copies; returns the log acceptance ratio of the allocation that they replace."""
    last = r.shape[0] - 1
    ratio = 0.0
    for b in range(n):
        row = start + b
        fraction = row_weights[row] - math.floor(row_weights[row])
        if fraction == 0.0:
            continue
        if component[row] >= 0:
            ratio += (1.0 - fraction) * (math.log(r[component[row], b] / total[b]) - log_r[row])
        u = rng.random() * total[b]
        k = 0
        u -= r[0, b]
        while u >= 0.0 and k < last:
            k += 1
            u -= r[k, b]
        component[row] = k
        log_r[row] = math.log(r[k, b] / total[b])
        allocated[k, b] += fraction
    return ratio


@njit(cache=True, nogil=True, error_model="numpy")
def allocation_pass(
    rng, features, row_weights, log_norm, means, scaling, diagonal, power, counts, sums, outers, component, log_r
):
    """Draw every row's component and sum over the rows of each; returns a log acceptance ratio, 0 for whole weights.

    Parameters
    ----------
    rng : numpy.random.Generator
    features, row_weights, log_norm, means, scaling, diagonal
        As in `bayesgmm.kernels.mixture_pass`.
    power : float
        The component densities are raised to this power (tempering); `log_norm` must hold the normaliser to it.
    counts, sums, outers : (K,), (K, D), (K, D, D) outputs
        Weight of the rows drawn for each component, and sums of their y and y y' (lower triangle).
    component, log_r : (N,) in and out, or length 0 when all weights are whole
        Component of each fractional copy (-1 before the first pass) and the log of its responsibility.
    """
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    y = np.empty((n_components, n_features, BLOCK))
    r = np.empty((n_components, BLOCK))
    allocated = np.empty((n_components, BLOCK))
    centred = np.empty((n_features, BLOCK))
    work = np.empty((3, BLOCK))
    highest, total, buffer = work[0], work[1], work[2]
    bits = buffer.view(np.int64)
    counts[:] = 0.0
    sums[:] = 0.0
    outers[:] = 0.0
    ratio = 0.0
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        weigh_block(features, start, n, log_norm, means, scaling, diagonal, power,
                    centred, y, r, highest, total, buffer, bits)  # fmt: skip
        _draw_block(rng, start, n, row_weights, r, total, allocated)
        if component.shape[0] > 0:
            ratio += _draw_fractions(rng, start, n, row_weights, r, total, allocated, component, log_r)
        for k in range(n_components):
            acc = 0.0
            for b in range(n):
                acc += allocated[k, b]
            if acc > 0.0:
                counts[k] += acc
                accumulate(y[k], allocated[k], n, diagonal, centred, sums[k], outers[k])
    return ratio
