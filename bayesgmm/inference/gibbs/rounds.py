"""Gibbs chains in rounds, each longer than the last and with moves between modes fitted to the draws before it, until
one passes.

Within a round proposals are fixed. A round whose chains agree, and that is merely short, is kept: the next one goes on
from it, with better proposals, and the draws of both count. Otherwise only the last round is kept. A chain found where
the posterior is not starts the next round where another one is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.chains import ChainDraws, GibbsProblem, Sweeps, no_library, run_chains
from bayesgmm.inference.gibbs.library import fit_library, relative_work, samples_by_mode
from bayesgmm.inference.gibbs.restarts import Places
from bayesgmm.inference.judging import Judge
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.state import ChainState
from bayesgmm.model.draws import Draws, Sample
from bayesgmm.progress import out_of_time, sampling_progress

__all__ = ["Round", "choose_refresh", "sample_in_rounds"]

Array = NDArray[np.float64]

_LONGEST_STEP = 4.0  # times, from one round to the next
_SHORTEST_STEP = 1.5
# Where a long round is gone on from, less than is asked for: what is too short then is gone on from once more. Long, in
# multiply-adds: some five seconds on two cores, beside which judging costs little.
_LONG, _LESS, _SHORTEST_STEP_ON = 5e10, 0.85, 1.25
_CHEAP = 3.0  # times as long, up to which a round that would do roughly is rather gone on from
_HOPE = 3.0  # times as much as is allowed: proposals get better, and rounds count together
_MODES = 10  # groups of draws that proposals are fitted to
_MAX_PROPOSALS = 32
_USEFUL = 3  # moves that an older proposal must have made to be kept
_REFRESH = (1.0, 0.25, 0.1, 0.04, 0.015)
_TRIAL = 60  # sweeps
_ACCEPTED = 0.2


@dataclass(frozen=True, eq=False)
class Round:
    """One round of chains."""

    chains: list[ChainDraws]
    thin: int  # steps a draw
    number: int
    interrupted: bool
    restarted: int = 0  # chains, after rounds before this one


def choose_refresh(problem: GibbsProblem, start: ChainState, seed: np.random.SeedSequence) -> float:
    """The largest share of a covariance's rows to replace at a time that is accepted often enough, by short trials."""
    if not problem.packed.correlated:
        return 1.0
    none = no_library(*start.means.shape)
    for share in _REFRESH:
        (trial,), _ = run_chains(Sweeps(problem, share, none), [start], [seed], draws=_TRIAL, thin=1, cores=1)
        if trial.tally[1] > _ACCEPTED * trial.tally[0]:
            break
    return share


def sample_in_rounds(
    sweeps: Sweeps, states: Sequence[ChainState], samples: Sequence[Sample], root: np.random.SeedSequence, *,
    collect: Callable[[Round], Draws], judge: Judge, draws: int, cores: int, max_work: float,
    least_work: float = 0.0, rough: bool = False, progressbar: bool, name: str,
    places: Places | None = None,
) -> Draws:  # fmt: skip
    """Rounds of chains from `states` until `judge` is content with what `collect` makes of one.

    Parameters
    ----------
    sweeps : Sweeps
        What chains do; their library is replaced by ones fitted to `samples`, and then to draws.
    samples : sequence of Sample
        Draws of each mode that is known.
    least_work, max_work : float
        Work of the first round and of the longest, in multiply-adds; one step a draw is made whatever it costs.
    rough : bool
        A round whose chains agree roughly does, unless little more would pass.
    places : Places, optional
        What pilot chains found: asked which chains are where the posterior is, when they disagree or two rounds did not
        do.
    """
    k, chains, problem = states[0].means.shape[0], len(states), sweeps.problem
    jumps = k > 1 and problem.structure.is_normal
    work = draws * chains * problem.sweep_work(k)  # of a round with one step a draw
    first = int(min(least_work, max_work) / work) if k > 1 else 1
    thin, number, restarted, done = max(1, first), 1, 0, list[ChainDraws]()
    known, before, before_thin = list[Sample](), list[ChainDraws](), 0
    earlier: tuple[int, Any] = (0, None)  # steps of the round before, and its draws
    while True:
        if jumps:
            sweeps = replace(sweeps, library=fit_library(problem, samples, done, number))
        label = f"{name}, {thin} sweeps per draw"
        with sampling_progress(progressbar, chains, draws, label) as report:
            done, interrupted = run_chains(
                sweeps, states, root.spawn(chains), draws=draws, thin=thin, cores=cores, report=report
            )
        if before and not interrupted:
            done, thin = _together(before, done, before_thin, thin), before_thin + thin
        made = thin * len(done[0].sample.weights)
        if interrupted and made < earlier[0]:  # less than the round before
            return replace(earlier[1], partial=True)
        result = collect(Round(done, thin, number, interrupted, restarted))
        judgement = judge(result)
        enough = rough and judgement.shortfall > _CHEAP and judgement.rough
        if interrupted or judgement.ok or enough or out_of_time():
            return result
        earlier = made, result
        goes_on = 0.0 if math.isinf(judgement.shortfall) else 1.0
        one = work * relative_work(problem, k, number + 1, len(sweeps.library.bins.weights))
        allowed = goes_on + max_work / (thin * one)
        last = allowed < goes_on + _LONGEST_STEP  # a long round, made only if there is hope
        if allowed < _SHORTEST_STEP or (last and judgement.shortfall > _HOPE * allowed):
            return result
        kept, states = list(range(chains)), [c.state for c in done]
        if places is not None and jumps and (number > 1 or math.isinf(judgement.shortfall)):
            kept, states, known = places.after(done)
            restarted += chains - len(kept)
            if len(kept) < chains:
                goes_on, allowed = 0.0, allowed - goes_on
        if jumps:
            samples = _renewed(problem, samples, [done[i] for i in kept], known)
        less, shortest = 1.0, _SHORTEST_STEP
        if goes_on and thin * one > _LONG:
            less, shortest = _LESS, _SHORTEST_STEP_ON
        wanted = float(np.clip(less * judgement.shortfall, shortest, _LONGEST_STEP))
        before, before_thin = (done, thin) if goes_on else ([], 0)
        thin, number = max(1, math.ceil(thin * (min(wanted, allowed) - goes_on))), number + 1


def _together(
    before: Sequence[ChainDraws], done: Sequence[ChainDraws], before_thin: int, thin: int
) -> list[ChainDraws]:  # fmt: skip
    """Chains that went on: as many draws as one of the two has, of each as many as it has sweeps."""
    n = len(done[0].sample.weights)
    n_before = round(n * before_thin / (before_thin + thin))
    first, second = (evenly_spaced(n, m) for m in (n_before, n - n_before))
    return [
        ChainDraws(
            Sample(*(np.concatenate([x[first], y[second]]) for x, y in zip(a.sample, b.sample, strict=True))),
            b.state, a.tally + b.tally, b.used,
        )
        for a, b in zip(before, done, strict=True)
    ]  # fmt: skip


def _renewed(
    problem: GibbsProblem, samples: Sequence[Sample], done: Sequence[ChainDraws], known: Sequence[Sample]
) -> list[Sample]:  # fmt: skip
    """The draws of the last round, by mode, those `known`, and older ones that were of use; if too few, the old."""
    used = np.sum([c.used for c in done], axis=0) if done else np.zeros(len(samples))
    known_too = {id(sample) for sample in known}
    older = [
        samples[i] for i in np.argsort(-used, kind="stable") if used[i] >= _USEFUL and id(samples[i]) not in known_too
    ]
    fresh = [*(samples_by_mode(problem, done, _MODES) if done else []), *known]
    return fresh + older[: max(0, _MAX_PROPOSALS - len(fresh))] or list(samples)
