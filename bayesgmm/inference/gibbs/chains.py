"""Gibbs chains in parallel threads: compiled sweeps in short calls, so that progress shows and Ctrl-C is heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.inference.gibbs.bins import Bins, no_bins
from bayesgmm.inference.gibbs.moves.components import N_KINDS, SINGLE
from bayesgmm.inference.gibbs.moves.redraws import Redraws, no_redraws
from bayesgmm.inference.gibbs.moves.regrouping import Groupings, no_groupings
from bayesgmm.inference.gibbs.sweeps import KINDS, ROWS, TALLY, WALKS, Allocation, new_allocation, sweep_many
from bayesgmm.kernels.state import ChainState
from bayesgmm.model.density.natural import CompletePrior, complete_prior
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.proposals.conjugate import Proposals, no_proposals
from bayesgmm.model.proposals.joint_fit import Joint, no_joint
from bayesgmm.model.proposals.whole import MAX_WHOLE
from bayesgmm.model.structure import Structure
from bayesgmm.progress import out_of_time

__all__ = [
    "JUMP_EVERY",
    "WALK_EVERY",
    "ChainDraws",
    "GibbsProblem",
    "Jumps",
    "Sweeps",
    "run_chains",
    "start_state",
    "sweep_work",
]

Array = NDArray[np.float64]

# Work is counted in multiply-adds, of which a core makes some 5e9 a second. One compiled call: a tenth of a second.
_WORK_A_CALL = 5e8
JUMP_EVERY = 2  # sweeps, after the first round
WALK_EVERY = 2  # jumps
_ACCEPTED = 1e-3  # share of jumps below which their kind is tried seldom
_RAREST = 0.15  # times as often as the others


def sweep_work(table: Table, structure: Structure, n_components: int) -> float:
    """Multiply-adds of one sweep, roughly: those of the rows, and of what is done once for each component."""
    n, d = table.n_rows, table.n_features
    return n_components * (n * structure.row_work(d) + 8.0 * d**3 + 25_000.0)


@dataclass(frozen=True, eq=False)
class GibbsProblem:
    """What every chain shares."""

    table: Table
    structure: Structure
    prior: ResolvedPrior
    packed: CompletePrior
    features: Array  # (D, N)
    fractional: bool

    @classmethod
    def build(cls, table: Table, structure: Structure, prior: ResolvedPrior) -> GibbsProblem:
        fractional = bool((table.weights != np.floor(table.weights)).any())
        features = np.ascontiguousarray(table.standardized.T)
        return cls(table, structure, prior, complete_prior(prior, structure), features, fractional)

    def sweep_work(self, n_components: int) -> float:
        """Multiply-adds of one sweep, roughly."""
        return sweep_work(self.table, self.structure, n_components)


@dataclass(frozen=True, eq=False)
class ChainDraws:
    """The draws of one chain and the state it ended in."""

    sample: Sample
    state: ChainState
    tally: Array  # (TALLY,) see `sweep_many`
    used: NDArray[np.int64]  # (M,) jumps made by each proposal


def start_state(problem: GibbsProblem, start: MixtureParams) -> ChainState:
    """The state of a chain at a mixture on the model's scale."""
    k, d = start.means.shape
    floor = problem.packed.floor
    latent = latent_cholesky(start.covariances[: problem.structure.n_matrices(k)], floor)
    cholesky = np.linalg.cholesky(latent @ latent.mT + np.diag(floor))
    scaling = np.broadcast_to(inverse_cholesky(cholesky), (k, d, d))
    weights = np.maximum(start.weights, 1e-12)
    state = (weights / weights.sum(), start.means, latent, cholesky, scaling)
    return ChainState(*(np.array(a, dtype=float, order="C") for a in state))


@dataclass(frozen=True, eq=False)
class Jumps:
    """What jumps propose, and the probability of each kind, in the order of `inference.gibbs.moves.components`."""

    proposals: Proposals
    joint: Joint
    groupings: Groupings
    redraws: Redraws
    shares: Array  # (N_KINDS,)
    bins: Bins
    every: int = JUMP_EVERY  # sweeps
    tries: int = 1  # each time
    walk_steps: int = 0

    @classmethod
    def none(cls, n_components: int, n_features: int) -> Jumps:
        k, d = n_components, n_features
        return cls(no_proposals(k, d), no_joint(k, d), no_groupings(k), no_redraws(), np.eye(N_KINDS)[SINGLE],
                   no_bins(d))  # fmt: skip

    @classmethod
    def after(
        cls, proposals: Proposals, joint: Joint, groupings: Groupings, redraws: Redraws, done: Sequence[ChainDraws]
    ) -> Jumps:
        """Kinds that were accepted in the chains so far alike often, others seldom; all alike before there are any.

        Not by how often: most accepted changes of one component are small ones.
        """
        tally = np.sum([c.tally for c in done], axis=0) if done else np.zeros(TALLY)
        k = proposals.alpha.shape[1]
        possible = np.array([True, *(k <= MAX_WHOLE and n > 0 for n in (1, len(joint.part), len(groupings.r)))])
        tried, made = tally[KINDS:ROWS:2], tally[KINDS + 1 : ROWS : 2]
        accepted = (made + 1.0) / (tried + 2.0) > _ACCEPTED
        shares = np.where(possible, np.where(accepted, 1.0, _RAREST), 0.0)
        return cls(proposals, joint, groupings, redraws, shares / shares.sum(), no_bins(proposals.loc.shape[2]))


@dataclass(frozen=True, eq=False)
class Sweeps:
    """What a chain does from one step to the next: a sweep of the posterior, and a jump now and then.

    `refresh` is the share of the rows behind a covariance that a proposal replaces.
    """

    problem: GibbsProblem
    refresh: float
    jumps: Jumps

    def advance(self, rng: np.random.Generator, first: int, thin: int, state: ChainState, allocation: Allocation,
                out: Sequence[Array], tally: Array, used: NDArray[np.int64]) -> None:  # fmt: skip
        """`thin` steps for each of the draws that `out` holds, after `first` steps; as `sweep_many`."""
        p, jumps = self.problem, self.jumps
        if jumps.walk_steps and len(state.weights) > 1:
            self._advance_walking(rng, thin, state, allocation, out, tally, used)
            return
        sweep_many(rng, first, thin, p.features, p.table.weights, jumps.bins, p.packed, self.refresh, state,
                   allocation, jumps.proposals, jumps.joint, jumps.groupings, jumps.every, jumps.tries,
                   jumps.shares, *out, tally, used)  # fmt: skip

    def _advance_walking(
        self, rng: np.random.Generator, thin: int, state: ChainState, allocation: Allocation, out: Sequence[Array],
        tally: Array, used: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """A walk before every few sweeps: compiled apart, since most tables are too short to need it."""
        from bayesgmm.inference.gibbs.moves.walks import walk

        p, jumps, every = self.problem, self.jumps, WALK_EVERY * self.jumps.every
        d, n = p.features.shape
        scratch = (
            ChainState(*(a.copy() for a in state)), np.zeros((5, d, d)), np.zeros((4, d + 1, d + 1)),
            np.empty(len(state.weights)), np.empty(n), np.empty(n),
        )  # fmt: skip
        for s in range(len(out[0])):
            for begun in range(0, thin, every):
                walk(rng, p.features, p.table.weights, jumps.bins, p.packed, jumps.redraws, jumps.walk_steps, state,
                     *scratch, tally[WALKS:])  # fmt: skip
                allocation.component[:] = -1
                sweep_many(
                    rng, 0, min(every, thin - begun), p.features, p.table.weights, jumps.bins, p.packed, self.refresh,
                    state, allocation, jumps.proposals, jumps.joint, jumps.groupings, jumps.every, jumps.tries,
                    jumps.shares, *(o[s : s + 1] for o in out), tally, used,
                )  # fmt: skip


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
    k, d = starts[0].means.shape
    work = problem.sweep_work(k) * thin
    step = int(np.clip(_WORK_A_CALL // work, 1, draws))
    stop = threading.Event()
    made = np.zeros(len(starts), dtype=int)

    def chain(i: int) -> ChainDraws:
        rng = np.random.default_rng(seeds[i])
        state = ChainState(*(a.copy() for a in starts[i]))
        out = [np.empty((draws, *a.shape)) for a in state[:4]]
        allocation = new_allocation(k, d, problem.table.n_rows, problem.fractional)
        tally = np.zeros(TALLY)
        used = np.zeros(len(sweeps.jumps.proposals.alpha), dtype=np.int64)
        for first in range(0, draws, step):
            if stop.is_set():
                break
            part = slice(first, min(first + step, draws))
            sweeps.advance(rng, first * thin, thin, state, allocation, [o[part] for o in out], tally, used)
            made[i] = part.stop
            report(i, part.stop, 0)
        return ChainDraws(Sample(*out), state, tally, used)

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
