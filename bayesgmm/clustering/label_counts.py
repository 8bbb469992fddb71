"""Labels of the copies of rows: how many copies of a row each component has, in every draw.

Given the parameters the copies of a row are independent, so their labels are: a row of weight 3 has three, one drawn as
that of each of three equal rows would be. What remains of a weight that is not whole is one more copy that counts for
the fraction. Beyond 50 copies their numbers are one multinomial draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clustering.label_draws import label_of
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.completed import MANY_COPIES

__all__ = ["copies_of", "count_labels"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NUMBERS = 5_000_000  # uniform numbers held at once


@compiled
def _count(r, u, row, share, out):
    """Add to out[s, i] (K,) the share of each copy, of row[copy] = i, whose label the number u[s, copy] decides."""
    for s in range(r.shape[0]):
        for c in range(row.shape[0]):
            i = row[c]
            out[s, i, label_of(r[s, i], u[s, c])] += share[c]


def copies_of(weights: Array) -> tuple[IntArray, Array]:
    """Whole copies of each row (N,), and the fraction that remains (N,).

    >>> copies_of(np.array([2.5, 0.0, 3.0]))
    (array([2, 0, 3]), array([0.5, 0. , 0. ]))
    """
    whole = np.floor(weights)
    return whole.astype(np.int64), weights - whole


def count_labels(r: Array, copies: IntArray, fraction: Array, rng: np.random.Generator, *, unit: float = 1.0) -> Array:
    """Draw the labels of all copies.

    Parameters
    ----------
    r : array (S, N, K)
        Responsibilities of each row under each draw.
    copies, fraction : arrays (N,)
        Whole copies of each row, and what one more copy counts.
    rng : Generator
        Gives one uniform number for each draw and copy, in this order.
    unit : float
        What a whole copy counts.

    Returns
    -------
    array (S, N, K)
        What the copies with each label count; their sum is ``unit * copies + fraction``.

    Examples
    --------
    >>> r = np.array([[[1.0, 0.0], [0.5, 0.5]]])
    >>> count_labels(r, np.array([2, 0]), np.zeros(2), np.random.default_rng(0))
    array([[[2., 0.],
            [0., 0.]]])
    """
    out = np.zeros(r.shape)
    many = copies > MANY_COPIES
    number = np.where(many, 0, copies) + (fraction > 0.0)
    row = np.repeat(np.arange(len(copies)), number)
    share = np.full(len(row), unit)
    share[(np.cumsum(number) - 1)[fraction > 0.0]] = fraction[fraction > 0.0]
    step = max(1, _NUMBERS // max(1, len(row)))
    for start in range(0, len(r), step):
        some = slice(start, start + step)
        _count(r[some], rng.random((len(r[some]), len(row))), row, share, out[some])
    if many.any():
        p = r[:, many] / r[:, many].sum(axis=2, keepdims=True)
        out[:, many] += unit * rng.multinomial(np.broadcast_to(copies[many], p.shape[:2]), p)
    return out
