"""How well a mixture separates its classes, as latent profile analyses report it.

Every observation is assigned to its most probable component, a class. Reported are the sizes of the classes, the mean
posterior probability of its own class among the observations of each (Nagin 2005 asks for at least 0.7), and the
relative entropy 1 - E / (N log K), E the sum of the entropies of the observations' posterior probabilities (Celeux and
Soromenho 1996, Journal of Classification 13, 195-212): 1 where every assignment is certain, 0 where none says anything.
tidyLPA and Mplus report the same numbers of maximum-likelihood fits; here probabilities are averages over the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.record import Record
from bayesgmm.wording import plural, probability

__all__ = ["Classification", "classify"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Record):
    """Sizes of the classes and how surely observations belong to them.

    Attributes
    ----------
    sizes : array (K,)
        Number of observations whose most probable component it is, by their weights; noise is no class.
    average : array (K,)
        Mean posterior probability of the class among them; NaN for an empty class.
    relative_entropy : float
        1 for K = 1.
    """

    sizes: Array
    average: Array
    relative_entropy: float

    @property
    def shares(self) -> Array:
        """(K,) of the observations that are no noise; NaN where there is none."""
        total = self.sizes.sum()
        return self.sizes / total if total > 0.0 else np.full(len(self.sizes), np.nan)

    @property
    def n_min(self) -> float:
        """Number of observations in the smallest class; 0 where one is empty."""
        return float(self.sizes.min())

    @property
    def n_max(self) -> float:
        """Number of observations in the largest class."""
        return float(self.sizes.max())

    @property
    def prob_min(self) -> float:
        """Smallest mean posterior probability of a class that is not empty; NaN where all are."""
        return float(np.nanmin(self.average)) if (self.sizes > 0.0).any() else np.nan

    @property
    def prob_max(self) -> float:
        """Largest mean posterior probability of a class."""
        return float(np.nanmax(self.average)) if (self.sizes > 0.0).any() else np.nan

    def __str__(self) -> str:
        k = len(self.sizes)
        return (
            f"{k} {'class' if k == 1 else 'classes'} by most probable component, of {self.n_min:,.10g} to "
            f"{self.n_max:,.10g} {plural(self.n_max, 'observation')}, with mean posterior probabilities of "
            f"{probability(self.prob_min)} to {probability(self.prob_max)}; relative entropy "
            f"{self.relative_entropy:.2f}."
        )


def classify(p: Array, weights: Array, n_components: int) -> Classification:
    """Sizes, mean posterior probabilities and relative entropy from posterior probabilities.

    Parameters
    ----------
    p : array (N, K) or (N, K + 1)
        Posterior probability of each component, and of noise last, for each observation.
    weights : array (N,)
        An observation of weight w counts as w observations.
    n_components : int
        K. Observations that are most probably noise are left out, and the probabilities of the others are those
        given that they are no noise.

    Returns
    -------
    Classification

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    >>> found = classify(p, np.ones(3), 2)
    >>> found.sizes, found.average
    (array([2., 1.]), array([0.8, 0.8]))
    """
    kept = p.argmax(axis=1) < n_components
    p, weights = p[kept, :n_components], weights[kept]
    p = p / p.sum(axis=1, keepdims=True)
    label, own = p.argmax(axis=1), p.max(axis=1, initial=0.0)
    sizes = np.bincount(label, weights, n_components)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.bincount(label, weights * own, n_components) / sizes
        entropy = -np.where(p > 0.0, p * np.log(p), 0.0).sum(axis=1)
    total = weights.sum()
    most = total * np.log(n_components)
    relative = 1.0 - float(weights @ entropy) / most if most > 0.0 else 1.0 if total > 0.0 else np.nan
    return Classification(sizes, average, relative)
