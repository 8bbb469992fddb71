"""Do rows come in random order? By how far the mean of each batch is from that of all rows before it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowOrder"]

Array = NDArray[np.float64]

_FAR = 6.0  # standard errors by which the sum of squared distances may exceed what chance gives


class RowOrder:
    """Squared distances of the means of batches, in standard errors, summed by column.

    Parameters
    ----------
    mean, sd : array (D,)
        Of the first rows.
    weight, square : float
        Sum of their weights and of the squares of these.

    Examples
    --------
    >>> order = RowOrder(np.zeros(1), np.ones(1), 1000.0, 1000.0)
    >>> for mean in (0.5, 1.0, 1.5):
    ...     order.take(np.full((100, 1), mean), np.ones(100))
    >>> order.strays()
    True
    """

    def __init__(self, mean: Array, sd: Array, weight: float, square: float) -> None:
        self._mean, self._sd, self._weight, self._square = mean, sd, weight, square
        self._distances, self.n_batches = np.zeros_like(mean), 0

    def take(self, values: Array, weights: Array) -> None:
        """The next batch of rows (n, D) with weights (n,)."""
        weight, square = float(weights.sum()), float(weights @ weights)
        gap = weights @ values / weight - self._mean
        self._distances += gap**2 / (self._sd**2 * (square / weight**2 + self._square / self._weight**2))
        self.n_batches += 1
        self._weight, self._square = self._weight + weight, self._square + square
        self._mean = self._mean + gap * (weight / self._weight)

    @property
    def worst(self) -> int:
        """The column that strays most."""
        return int(self._distances.argmax())

    def strays(self) -> bool:
        """Whether the means differ by more than those of random samples would."""
        chance = self.n_batches + _FAR * math.sqrt(2.0 * self.n_batches) + _FAR
        return bool((self._distances > chance).any())
