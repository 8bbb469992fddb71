"""Which of the modes that pilot chains and chains found hold some of the posterior: told by their evidence.

Chains start where Laplace's approximation says that the posterior is. That is tens of nats off where components have
few rows for their many columns, so a chain can start in a mode that holds next to nothing and stay there, and a mode
that only a pilot chain from a random cut of the rows has found can hold most. A few hundred draws of each bracket its
evidence, between importance sampling of a proposal fitted to half of them and reciprocal importance sampling of the
other half (`model.proposals.bridge`), at the price of as many passes over the rows; it is asked when a first round did
not do.

The bracket, not an estimate within it: where a chain went from one mode to another, or has many parameters for its
draws, the proposal misses the draws, and an estimate is off by fifty nats and more with a standard error of one (wine,
13 columns). A place is left only if even its upper end is far below the lower end of the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.inference.gibbs.chains import ChainDraws, GibbsProblem
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.state import ChainState
from bayesgmm.model.draws import Sample
from bayesgmm.model.proposals.bridge_by_modes import bridge_by_modes

__all__ = ["Places", "bracket_evidences"]

Array = NDArray[np.float64]

_NEGLIGIBLE = 12.0  # nats from the upper end of a place to the lower end of the best
_LEAST_DRAWS, _MOST_DRAWS, _WORK = 80, 400, 2e9  # draws of each place, and the work of a pass over the rows for each
_MOST = 10  # places of pilot chains that are remembered


@dataclass(eq=False)
class Places:
    """What pilot chains found, weighed when it is first asked for."""

    problem: GibbsProblem
    samples: Sequence[Sample]  # of unlike places, components in one order
    states: Sequence[ChainState]
    _weighed: tuple[Array, Array] | None = field(default=None, init=False)

    def after(self, done: Sequence[ChainDraws]) -> tuple[list[int], list[ChainState], list[Sample]]:
        """After a round: the chains that are where the posterior is, states to go on from, one for each chain, and the
        draws of those pilot chains that found some of it. A chain that is elsewhere goes on from the best mode."""
        if self._weighed is None:
            self._weighed = bracket_evidences(self.problem, self.samples)
        n, at_chains = len(done), bracket_evidences(self.problem, [c.sample for c in done])
        low, high = (np.concatenate(pair) for pair in zip(at_chains, self._weighed, strict=True))
        matter = high >= low.max() - _NEGLIGIBLE
        states = [c.state for c in done] + list(self.states)
        best = [int(i) for i in np.argsort(-low, kind="stable") if matter[i]]
        kept = [i for i in range(n) if matter[i]]
        lost = [i for i in range(n) if not matter[i]]
        for place, i in enumerate(lost):
            states[i] = states[best[place % len(best)]]
        known = [self.samples[i - n] for i in best if i >= n and np.isfinite(low[i])]
        return kept, states[:n], known[:_MOST]


def bracket_evidences(problem: GibbsProblem, samples: Sequence[Sample]) -> tuple[Array, Array]:
    """Between what ends the log evidence lies of the modes that each sample's draws are from; infinite if unknown."""
    d = problem.table.n_features
    n_draws = int(np.clip(_WORK / problem.sweep_work(samples[0].means.shape[1]), _LEAST_DRAWS, _MOST_DRAWS))
    low, high = np.full(len(samples), -np.inf), np.full(len(samples), np.inf)
    for i, sample in enumerate(samples):
        some = evenly_spaced(len(sample.weights), n_draws)
        weights, means, *matrices = (a[None, some] for a in sample)
        latent, cholesky = (np.broadcast_to(a, (*means.shape, d)) for a in matrices)
        try:
            found = bridge_by_modes(weights, means, latent, cholesky, problem.problem)
        except InputError:  # a density that is not finite
            continue
        if found is not None:
            low[i], high[i] = sorted((found.low, found.high))  # near each other, they can cross
    return low, high
