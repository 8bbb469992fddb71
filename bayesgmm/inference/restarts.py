"""Which of the places that scouts and chains found hold some of the posterior: told by their evidence.

Chains start where Laplace's approximation says that the posterior is. That is tens of nats off where components have
few rows for their many columns, so a chain can start in a mode that holds next to nothing and stay there, and a mode
that only a scout from a random cut of the rows has found can hold most. Bridge sampling tells, from a few hundred draws
of each, at the price of as many passes over the rows; it is asked when a first round did not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayesgmm.augmentation.proposals import Sample
from bayesgmm.augmentation.state import ChainState
from bayesgmm.errors import InputError
from bayesgmm.inference.chains import ChainDraws, GibbsProblem
from bayesgmm.mode_bridge import bridge_by_modes
from bayesgmm.spacing import evenly_spaced

__all__ = ["Places", "log_evidences"]

Array = NDArray[np.float64]

_NEGLIGIBLE = 25.0  # nats below the best
_ERRORS = 5.0  # standard errors allowed besides
_LEAST_DRAWS, _MOST_DRAWS, _WORK = 80, 400, 2e9  # draws of each place, and the work of a pass over the rows for each
_MOST = 10  # places of scouts that are remembered


@dataclass(eq=False)
class Places:
    """What scouts found, weighed when it is first asked for."""

    problem: GibbsProblem
    samples: Sequence[Sample]  # of unlike places, components in one order
    states: Sequence[ChainState]
    _weighed: tuple[Array, Array] | None = field(default=None, init=False)

    def after(self, done: Sequence[ChainDraws]) -> tuple[list[int], list[ChainState], list[Sample]]:
        """After a round: the chains that are where the posterior is, states to go on from, one for each chain, and the
        draws of those scouts that found some of it. A chain that is elsewhere goes on from the best place."""
        if self._weighed is None:
            self._weighed = log_evidences(self.problem, self.samples)
        n, at_chains = len(done), log_evidences(self.problem, [c.sample for c in done])
        values, errors = (np.concatenate(pair) for pair in zip(at_chains, self._weighed, strict=True))
        matter = _that_matter(values, errors)
        states = [c.state for c in done] + list(self.states)
        best = [int(i) for i in np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable") if matter[i]]
        kept = [i for i in range(n) if matter[i]]
        lost = [i for i in range(n) if not matter[i]]
        for place, i in enumerate(lost):
            states[i] = states[best[place % len(best)]]
        known = [self.samples[i - n] for i in best if i >= n and not np.isnan(values[i])]
        return kept, states[:n], known[:_MOST]


def log_evidences(problem: GibbsProblem, samples: Sequence[Sample]) -> tuple[Array, Array]:
    """Log evidence of the modes that the draws of each sample lie in, NaN if not to be told, and its standard error."""
    structure, d = problem.structure, problem.table.n_features
    n_draws = int(np.clip(_WORK / problem.sweep_work(samples[0].means.shape[1]), _LEAST_DRAWS, _MOST_DRAWS))
    values, errors = np.full(len(samples), np.nan), np.zeros(len(samples))
    for i, sample in enumerate(samples):
        some = evenly_spaced(len(sample.weights), n_draws)
        weights, means, *matrices = (a[None, some] for a in sample)
        latent, cholesky = (np.broadcast_to(a, (*means.shape, d)) for a in matrices)
        try:
            found = bridge_by_modes(weights, means, latent, cholesky, problem.table, structure, problem.prior)
        except InputError:  # a density that is not finite
            continue
        if found is not None and np.isfinite(found.log_value + found.mcse):
            values[i], errors[i] = found.log_value, found.mcse
    return values, errors


def _that_matter(values: Array, errors: Array) -> NDArray[np.bool_]:
    """Not those that surely hold less than e^-25 of what the best holds."""
    if np.isnan(values).all():
        return np.ones(len(values), dtype=bool)
    best = int(np.nanargmax(values))
    low = values + _ERRORS * (errors + errors[best]) < values[best] - _NEGLIGIBLE
    return ~low
