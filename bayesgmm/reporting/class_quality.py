"""How well the classes of a fit are told apart: entropy, mean posterior probabilities, sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model_selection.fit import Fit
from bayesgmm.reporting.plots.scene import row_probabilities

__all__ = ["ClassQuality", "class_quality", "relative_entropy"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassQuality:
    """Of R classes: the components, then noise if there is any.

    Attributes
    ----------
    assigned : array (R,)
        Rows by their most probable class, as their weights count.
    share : array (R,)
        Posterior mean of each mixing proportion; of components with noise, of all rows.
    mean_probability : array (R, R)
        Mean posterior probability of each class (columns) among the rows assigned to each (rows); NaN without rows.
    entropy : float
        `relative_entropy`.
    """

    assigned: Array
    share: Array
    mean_probability: Array
    entropy: float


def class_quality(fit: Fit, probabilities: Array | None = None) -> ClassQuality:
    """Sizes and classification diagnostics of a fit; `probabilities` (N, R) saves computing them."""
    p = row_probabilities(fit) if probabilities is None else probabilities
    weights = fit.table_.weights
    label, n = p.argmax(axis=1), p.shape[1]
    own = (label[:, None] == np.arange(n)) * weights[:, None]  # (N, R)
    assigned = own.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = (own.T @ p) / assigned[:, None]
    noise = [] if fit.noise_weight_ is None else [fit.noise_weight_]
    return ClassQuality(assigned, np.array([*fit.weights_, *noise]), mean, relative_entropy(p, weights))


def relative_entropy(probabilities: Array, weights: Array) -> float:
    """1 less the mean entropy of the rows' class probabilities over the largest possible (Celeux and Soromenho 1996).

    >>> relative_entropy(np.array([[1.0, 0.0], [0.5, 0.5]]), np.ones(2))
    0.5
    >>> relative_entropy(np.ones((2, 1)), np.ones(2))
    nan
    """
    n = probabilities.shape[1]
    if n == 1:
        return float("nan")
    each = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)
    return float(1.0 - weights @ each / (weights.sum() * np.log(n)))
