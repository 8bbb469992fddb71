"""What moves propose, fitted to the draws of each mode; and how often each kind is tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from bayesgmm.inference.gibbs.bins import fit_bins, no_bins
from bayesgmm.inference.gibbs.chains import JUMP_EVERY, WALK_EVERY, ChainDraws, GibbsProblem, no_library
from bayesgmm.inference.gibbs.moves.move import MANY_ROWS, Library
from bayesgmm.inference.gibbs.moves.redraw_fit import fit_redraws
from bayesgmm.inference.gibbs.moves.redraws import no_redraws
from bayesgmm.inference.gibbs.moves.registry import MOVES
from bayesgmm.inference.gibbs.pilots import SORTING_ROWS, in_order_by_rows, log_densities
from bayesgmm.inference.gibbs.sweeps import KINDS, ROWS, TALLY
from bayesgmm.kernels.rows import take_rows
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.model.draws import Sample
from bayesgmm.model.proposals.conjugate import Proposals
from bayesgmm.model.proposals.conjugate_fit import fit_proposals

__all__ = ["fit_library", "proposals_of", "relative_work", "samples_by_mode"]

_POOL = 4000  # draws that are sorted by mode
_LEAST = 15  # draws of a mode
_ROW_DRAWS, _ROW_NUMBERS = 40, 4_000_000
_MOST_MOVED = 5.0  # log of the largest probability of a row, relative to the median row's
_JUMP_EVERY_AT_FIRST = 12  # sweeps, in the first round
# Steps after every few sweeps, from so many rows; more where bins make them cheap: 20,000 rows, full, K = 6 gave 9
# effective draws a second with 8 without bins, 13 with 8, 24 with 16 and 21 with 32 (geometric means).
_WALK_STEPS, _WALK_STEPS_BY_BINS = 8, 16
_TRIES_BY_BINS = 3  # moves each time
_PASSED = 0.2  # steps that are looked at by all rows, where bins come first
_ACCEPTED = 1e-3  # share of moves below which their kind is tried seldom
_RAREST = 0.15  # times as often as the others


def fit_library(
    problem: GibbsProblem, samples: Sequence[Sample], done: Sequence[ChainDraws] = (), number: int = 1
) -> Library:
    """Proposals fitted to draws of each mode, for a round of this number; each kind as often as it was accepted before.

    Nothing is proposed but mixtures of normal components. After a round that did not do, moves more often, and walks,
    which cost more than sweeps, in tables of many rows.
    """
    k, d = samples[0].means.shape[1:]
    if not problem.structure.is_normal:
        return no_library(k, d)
    table, proposals, walks = problem.table, proposals_of(problem, samples), _walks(problem, number)
    own = tuple(move.none(k, d) if move.fit is None else move.fit(problem, samples, proposals) for move in MOVES)
    bins = fit_bins(table.standardized, table.weights, problem.structure.row_model, samples) if walks else no_bins(d)
    return Library(
        proposals, own, fit_redraws(samples, problem.packed) if walks else no_redraws(), bins,
        _shares([move.possible(k, mine) for move, mine in zip(MOVES, own, strict=True)], done),
        every=_every(problem, number), tries=_TRIES_BY_BINS if len(bins.weights) else 1,
        walk_steps=_walk_steps(len(bins.weights)) if walks else 0,
    )  # fmt: skip


def _shares(possible: Sequence[bool], done: Sequence[ChainDraws]) -> NDArray[np.float64]:
    """Kinds that were accepted in the chains so far alike often, others seldom; all alike before there are any.

    Not by how often: most accepted changes of one component are small ones.
    """
    tally = np.sum([c.tally for c in done], axis=0) if done else np.zeros(TALLY)
    tried, made = tally[KINDS:ROWS:2], tally[KINDS + 1 : ROWS : 2]
    accepted = (made + 1.0) / (tried + 2.0) > _ACCEPTED
    shares = np.where(possible, np.where(accepted, 1.0, _RAREST), 0.0)
    return shares / shares.sum()


def samples_by_mode(problem: GibbsProblem, chains: Sequence[ChainDraws], n_modes: int) -> list[Sample]:
    """The draws of all chains sorted into groups that give rows alike densities (k-means), each in one order.

    By densities, since groups sorted by weights, likelihood and co-clustering are less pure, and mixtures fitted to
    them are accepted a third as often (wine, 13 columns, diagonal, K = 6).
    """
    pooled = Sample.pooled([c.sample for c in chains])
    index, rows = evenly_spaced(len(pooled.weights), _POOL), evenly_spaced(problem.table.n_rows, SORTING_ROWS)
    table = log_densities(problem, pooled.take(index), take_rows(problem.target.rows, rows))
    n_modes = min(n_modes, len(index) // _LEAST)
    with threadpool_limits(1):
        label = KMeans(n_modes, n_init=1, random_state=0, max_iter=50).fit_predict(table)
    groups = [index[label == g] for g in range(n_modes)]
    return [in_order_by_rows(problem, pooled.take(i)) for i in groups if len(i) >= _LEAST]


def proposals_of(problem: GibbsProblem, samples: Sequence[Sample]) -> Proposals:
    """What moves between modes propose: mixtures fitted to draws of each mode; and rather rows of low density to move
    alone."""
    table, each = problem.table, min(_ROW_DRAWS, max(1, _ROW_NUMBERS // problem.table.n_rows))
    each = max(1, each // len(samples))
    log_density = np.zeros(table.n_rows)
    for sample in samples:
        some = evenly_spaced(len(sample.weights), each)
        log_density += log_densities(problem, sample.take(some), problem.target.rows).mean(axis=0)
    log_density /= len(samples)
    odds = np.minimum(0.5 * (np.median(log_density) - log_density), _MOST_MOVED)
    return fit_proposals(samples, problem.packed, np.cumsum(softmax(odds)))


def _every(problem: GibbsProblem, number: int) -> int:
    """Sweeps: in tables of many rows, a move costs less than a sweep."""
    if number == 1:
        return _JUMP_EVERY_AT_FIRST
    return JUMP_EVERY if problem.table.n_rows < MANY_ROWS else 1


def _walks(problem: GibbsProblem, number: int) -> bool:
    table, long = problem.table, problem.table.n_rows >= MANY_ROWS
    return number > 1 and long and table.is_complete and table.known is None and problem.structure.is_normal


def _walk_steps(n_bins: int) -> int:
    return _WALK_STEPS_BY_BINS if n_bins else _WALK_STEPS


def relative_work(problem: GibbsProblem, n_components: int, number: int, n_bins: int = 0) -> float:
    """Work of a sweep in a round of this number, moves between modes and walks in tables of many rows included,
    relative to that of a sweep alone."""
    if not _walks(problem, number):
        return 1.0
    rough = n_bins / problem.table.n_rows
    jump, step = (_TRIES_BY_BINS * 2.0 * rough, rough + _PASSED) if n_bins else (1.0, 1.0)
    return 1.0 + jump + (1.0 + 2.0 * _walk_steps(n_bins) * step / n_components) / WALK_EVERY
