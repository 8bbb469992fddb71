"""The tree by which components of a mixture merge into groups, nearest first, compiled; see `clustering.merging`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayesgmm.clustering.separation import misclassified, squared_distance
from bayesgmm.kernels.compiled import compiled, plain
from bayesgmm.kernels.threads import over_threads

__all__ = ["MOST_APART", "SEPARATION", "MergeTrees", "merge_draws", "merge_trees"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

SEPARATION = 2.5  # sds
MOST_APART = 12.0  # sds: beyond, 1e-9 of the observations are taken for the other group's


@dataclass(frozen=True, eq=False)
class MergeTrees:
    """Of each of many mixtures, which components merge, and how far apart they are.

    Attributes
    ----------
    apart : array (S, K, K)
        Sds at which two components come to be in one group: groups are as far apart as two equal normal groups whose
        means differ by so many sds. 0 where one of the two does not count, and goes with the other.
    """

    apart: Array

    def _first(self, separation: float) -> IntArray:
        """(S, K) first component of the group of each."""
        return np.asarray((self.apart <= separation).argmax(axis=2))

    def labels(self, separation: float) -> IntArray:
        """(S, K) group of each component where groups no further apart are one: 0, 1, ... in order of appearance."""
        first = self._first(separation)
        number = np.cumsum(first == np.arange(first.shape[1]), axis=1) - 1
        return np.take_along_axis(number, first, axis=1)

    def numbers(self, separation: float) -> IntArray:
        """(S,) number of those groups."""
        first = self._first(separation)
        return np.asarray((first == np.arange(first.shape[1])).sum(axis=1))


def merge_trees(
    weights: Array,
    means: Array,
    covariances: Array,
    *,
    sizes: Array | None = None,
    df: Array | None = None,
    occupied: NDArray[np.bool_] | None = None,
) -> MergeTrees:
    """Merge components to groups, the nearest two first, until one is left, for each of many mixtures.

    Parameters
    ----------
    weights, means, covariances : arrays (S, K), (S, K, D), (S, K, D, D)
    sizes : array (S, K), optional
        Observations of each component; by default so many that densities are taken as they are.
    df : array (S, K), optional
        Degrees of freedom of t components, whose scale matrices are then in `covariances`.
    occupied : bool array (S, K), optional
        Components that may be groups; by default all. There must be one in each draw.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.merging_rule import merge_trees
    >>> means = np.array([[[0.0], [1.0], [8.0]]])
    >>> merge_trees(np.full((1, 3), 1 / 3), means, np.ones((1, 3, 1, 1))).apart[0].round(1)
    array([[0. , 1. , 7.1],
           [1. , 0. , 7.1],
           [7.1, 7.1, 0. ]])
    """
    w, m, c = plain(weights, means, covariances)
    counted = np.ones(w.shape, dtype=bool) if occupied is None else np.ascontiguousarray(occupied)
    size, tails = plain(*(np.full(w.shape, np.inf) if a is None else a for a in (sizes, df)))
    overlap = np.full((*w.shape, w.shape[1]), 0.5)
    over_threads(lambda s: _grow(w[s], m[s], c[s], size[s], tails[s], counted[s], overlap[s]), len(w))
    return MergeTrees(np.minimum(np.maximum(-2.0 * ndtri(np.maximum(overlap, 1e-300)), 0.0), MOST_APART))


def merge_draws(weights: Array, means: Array, covariances: Array, *, separation: float = SEPARATION) -> IntArray:
    """Group of each component (S, K) where those no further apart than `separation` sds are one, of many mixtures.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.merging_rule import merge_draws
    >>> means = np.array([[[0.0], [1.0], [8.0]]])
    >>> merge_draws(np.full((1, 3), 1 / 3), means, np.ones((1, 3, 1, 1)))
    array([[0, 0, 1]])
    """
    return merge_trees(weights, means, covariances).labels(separation)


@compiled
def _grow(weights, means, covariances, sizes, df, occupied, out):
    """out[s, i, j] = probability of misclassification at which i and j come to be in one group, of every draw.

    Two groups overlap by the smaller of what they overlap as wholes and what any two of their components do: a group
    around another is parted from it although no line parts the two.
    """
    n_components, d = means.shape[1], means.shape[2]
    label = np.empty(n_components, dtype=np.int64)
    home = np.empty(n_components, dtype=np.int64)
    wholes, pairs = np.empty((n_components, n_components)), np.empty((n_components, n_components))
    work = np.empty((3, d + 1, d))
    for s in range(weights.shape[0]):
        for k in range(n_components):
            label[k] = home[k] = k
        for i in range(n_components):
            for j in range(i):
                both = misclassified(weights[s], means[s], covariances[s], sizes[s], df[s], label, j, i, work)
                wholes[i, j] = wholes[j, i] = pairs[i, j] = pairs[j, i] = both
        alive = occupied[s].copy()
        for k in range(n_components):
            if not occupied[s, k]:  # goes with the nearest that is, and adds nothing to its shape
                label[k], nearest = -1, np.inf
                for j in range(n_components):
                    if occupied[s, j]:
                        distance = squared_distance(means[s], covariances[s], k, j, work[0])
                        if distance < nearest:
                            nearest, home[k] = distance, j
        least = 0.5
        while True:
            most, first, second = -1.0, -1, -1
            for i in range(n_components):
                for j in range(i):
                    if alive[i] and alive[j]:
                        value = min(wholes[i, j], pairs[i, j])
                        if value > most:
                            most, first, second = value, j, i
            if first < 0:
                break
            least = min(least, most)
            for i in range(n_components):
                for j in range(n_components):
                    if label[home[i]] == first and label[home[j]] == second:
                        out[s, i, j] = out[s, j, i] = least
            alive[second] = False
            for k in range(n_components):
                if label[k] == second:
                    label[k] = first
            for k in range(n_components):
                if alive[k] and k != first:
                    value = misclassified(weights[s], means[s], covariances[s], sizes[s], df[s], label, first, k, work)
                    wholes[first, k] = wholes[k, first] = value
                    pairs[first, k] = pairs[k, first] = max(pairs[first, k], pairs[second, k])
