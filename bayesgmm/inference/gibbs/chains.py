"""Gibbs chains in parallel threads: compiled sweeps in short calls, so that progress shows and Ctrl-C is heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.em.fill import filled
from bayesgmm.inference.gibbs.bins import no_bins
from bayesgmm.inference.gibbs.moves.move import Library, Target
from bayesgmm.inference.gibbs.moves.redraws import no_redraws
from bayesgmm.inference.gibbs.moves.registry import MOVES
from bayesgmm.inference.gibbs.sweeps import TALLY, WALKS, sweep_many
from bayesgmm.kernels.allocation import Allocation, new_allocation
from bayesgmm.kernels.state import ChainState
from bayesgmm.model.density.natural import CompletePrior, complete_prior
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.conjugate import no_proposals
from bayesgmm.model.structure import Structure
from bayesgmm.model.table_rows import table_rows
from bayesgmm.progress import out_of_time

__all__ = [
    "JUMP_EVERY",
    "WALK_EVERY",
    "ChainDraws",
    "GibbsProblem",
    "Sweeps",
    "no_library",
    "run_chains",
    "start_state",
    "sweep_work",
]

Array = NDArray[np.float64]

# Work is counted in multiply-adds, of which a core makes some 5e9 a second. One compiled call: a tenth of a second.
_WORK_A_CALL = 5e8
JUMP_EVERY = 2  # sweeps, after the first round
WALK_EVERY = 2  # moves between modes


def sweep_work(table: Table, structure: Structure, n_components: int) -> float:
    """Multiply-adds of one sweep, roughly: those of the rows, and of what is done once for each component."""
    n, d = table.n_rows, table.n_features
    n_df = structure.n_df(n_components)
    passes = 1.0 + (1.0 + 1.5 * (n_df + 1.0) if n_df else 0.0)  # tails, and one for each of the degrees of freedom
    return n_components * (passes * n * structure.row_work(d) + 8.0 * d**3 + 25_000.0)


@dataclass(frozen=True, eq=False)
class GibbsProblem:
    """What every chain shares; `fractional` if some row weight is not whole."""

    problem: Problem
    target: Target
    fractional: bool

    @classmethod
    def build(cls, problem: Problem) -> GibbsProblem:
        table, structure, prior = problem
        fractional = bool((table.weights != np.floor(table.weights)).any())
        target = Target(table_rows(table), table.weights, complete_prior(prior, structure))
        return cls(problem, target, fractional)

    @property
    def table(self) -> Table:
        return self.problem.table

    @property
    def structure(self) -> Structure:
        return self.problem.structure

    @property
    def prior(self) -> ResolvedPrior:
        return self.problem.prior

    @property
    def packed(self) -> CompletePrior:
        """The prior, as compiled code takes it."""
        return self.target.prior

    @cached_property
    def filled(self) -> Array:
        """(N, D) standardised rows, missing cells filled in: what is cut to find starts."""
        return filled(self.table.standardized, self.table.weights)

    def new_allocation(self, n_components: int) -> Allocation:
        """Storage for the allocation of a chain."""
        structure, table = self.structure, self.table
        n_counts = structure.n_classes(n_components) + (n_components if structure.component != "normal" else 0)
        return new_allocation(n_components, table.n_features, table.n_rows, self.fractional, n_counts)

    def sweep_work(self, n_components: int) -> float:
        """Multiply-adds of one sweep, roughly."""
        return sweep_work(self.table, self.structure, n_components)


@dataclass(frozen=True, eq=False)
class ChainDraws:
    """The draws of one chain and the state it ended in."""

    sample: Sample
    state: ChainState
    tally: Array  # (TALLY,) see `sweep_many`
    used: NDArray[np.int64]  # (M,) moves made by each proposal


def start_state(problem: GibbsProblem, start: MixtureParams) -> ChainState:
    """The state of a chain at a mixture on the model's scale."""
    k, d = start.means.shape
    floor = problem.packed.floor
    latent = latent_cholesky(start.covariances[: problem.structure.n_matrices(k)], floor)
    cholesky = np.linalg.cholesky(latent @ latent.mT + np.diag(floor))
    scaling = np.broadcast_to(inverse_cholesky(cholesky), (k, d, d))
    classes = problem.structure.n_classes(k)
    weights, df = np.maximum(start.head[:classes], 1e-12), start.head[classes:]
    state = (np.append(weights / weights.sum(), df), start.means, latent, cholesky, scaling)
    return ChainState(*(np.array(a, dtype=float, order="C") for a in state))


def no_library(n_components: int, n_features: int) -> Library:
    """Nothing is proposed: sweeps alone."""
    k, d = n_components, n_features
    own = tuple(move.none(k, d) for move in MOVES)
    return Library(no_proposals(k, d), own, no_redraws(), no_bins(d), np.eye(len(MOVES))[0], JUMP_EVERY, 1)


@dataclass(frozen=True, eq=False)
class Sweeps:
    """What a chain does from one step to the next: a sweep of the posterior, and a move now and then.

    `refresh` is the share of the rows behind a covariance that a proposal replaces.
    """

    problem: GibbsProblem
    refresh: float
    library: Library

    def advance(self, rng: np.random.Generator, first: int, thin: int, state: ChainState, allocation: Allocation,
                out: Sample, tally: Array, used: NDArray[np.int64]) -> None:  # fmt: skip
        """`thin` steps for each of the draws that `out` holds, after `first` steps; as `sweep_many`."""
        target, library = self.problem.target, self.library
        if not library.walk_steps or len(state.weights) == 1:
            sweep_many(rng, first, thin, target, library, self.refresh, state, allocation, out, tally, used)
            return
        # A walk before every few sweeps: compiled apart, since most tables are too short to need it.
        from bayesgmm.inference.gibbs.moves.walks import new_walk_space, walk

        every, space = WALK_EVERY * library.every, new_walk_space(state, len(target.row_weights))
        for s in range(len(out.weights)):
            for begun in range(0, thin, every):
                walk(rng, target, library, state, space, tally[WALKS:])
                allocation.component[:] = -1
                sweep_many(rng, 0, min(every, thin - begun), target, library, self.refresh, state, allocation,
                           Sample(*(o[s : s + 1] for o in out)), tally, used)  # fmt: skip


def run_chains(
    sweeps: Sweeps,
    starts: Sequence[ChainState],
    seeds: Sequence[np.random.SeedSequence],
    *,
    draws: int,
    thin: int,
    cores: int,
    report: Callable[[int, int, int], None] = lambda chain, finished, divergences: None,
) -> tuple[list[ChainDraws], bool]:
    """One chain from each start, `thin` steps a draw; and whether the run was interrupted.

    An interrupted run gives the draws that every chain has made. The starts are not changed.
    """
    problem = sweeps.problem
    k = len(starts[0].means)
    work = problem.sweep_work(k) * thin
    step = int(np.clip(_WORK_A_CALL // work, 1, draws))
    stop = threading.Event()
    made = np.zeros(len(starts), dtype=int)

    def chain(i: int) -> ChainDraws:
        rng = np.random.default_rng(seeds[i])
        state = ChainState(*(a.copy() for a in starts[i]))
        out = Sample(*(np.empty((draws, *a.shape)) for a in state[:4]))
        allocation = problem.new_allocation(k)
        tally = np.zeros(TALLY)
        used = np.zeros(len(sweeps.library.proposals.alpha), dtype=np.int64)
        for first in range(0, draws, step):
            if stop.is_set():
                break
            part = slice(first, min(first + step, draws))
            sweeps.advance(rng, first * thin, thin, state, allocation, Sample(*(o[part] for o in out)), tally, used)
            made[i] = part.stop
            report(i, part.stop, 0)
        return ChainDraws(out, state, tally, used)

    pool = ThreadPoolExecutor(min(cores, len(starts)))
    try:
        futures = [pool.submit(chain, i) for i in range(len(starts))]
        while wait(futures, timeout=0.2).not_done:
            if out_of_time():
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        stop.set()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    interrupted = stop.is_set()
    done = [f.result() for f in futures if not f.cancelled()]
    length = int(made[: len(done)].min()) if interrupted else draws
    if length < draws:
        done = [ChainDraws(Sample(*(a[:length] for a in c.sample)), c.state, c.tally, c.used) for c in done]
    return done, interrupted
