"""Some of many, evenly: which draws or rows stand for all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["evenly_spaced"]


def evenly_spaced(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` distinct indices below n, in order and evenly spaced, first and last included.

    Examples
    --------
    >>> from bayesgmm.kernels.spacing import evenly_spaced
    >>> evenly_spaced(8, 4).tolist(), evenly_spaced(3, 5).tolist(), evenly_spaced(9, 1).tolist()
    ([0, 2, 5, 7], [0, 1, 2], [0])
    """
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)
