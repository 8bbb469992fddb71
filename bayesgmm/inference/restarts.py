"""Chains that sit where the posterior is not: what they found is told from what matters by its evidence.

A chain can start in a mode that holds next to nothing of the posterior, because Laplace's approximation, by which
starts are chosen, is tens of nats off where components have few rows for their many columns. Sweeps do not leave it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayesgmm.inference.chains import ChainDraws, GibbsProblem
from bayesgmm.mode_bridge import bridge_by_modes

__all__ = ["chains_that_matter"]

_NEGLIGIBLE = 25.0  # nats below the best
_ERRORS = 5.0  # standard errors allowed besides
_DRAWS = 400  # of each chain


def chains_that_matter(problem: GibbsProblem, done: Sequence[ChainDraws]) -> list[int]:
    """The chains whose draws do not lie in modes that hold less than e^-25 of the posterior that all chains found.

    By bridge sampling from each chain; one whose evidence cannot be told counts as one that matters.
    """
    structure, d = problem.structure, problem.table.n_features
    values, errors = np.full(len(done), np.nan), np.zeros(len(done))
    for i, chain in enumerate(done):
        some = np.unique(np.linspace(0, len(chain.sample.weights) - 1, _DRAWS).astype(int))
        weights, means, *matrices = (a[None, some] for a in chain.sample)
        latent, cholesky = (np.broadcast_to(a, (*means.shape, d)) for a in matrices)
        found = bridge_by_modes(weights, means, latent, cholesky, problem.table, structure, problem.prior)
        if found is not None and np.isfinite(found.log_value + found.mcse):
            values[i], errors[i] = found.log_value, found.mcse
    if np.isnan(values).all():
        return list(range(len(done)))
    best = int(np.nanargmax(values))
    low = values + _ERRORS * (errors + errors[best]) < values[best] - _NEGLIGIBLE
    return np.flatnonzero(~low).tolist()
