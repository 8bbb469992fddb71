"""Gibbs sweeps over the allocations and the parameters of a mixture, with jumps between modes now and then.

One sweep: allocate every row (`allocation`), move one of them to a vacant component or out of one (`lone_rows`), then
draw weights, means and covariances given the allocation (`complete_data`, `covariances`). The order mean, covariance,
mean makes the move of the parameters reversible, which fractional row weights need.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.complete_data import draw_weights, update_mean
from bayesgmm.inference.gibbs.conditionals import update_covariance
from bayesgmm.inference.gibbs.moves.components import N_KINDS, REGROUP, SINGLE, jump
from bayesgmm.inference.gibbs.moves.lone_rows import move_row
from bayesgmm.inference.gibbs.moves.regrouping import regroup
from bayesgmm.kernels.allocation import allocation_pass
from bayesgmm.kernels.compiled import add, compiled, put
from bayesgmm.kernels.row_model import RowModel, log_normalizers
from bayesgmm.kernels.state import copy_state, new_copy
from bayesgmm.model.density.natural import draw_prior_component
from bayesgmm.model.proposals.whole import MAX_WHOLE

__all__ = ["KINDS", "ROWS", "TALLY", "WALKS", "Allocation", "new_allocation", "sweep_many"]

Array = NDArray[np.float64]

# Numbers that `sweep_many` counts, and where those of kinds of jumps, of rows moved alone and of walks begin.
KINDS, ROWS, WALKS, TALLY = 3, 3 + 2 * N_KINDS, 5 + 2 * N_KINDS, 9 + 2 * N_KINDS


class Allocation(NamedTuple):
    """What a chain keeps of its last allocation: see `allocation_pass`."""

    counts: Array  # (K,)
    sums: Array  # (K, D)
    outers: Array  # (K, D, D)
    component: NDArray[np.int64]  # (N,), or (0,) when all row weights are whole
    log_r: Array


def new_allocation(n_components: int, n_features: int, n_rows: int, fractional: bool) -> Allocation:
    """Storage for the allocation of a chain, to be filled by its first sweep."""
    k, d, n = n_components, n_features, n_rows if fractional else 0
    return Allocation(np.empty(k), np.empty((k, d)), np.empty((k, d, d)), np.full(n, -1), np.empty(n))


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
def _draw_parameters(rng, prior, refresh, steps, counts, totals, raws, state, centres, scatter, matrices, vectors,
                     tally):  # fmt: skip
    """New weights, means and covariances given the allocation, and in two steps means again; `totals`, `raws` are sums
    about `centres`."""
    weights, means, latent, cholesky, scaling = state
    n_components, own = means.shape[0], prior.own > 0
    draw_weights(rng, counts, prior.concentration, weights)
    for step in range(steps):
        scatter[n_components] = 0.0
        for k in range(n_components):
            g, n = prior.own * k, counts[k]
            if n == 0.0:
                if step == 0:
                    draw_prior_component(rng, prior, means[k], latent[g], cholesky[g], scaling[k], matrices[0], own)
                scatter[k] = 0.0
                continue
            update_mean(rng, prior, n, totals[k], centres[k], scaling[k], matrices[0], matrices[1], vectors, means[k])
            _recentre(raws[k], totals[k], n, centres[k], means[k], scatter[k])
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


@compiled(inline="always")
def _allocate(rng, features, row_weights, prior, state, log_norm, want_likelihood, watched, allocation):
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    counts, sums, outers, component, log_r = allocation
    row_model = RowModel(not prior.correlated)
    return allocation_pass(rng, features, row_weights, log_norm, state.means, state.scaling, row_model,
                           want_likelihood, watched, counts, sums, outers, component, log_r)  # fmt: skip


@compiled
def _watch(rng, row_weights, rows):
    """A row that may move alone, its probability as in `Proposals.rows`; -1 where its weight is not 1."""
    n = row_weights.shape[0]
    row = min(np.searchsorted(rows, rng.random()), n - 1) if len(rows) == n else rng.integers(0, n)
    return row if row_weights[row] == 1.0 else -1


@compiled
def sweep_many(rng, first, thin, features, row_weights, bins, prior, refresh, state, allocation, proposals, joint,
               groupings, jump_every, tries, shares, out_weights, out_means, out_latent,
               out_cholesky, tally, used):  # fmt: skip
    """`thin` sweeps for each of the draws that `out_*` (S, ...) hold.

    Parameters
    ----------
    rng : numpy.random.Generator
    first : int; sweeps that the chain has made before this call
    features, row_weights : (D, N), (N,)
    bins : Bins; those of a coarse table by which jumps are judged first, or none
    prior : CompletePrior
    refresh : float; see `update_covariance`
    state, allocation : ChainState, Allocation; changed in place
    proposals, joint, groupings : Proposals, Joint, Groupings
    jump_every, tries, shares : int, int, (N_KINDS,)
        So many jumps are tried every so many sweeps, unless there are no proposals; with these probabilities of each
        kind, in the order of `inference.gibbs.moves.components`.
    tally : (TALLY,) added to: covariances proposed, accepted; sweeps undone for fractional weights; then for each kind
        of jump, in the order of `shares`, and for rows moved alone, proposed and accepted; the last four are of walks
    used : (M,) added to: jumps made by each proposal
    """
    n_components, d = state.means.shape
    fractional = allocation.component.shape[0] > 0
    vectors = np.empty(d)
    matrices = np.zeros((5, d, d))
    scatter = np.zeros((n_components + 1, d, d))
    log_norm = np.empty(n_components)
    centres, totals, raws = np.empty((n_components, d)), np.empty((n_components, d)), np.empty((n_components, d, d))
    y = np.empty(d)
    moves = n_components > 1 and not fractional
    no = np.bool_(False)  # a literal would be compiled on its own
    place, watched = -1, _watch(rng, row_weights, proposals.rows) if moves else -1
    if first == 0:
        _, _, place = _allocate(rng, features, row_weights, prior, state, log_norm, no, watched, allocation)
    before, scratch = new_copy(state), new_copy(state)
    logs = np.empty((n_components, n_components))
    table = np.empty(1 << min(n_components, MAX_WHOLE))
    near = np.zeros(3, dtype=np.int64)
    n_sweeps = first
    for s in range(out_weights.shape[0]):
        for _ in range(thin):
            if fractional:
                copy_state(before, state)
            for k in range(n_components):
                put(centres[k], state.means[k])
                g = prior.own * k
                _unwhiten(state.cholesky[g], allocation.sums[k], allocation.outers[k], matrices[0], totals[k], raws[k])
            if place >= 0:
                for i in range(d):
                    y[i] = features[i, watched]
                move_row(rng, y, place, prior, allocation.counts, centres, totals, raws, state, scratch, matrices,
                         tally[ROWS:])  # fmt: skip
            _draw_parameters(
                rng,
                prior,
                refresh,
                2 if fractional else 1,
                allocation.counts,
                totals,
                raws,
                state,
                centres,
                scatter,
                matrices,
                vectors,
                tally,
            )
            jumps = proposals.alpha.shape[0] > 0 and n_sweeps % jump_every == 0
            watched = _watch(rng, row_weights, proposals.rows) if moves else -1
            ratio, log_likelihood, place = _allocate(
                rng, features, row_weights, prior, state, log_norm, jumps, watched, allocation
            )
            n_sweeps += 1
            changed = False
            if fractional and not math.log(rng.random()) < ratio:
                tally[2] += 1.0
                copy_state(state, before)
                changed, log_likelihood = True, math.nan
            for _ in range(tries if jumps else 0):
                u, kind = rng.random(), np.int64(SINGLE)
                for i in range(N_KINDS - 1):
                    u -= shares[i]
                    if u >= 0.0:
                        kind = np.int64(i + 1)
                if kind == REGROUP:
                    m, moved = regroup(rng, features, row_weights, prior, groupings, state, scratch, matrices, log_norm,
                                       table, near[2:])  # fmt: skip
                else:
                    m, moved = jump(rng, features, row_weights, bins, prior, proposals, joint, kind, log_likelihood,
                                    state, scratch, matrices, log_norm, logs, table, near)  # fmt: skip
                tally[KINDS + 2 * kind] += 1.0
                if moved:
                    tally[KINDS + 1 + 2 * kind] += 1.0
                    if m >= 0:
                        used[m] += 1
                    changed, log_likelihood = True, math.nan
            if changed:
                allocation.component[:] = -1
                _, _, place = _allocate(rng, features, row_weights, prior, state, log_norm, no, watched, allocation)
        put(out_weights[s], state.weights)
        put(out_means[s], state.means)
        put(out_latent[s], state.latent)
        put(out_cholesky[s], state.cholesky)
