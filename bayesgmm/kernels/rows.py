"""The rows that a pass takes: complete ones as they lie, those with missing cells pattern by pattern.

The likelihood of a row is the density of its observed cells. Rows of one pattern are complete rows of fewer columns, so
a pass restricts each component to these columns, once for all of them,

    L_o = lower Cholesky factor of the observed block of L L',   M = L_o^-1 E L   (E picks the observed cells),

does what it does for complete rows with y = L_o^-1 (x_o - mean_o), and takes what it summed back to all columns: M' y
is the expectation of the whitened residual of the whole row, I - M' M its covariance. So the sums of r, r y and r y y'
over all rows mean what they mean without missing cells, and EM, gradients and predictions need not know of any
(Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach").
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.triangular import factor, invert

__all__ = ["PIECE", "Rows", "as_rows", "gather", "is_complete", "restrict", "rows_of", "take_back"]

Array = NDArray[np.float64]

PIECE = 4096  # rows of a pattern that are copied at a time
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class Rows(NamedTuple):
    """A table, feature-major; `rows_of` makes it."""

    features: Array  # (D, N), NaN where a cell is missing
    order: NDArray[np.int64]  # (N,) the rows, those of one pattern side by side; length 0 if no cell is missing
    first: NDArray[np.int64]  # (P + 1,) where each pattern begins in `order`
    observed: NDArray[np.int64]  # (P, D), 1 or 0


@compiled
def rows_of(features):
    """`Rows` of features (D, N), which are not copied; patterns from a radix sort, those with fewer gaps to the left
    first."""
    d, n = features.shape
    gaps = np.zeros(d, dtype=np.bool_)
    any_gap = False
    for j in range(d):
        total = 0.0
        for i in range(n):
            total += features[j, i] * 0.0  # NaN, if one of them is
        gaps[j] = math.isnan(total)
        any_gap |= gaps[j]
    if not any_gap:
        none = np.empty(0, dtype=np.int64)
        return Rows(features, none, np.zeros(1, dtype=np.int64), none.reshape(0, d))
    order, spare = np.arange(n), np.empty(n, dtype=np.int64)
    for j in range(d - 1, -1, -1):
        if not gaps[j]:
            continue
        m = 0
        for missing in (False, True):
            for i in range(n):
                if math.isnan(features[j, order[i]]) == missing:
                    spare[m] = order[i]
                    m += 1
        order, spare = spare, order
    first = np.empty(n + 1, dtype=np.int64)
    n_patterns = 0
    for i in range(n):
        same = i > 0
        for j in range(d):
            if same and gaps[j] and math.isnan(features[j, order[i]]) != math.isnan(features[j, order[i - 1]]):
                same = False
        if not same:
            first[n_patterns] = i
            n_patterns += 1
    first[n_patterns] = n
    observed = np.empty((n_patterns, d), dtype=np.int64)
    for p in range(n_patterns):
        for j in range(d):
            observed[p, j] = 0 if math.isnan(features[j, order[first[p]]]) else 1
    return Rows(features, order, first[: n_patterns + 1].copy(), observed)


def as_rows(table: ArrayLike) -> Rows:
    """`Rows` of a row-major table (N, D), NaN where a cell is missing.

    >>> as_rows([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]]).order
    array([0, 2, 1])
    """
    rows: Rows = rows_of(np.ascontiguousarray(np.asarray(table, dtype=np.float64).T))
    return rows


@compiled
def is_complete(features, row):
    """Whether no cell of a row is missing."""
    return not np.isnan(features[:, row]).any()


@compiled
def gather(features, index, cells):
    """Features (len(cells), n) of some rows."""
    out = np.empty((cells.shape[0], index.shape[0]))
    for j in range(cells.shape[0]):
        for i in range(index.shape[0]):
            out[j, i] = features[cells[j], index[i]]
    return out


@compiled
def restrict(cells, log_norm, means, scaling):
    """The mixture in some of the columns: log_norm (K,), means (K, O), scaling (K, O, O), and M (K, O, D).

    `scaling` (K, D, D) are inverse Cholesky factors. Where a block is not positive definite the log_norm is NaN.
    """
    (n_components, d), o = means.shape, cells.shape[0]
    constants, centres = np.empty(n_components), np.empty((n_components, o))
    inner, turn = np.zeros((n_components, o, o)), np.zeros((n_components, o, d))
    cholesky, block, root = np.zeros((d, d)), np.empty((o, o)), np.zeros((o, o))
    for k in range(n_components):
        invert(scaling[k], cholesky)
        for i in range(o):
            centres[k, i] = means[k, cells[i]]
            for j in range(i + 1):
                total = 0.0
                for m in range(cells[j] + 1):
                    total += cholesky[cells[i], m] * cholesky[cells[j], m]
                block[i, j] = total
        value = log_norm[k] + (d - o) * _LOG_SQRT_2PI
        if not factor(block, root):
            value = math.nan
            for i in range(o):
                root[i, i] = 1.0
        invert(root, inner[k])
        for i in range(o):
            value += math.log(inner[k, i, i])
            for j in range(i + 1):
                for m in range(cells[j] + 1):
                    turn[k, i, m] += inner[k, i, j] * cholesky[cells[j], m]
        for i in range(d):
            value -= math.log(scaling[k, i, i])
        constants[k] = value
    return constants, centres, inner, turn


@compiled
def take_back(turn, count, total, outer, sums, outers):
    """Add to `sums` (D,) and `outers` (D, D; lower) what sums over observed cells, `total` (O,) and `outer` (O, O;
    lower), say of all columns."""
    o, d = turn.shape
    half = np.empty((o, d))
    for i in range(o):
        for b in range(d):
            value = 0.0
            for j in range(o):
                value += (outer[i, j] if i >= j else outer[j, i]) * turn[j, b]
            half[i, b] = value - count * turn[i, b]
    for a in range(d):
        for i in range(o):
            sums[a] += turn[i, a] * total[i]
        outers[a, a] += count
        for b in range(a + 1):
            value = 0.0
            for i in range(o):
                value += turn[i, a] * half[i, b]
            outers[a, b] += value
