"""Row weights as copies: a row of weight 3 is the row three times.

What leaves one observation out leaves out a copy. A row of a weight below one is one observation that counts for that
fraction, its likelihood to the power of the weight; so a weight is `multiplicity` times a `datum`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["are_whole", "copied_rows", "datum", "multiplicity", "quantiles", "weighted_spread"]

Array = NDArray[np.float64]


def datum(weights: Array) -> Array:
    """What of each row one observation is: a copy, or all of a row that weighs less.

    >>> datum(np.array([3.0, 0.5, 0.0]))
    array([1. , 0.5, 0. ])
    """
    return np.minimum(weights, 1.0)


def multiplicity(weights: Array) -> Array:
    """How many times a row is its `datum`.

    >>> multiplicity(np.array([3.0, 0.5, 0.0]))
    array([3., 1., 1.])
    """
    return np.maximum(weights, 1.0)


def are_whole(weights: Array) -> bool:
    """Whether every weight is a number of copies."""
    return bool((weights == np.floor(weights)).all())


def copied_rows(weights: Array, most: float) -> NDArray[np.int64] | None:
    """Row number of every copy, in order; None where a weight is not whole, or they are more than `most`.

    >>> copied_rows(np.array([2.0, 0.0, 1.0]), 10)
    array([0, 0, 2])
    """
    if not are_whole(weights) or weights.sum() > most:
        return None
    return np.repeat(np.arange(len(weights)), weights.astype(np.int64))


def quantiles(values: Array, weights: Array, at: Array) -> Array:
    """Quantiles of all copies of the rows, linear between them as NumPy's; a fraction of a copy counts as much.

    >>> quantiles(np.array([3.0, 1.0]), np.array([1.0, 2.0]), np.array([0.5, 0.75]))  # of 1, 1, 3
    array([1., 2.])
    """
    order = np.argsort(values, kind="stable")
    ordered, up_to = values[order], np.cumsum(weights[order])
    place = np.asarray(at) * max(float(up_to[-1]) - 1.0, 0.0)
    low = np.floor(place)
    below, above = (
        ordered[np.minimum(np.searchsorted(up_to, p, side="right"), len(values) - 1)] for p in (low, np.ceil(place))
    )
    return below + (place - low) * (above - below)


def weighted_spread(totals: Array, weights: Array) -> float:
    """Standard error of a sum of `totals` (N,), those of rows of such weights: sqrt(n var), n and var of the copies.

    The divisor of the variance is n - 1; NaN for one observation.

    >>> weighted_spread(np.array([2.0, 3.0]), np.array([2.0, 1.0]))  # copies: 1, 1, 3
    2.0
    """
    n, used = float(weights.sum()), weights > 0.0
    if not n > 1.0:
        return float("nan")
    each = totals[used] / weights[used]
    mean = totals[used].sum() / n
    return float(np.sqrt(n / (n - 1.0) * (weights[used] @ (each - mean) ** 2)))
