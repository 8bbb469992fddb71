"""Many starts, short runs, long runs: the search for the best maximum of the likelihood that is not a spike.

emEM (Biernacki, Celeux and Govaert 2003): a start is the best of a few short runs of EM, continued to
convergence. The first starts cut the rows in groups; the others split and merge components of the best mixture
so far, which reaches optima that few cuts lead to. A run that ends in a spike is re-seeded: its spikes are
dropped, other components split, and EM runs again; what is a spike after two such repairs has collapsed.

With many rows all of that happens on a random sample of them, and the best distinct outcomes are continued
on all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.em.far_rows import SHARES
from bayesgmm.em.problem import EMProblem
from bayesgmm.em.spikes import WIDE_ENOUGH
from bayesgmm.em.starts import CUTS, from_labels, like_known, split_and_merge
from bayesgmm.em.state import State
from bayesgmm.em.steps import Run, is_hopeless

__all__ = ["MOST_SHORT_RUNS", "Start", "other_optima", "search"]

_SHARE_OF_CUTS = 0.3
# k-means first, for those who ask for one start; Ward's clusters are (nearly) the same every time.
_TURN = ("k-means", "hierarchical", "random points", "k-means++", "k-means", "random points", "k-means++")
# Short runs of one start: the first are this long; the best third goes on, twice as long, until one is left.
_SHORT_RUN, _ONE_IN, _LONGER = 10, 3, 2
MOST_SHORT_RUNS = 45
# Work (rows x components x cells of a covariance) of one iteration of all short runs of a start.
_SHORT_RUN_WORK = 4e6
_RESEEDS = 2
# A pilot is taken of tables with this many rows; the largest of the other three is its size.
_PILOT_FROM, _PILOT_ROWS, _PILOT_ROWS_PER_COMPONENT, _PILOT_ONE_ROW_IN = 8000, 1000, 100, 20
# Outcomes of the pilot this close in log-likelihood and in sorted weights count as one.
_SAME_OPTIMUM, _SAME_WEIGHT = 1.5, 0.05
# Single runs that look for other optima than the best, on up to so much work an iteration.
_SINGLE_RUNS, _SINGLE_RUN_WORK, _OTHERS = 12, 4e6, 4
# Distinct ones that get a look at all rows, its iterations, and how many get a long run.
_SECOND_LOOKS, _LOOK, _LONG_RUNS = 3, 2, 2
_PLAUSIBLE = 2.0


@dataclass(frozen=True, eq=False)
class Start:
    """One start, and where it ended.

    Parameters
    ----------
    method : str
    run : Run
        Of all rows, or of a sample of them.
    n_iter : int
        Iterations of all its runs.
    status : str
        "converged" or "max_iter"; "collapsed" in a spike; "abandoned" when far behind the best; "short run" when it
        had no long run on all rows.
    leader : int
        Index of the start whose run on all rows stands for this one; its own unless both ended in the same place.
    """

    method: str
    run: Run
    n_iter: int
    status: str
    leader: int

    @property
    def rank(self) -> tuple[int, float]:
        """The larger the better: a finished run before an unfinished one before a spike, then the log-likelihood."""
        order = {"collapsed": 0, "abandoned": 1, "short run": 1}
        return order.get(self.status, 2), self.run.log_likelihood


def search(problem: EMProblem, n_init: int, rng: np.random.Generator, short_runs: int = MOST_SHORT_RUNS) -> list[Start]:
    """Run `n_init` starts, each the best of at most `short_runs`.

    If all collapse, some are added whose covariances are kept from shrinking.
    """
    if problem.n_components == 1 and problem.structure.is_normal:
        return [_only_start(problem)]
    rows = _pilot_rows(problem)
    pilot = problem if len(problem.row_weights) < max(_PILOT_FROM, 2 * rows) else problem.sample(rows, rng)
    starts = _explore(pilot, n_init, _n_tries(problem, short_runs) if pilot is problem else 1, rng)
    if pilot is not problem and _all_collapsed(starts):
        pilot = problem
        starts = _explore(problem, n_init, 1, rng)
    if pilot is not problem:
        starts = _continue(problem, pilot, starts)
    if _all_collapsed(starts):
        starts += [_regularised(problem, pilot, rng, len(starts) + i) for i in range(min(n_init, 5))]
    return starts


def _explore(problem: EMProblem, n_init: int, n_tries: int, rng: np.random.Generator) -> list[Start]:
    """Every start to convergence on the rows of `problem`; at most `n_tries` short runs each."""
    starts: list[Start] = []
    best: Run | None = None
    n_cuts = math.ceil(_SHARE_OF_CUTS * n_init)
    for i in range(n_init):
        if i >= n_cuts and best is not None:
            method = "split and merge"
            floor, structure = problem.floor, problem.structure
            states = [split_and_merge(best.state, rng, structure, floor) for _ in range(n_tries)]
        else:
            # Random points lead past spikes that attract every other method.
            method = _TURN[i % len(_TURN)] if i < 4 or best is not None else "random points"
            # One try now and then, for the best of several is more often on its way to a spike.
            single = method == "hierarchical" or best is None or i % 2 == 0
            tries = 1 if single else math.ceil(n_tries / 2)
            states = [_cut(problem, method, rng, SHARES[(i + j) % len(SHARES)]) for j in range(tries)]
        target = -math.inf if best is None else best.log_likelihood
        start = _run_start(problem, method, states, rng, i, target)
        starts.append(start)
        if start.status != "collapsed" and (best is None or start.run.log_likelihood > best.log_likelihood):
            best = start.run
    return starts


def other_optima(problem: EMProblem, rng: np.random.Generator) -> list[Start]:
    """Runs from single cuts, none chosen over another: optima that a search for the best passes by.

    A posterior may hold most of its mass around one of them. Tables of so many rows that a run takes long get none:
    there the best optimum has the posterior to itself.
    """
    n_features, n_rows = problem.features.shape
    if problem.n_components == 1 or n_rows * problem.n_components * n_features * (n_features + 3) > _SINGLE_RUN_WORK:
        return []
    out = []
    for i in range(_SINGLE_RUNS):
        method = ("k-means++", "random points")[i % 2]
        run = problem.long_run(_cut(problem, method, rng, SHARES[i % len(SHARES)]))
        out.append(Start(method, run, run.n_passes, _status(problem, run), i))
    distinct = sorted(set(_leaders(out)), key=lambda i: out[i].rank, reverse=True)
    return [out[i] for i in distinct[:_OTHERS]]


def _run_start(
    problem: EMProblem, method: str, states: list[State], rng: np.random.Generator, index: int, target: float
) -> Start:
    n_iter, length = 0, _SHORT_RUN
    while True:
        short = [problem.short_run(state, length, target) for state in states]
        n_iter += sum(run.n_passes for run in short)
        short.sort(key=lambda run: (len(problem.spikes(run)) == 0, run.log_likelihood), reverse=True)
        states = [run.state for run in short[: max(1, len(short) // _ONE_IN)]]
        if len(states) == 1:
            break
        length *= _LONGER
    run = short[0]
    if is_hopeless(run.trace, target, problem.patience):
        return Start(method, run, n_iter, "abandoned", index)
    if not (run.converged and problem.is_rough):
        run = problem.long_run(run.state, target=target)
        n_iter += run.n_passes
    for _ in range(_RESEEDS):
        spikes = problem.spikes(run)
        if len(spikes) == 0:
            break
        run = problem.long_run(split_and_merge(run.state, rng, problem.structure, problem.floor, drop=spikes))
        n_iter += run.n_passes
    return Start(method, run, n_iter, _status(problem, run), index)


def _all_collapsed(starts: list[Start]) -> bool:
    return all(start.status == "collapsed" for start in starts)


def _cut(problem: EMProblem, method: str, rng: np.random.Generator, left_out: float = 0.0) -> State:
    """From a cut of the rows; unless components are normal and alone, of those that are not `far_rows`."""
    points = problem.points[int(rng.random() < 0.3)]
    far = problem.far_rows(0.0 if problem.structure.is_normal else left_out)
    if not far.any() or len(points) - far.sum() <= problem.n_components:
        labels = CUTS[method](points, problem.row_weights, problem.n_components, rng)
    else:
        labels = np.full(len(points), -1)
        near = np.ascontiguousarray(points[~far])
        labels[~far] = CUTS[method](near, problem.row_weights[~far], problem.n_components, rng)
    labels = like_known(labels, problem.rows.known, problem.row_weights, problem.n_components)
    return from_labels(
        problem.features, problem.row_weights, labels, problem.n_components, problem.structure, problem.floor
    )


def _n_tries(problem: EMProblem, most: int) -> int:
    n_features, n_rows = problem.features.shape
    work = n_rows * problem.n_components * n_features * (n_features + 3)
    return int(np.clip(_SHORT_RUN_WORK / work, 1, most))


def _pilot_rows(problem: EMProblem) -> int:
    n_parameters = problem.structure.n_parameters(problem.n_components, len(problem.features))
    share = len(problem.row_weights) // _PILOT_ONE_ROW_IN
    return max(_PILOT_ROWS, _PILOT_ROWS_PER_COMPONENT * problem.n_components, n_parameters, share)


def _status(problem: EMProblem, run: Run) -> str:
    if len(problem.spikes(run)):
        return "collapsed"
    if run.converged:
        return "converged"
    return "max_iter" if run.n_passes == problem.max_iter else "abandoned"


def _continue(problem: EMProblem, pilot: EMProblem, starts: list[Start]) -> list[Start]:
    """Carry the best distinct outcomes of a pilot over to all rows."""
    leader_of = _leaders(starts)
    out = [
        replace(start, leader=leader, status="collapsed" if start.status == "collapsed" else "short run")
        for start, leader in zip(starts, leader_of, strict=True)
    ]
    order = sorted({i for i in leader_of if out[i].status != "collapsed"}, key=lambda i: out[i].rank, reverse=True)
    best = starts[order[0]].run.log_likelihood
    # A row's log densities under two mixtures differ by about one, so that their sums may by a few roots of N.
    plausible = _PLAUSIBLE * math.sqrt(len(pilot.row_weights))
    near = [i for i in order[:_SECOND_LOOKS] if best - starts[i].run.log_likelihood < plausible]
    looks = {i: problem.short_run(starts[i].run.state, _LOOK) for i in near}
    near.sort(key=lambda i: looks[i].log_likelihood, reverse=True)
    target, n_finished = -math.inf, 0
    for i in [*near, *(i for i in order if i not in looks)]:
        run, n_iter = looks.get(i, starts[i].run), starts[i].n_iter
        if i in looks:
            out[i] = replace(out[i], run=run, n_iter=n_iter + _LOOK)
        full = n_finished == _LONG_RUNS or (n_finished > 0 and i not in looks)
        if full or is_hopeless(run.trace, target, _LOOK - 1):
            continue
        run = replace(problem, patience=_LOOK).long_run(run.state, target=target)
        out[i] = replace(out[i], run=run, n_iter=n_iter + run.n_passes, status=_status(problem, run))
        looks[i] = run
        if out[i].status != "collapsed":
            target, n_finished = max(target, run.log_likelihood), n_finished + 1
    share = problem.row_weights.sum() / pilot.row_weights.sum()
    for i, start in enumerate(starts):
        if leader_of[i] not in looks:
            guess = target - (best - start.run.log_likelihood) * share
            out[i] = replace(out[i], run=replace(start.run, log_likelihood=guess))
        elif leader_of[i] != i:
            out[i] = replace(out[i], run=out[leader_of[i]].run)
    return out


def _leaders(starts: list[Start]) -> list[int]:
    """For each start, the best one that ended in the same place."""
    leaders: list[int] = []
    out = list(range(len(starts)))
    for i in sorted(out, key=lambda i: starts[i].rank, reverse=True):
        out[i] = next((j for j in leaders if _same(starts[i].run, starts[j].run)), i)
        leaders += [i] if out[i] == i else []
    return out


def _same(one: Run, other: Run) -> bool:
    if abs(one.log_likelihood - other.log_likelihood) > _SAME_OPTIMUM:
        return False
    return bool(np.abs(np.sort(one.state.weights) - np.sort(other.state.weights)).max() < _SAME_WEIGHT)


def _regularised(problem: EMProblem, pilot: EMProblem, rng: np.random.Generator, index: int) -> Start:
    """A start that cannot collapse, for it may not be narrower than the widest spike."""
    run = problem.long_run(_cut(pilot, "k-means", rng), floor=WIDE_ENOUGH**2)
    return Start("regularised", run, run.n_passes, "converged" if run.converged else "max_iter", index)


def _only_start(problem: EMProblem) -> Start:
    """One component: the closed form, which one M-step from anywhere gives if no cell is missing."""
    d = len(problem.features)
    total = State(np.ones(1), np.zeros((1, d)), np.eye(d)[None].copy(), np.eye(d)[None].copy())
    how = "one component" if len(problem.rows.order) else "closed form"
    return Start(how, problem.long_run(total), 1, "converged", 0)
