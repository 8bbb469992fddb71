"""What a move of the Gibbs sampler is: a small interface, and the records that all moves take.

A move proposes another mixture (or allocation) in `work.new`, a copy of the state, and returns

    log q(back) - log q(there),  the number of the fitted proposal that it used,  and whether that decides,

-inf where there is no move. Unless it decides, the ratio of the posteriors is still to be added: `accept` does so, in
two stages where there are bins. A move that has already put the ratio of its own target into the first number decides.
Proposals are fixed while they are in use, so a chain keeps the posterior as its distribution (Tierney 1994).

Moves know of normal components and of no background; with others chains make sweeps alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.bins import Bins
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.rows import Rows
from bayesgmm.kernels.state import ChainState, new_copy
from bayesgmm.model.density.natural import CompletePrior, log_likelihood_of, log_posterior_of, log_prior_of
from bayesgmm.model.proposals.conjugate import Proposals
from bayesgmm.model.proposals.whole import MAX_WHOLE

__all__ = ["MANY_ROWS", "Library", "Move", "Target", "Workspace", "accept", "new_workspace"]

Array = NDArray[np.float64]

MANY_ROWS = 4000  # from which groupings are of no use, and walks are


class Target(NamedTuple):
    """The posterior that chains sample, as compiled code takes it."""

    rows: Rows
    row_weights: Array  # (N,)
    prior: CompletePrior


class Library(NamedTuple):
    """What moves propose, and how often they are tried."""

    proposals: Proposals  # mixtures fitted to the draws of each mode
    own: tuple[Any, ...]  # what each move has fitted besides, in the order of the registry
    redraws: Any  # of pairs, for walks
    bins: Bins  # a coarse table by which moves are judged first, or none
    shares: Array  # probability of each kind of move
    every: int  # sweeps from one time to the next
    tries: int  # each time
    walk_steps: int = 0


class Workspace(NamedTuple):
    """Scratch of one chain."""

    new: ChainState
    matrices: Array  # (5, D, D)
    log_norm: Array  # (H,)
    logs: Array  # (K, K)
    table: Array  # (2^K,), for permanents
    near: NDArray[np.int64]  # for each kind of move, the proposal likely to be nearest to the state


@dataclass(frozen=True)
class Move:
    """One kind of move.

    Parameters
    ----------
    words : str
        What is accepted, for the record of what was run: "components", "whole mixtures".
    propose : compiled function
        ``propose(rng, target, library, own, near, state, work)`` as above; `own` is what `fit` gave, `near[0]` is
        kept for the move between its calls.
    fit : callable
        ``fit(problem, samples, proposals)``: what the move proposes, fitted to draws of each mode, as a record of
        arrays that can be empty; None where it needs nothing but the proposals.
    none : callable
        ``none(n_components, n_features)``: the empty record.
    possible : callable
        ``possible(n_components, own)``: whether the move can be tried.
    """

    words: str
    propose: Callable[..., Any]
    fit: Callable[..., Any] | None = None
    none: Callable[[int, int], Any] = lambda n_components, n_features: np.empty(0)
    possible: Callable[[int, Any], bool] = lambda n_components, own: True


@compiled(inline="always")
def new_workspace(state, n_moves):
    """Scratch for a chain in such a state."""
    k, d = state.means.shape
    return Workspace(
        new_copy(state), np.zeros((5, d, d)), np.empty(len(state.weights)), np.empty((k, k)),
        np.empty(1 << min(k, MAX_WHOLE)), np.zeros(n_moves, dtype=np.int64),
    )  # fmt: skip


@compiled(inline="always")
def _log_posterior(rows, row_weights, prior, state, log_norm):
    return log_posterior_of(rows, row_weights, prior, state.weights, state.means, state.latent, state.scaling, log_norm)


@compiled(inline="always")
def accept(rng, target, bins, gain, log_likelihood, state, work):
    """Whether `work.new`, proposed with the log ratio `gain`, is accepted; `log_likelihood` is the state's, NaN if not
    known."""
    prior, new, log_norm = target.prior, work.new, work.log_norm
    if len(bins.weights) > 0:
        rough = _log_posterior(bins.rows, bins.weights, prior, new, log_norm)
        rough -= _log_posterior(bins.rows, bins.weights, prior, state, log_norm)
        if not math.log(rng.random()) < gain + rough:
            return False
        gain = -rough
    gain += _log_posterior(target.rows, target.row_weights, prior, new, log_norm)
    if math.isnan(log_likelihood):
        log_likelihood = log_likelihood_of(
            target.rows, target.row_weights, prior, state.weights, state.means, state.scaling, log_norm
        )
    gain -= log_prior_of(prior, state.weights, state.means, state.latent) + log_likelihood
    return math.log(rng.random()) < gain
