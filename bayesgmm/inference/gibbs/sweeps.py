"""Gibbs sweeps over the allocations and the parameters of a mixture, with moves between modes now and then.

One sweep: allocate every row (`kernels.allocation`), move one of them to a vacant component or out of one
(`moves.lone_rows`), then draw weights, means and covariances given the allocation (`complete_data`, `conditionals`),
and of t components degrees of freedom (`tails`). Single-observation moves and moves between modes are made in mixtures
of normal components alone. The order mean, covariance, mean makes the move of the parameters reversible, which
fractional row weights need.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.complete_data import draw_noise, draw_weights, update_mean
from bayesgmm.inference.gibbs.conditionals import update_covariance
from bayesgmm.inference.gibbs.moves.lone_rows import Sums, move_row
from bayesgmm.inference.gibbs.moves.move import new_workspace
from bayesgmm.inference.gibbs.moves.registry import MOVES, jump
from bayesgmm.inference.gibbs.tails import step_df
from bayesgmm.kernels.allocation import allocation_pass
from bayesgmm.kernels.compiled import add, compiled, put
from bayesgmm.kernels.row_model import log_normalizers, n_classes
from bayesgmm.kernels.rows import is_complete
from bayesgmm.kernels.state import copy_state, new_copy
from bayesgmm.model.density.natural import draw_prior_component, row_model_of

__all__ = ["COUNTED", "KINDS", "N_MOVES", "ROWS", "TALLY", "WALKS", "sweep_many"]

Array = NDArray[np.float64]

N_MOVES = len(MOVES)
# Numbers that `sweep_many` counts, and where those of kinds of moves, of rows moved alone and of walks begin.
KINDS, ROWS, WALKS, TALLY = 3, 3 + 2 * N_MOVES, 5 + 2 * N_MOVES, 9 + 2 * N_MOVES
# What is counted from KINDS on, tried and accepted.
COUNTED = (
    *(move.words for move in MOVES),
    "single-observation moves",
    "random-walk moves of pairs of components",
    "redraws of pairs of components",
)


@compiled
def _unwhiten(cholesky, sums, outer, half, total, raw):
    """total = L sums and raw = L outer L' (lower triangles of outer and raw)."""
    d = total.shape[0]
    for i in range(d):
        value = 0.0
        for j in range(i + 1):
            value += cholesky[i, j] * sums[j]
        total[i] = value
        for b in range(d):
            value = 0.0
            for a in range(i + 1):
                value += cholesky[i, a] * (outer[a, b] if a >= b else outer[b, a])
            half[i, b] = value
    for i in range(d):
        for j in range(i + 1):
            value = 0.0
            for b in range(j + 1):
                value += half[i, b] * cholesky[j, b]
            raw[i, j] = value


@compiled
def _recentre(raw, total, n, centre, mean, out):
    """Sum of squares about `mean`, from the one about `centre`, whose sum of deviations is `total`."""
    d = mean.shape[0]
    for i in range(d):
        a = mean[i] - centre[i]
        for j in range(i + 1):
            b = mean[j] - centre[j]
            out[i, j] = raw[i, j] - a * total[j] - total[i] * b + n * a * b


@compiled(inline="always")
def _draw_parameters(rng, prior, refresh, steps, classes, sums, masses, state, scatter, matrices, tally):
    """New weights, means and covariances given the sums over the rows of each component, and in two steps means
    again. `classes` are counts of components and background, `masses` (K,) of components, in t ones sums of u."""
    weights, means, latent, cholesky, scaling = state
    counts, centres, totals, raws = sums
    (n_components, d), own = means.shape, prior.own > 0
    vector = np.empty(d)
    draw_weights(rng, counts, prior.concentration, weights[:n_components])
    if len(prior.background) > 0:
        draw_noise(rng, classes, n_components, prior.noise, weights)
    for step in range(steps):
        scatter[n_components] = 0.0
        for k in range(n_components):
            g, n, mass = prior.own * k, counts[k], masses[k]
            if n == 0.0:
                if step == 0:
                    draw_prior_component(rng, prior, means[k], latent[g], cholesky[g], scaling[k], matrices[0], own)
                scatter[k] = 0.0
                continue
            update_mean(rng, prior, mass, totals[k], centres[k], scaling[k], matrices[0], matrices[1], vector, means[k])
            _recentre(raws[k], totals[k], mass, centres[k], means[k], scatter[k])
            if step == 0 and own:
                tried, accepted = update_covariance(
                    rng, prior, refresh, n, scatter[k], matrices, latent[k], cholesky[k], scaling[k]
                )
                tally[0] += tried
                tally[1] += accepted
            add(scatter[n_components], scatter[k])
        if step == 0 and not own:
            tried, accepted = update_covariance(
                rng, prior, refresh, counts.sum(), scatter[n_components], matrices, latent[0], cholesky[0], scaling[0]
            )
            tally[0] += tried
            tally[1] += accepted
            for k in range(1, n_components):
                put(scaling[k], scaling[0])


@compiled
def _allocate(rng, target, state, log_norm, want_likelihood, watched, allocation):
    row_model = row_model_of(target.prior)
    log_normalizers(np.log(state.weights), state.scaling, row_model, log_norm)
    return allocation_pass(rng, target.rows, target.row_weights, log_norm, state.means, state.scaling, row_model,
                           want_likelihood, watched, allocation)  # fmt: skip


@compiled
def _watch(rng, features, row_weights, rows):
    """A row that may move alone, its probability as in `Proposals.rows`; -1 where its weight is not 1 or cells lack."""
    n = row_weights.shape[0]
    row = min(np.searchsorted(rows, rng.random()), n - 1) if len(rows) == n else rng.integers(0, n)
    return row if row_weights[row] == 1.0 and is_complete(features, row) else -1


@compiled(inline="always")
def _kind(rng, shares):
    """A kind of move, with these probabilities."""
    u, kind = rng.random(), np.int64(0)
    for i in range(len(shares) - 1):
        u -= shares[i]
        if u >= 0.0:
            kind = np.int64(i + 1)
    return kind


@compiled
def sweep_many(rng, first, thin, target, library, refresh, state, allocation, out, tally, used):
    """`thin` sweeps for each of the draws in `out`, from `state` on, which ends at the last of them.

    Parameters
    ----------
    rng : numpy.random.Generator
    first : int; sweeps that the chain has made before this call
    target : Target
    library : Library; what moves propose, and how often; there are none while it has no proposals
    refresh : float; see `update_covariance`
    state, allocation : ChainState, Allocation; changed in place
    out : Sample; filled
    tally : (TALLY,) added to: covariances proposed, accepted; sweeps undone for fractional weights; then for each kind
        of move, in the order of `MOVES`, and for rows moved alone, proposed and accepted; the last four are of walks
    used : (M,) added to: moves made by each proposal
    """
    n_components, d = state.means.shape
    features, row_weights, prior = target.rows.features, target.row_weights, target.prior
    proposals, fractional = library.proposals, allocation.component.shape[0] > 0
    scatter, y = np.zeros((n_components + 1, d, d)), np.empty(d)
    classes = n_classes(row_model_of(prior), n_components)
    heavy, counts = len(state.weights) > classes, allocation.counts[:n_components]
    masses = allocation.counts[classes : classes + n_components] if heavy else counts
    sums = Sums(counts, np.empty((n_components, d)), np.empty((n_components, d)), np.empty((n_components, d, d)))
    work, before = new_workspace(state, N_MOVES), new_copy(state)
    alone = n_components > 1 and not fractional and len(allocation.counts) == n_components  # normal, no background
    no = np.bool_(False)  # a literal would be compiled on its own
    place, watched = -1, _watch(rng, features, row_weights, proposals.rows) if alone else -1
    if first == 0:
        _, _, place = _allocate(rng, target, state, work.log_norm, no, watched, allocation)
    n_sweeps = first
    for s in range(out.weights.shape[0]):
        for _ in range(thin):
            if fractional:
                copy_state(before, state)
            for k in range(n_components):
                put(sums.centres[k], state.means[k])
                _unwhiten(state.cholesky[prior.own * k], allocation.sums[k], allocation.outers[k], work.matrices[0],
                          sums.totals[k], sums.raws[k])  # fmt: skip
            if place >= 0:
                for i in range(d):
                    y[i] = features[i, watched]
                move_row(rng, y, place, prior, sums, state, work, tally[ROWS:])
            _draw_parameters(rng, prior, refresh, 2 if fractional else 1, allocation.counts, sums, masses, state,
                             scatter, work.matrices, tally)  # fmt: skip
            if heavy:
                step_df(rng, target, state, work.log_norm)
            moves = proposals.alpha.shape[0] > 0 and n_sweeps % library.every == 0
            watched = _watch(rng, features, row_weights, proposals.rows) if alone else -1
            ratio, log_likelihood, place = _allocate(rng, target, state, work.log_norm, moves, watched, allocation)
            n_sweeps += 1
            changed = False
            if fractional and not math.log(rng.random()) < ratio:
                tally[2] += 1.0
                copy_state(state, before)
                changed, log_likelihood = True, math.nan
            for _ in range(library.tries if moves else 0):
                kind = _kind(rng, library.shares)
                m, moved = jump(rng, target, library, kind, log_likelihood, state, work)
                tally[KINDS + 2 * kind] += 1.0
                if moved:
                    tally[KINDS + 1 + 2 * kind] += 1.0
                    used[m] += 1
                    changed, log_likelihood = True, math.nan
            if changed:
                allocation.component[:] = -1
                _, _, place = _allocate(rng, target, state, work.log_norm, no, watched, allocation)
        put(out.weights[s], state.weights)
        put(out.means[s], state.means)
        put(out.latent[s], state.latent)
        put(out.cholesky[s], state.cholesky)
