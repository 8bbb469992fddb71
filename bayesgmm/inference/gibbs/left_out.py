"""Leave-one-out scores of a few rows: short chains without the row, begun at draws of the posterior of all rows.

The posterior without row i is near that of all rows; their densities differ by the factor p(y_i | theta), and their
normalising constants by the score that is sought, p(y_i | y_-i). Draws of the posterior, resampled with truncated
weights 1 / p(y_i | theta) (Ionides 2008), are therefore nearly draws of the posterior without the row, and a few Gibbs
sweeps without it bring them there (as the sequential samplers of Bornn, Doucet and Gottardo 2010, Canadian Journal of
Statistics 38, 47-64). Bridge sampling between the two sets of draws (`model.proposals.bridge`) then gives the score,
with a standard error that exists whatever the Pareto k. Of a row that counts several times one copy is left out.

Sweeps that have not yet forgotten the row show as a drift of the score from the second quarter of the sweeps to the
second half. A row that drifts, or whose error is large, is done again with twice as many chains, twice as long; what
drift remains is part of its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.data.copies import datum, multiplicity
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.inference.first_use import finish
from bayesgmm.inference.gibbs.chains import GibbsProblem, no_library, start_state, sweep_work
from bayesgmm.inference.gibbs.rounds import choose_refresh
from bayesgmm.inference.gibbs.sweeps import TALLY, sweep_many
from bayesgmm.kernels.rows import take_rows
from bayesgmm.kernels.state import ChainState
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model.draws import Draws, Sample
from bayesgmm.model.params import MixtureParams, inverse_cholesky, latent_cholesky
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.bridge import bridge
from bayesgmm.model.structure import Structure
from bayesgmm.progress import out_of_time

__all__ = ["SWEEPS_A_ROW", "bridge_repair", "sweeps_of"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CHAINS, _SWEEPS, _TIMES = 200, 12, (1, 2, 4)  # of both, in each attempt
_NUMBERS = 2_000_000  # of covariances, kept at a time
SWEEPS_A_ROW = _CHAINS * _SWEEPS  # in the first attempt
_DRIFT = 0.03  # nats, or one standard error, up to which a drift is not told from noise


def bridge_repair(
    problem: Problem,
    posterior: Draws,
    *,
    max_error: float = 0.1,
    max_sweeps: float = math.inf,
    cores: int | None = None,
    random_seed: int | None = None,
) -> Callable[[IntArray, Array], tuple[Array, Array]]:
    """A repair for `model_selection.loo.loo.loo`.

    Parameters
    ----------
    problem : Problem
        What the fit was made with.
    posterior : Draws
        Of the posterior of all rows (`posterior.tree.equal_draws`).
    max_error : float
        Standard error of the score of one copy above which it is computed again.
    max_sweeps : float
        Sweeps of all chains and rows together; the rows whose weights are most uneven come first, and one is always
        done.
    cores : int or None
        Rows done at once; None uses every processor. Scores do not depend on it.
    random_seed : int or None

    Returns
    -------
    callable
        ``repair(rows, elpd_i) -> (elpd_i, mcse_i)``; NaN for rows that the sweeps did not suffice for.
    """
    table, structure, _ = problem
    root = np.random.SeedSequence(random_seed)

    def repair(rows: IntArray, elpd_i: Array) -> tuple[Array, Array]:
        finish()
        starts = _Starts.of(problem, posterior)
        some = take_rows(starts.problem.target.rows, rows)
        log_density = pointwise_log_density(some, *posterior.flat(), row_model=structure.row_model)
        log_density = (log_density - table.log_jacobian[rows]) * datum(table.weights[rows])
        times_i = multiplicity(table.weights[rows])
        scores, errors, drifts = elpd_i / times_i, np.full(len(rows), math.nan), np.full(len(rows), math.nan)
        weights = softmax(-log_density, axis=0)
        open_ = np.argsort((1.0 / np.square(weights).sum(axis=0)), kind="stable")
        left = max_sweeps
        for attempt, times in enumerate(_TIMES):
            cost = SWEEPS_A_ROW * times**2
            open_ = open_[: int(min(len(open_), max(left // cost, 1 if attempt == 0 else 0)))]
            left -= cost * len(open_)
            if out_of_time():
                break
            found = _in_threads(
                [partial(_score, starts, int(rows[i]), log_density[:, i].reshape(posterior.shape[:2]), weights[:, i],
                         times, _generator(root, int(rows[i]), attempt)) for i in open_], cores
            )  # fmt: skip
            for i, (score, error, drift) in zip(open_, found, strict=True):
                scores[i], errors[i], drifts[i] = score, error, drift
            open_ = open_[~(np.hypot(errors, drifts)[open_] <= max_error) | ~(drifts[open_] <= 0.0)]
        return times_i * scores, times_i * np.hypot(errors, drifts)

    return repair


def sweeps_of(table: Table, structure: Structure, posterior: Draws) -> float:
    """Gibbs sweeps that are about as much work as draws were: those made, or what gradients come to."""
    if "n_steps" not in posterior.stats:
        return float(posterior.extra.get("sweeps", 10 * posterior.shape[0] * posterior.shape[1]))
    gradient = 2.0 * table.n_rows * structure.row_work(table.n_features)
    return float(posterior.stats["n_steps"].sum()) * gradient / sweep_work(table, structure, 1)


@dataclass(frozen=True, eq=False)
class _Starts:
    """Where chains may start, and what they need to go on."""

    problem: GibbsProblem
    refresh: float
    weights: Array  # (S, H)
    means: Array  # (S, K, D)
    scaling: Array  # (S, K, D, D)
    cholesky: Array  # (S, G, D, D)

    @classmethod
    def of(cls, problem: Problem, posterior: Draws) -> _Starts:
        given = GibbsProblem.build(problem)
        (weights, means, scaling), cholesky = posterior.flat(), posterior.cholesky
        first = MixtureParams.of_head(weights[0], means[0], cholesky[0, 0] @ cholesky[0, 0].mT, problem.structure)
        refresh = choose_refresh(given, start_state(given, first), np.random.SeedSequence(0))
        n = problem.structure.n_matrices(posterior.shape[2])
        return cls(
            given, refresh, weights, means, scaling, np.ascontiguousarray(cholesky.reshape(scaling.shape)[:, :n])
        )

    def at(self, index: IntArray) -> ChainState:
        """The draws of these numbers, with an axis more in each array than a state has."""
        cholesky = self.cholesky[index]
        latent = latent_cholesky((cholesky @ cholesky.mT).reshape(-1, *cholesky.shape[2:]), self.problem.packed.floor)
        return ChainState(
            self.weights[index], self.means[index], latent.reshape(cholesky.shape), cholesky, self.scaling[index]
        )


def _score(
    starts: _Starts, row: int, log_density: Array, weights: Array, times: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Score of one copy of a row, its standard error, and the drift beyond it: 0 where there is none to be seen."""
    n_chains, n_sweeps = _CHAINS * times, _SWEEPS * times
    w = np.minimum(weights, len(weights) ** -0.5)
    places = (np.arange(n_chains) + rng.random()) / n_chains
    index = np.minimum(np.searchsorted(np.cumsum(w) / w.sum(), places), len(w) - 1)
    out = _sweep_without(starts, row, index, n_sweeps, rng)
    none = np.zeros_like(log_density)

    def between(first: int, last: int) -> tuple[float, float, float]:
        without = out[:, first:last]
        try:
            found = bridge(log_density, none, without, np.zeros_like(without))
        except InputError:
            return math.nan, math.nan, math.nan
        return found.log_value, found.mcse, found.proposal_mcse

    before, _, noise_before = between(n_sweeps // 4, n_sweeps // 2)
    score, error, noise = between(n_sweeps // 2, n_sweeps)
    drift = abs(score - before)
    return score, error, 0.0 if drift <= max(_DRIFT, math.hypot(noise, noise_before)) else drift


def _sweep_without(starts: _Starts, row: int, index: IntArray, n_sweeps: int, rng: np.random.Generator) -> Array:
    """(M, T) log-likelihood of a copy of the row after each of T sweeps without it, from the draws `index` (M,)."""
    problem, table, (k, d) = starts.problem, starts.problem.table, starts.means.shape[1:]
    weights = table.weights.copy()
    weights[row] -= datum(weights[row])
    target, library = problem.target._replace(row_weights=weights), no_library(k, d)
    allocation = problem.new_allocation(k)
    tally, used, out = np.zeros(TALLY), np.zeros(0, dtype=np.int64), np.empty((len(index), n_sweeps))
    step = max(1, _NUMBERS // (n_sweeps * k * d * d))
    for first in range(0, len(index), step):
        part = slice(first, first + step)
        states = starts.at(index[part])
        kept = [np.empty((len(a), n_sweeps, *a.shape[1:])) for a in states[:4]]
        for m in range(len(states.weights)):
            allocation.component[:] = -1
            state = ChainState(*(a[m] for a in states))
            sweep_many(
                rng, 0, 1, target, library, starts.refresh, state, allocation, Sample(*(a[m] for a in kept)), tally,
                used,
            )  # fmt: skip
        w, mean, _, cholesky = (a.reshape(-1, *a.shape[2:]) for a in kept)
        scaling = np.broadcast_to(inverse_cholesky(cholesky), (len(w), k, d, d)).copy()
        density = pointwise_log_density(
            take_rows(problem.target.rows, slice(row, row + 1)), w, mean, scaling, row_model=problem.structure.row_model
        )
        out[part] = density.reshape(-1, n_sweeps)
    return (out - table.log_jacobian[row]) * datum(table.weights[row])


def _generator(root: np.random.SeedSequence, row: int, attempt: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(row, attempt)))


def _in_threads(jobs: Sequence[Callable[[], Any]], cores: int | None) -> list[Any]:
    """Results of the jobs, which can be interrupted between them."""
    pool = ThreadPoolExecutor(max(1, min(cores or available_cores(), len(jobs))))
    try:
        return list(pool.map(lambda job: job(), jobs))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted while scoring observations; the fit itself is complete") from None
    finally:
        pool.shutdown(cancel_futures=True)
