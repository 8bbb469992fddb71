"""The density of a row given its component: the one thing that passes over the rows do not know themselves.

A pass asks a row model, compiled, for the constants of a mixture (`log_normalizers`, `forget_cells`), the residuals of
a block of rows (`residuals_block`), their log densities (`log_densities`) and what the rows add to the sums of their
component (`add_block`). With the whitened residual y = scaling (x - mean), of d observed cells,

    normal   log p(x) = log det scaling - d/2 log(2 pi) - |y|^2 / 2,
    t        log p(x) = log det scaling + log Gamma((v + d)/2) - log Gamma(v/2) - d/2 log(v pi)
                        - (v + d)/2 log(1 + |y|^2 / v),

and a row adds itself, with its responsibility, to the sums of y and y y'. Under a t density it does so with its
responsibility times u = (v + d) / (v + |y|^2), the expectation of the precision that makes it normal. A row may also
belong to no component but to a background, uniform over a box: log p(x) = -log volume.

What a mixture has besides means and covariances is one vector, its *head*: the weights of the K components; the weight
of the background, if there is one; and, of t components, the degrees of freedom v, one for all or K of them. Where
arguments are called `weights` they are heads, and `n_classes` counts components and background.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.block_math import FAST, accumulate, log_block, whiten
from bayesgmm.kernels.compiled import compiled

__all__ = [
    "NORMAL", "RowModel", "add_block", "degrees_of_freedom", "df_slope", "digamma", "forget_cells", "head_order",
    "log_densities", "log_density", "log_normalizers", "n_classes", "residuals_block", "tail_weights",
]  # fmt: skip

Array = NDArray[np.float64]

LOG_2PI = math.log(2.0 * math.pi)


class RowModel(NamedTuple):
    """Densities of rows; passes take it as it is, compiled or not."""

    diagonal: bool = False  # covariances are diagonal: only the diagonals of factors are read
    background: Array = np.empty(0)  # (D,) log widths of the box of the background, or length 0: there is none


NORMAL = RowModel()


@compiled
def n_classes(row_model, n_components):
    """Components, and the background if there is one: of so many a row has responsibilities."""
    return n_components + (1 if len(row_model.background) > 0 else 0)


def head_order(order: NDArray[np.integer[Any]], n_head: int, n_classes: int) -> NDArray[np.integer[Any]]:
    """Places (..., H) in a head of what it has when components are put in `order` (..., K).

    >>> head_order(np.array([1, 0]), 5, 3)
    array([1, 0, 2, 4, 3])
    """
    k = order.shape[-1]
    places = np.broadcast_to(np.arange(n_head), (*order.shape[:-1], n_head)).copy()
    places[..., :k] = order
    if n_head - n_classes == k:
        places[..., n_classes:] = order + n_classes
    return places


@compiled
def degrees_of_freedom(head, n_classes, k):
    """Of component k, from a head or the constants made of it; 0 if components are normal."""
    n = head.shape[0] - n_classes
    return 0.0 if n == 0 else head[n_classes + (k if n > 1 else 0)]


@compiled
def _log_constant(df, d):
    """What a density of d columns is normalised by, but for its scale."""
    if df == 0.0:
        return -0.5 * d * LOG_2PI
    return math.lgamma(0.5 * (df + d)) - math.lgamma(0.5 * df) - 0.5 * d * math.log(df * math.pi)


@compiled
def log_normalizers(log_weights, scaling, row_model, out):
    """Constants of complete rows, from the logarithm of a head: out[k] is what is added to the log density of rows in
    component k, the background after them, then the degrees of freedom."""
    n_components, n_features = scaling.shape[0], scaling.shape[1]
    classes = n_classes(row_model, n_components)
    for i in range(classes, log_weights.shape[0]):
        out[i] = math.exp(log_weights[i])
    for k in range(n_components):
        total = log_weights[k] + _log_constant(degrees_of_freedom(out[: log_weights.shape[0]], classes, k), n_features)
        for d in range(n_features):
            total += math.log(scaling[k, d, d])
        out[k] = total
    if classes > n_components:
        out[n_components] = log_weights[n_components]
        for d in range(n_features):
            out[n_components] -= row_model.background[d]


@compiled
def forget_cells(row_model, missing, n_components, n_features, constants):
    """Make constants (`log_normalizers`) those of rows without the cells `missing`, but for the scale."""
    classes, left = n_classes(row_model, n_components), n_features - missing.shape[0]
    for k in range(n_components):
        df = degrees_of_freedom(constants, classes, k)
        constants[k] += _log_constant(df, left) - _log_constant(df, n_features)
    if classes > n_components:
        for d in missing:
            constants[n_components] += row_model.background[d]


@compiled(inline="always")
def residuals_block(row_model, features, start, n, mean, scaling, centred, y, square):
    """y (D, block) = the whitened residuals of rows start..start+n, and `square` (block,), their squared lengths, of
    which densities are functions."""
    whiten(features, start, n, mean, scaling, row_model.diagonal, centred, y, square)


@compiled(inline="always")
def log_density(log_norm, square):
    """Log normal density of a row, from the constant of its component and its squared length."""
    return log_norm - 0.5 * square


@compiled(fastmath=FAST)
def log_densities(log_norm, df, d, values, n, spare, buffer, bits):
    """Replace squared lengths of d observed cells by log densities."""
    if df == 0.0:
        for b in range(n):
            values[b] = log_norm - 0.5 * values[b]
        return
    inverse, power = 1.0 / df, 0.5 * (df + d)
    for b in range(n):
        values[b] = 1.0 + inverse * values[b]
    log_block(values, spare, buffer, bits, n)
    for b in range(n):
        values[b] = log_norm - power * spare[b]


@compiled(fastmath=FAST)
def tail_weights(y, df, d, n, r, squares, spare, buffer, bits):
    """Multiply weights r of rows by u = (v + d) / (v + |y|^2); returns the sums of r u and of r E(log U - U | x).

    U is the precision that makes the row normal: Gamma((v + d)/2, (v + |y|^2)/2), of expectation u. `squares`, `spare`,
    `buffer` and its `bits` are memory.
    """
    inverse, at_mean = 1.0 / df, (df + d) / df
    for b in range(n):
        squares[b] = 1.0
    for i in range(y.shape[0]):
        yi = y[i]
        for b in range(n):
            squares[b] += inverse * yi[b] * yi[b]
    log_block(squares, spare, buffer, bits, n)
    constant = math.log(at_mean) + digamma(0.5 * (df + d)) - math.log(0.5 * (df + d))
    mass, tail = 0.0, 0.0
    for b in range(n):
        u = at_mean / squares[b]
        tail += r[b] * (constant - spare[b] - u)
        r[b] *= u
        mass += r[b]
    return mass, tail


@compiled
def digamma(x):
    """Derivative of log Gamma at x > 0: recurrence, then Stirling's series (Abramowitz and Stegun 6.3.18)."""
    out = 0.0
    while x < 10.0:
        out -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * 691.0 / 32760)))))
    return out + math.log(x) - 0.5 / x - series


@compiled
def df_slope(df, i, n_df, counts, n_classes):
    """Derivative of the log-likelihood by number i of `n_df` degrees of freedom, from the counts of a pass."""
    n_components = (counts.shape[0] - n_classes) // 2
    n, tail = 0.0, 0.0
    for k in range(i, i + 1 if n_df > 1 else n_components):
        n += counts[k]
        tail += counts[n_classes + n_components + k]
    return 0.5 * (n * (math.log(0.5 * df) + 1.0 - digamma(0.5 * df)) + tail)


@compiled(inline="always")
def add_block(row_model, y, r, n, weighted, total, outer):
    """Add to the sums of a component what rows with residuals y and weights r give: sum r y to `total`, and sum r y y'
    (lower triangle; the diagonal alone if covariances are diagonal) to `outer`."""
    accumulate(y, r, n, row_model.diagonal, weighted, total, outer)
