"""Missing cells filled in, for where EM starts: drawn given the observed cells under one normal for all rows.

A conditional mean would do for the cell but not for the column, where many of them make a spike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.state import State
from bayesgmm.em.steps import em
from bayesgmm.kernels.rows import Rows, as_rows
from bayesgmm.model.conditional import given_observed
from bayesgmm.model.structure import get_structure

__all__ = ["fill", "filled"]

Array = NDArray[np.float64]

_FLOOR, _ITERATIONS = 1e-3, 100


def fill(rows: Rows, row_weights: Array) -> Array:
    """(D, N) features without a gap, columns of mean 0 and sd 1; those given where no cell is missing."""
    if not len(rows.order):
        return rows.features
    d, rows = len(rows.features), rows._replace(known=np.empty(0, dtype=np.int64))
    start = State(np.ones(1), np.zeros((1, d)), np.eye(d)[None].copy(), np.eye(d)[None].copy())
    run = em(rows, row_weights, start, get_structure("full"), tol=1e-3, max_iter=_ITERATIONS, floor=_FLOOR)
    mean, covariance = run.state.means[0], run.state.covariances[0]
    out, rng = rows.features.copy(), np.random.default_rng(0)
    for p, observed in enumerate(rows.observed.astype(bool)):
        if observed.all():
            continue
        index = rows.order[rows.first[p] : rows.first[p + 1]]
        expected, spread = given_observed(mean, covariance, observed, rows.features[np.ix_(observed, index)].T)
        drawn = expected + rng.multivariate_normal(np.zeros(len(spread)), spread, len(index), method="eigh")
        out[np.ix_(~observed, index)] = drawn.T
    return out


def filled(rows: Array, row_weights: Array) -> Array:
    """(N, D) `fill` of rows (N, D), NaN where a cell is missing."""
    return np.ascontiguousarray(fill(as_rows(rows), row_weights).T) if np.isnan(rows).any() else rows
