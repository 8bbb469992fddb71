"""Many starts, short runs, long runs: the search for the best maximum of the likelihood that is not a spike.

emEM (Biernacki, Celeux and Govaert 2003): a start is the best of a few short runs of EM, continued to
convergence. The first starts cut the rows in groups; the others split and merge components of the best mixture
so far, which reaches optima that few cuts lead to. A run that ends in a spike is re-seeded: its spikes are
dropped, other components split, and EM runs again; what is a spike once more has collapsed.

With many rows all of that happens on a random sample of them, and the best distinct outcomes are continued
on all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.em_problem import Problem
from bayesgmm.em_steps import Run
from bayesgmm.spikes import WIDE_ENOUGH
from bayesgmm.starts import CUTS, from_labels, split_and_merge
from bayesgmm.triangular import State

__all__ = ["Start", "search"]

_SHARE_OF_CUTS = 0.4
_SHORT, _KEEP, _GROW = 5, 3, 2
_POP = 0.0
# k-means first, for those who ask for one start; Ward's clusters are (nearly) the same every time.
_TURN = ("k-means", "hierarchical", "random points", "k-means++", "k-means", "random points", "k-means++")
# Work (rows x components x cells) that the short runs of one start may take for each iteration.
_SHORT_RUN_WORK = 4e6
_MOST_SHORT_RUNS = 27
_RESEEDS = 2
_PILOT_ROWS = 2000
_PILOT_ROWS_PER_PARAMETER = 20
# Distinct outcomes of the pilot that get a look at all rows, and those that get a long run.
_SECOND_LOOKS, _LONG_RUNS = 4, 2
_SAME_OPTIMUM = 0.05


@dataclass(frozen=True, eq=False)
class Start:
    """One start, and where it ended.

    Parameters
    ----------
    method : str
    run : Run
        Of all rows, or of the sample if `finished` is False.
    n_iter : int
        Iterations of all its runs.
    collapsed : bool
        It ended in a spike.
    finished : bool
        It had its long run on all rows.
    leader : int
        Index of the start whose long run stands for this one, itself if there is none better.
    """

    method: str
    run: Run
    n_iter: int
    collapsed: bool
    finished: bool
    leader: int


def search(problem: Problem, n_init: int, rng: np.random.Generator) -> list[Start]:
    """Run `n_init` starts; if all collapse, add some whose covariances are kept from shrinking."""
    if problem.n_components == 1:
        return [_only_start(problem)]
    rows = _pilot_rows(problem)
    pilot = problem if 2 * rows > len(problem.row_weights) else problem.sample(rows, rng)
    starts = explore(pilot, n_init, rng)
    if pilot is not problem:
        starts = _continue(problem, starts)
    if all(start.collapsed for start in starts):
        starts += [_regularised(problem, pilot, rng, len(starts) + i) for i in range(min(n_init, 5))]
    return starts


def explore(problem: Problem, n_init: int, rng: np.random.Generator) -> list[Start]:
    """Every start to convergence on the rows of `problem`."""
    starts: list[Start] = []
    best: Run | None = None
    n_cuts = math.ceil(_SHARE_OF_CUTS * n_init)
    n_tries = _short_runs(problem)
    for i in range(n_init):
        if i >= n_cuts and best is not None:
            method = "split and merge"
            states = [
                split_and_merge(pick(starts, best, rng).state, rng, problem.structure, problem.floor) for _ in range(n_tries)
            ]
        else:
            # Random points are what best avoids a spike that attracts every other method.
            method = _TURN[i % len(_TURN)] if i < 4 or best is not None else "random points"
            few = method == "hierarchical" or best is None or i % 2 == 0
            states = [_cut(problem, method, rng) for _ in range(1 if few else max(1, n_tries // 2))]
        start = _run_start(problem, method, states, rng, i)
        starts.append(start)
        if not start.collapsed and (best is None or start.run.log_likelihood > best.log_likelihood):
            best = start.run
    return starts


def pick(starts, best, rng):
    if rng.random() >= _POP: return best
    good = [s.run for s in starts if not s.collapsed]
    ll = np.array([g.log_likelihood for g in good]); ll = ll - ll.max()
    p = np.exp(ll / 5.0); p /= p.sum()
    return good[rng.choice(len(good), p=p)]


def _run_start(
    problem: Problem, method: str, states: Sequence[State], rng: np.random.Generator, index: int
) -> Start:
    passes = 0
    iters = _SHORT
    states = list(states)
    while True:
        short = [problem.short_run(state, iters) for state in states]
        passes += sum(run.n_passes for run in short)
        short.sort(key=lambda run: (len(problem.spikes(run)) == 0, run.log_likelihood), reverse=True)
        states = [run.state for run in short[: max(1, len(short) // _KEEP)]]
        if len(short) <= _KEEP: break
        iters = int(iters * _GROW)
    run = problem.long_run(states[0])
    passes += run.n_passes
    for _ in range(_RESEEDS):
        spikes = problem.spikes(run)
        if len(spikes) == 0:
            break
        fresh = split_and_merge(run.state, rng, problem.structure, problem.floor, drop=spikes)
        run = problem.long_run(fresh)
        passes += run.n_passes
    return Start(method, run, passes, len(problem.spikes(run)) > 0, True, index)


def _cut(problem: Problem, method: str, rng: np.random.Generator) -> State:
    points = problem.points[int(rng.random() < 0.3)]
    labels = CUTS[method](points, problem.row_weights, problem.n_components, rng)
    return from_labels(
        problem.features, problem.row_weights, labels, problem.n_components, problem.structure, problem.floor
    )


def _short_runs(problem: Problem) -> int:
    n_features, n_rows = problem.features.shape
    work = n_rows * problem.n_components * n_features * (n_features + 3)
    return int(np.clip(_SHORT_RUN_WORK / work, 1, _MOST_SHORT_RUNS))


def _pilot_rows(problem: Problem) -> int:
    n_parameters = problem.structure.n_parameters(problem.n_components, len(problem.features))
    return max(_PILOT_ROWS, _PILOT_ROWS_PER_PARAMETER * n_parameters)


def _continue(problem: Problem, starts: list[Start]) -> list[Start]:
    """Carry the best distinct outcomes of a pilot over to all rows."""
    order = sorted(range(len(starts)), key=lambda i: (starts[i].collapsed, -starts[i].run.log_likelihood))
    leaders: list[int] = []
    leader_of: dict[int, int] = {}
    for i in order:
        value = starts[i].run.log_likelihood
        same = [j for j in leaders if abs(starts[j].run.log_likelihood - value) < _SAME_OPTIMUM]
        if not same:
            leaders.append(i)
        leader_of[i] = same[0] if same else i
    looks = {}
    for rank, i in enumerate(leaders):
        looks[i] = problem.short_run(starts[i].run.state, 5 if rank < _SECOND_LOOKS else 1)
    out = {}
    finished = 0
    for i in sorted(leaders, key=lambda i: (starts[i].collapsed, -looks[i].log_likelihood)):
        run, passes = looks[i], starts[i].n_iter + looks[i].n_passes
        long = finished < _LONG_RUNS and not starts[i].collapsed
        if long:
            run = problem.long_run(looks[i].state)
            passes += run.n_passes
        collapsed = starts[i].collapsed or len(problem.spikes(run)) > 0
        finished += long and not collapsed
        out[i] = Start(starts[i].method, run, passes, collapsed, long, i)
    for i, start in enumerate(starts):
        leader = out[leader_of[i]]
        if leader_of[i] != i:
            out[i] = replace(start, run=leader.run, collapsed=leader.collapsed, finished=False, leader=leader_of[i])
    return [out[i] for i in range(len(starts))]


def _regularised(problem: Problem, pilot: Problem, rng: np.random.Generator, index: int) -> Start:
    """A start that cannot collapse, for it may not be narrower than the widest spike."""
    run = problem.long_run(_cut(pilot, "k-means", rng), floor=WIDE_ENOUGH**2)
    return Start("regularised", run, run.n_passes, False, True, index)


def _only_start(problem: Problem) -> Start:
    """One component: the closed form, which one M-step from anywhere gives."""
    d = len(problem.features)
    total = State(np.ones(1), np.zeros((1, d)), np.eye(d)[None].copy(), np.eye(d)[None].copy())
    return Start("closed form", problem.long_run(total), 1, False, True, 0)
