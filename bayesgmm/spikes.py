"""Which maxima of the likelihood are artefacts.

The likelihood of a Gaussian mixture is unbounded: a component that sits on one row, or on rows that are
(nearly) tied, can shrink for ever. Such spikes, and the local maxima next to them, carry no information, and
the estimate that is wanted is the best of the other local maxima (Hathaway 1985; McLachlan and Peel 2000,
section 3.10). A component is called a spike when its smallest standard deviation s, in any direction and
relative to that of the whole table in the same direction, is small *and* few rows support it,

    s < min(0.03, 0.3 / (n_k - D)),      n_k - 1 in place of n_k - D for uncorrelated structures,

since D rows always lie on a hyperplane and say nothing about the spread across it; or when it is narrower
in some column than half of what rounding to the recording step already adds (step / sqrt(12)).

A cluster of 100 rows may so be 300 times narrower than its column and one of 11 rows 33 times. The first
bound is relative to the number of rows and to nothing else, so that neither units nor correlations matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.structure import Structure

__all__ = ["NARROW", "spikes"]

Array = NDArray[np.float64]

NARROW = 0.03
_SUPPORT = 0.3


def smallest_sd(covariances: Array) -> Array:
    """(K,) square root of the smallest eigenvalue of each covariance (K, D, D)."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(covariances)[:, 0], 0.0))


def spikes(counts: Array, covariances: Array, structure: Structure, smallest: Array) -> NDArray[np.bool_]:
    """Which components are spikes.

    Parameters
    ----------
    counts : array (K,)
        Rows that each component holds.
    covariances : array (K, D, D)
        In coordinates in which the covariance of the whole table is the identity.
    structure : Structure
    smallest : array (D,)
        Standard deviation below which a component is narrower than the recording step, by column.
    """
    free = covariances.shape[1] if structure.correlated else 1
    rows = np.full_like(counts, counts.sum()) if structure.shared else counts
    support = np.maximum(rows - free, 1e-300)
    return smallest_sd(covariances) < np.minimum(NARROW, _SUPPORT / support)
