"""Credible ball of a partition: how different the partitions are that the posterior still believes.

The ball of level p holds the draws within the smallest distance of the estimate that covers p of them. Its bounds are
draws: vertical ones have the fewest (upper) and the most (lower) clusters in the ball, and among those lie furthest
from the estimate; the horizontal ones lie furthest whatever their number of clusters.

Wade and Ghahramani (2018), Bayesian Analysis 13, 559-626.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clustering.partition.loss import canonical_labels
from bayesgmm.record import Record
from bayesgmm.wording import plural

__all__ = ["CredibleBall", "credible_ball"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_TIE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class CredibleBall(Record):
    """The draws nearest to an estimate that hold `ci_prob` of the posterior, and the extremes among them.

    Attributes
    ----------
    ci_prob : float
        Level asked for.
    radius : float
        Largest distance inside, in the units of the loss.
    probability : float
        Share of the draws inside: at least `ci_prob`.
    horizontal, upper, lower : int arrays (M, N)
        Partitions of the bounds, M of them, usually one: furthest; fewest clusters; most clusters.
    n_clusters : tuple of int
        Fewest and most clusters of a draw inside.
    """

    ci_prob: float
    radius: float
    probability: float
    horizontal: IntArray
    upper: IntArray
    lower: IntArray
    n_clusters: tuple[int, int]

    @property
    def groups(self) -> str:
        """Numbers of groups of the draws inside, in words."""
        fewest, most = self.n_clusters
        return f"{fewest} to {most} groups" if fewest < most else f"{most} {plural(most, 'group')}"


def credible_ball(
    draws: NDArray[np.integer[Any]], distances: Array, ci_prob: float = 0.95, n_clusters: NDArray[Any] | None = None
) -> CredibleBall:
    """Credible ball from draws of labels and their distances from the estimate.

    Parameters
    ----------
    draws : int array (S, N)
    distances : array (S,)
    ci_prob : float
    n_clusters : int array (S,), optional
        Number of clusters of each draw, where it is not that of its labels.

    Examples
    --------
    >>> import numpy as np
    >>> ball = credible_ball(np.array([[0, 0, 1], [0, 0, 0], [0, 1, 2]]), np.array([0.0, 0.3, 0.4]), 0.6)
    >>> ball.radius, ball.horizontal.tolist()
    (0.3, [[0, 0, 0]])
    """
    ordered = np.sort(distances)
    radius = float(ordered[int(np.ceil(ci_prob * len(ordered) - 1e-9)) - 1])
    inside = np.flatnonzero(distances <= radius + _TIE)
    labels, _ = canonical_labels(draws[inside])
    far = distances[inside]
    n_clusters = labels.max(axis=1) + 1 if n_clusters is None else n_clusters[inside]

    def furthest(among: NDArray[np.bool_]) -> IntArray:
        return np.unique(labels[among & (far >= far[among].max() - _TIE)], axis=0)

    return CredibleBall(
        ci_prob=ci_prob,
        radius=radius,
        probability=len(inside) / len(distances),
        horizontal=furthest(np.ones(len(inside), dtype=bool)),
        upper=furthest(n_clusters == n_clusters.min()),
        lower=furthest(n_clusters == n_clusters.max()),
        n_clusters=(int(n_clusters.min()), int(n_clusters.max())),
    )
