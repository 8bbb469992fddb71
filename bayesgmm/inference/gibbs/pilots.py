"""Finding what moves lead to: where short chains start, and which of them found unlike places.

A posterior with more components than the data hold has modes in which components are empty; no EM fit with K
components starts there. So pilot chains start at the modes with K components and at those with fewer, filled up by
components from the prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.starts import CUTS, from_labels, like_known
from bayesgmm.em.tails import STARTING_DF
from bayesgmm.inference.empty_modes import EmptyMode
from bayesgmm.inference.gibbs.chains import GibbsProblem
from bayesgmm.inference.modes import Mode
from bayesgmm.kernels.rows import Rows, take_rows
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import pointwise_log_density, total_log_likelihood
from bayesgmm.model.density.natural import draw_prior_component
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.relabel import in_one_order

__all__ = ["SORTING_ROWS", "in_order_by_rows", "likeliest", "log_densities", "pilot_starts", "unlike"]

Array = NDArray[np.float64]

_MAX_PILOTS_AT_K = 6
_CUTS, _CUTS_WORK = 15, 2e7  # for each component beyond two; most work of one sweep of all
_LEAST_CUTS, _CUT_NUMBERS = 8, 5000  # pilot chains from cuts that get a proposal, and numbers of their covariances
_SAMPLE = 1000  # draws that a proposal is fitted to
_ORDERING_ROWS = 2000  # by whose responsibilities components are put in one order
SORTING_ROWS = 200  # by whose densities
# Draws whose log densities are averaged and compared, and the largest difference (root mean square) of two runs in one
# mode: it is 0.2 to 0.3 there, and from 0.9 between modes, of the wine data with 6 components.
_COMPARED, _ALIKE = 40, 0.5


def pilot_starts(
    problem: GibbsProblem, modes: Sequence[Mode], empty: Sequence[EmptyMode], random_seed: int | None
) -> tuple[list[MixtureParams], Array]:
    """Where pilot chains start, and the Laplace evidence (M,) there, NaN where there is none and -inf where none is
    known.

    The best few modes, those with 1, 2, ..., K - 1 components empty, and, where that takes little work, cuts of the
    rows: maxima of the likelihood are not all the modes that a posterior of many components has.
    """
    modes = modes[:_MAX_PILOTS_AT_K]
    k = modes[0].params.n_components
    rng = np.random.default_rng(random_seed)
    known = [m.log_evidence for m in modes] + [m.log_evidence for m in empty]
    n_cuts = int(min(_CUTS * max(1, k - 2), _CUTS_WORK // problem.sweep_work(k))) if k > 1 else 0
    n_cuts *= problem.structure.is_normal  # they teach moves, which there are between normal mixtures
    starts = [m.params for m in modes] + [_filled_up(problem, m.params, k, rng) for m in empty]
    starts += [_cut(problem, ("random points", "k-means")[i % 2], k, rng) for i in range(n_cuts)]
    return starts, np.array(known + n_cuts * [-np.inf])


def _cut(problem: GibbsProblem, method: str, k: int, rng: np.random.Generator) -> MixtureParams:
    """The mixture that a random cut of the rows suggests."""
    table, structure = problem.table, problem.structure
    rows = problem.filled
    labels = like_known(CUTS[method](rows, table.weights, k, rng), problem.target.rows.known, table.weights, k)
    state = from_labels(np.ascontiguousarray(rows.T), table.weights, labels, k, structure, 1e-6)
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
    small, head = 1.0 / (problem.table.weights.sum() + 1.0), params.head
    at, each = params.n_components, problem.structure.n_df(k) > 1
    head = np.concatenate([head[:at], np.full(extra, small), head[at:], np.full(extra * each, STARTING_DF)])
    return MixtureParams.of_head(
        head, np.vstack([params.means, means]), np.concatenate([params.covariances, covariances]), problem.structure
    )


def in_order_by_rows(problem: GibbsProblem, sample: Sample) -> Sample:
    """At most `_SAMPLE` draws of a sample, their components in one order, by some of the rows."""
    table, rows = problem.table, evenly_spaced(problem.table.n_rows, _ORDERING_ROWS)
    return in_one_order(
        sample, take_rows(problem.target.rows, rows), table.weights[rows], problem.structure.row_model, most=_SAMPLE
    )


def likeliest(problem: GibbsProblem, samples: Sequence[Sample], evidence: Array) -> list[int]:
    """Pilot chains that are worth a proposal each: those from modes, and of those from cuts (evidence -inf) the
    likeliest.

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
                problem.target.rows, table.weights, some.weights, some.means, some.scaling,
                row_model=problem.structure.row_model,
            ).mean()  # fmt: skip
        cuts = np.sort(cuts[np.argsort(-value, kind="stable")[:most]])
    return [*np.flatnonzero(~np.isneginf(evidence)).tolist(), *cuts.tolist()]


def unlike(problem: GibbsProblem, samples: Sequence[Sample], places: Sequence[int] | None = None) -> list[int]:
    """The first sample of each mode: places of samples that give some row another density than those before them."""
    rows = take_rows(problem.target.rows, evenly_spaced(problem.table.n_rows, SORTING_ROWS))
    kept, values = list[int](), list[Array]()
    for i in range(len(samples)) if places is None else places:
        sample = samples[i]
        some = evenly_spaced(len(sample.weights), _COMPARED)
        value = log_densities(problem, sample.take(some), rows).mean(axis=0)
        if all(np.sqrt(np.square(value - other).mean()) > _ALIKE for other in values):
            kept.append(i)
            values.append(value)
    return kept


def log_densities(problem: GibbsProblem, sample: Sample, rows: Rows) -> Array:
    """Of each draw, at each row: (S, N)."""
    return pointwise_log_density(
        rows, sample.weights, sample.means, sample.scaling, row_model=problem.structure.row_model
    )
