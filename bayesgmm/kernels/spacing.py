"""Some of many, evenly: which draws or rows stand for all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["evenly_among_copies", "evenly_spaced", "some_rows"]


def evenly_spaced(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` distinct indices below n, in order and evenly spaced, first and last included.

    Examples
    --------
    >>> from bayesgmm.kernels.spacing import evenly_spaced
    >>> evenly_spaced(8, 4).tolist(), evenly_spaced(3, 5).tolist(), evenly_spaced(9, 1).tolist()
    ([0, 2, 5, 7], [0, 1, 2], [0])
    """
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def evenly_among_copies(weights: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Rows of at most `most` copies, evenly spaced among all copies of rows with such weights; a row may come twice.

    >>> evenly_among_copies(np.array([1.0, 5.0, 0.0, 2.0]), 4)
    array([0, 1, 1, 3])
    """
    up_to = np.cumsum(weights)
    n = max(1, int(np.ceil(up_to[-1])))
    copies = evenly_spaced(n, most)
    return np.minimum(np.searchsorted(up_to, copies, side="right"), np.flatnonzero(weights)[-1]).astype(np.int64)


def some_rows(weights: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most `most` distinct rows that stand for all, none of weight 0, and what each counts.

    More rows than that are evenly spaced among copies, and count as often as they come.

    >>> some_rows(np.array([1.0, 5.0, 0.0, 2.0]), 3)
    (array([0, 1, 3]), array([1., 5., 2.]))
    >>> some_rows(np.array([1.0, 5.0, 0.0, 2.0]), 2)
    (array([0, 3]), array([1., 1.]))
    """
    used = np.flatnonzero(weights)
    if len(used) <= most:
        return used, weights[used]
    rows, times = np.unique(evenly_among_copies(weights, most), return_counts=True)
    return rows.astype(np.int64), times.astype(np.float64)
