"""Finding what jumps lead to: short chains from many places, draws sorted by mode, rows that fit badly.

A posterior with more components than the data hold has modes in which components are empty; no EM fit with K
components starts there. So scouts start at the modes with K components and at those with fewer, filled up by
components from the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from bayesgmm.em.starts import CUTS, from_labels
from bayesgmm.inference.empty_modes import EmptyMode
from bayesgmm.inference.gibbs.bins import fit_bins
from bayesgmm.inference.gibbs.chains import JUMP_EVERY, WALK_EVERY, ChainDraws, GibbsProblem, Jumps
from bayesgmm.inference.gibbs.moves.redraw_fit import fit_redraws
from bayesgmm.inference.gibbs.moves.redraws import no_redraws
from bayesgmm.inference.gibbs.moves.regrouping import Groupings, no_groupings
from bayesgmm.inference.modes import Mode
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import mean_responsibilities, pointwise_log_density, total_log_likelihood
from bayesgmm.model.density.natural import draw_prior_component
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.proposals.conjugate import Proposals
from bayesgmm.model.proposals.conjugate_fit import fit_proposals
from bayesgmm.model.proposals.joint_fit import fit_joint
from bayesgmm.model.relabel import in_one_order

__all__ = [
    "in_order_by_rows",
    "jumps_of",
    "likeliest",
    "proposals_of",
    "relative_work",
    "samples_by_mode",
    "scout_starts",
    "unlike",
]

Array = NDArray[np.float64]

_MAX_SCOUTS_AT_K = 6
_CUTS, _CUTS_WORK = 15, 2e7  # for each component beyond two; most work of one sweep of all
_LEAST_CUTS, _CUT_NUMBERS = 8, 5000  # scouts from cuts that get a proposal, and numbers of their covariances
_POOL = 4000  # draws that are sorted by mode
_SAMPLE = 1000  # draws that a proposal is fitted to
_ORDERING_ROWS = 2000  # by whose responsibilities components are put in one order
_SORTING_ROWS = 200  # by whose densities
# Draws whose log densities are averaged and compared, and the largest difference (root mean square) of two runs in one
# mode: it is 0.2 to 0.3 there, and from 0.9 between modes, of the wine data with 6 components.
_COMPARED, _ALIKE = 40, 0.5
_LEAST = 15
_ROW_DRAWS, _ROW_NUMBERS = 40, 4_000_000
_JUMP_EVERY_AT_FIRST = 12  # sweeps, in the first round
# Steps after every few sweeps, from so many rows; more where bins make them cheap: 20,000 rows, full, K = 6 gave 9
# effective draws a second with 8 without bins, 13 with 8, 24 with 16 and 21 with 32 (geometric means).
_WALK_STEPS, _WALK_STEPS_BY_BINS, _WALK_ROWS = 8, 16, 4000
_TRIES_BY_BINS = 3  # jumps each time
_PASSED = 0.2  # steps that are looked at by all rows, where bins come first
_GROUPED_DRAWS = 100  # of a mode, whose responsibilities are averaged
_ODD_ROWS = 0.02  # rows that a grouping puts where no draw of its mode does
_MOST_MOVED = 5.0  # log of the largest probability of a row, relative to the median row's


def scout_starts(
    problem: GibbsProblem, modes: Sequence[Mode], empty: Sequence[EmptyMode], random_seed: int | None
) -> tuple[list[MixtureParams], Array]:
    """Where scouts start, and the Laplace evidence (M,) there, NaN where there is none and -inf where none is known.

    The best few modes, those with 1, 2, ..., K - 1 components empty, and, where that takes little work, cuts of the
    rows: maxima of the likelihood are not all the modes that a posterior of many components has.
    """
    modes = modes[:_MAX_SCOUTS_AT_K]
    k = modes[0].params.n_components
    rng = np.random.default_rng(random_seed)
    known = [m.log_evidence for m in modes] + [m.log_evidence for m in empty]
    n_cuts = int(min(_CUTS * max(1, k - 2), _CUTS_WORK // problem.sweep_work(k))) if k > 1 else 0
    starts = [m.params for m in modes] + [_filled_up(problem, m.params, k, rng) for m in empty]
    starts += [_cut(problem, ("random points", "k-means")[i % 2], k, rng) for i in range(n_cuts)]
    return starts, np.array(known + n_cuts * [-np.inf])


def _cut(problem: GibbsProblem, method: str, k: int, rng: np.random.Generator) -> MixtureParams:
    """The mixture that a random cut of the rows suggests."""
    table, structure = problem.table, problem.structure
    labels = CUTS[method](table.standardized, table.weights, k, rng)
    state = from_labels(problem.features, table.weights, labels, k, structure, 1e-6)
    covariances = state.covariances + np.diag(problem.prior.rounding(structure))
    return MixtureParams(state.weights, state.means, covariances, structure.name)


def _filled_up(problem: GibbsProblem, params: MixtureParams, k: int, rng: np.random.Generator) -> MixtureParams:
    """The mixture with components from the prior added, of weights as small as empty components have."""
    extra, d = k - params.n_components, params.n_features
    means, covariances = np.empty((extra, d)), np.empty((extra, d, d))
    work = np.empty((4, d, d))
    for j in range(extra):
        own = problem.packed.own > 0
        draw_prior_component(rng, problem.packed, means[j], *work, own)
        covariances[j] = work[1] @ work[1].T if own else params.covariances[0]
    small = 1.0 / (problem.table.weights.sum() + 1.0)
    weights = np.concatenate([params.weights, np.full(extra, small)])
    return MixtureParams(
        weights / weights.sum(), np.vstack([params.means, means]), np.concatenate([params.covariances, covariances]),
        params.covariance_type,
    )  # fmt: skip


def in_order_by_rows(problem: GibbsProblem, sample: Sample) -> Sample:
    """At most `_SAMPLE` draws of a sample, their components in one order, by some of the rows."""
    table, rows = problem.table, evenly_spaced(problem.table.n_rows, _ORDERING_ROWS)
    return in_one_order(
        sample, table.standardized[rows], table.weights[rows], problem.structure.row_model, most=_SAMPLE
    )


def likeliest(problem: GibbsProblem, samples: Sequence[Sample], evidence: Array) -> list[int]:
    """Scouts that are worth a proposal each: those from modes, and of those from cuts (evidence -inf) the likeliest.

    In many columns a proposal takes a tenth of a second to fit and to weigh, and there are dozens of cuts.
    """
    k, d = samples[0].means.shape[1:]
    cuts = np.flatnonzero(np.isneginf(evidence))
    most = max(_LEAST_CUTS, int(_CUT_NUMBERS // (k * (d * d if problem.packed.correlated else d))))
    if len(cuts) > most:
        table, value = problem.table, np.empty(len(cuts))
        for i, cut in enumerate(cuts.tolist()):
            some = samples[cut].take(evenly_spaced(len(samples[cut].weights), _COMPARED))
            value[i] = total_log_likelihood(
                table.standardized, table.weights, some.weights, some.means, some.scaling,
                row_model=problem.structure.row_model,
            ).mean()  # fmt: skip
        cuts = np.sort(cuts[np.argsort(-value, kind="stable")[:most]])
    return [*np.flatnonzero(~np.isneginf(evidence)).tolist(), *cuts.tolist()]


def unlike(problem: GibbsProblem, samples: Sequence[Sample], places: Sequence[int] | None = None) -> list[int]:
    """The first sample of each mode: places of samples that give some row another density than those before them."""
    rows = problem.table.standardized[evenly_spaced(problem.table.n_rows, _SORTING_ROWS)]
    kept, values = list[int](), list[Array]()
    for i in range(len(samples)) if places is None else places:
        sample = samples[i]
        some = evenly_spaced(len(sample.weights), _COMPARED)
        value = _log_density(problem, sample.take(some), rows).mean(axis=0)
        if all(np.sqrt(np.square(value - other).mean()) > _ALIKE for other in values):
            kept.append(i)
            values.append(value)
    return kept


def samples_by_mode(problem: GibbsProblem, chains: Sequence[ChainDraws], n_modes: int) -> list[Sample]:
    """The draws of all chains sorted into groups that give rows alike densities (k-means), each in one order.

    By densities, since groups sorted by weights, likelihood and co-clustering are less pure, and mixtures fitted to
    them are accepted a third as often (wine, 13 columns, diagonal, K = 6).
    """
    pooled = Sample.pooled([c.sample for c in chains])
    index, rows = evenly_spaced(len(pooled.weights), _POOL), evenly_spaced(problem.table.n_rows, _SORTING_ROWS)
    table = _log_density(problem, pooled.take(index), problem.table.standardized[rows])
    n_modes = min(n_modes, len(index) // _LEAST)
    with threadpool_limits(1):
        label = KMeans(n_modes, n_init=1, random_state=0, max_iter=50).fit_predict(table)
    groups = [index[label == g] for g in range(n_modes)]
    return [in_order_by_rows(problem, pooled.take(i)) for i in groups if len(i) >= _LEAST]


def _log_density(problem: GibbsProblem, sample: Sample, rows: Array) -> Array:
    """Of each draw, at each row: (S, N)."""
    return pointwise_log_density(
        rows, sample.weights, sample.means, sample.scaling, row_model=problem.structure.row_model
    )


def proposals_of(problem: GibbsProblem, library: Sequence[Sample]) -> Proposals:
    """What jumps propose: mixtures fitted to draws of each mode; and rather rows of low density to move alone."""
    table, each = problem.table, min(_ROW_DRAWS, max(1, _ROW_NUMBERS // problem.table.n_rows))
    each = max(1, each // len(library))
    log_density = np.zeros(table.n_rows)
    for sample in library:
        some = evenly_spaced(len(sample.weights), each)
        log_density += _log_density(problem, sample.take(some), table.standardized).mean(axis=0)
    log_density /= len(library)
    odds = np.minimum(0.5 * (np.median(log_density) - log_density), _MOST_MOVED)
    return fit_proposals(library, problem.packed, np.cumsum(softmax(odds)))


def groupings_of(problem: GibbsProblem, library: Sequence[Sample]) -> Groupings:
    """How the draws of each mode group the rows, for tables where that can be of use: few rows, each counted once."""
    table, k = problem.table, library[0].means.shape[1]
    if table.n_rows >= _WALK_ROWS or np.any(table.weights != 1.0):
        return no_groupings(k)
    r = np.empty((len(library), table.n_rows, k))
    for m, sample in enumerate(library):
        some = sample.take(evenly_spaced(len(sample.weights), _GROUPED_DRAWS))
        r[m] = mean_responsibilities(
            table.standardized, some.weights, some.means, some.scaling, row_model=problem.structure.row_model
        )
    odd = _ODD_ROWS / table.n_rows
    r = (1.0 - odd) * r + odd / k
    return Groupings(r, np.log(r))


def jumps_of(
    problem: GibbsProblem, library: Sequence[Sample], done: Sequence[ChainDraws] = (), number: int = 1
) -> Jumps:
    """Jumps fitted to draws of each mode, for a round of this number; each kind as often as it was accepted before.

    After a round that did not do, jumps more often, and walks, which cost more than sweeps, in tables of many rows.
    """
    proposals = proposals_of(problem, library)
    joint = fit_joint(library, problem.packed, proposals, float(problem.table.weights.sum()))
    walks = _walks(problem, number)
    redraws = fit_redraws(library, problem.packed) if walks else no_redraws()
    jumps = Jumps.after(proposals, joint, groupings_of(problem, library), redraws, done)
    jumps = replace(jumps, every=_jump_every(problem, number))
    if not walks:
        return jumps
    table = problem.table
    bins = fit_bins(table.standardized, table.weights, problem.structure.row_model, library)
    tries = _TRIES_BY_BINS if len(bins.weights) else 1
    return replace(jumps, bins=bins, walk_steps=_walk_steps(len(bins.weights)), tries=tries)


def _jump_every(problem: GibbsProblem, number: int) -> int:
    """Sweeps: in tables of many rows, a jump costs less than a sweep."""
    if number == 1:
        return _JUMP_EVERY_AT_FIRST
    return JUMP_EVERY if problem.table.n_rows < _WALK_ROWS else 1


def _walks(problem: GibbsProblem, number: int) -> bool:
    return number > 1 and problem.table.n_rows >= _WALK_ROWS


def _walk_steps(n_bins: int) -> int:
    return _WALK_STEPS_BY_BINS if n_bins else _WALK_STEPS


def relative_work(problem: GibbsProblem, n_components: int, number: int, n_bins: int = 0) -> float:
    """Work of a sweep in a round of this number, jumps and walks in tables of many rows included, relative to that of
    a sweep alone."""
    if not _walks(problem, number):
        return 1.0
    rough = n_bins / problem.table.n_rows
    jump, step = (_TRIES_BY_BINS * 2.0 * rough, rough + _PASSED) if n_bins else (1.0, 1.0)
    return 1.0 + jump + (1.0 + 2.0 * _walk_steps(n_bins) * step / n_components) / WALK_EVERY
