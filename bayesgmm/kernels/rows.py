"""The rows that a pass takes: complete ones as they lie, those with missing cells pattern by pattern.

The likelihood of a row is the density of its observed cells. Let u = scaling (x - mean) be the whitened residual of the
whole row, standard normal under its component. Its missing cells m leave free the span of the columns m of `scaling`;
with an orthonormal basis Q of it, R the triangular factor, and x = mean in the missing cells,

    u^ = (I - Q Q') u    is the expectation of u given the observed cells, Q Q' its covariance,
    |u^|^2               is their squared Mahalanobis distance, and
    log det scaling - log det R    takes the place of log det scaling, and the number of observed cells that of D.

So a pass makes the basis once for each pattern, takes from its residuals what lies in the span, and adds Q Q' times the
sum of r over the rows to the sum of r u u'. The sums of r, r u and r u u' then mean what they mean without missing
cells: EM (Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach"), gradients and
predictions need not know of any.

Where the component of a row is known, its density is that of its observed cells and its component together, w_k N(x),
and its responsibilities are 1 and 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.kernels.compiled import compiled, plain

__all__ = [
    "PIECE",
    "Rows",
    "add_free",
    "as_rows",
    "count_rows",
    "free_span",
    "gather",
    "is_complete",
    "rows_of",
    "take_rows",
]

Array = NDArray[np.float64]

PIECE = 4096  # rows of a pattern that are copied at a time


class Rows(NamedTuple):
    """A table, feature-major; `rows_of` makes it."""

    features: Array  # (D, N), NaN where a cell is missing
    order: NDArray[np.int64]  # (N,) the rows, those of one pattern side by side; length 0 if no cell is missing
    first: NDArray[np.int64]  # (P + 1,) where each pattern begins in `order`
    observed: NDArray[np.int64]  # (P, D), 1 or 0
    known: NDArray[np.int64]  # (N,) component of a row where that is known, else -1; length 0 if none is


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
        return Rows(features, none, np.zeros(1, dtype=np.int64), none.reshape(0, d), none)
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
    return Rows(features, order, first[: n_patterns + 1].copy(), observed, np.empty(0, dtype=np.int64))


def as_rows(table: ArrayLike | Rows, known: NDArray[np.int64] | None = None) -> Rows:
    """`Rows` of a row-major table (N, D), NaN where a cell is missing; `Rows` are given back.

    >>> as_rows([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]]).order
    array([0, 2, 1])
    """
    if isinstance(table, Rows):
        return table
    rows: Rows = rows_of(*plain(np.asarray(table, dtype=np.float64).T))
    return rows if known is None else rows._replace(known=np.ascontiguousarray(known, dtype=np.int64))


def take_rows(table: NDArray[np.float64] | Rows, index: NDArray[np.int64] | slice) -> Rows:
    """Some of the rows of a table (N, D) or of `Rows`."""
    if not isinstance(table, Rows):
        return as_rows(table[index])
    return as_rows(table.features[:, index].T, table.known[index] if len(table.known) else None)


def count_rows(table: NDArray[np.float64] | Rows) -> int:
    """Number of rows N of a table (N, D) or of `Rows`."""
    return int(table.features.shape[1]) if isinstance(table, Rows) else len(table)


@compiled
def is_complete(features, row):
    """Whether no cell of a row is missing."""
    return not np.isnan(features[:, row]).any()


@compiled
def gather(features, index, missing):
    """Features (D, n) of some rows, zero in the cells `missing`; with `centres`, which are zero there too."""
    d = features.shape[0]
    out = np.empty((d, index.shape[0]))
    for j in range(d):
        for i in range(index.shape[0]):
            out[j, i] = features[j, index[i]]
    for j in missing:
        out[j] = 0.0
    return out


@compiled
def free_span(missing, log_norm, means, scaling):
    """Of each component: log_norm (H,) with the scale of the observed cells alone, means (K, D) with zeros in place of
    the missing cells, and the basis Q' (K, M, D)."""
    (n_components, d), m = means.shape, missing.shape[0]
    constants, centres, basis = log_norm.copy(), means.copy(), np.empty((n_components, m, d))
    for k in range(n_components):
        for a in range(m):
            centres[k, missing[a]] = 0.0
            q = basis[k, a]
            for i in range(d):
                q[i] = scaling[k, i, missing[a]]
            length = 0.0
            for _ in range(2):  # twice is enough (Giraud, Langou and Rozloznik 2005)
                for b in range(a):
                    along = 0.0
                    for i in range(d):
                        along += basis[k, b, i] * q[i]
                    for i in range(d):
                        q[i] -= along * basis[k, b, i]
            for i in range(d):
                length += q[i] * q[i]
            length = math.sqrt(length)
            for i in range(d):
                q[i] /= length
            constants[k] -= math.log(length)
    return constants, centres, basis


@compiled
def add_free(basis, count, outer):
    """Add what the missing cells of rows whose responsibilities sum to `count` add to that of r u u' (D, D; lower)."""
    m, d = basis.shape
    for a in range(m):
        for i in range(d):
            for j in range(i + 1):
                outer[i, j] += count * basis[a, i] * basis[a, j]
