"""Which maxima of the likelihood are artefacts.

The likelihood of a Gaussian mixture is unbounded: a component that sits on one row, or on rows that are
(nearly) tied, can shrink for ever. Such spikes, and the local maxima beside them, carry no information; what
is wanted is the best of the other maxima (Hathaway 1985; McLachlan and Peel 2000, section 3.10).

A component is called a spike when it is narrow *and* few rows support it: with s its smallest standard
deviation in any direction, in units of the standard deviation of all rows in that direction,

    s < min(0.03, 0.2 / (n_k - D))        n_k - 1 for uncorrelated structures, all rows for tied ones,

for D rows always lie on a hyperplane and say nothing about the spread across it. So 3 % of the column is
always wide enough, and a cluster of 100 rows may be 500 times narrower than its column. It is also a spike
when some column's standard deviation is below half of what rounding to the recording step adds by itself,
step / sqrt(12): at least 98 % of its rows then agree in the recorded value. A component with a covariance of its
own that holds less than half a row is set aside with the spikes: it says nothing.

Neither units nor correlations nor a sample weight common to all rows change the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.structure import Structure

__all__ = ["WIDE_ENOUGH", "SpikeRule", "smallest_sd"]

Array = NDArray[np.float64]

WIDE_ENOUGH = 0.03
_SUPPORT = 0.2
_LEAST_ROWS = 0.5
# In units of the column: below it the recording step is looked up, above it no useful step is that coarse.
_LOOK_AT_ROUNDING = 0.1


def smallest_sd(covariances: Array) -> Array:
    """(K,) smallest standard deviation in any direction; covariances (K, D, D)."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(covariances)[:, 0], 0.0))


@dataclass(frozen=True, eq=False)
class SpikeRule:
    """The rule above, for one table.

    Parameters
    ----------
    structure : Structure
    to_columns : array (D, D)
        Takes the features to columns of standard deviation one.
    resolution : callable
        Returns the recording steps (D,) of those columns; called only if some component is narrow.
    rows_per_weight : float
        Rows of the table for each unit of weight among the rows that are fitted.
    """

    structure: Structure
    to_columns: Array
    resolution: Callable[[], Array]
    rows_per_weight: float = 1.0

    def __call__(self, counts: Array, covariances: Array) -> NDArray[np.bool_]:
        """(K,) which components are spikes, given the weight they hold and covariances of the features."""
        rows = np.broadcast_to(self.structure.matrix_rows(counts * self.rows_per_weight), counts.shape)
        empty = rows < _LEAST_ROWS
        dependent = covariances.shape[1] if self.structure.correlated else 1
        support = np.maximum(rows - dependent, 1e-300)
        spiked = empty | (smallest_sd(covariances) < np.minimum(WIDE_ENOUGH, _SUPPORT / support))
        column_sd = np.sqrt(np.einsum("ij,kjl,il->ki", self.to_columns, covariances, self.to_columns))
        if column_sd.min() < _LOOK_AT_ROUNDING:
            spiked |= (column_sd < 0.5 * self.resolution() / np.sqrt(12.0)).any(axis=1)
        return spiked
