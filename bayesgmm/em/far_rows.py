"""Rows far from others, which starts for heavy tails or a background leave out: groups are cut from the others.

A row counts as far by the distance to its k-th nearest neighbour (Byers and Raftery 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["SHARES", "far_rows", "neighbour_distance"]

SHARES = (0.0, 0.05, 0.25, 0.1, 0.5)  # of the rows that starts leave out, in turn
_NEIGHBOURS = 10


def neighbour_distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance of each row of points (N, D) to its k-th nearest neighbour."""
    k = min(_NEIGHBOURS, len(points) - 1)
    return np.asarray(cKDTree(points).query(points, [k + 1])[0][:, 0], dtype=np.float64)


def far_rows(distance: NDArray[np.float64], row_weights: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """(N,) whether a row is among those of so large a share of the weight whose neighbours are farthest."""
    order = np.argsort(-distance, kind="stable")
    held = np.cumsum(row_weights[order])
    out = np.zeros(len(distance), dtype=bool)
    out[order[held <= share * held[-1]]] = True
    return out
