"""Statistics of the complete data of a unit of weight: they average over batches, and the M-step is of them alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.state import State, state_of
from bayesgmm.em.steps import Statistics, unwhiten
from bayesgmm.model.structure import Structure

__all__ = ["Moments", "moments_of"]

Array = NDArray[np.float64]

_NO_ROWS = 1e-10


class Moments(NamedTuple):
    """Statistics of the complete data, of one unit of weight."""

    shares: Array  # (K,)
    means: Array  # (K, D)
    scatter: Array  # (K, D, D) about the means

    def moved(self, other: Moments, share: float) -> Moments:
        """The average with another, which counts by `share`; the sums are averaged, not the means."""
        here, there = (1.0 - share) * self.shares, share * other.shares
        total = here + there
        part = np.divide(there, total, out=np.zeros_like(total), where=total > 0.0)
        gap = other.means - self.means
        between = (here * part)[:, None, None] * gap[:, :, None] * gap[:, None, :]
        scatter = (1.0 - share) * self.scatter + share * other.scatter + between
        return Moments(total, self.means + part[:, None] * gap, scatter)

    def state(self, structure: Structure, floor: float) -> tuple[State, bool]:
        """The M-step, and whether a variance was kept from falling below the floor."""
        held = np.maximum(self.shares, _NO_ROWS)
        return state_of(held / held.sum(), self.means, structure.project(self.scatter, held), floor)


def moments_of(statistics: Statistics, weight: float) -> Moments:
    at, k = statistics.at, len(statistics.at.means)
    held = np.maximum(statistics.counts[:k], _NO_ROWS)
    means, scatter = np.empty_like(at.means), np.empty_like(at.cholesky)
    unwhiten(at.means, at.cholesky, held, statistics.sums, statistics.outers, means, scatter)
    return Moments(statistics.counts[:k] / weight, means, scatter / weight)
