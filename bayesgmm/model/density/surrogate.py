"""The posterior with its log-likelihood to second order: a function of the mixture alone, which asks for no rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.density.decoupled import log_posterior_decoupled_given, to_affine
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.expansion import Expansion

__all__ = ["Surrogate"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Log posterior in the decoupled coordinates of a density without rows.

    Value, gradient and second derivatives at the reference of the expansion are those of the posterior of all rows.
    """

    density: Density
    expansion: Expansion

    def value_and_gradient(self, u: Array) -> tuple[float, Array]:
        """Log posterior of the decoupled vector u (n_dim,), and its gradient."""
        u = np.ascontiguousarray(u, dtype=float)
        mixture = self.density.unpack(to_affine(self.density, u[None]))
        log_likelihood, counts, sums, outers = self.expansion.at(*(part[0] for part in mixture))
        gradient = np.empty(len(u))
        value = log_posterior_decoupled_given(
            u, gradient, self.density.ints, self.density.floats, log_likelihood, counts, sums, outers
        )
        return float(value), gradient
