"""A coarse table in place of a long one: rows are binned on a grid, those of a bin taken together at their mean.

The likelihood of the coarse table is a rough one of the rows that costs a fraction. Jumps and walks are accepted in two
stages (Christen and Fox 2005): by the rough likelihood first, which refuses most; what passes, by the ratio of the full
likelihood to the rough one. So the posterior is kept whatever the bins are. They are as wide as the draws of each mode
allow: the two log-likelihoods may differ from draw to draw by less than what would refuse good moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.row_model import RowModel
from bayesgmm.kernels.rows import Rows, as_rows
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import total_log_likelihood
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky

__all__ = ["Bins", "fit_bins", "no_bins"]

Array = NDArray[np.float64]

_WIDTH = 0.35  # in the mean sd of a component, of a first try
_TOLERATED = 0.4  # nats, standard deviation between draws of a mode; it goes with the square of the width
_MISSING = -(2.0**62)  # where the cell of a bin would be
_FEW = 4  # rows a bin, in the mean, below which bins are of no use
_DRAWS, _MODES = 40, 5  # whose likelihoods are compared, of each mode


class Bins(NamedTuple):
    """M bins of rows."""

    rows: Rows  # means
    weights: Array  # (M,) sums


def no_bins(n_features: int) -> Bins:
    """M = 0."""
    return Bins(as_rows(np.empty((0, n_features))), np.empty(0))


def fit_bins(rows: Array, row_weights: Array, row_model: RowModel, samples: Sequence[Sample]) -> Bins:
    """The widest bins that do for the draws of each mode; none if that leaves few of the rows (N, D) in each."""
    some, exact = [_some(s) for s in samples[:_MODES]], list[Array]()
    width = _WIDTH * np.mean([_mean_sds(s) for s in some], axis=0)
    for _ in range(2):
        means, sums = _gathered(rows, row_weights, width)
        if len(sums) * _FEW > len(rows):
            break
        exact = exact or [_log_likelihoods(rows, row_weights, row_model, s) for s in some]
        off = [a - _log_likelihoods(means, sums, row_model, s) for a, s in zip(exact, some, strict=True)]
        spread = math.sqrt(np.mean([a.var() for a in off]))
        if spread < 1.5 * _TOLERATED:
            return Bins(as_rows(means), sums)
        width *= math.sqrt(_TOLERATED / spread)
    return no_bins(rows.shape[1])


def _some(sample: Sample) -> Sample:
    index = evenly_spaced(len(sample.weights), _DRAWS)
    return Sample(*(a[index] for a in sample))


def _mean_sds(sample: Sample) -> Array:
    """(D,) standard deviation of a component in each column, the mean over draws and, by weight, components."""
    sds = np.linalg.norm(sample.cholesky, axis=3)
    return (sample.weights[:, :, None] * sds).sum(axis=1).mean(axis=0)


def _log_likelihoods(rows: Array, row_weights: Array, row_model: RowModel, sample: Sample) -> Array:
    k, d = sample.means.shape[1:]
    scaling = np.broadcast_to(inverse_cholesky(sample.cholesky), (len(sample.weights), k, d, d))
    weights, means, scaling = (np.ascontiguousarray(a) for a in (sample.weights, sample.means, scaling))
    return total_log_likelihood(rows, row_weights, weights, means, scaling, row_model=row_model)


def _gathered(rows: Array, row_weights: Array, width: Array) -> tuple[Array, Array]:
    """Mean of the rows in each bin of a grid, and their weight; bins of no weight are left out. Rows of a bin lack the
    same cells."""
    rows, row_weights = rows[row_weights > 0.0], row_weights[row_weights > 0.0]
    cells = np.nan_to_num(np.floor(rows / width), nan=_MISSING)
    _, place = np.unique(cells.astype(np.int64), axis=0, return_inverse=True)
    sums = np.bincount(place, row_weights)
    means = np.column_stack([np.bincount(place, row_weights * column) for column in rows.T]) / sums[:, None]
    return means, sums
