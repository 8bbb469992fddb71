"""Jumps between allocations: all rows are grouped anew, by how the draws of some mode group them.

Mixtures proposed as a whole (`moves.whole`, `moves.joint`) have a density in a hundred dimensions and more in many
columns, and none that is fitted is close to the posterior's. The allocation of a few hundred rows is simpler: in one
mode most rows have one component that they can be in. So the rows are allocated anew, each on its own, with the mean
responsibilities of the draws of one mode, and the covariances are drawn from an inverse-Wishart (or inverse-gammas)
given the rows, as in `inference.gibbs.conditionals`; weights and means are integrated out, and drawn given the rest
when the move is made. The probability of an allocation is summed over the modes and, since the rows are independent in
each, over the orders of the components by a permanent. For row weights of 1, or 0 for rows that are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.complete_data import draw_weights, update_mean
from bayesgmm.inference.gibbs.conditionals import before_data
from bayesgmm.inference.gibbs.moves.lone_rows import log_marginal
from bayesgmm.inference.gibbs.moves.move import MANY_ROWS, Move
from bayesgmm.kernels.compiled import add, compiled, put
from bayesgmm.kernels.picks import pick
from bayesgmm.kernels.row_model import RowModel
from bayesgmm.kernels.row_pass import component_log_densities
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.kernels.triangular import factor, log_determinant
from bayesgmm.kernels.wishart import log_wishart_constant
from bayesgmm.model.density.natural import draw_prior_component, log_prior_covariance, squares_by_variance
from bayesgmm.model.draws import Sample
from bayesgmm.model.proposals.conjugate import Proposals, draw_covariance, log_covariance
from bayesgmm.model.proposals.orders import LOST, add_log, log_permanent
from bayesgmm.model.proposals.whole import MAX_WHOLE

__all__ = ["MOVE", "Groupings", "Groups", "log_grouping", "no_groupings"]

Array = NDArray[np.float64]

_GROUPED_DRAWS = 100  # of a mode, whose responsibilities are averaged
_ODD_ROWS = 0.02  # rows that a grouping puts where no draw of its mode does


class Groups(NamedTuple):
    """The rows of each component, in compiled code."""

    counts: Array  # (K,)
    means: Array  # (K, D)
    scatter: Array  # (K, D, D) about the means
    root: Array  # (D, D) scratch


class Groupings(NamedTuple):
    """M ways to allocate the rows."""

    r: Array  # (M, N, K) probabilities
    log_r: Array  # (M, N, K)


def no_groupings(n_components: int) -> Groupings:
    """M = 0."""
    none = np.empty((0, 0, n_components))
    return Groupings(none, none)


@compiled
def log_grouping(log_r, first, place, n_components, table):
    """Log probability of an allocation under groupings mixed, up to what no allocation changes; and the most likely."""
    n_groupings, n_rows = log_r.shape[:2]
    logs = np.empty((n_components, n_components))
    highest, total, nearest = -math.inf, 0.0, first
    for step in range(n_groupings):
        m = (first + step) % n_groupings
        logs[:] = 0.0
        for i in range(n_rows):
            if place[i] >= 0:
                for k in range(n_components):
                    logs[place[i], k] += log_r[m, i, k]
        value = log_permanent(logs, table, highest - LOST)
        if value > highest:
            nearest = m
        highest, total = add_log(highest, total, value)
    return highest + math.log(total), nearest


@compiled
def _sum_up(features, place, first, counts, means, scatter):
    """Rows of each component, their mean, and their scatter about it (lower triangle)."""
    (d, n_rows), n_components = features.shape, means.shape[0]
    counts[:], means[:], scatter[:] = 0.0, 0.0, 0.0
    for row in range(n_rows):
        if place[row] < 0:
            continue
        counts[place[row]] += 1.0
        for i in range(d):
            means[place[row], i] += features[i, row]
    for k in range(n_components):
        if counts[k] > 0.0:
            for i in range(d):
                means[k, i] /= counts[k]
    off = np.empty(d)
    for row in range(n_rows):
        k = place[row]
        if k < 0:
            continue
        for i in range(d):
            off[i] = features[i, row] - means[k, i]
            for j in range(first[i], i + 1):
                scatter[k, i, j] += off[i] * off[j]
    for k in range(n_components):
        for i in range(d):
            for j in range(i):
                scatter[k, j, i] = scatter[k, i, j]


@compiled(inline="always")
def _given_rows(prior, n, scatter, out):
    """What covariances are proposed given `n` rows besides their mean, as in `Proposals`: degrees of freedom and, in
    `out`, the factor of the scale; NaN where there is none."""
    d = scatter.shape[0]
    nu, scale = before_data(prior, n, scatter)
    if prior.correlated:
        matrix = scatter.copy()
        for i in range(d):
            matrix[i, i] += 2.0 * scale[i]
        return nu + n if factor(matrix, out) else math.nan
    square = squares_by_variance(prior, scatter)
    for i in range(d):
        out[i, i] = math.sqrt(2.0 * scale[i] + square[prior.variance[i]])
    return 2.0 * nu + n * (d // len(square))


@compiled
def _log_proposed(prior, nu, root, cholesky, scaling):
    """Log density of a covariance given what it is proposed from."""
    diagonal, constant = np.empty(root.shape[0]), 0.0
    for i in range(root.shape[0]):
        diagonal[i] = root[i, i]
    if prior.correlated:
        constant = log_wishart_constant(nu, diagonal)
    else:
        for i in range(prior.sd.shape[1]):
            constant += log_wishart_constant(nu, diagonal[i : i + 1])
    log_det = log_determinant(cholesky)
    return log_covariance(prior.correlated, prior.sd.shape[1], nu, root, constant, scaling, log_det)


@compiled(inline="always")
def _pool(counts, scatter):
    """With a shared covariance, rows besides the means and scatter of all, in those of the first component."""
    n = 0.0
    for k in range(counts.shape[0]):
        n += max(counts[k] - 1.0, 0.0)
        if k > 0:
            add(scatter[0], scatter[k])
    return n


@compiled
def _log_given(rng, prior, draw, features, place, groups, mixture, matrices):
    """Log posterior of an allocation and the covariances of a mixture, less the log density with which those are
    proposed, which are drawn first if `draw`; -inf where there are none. `groups` are filled."""
    counts, means, scatter, root = groups
    latent, cholesky, scaling = mixture.latent, mixture.cholesky, mixture.scaling
    n_components, shared = means.shape[0], prior.own == 0
    _sum_up(features, place, prior.first, counts, means, scatter)
    value = 0.0
    own = scatter.copy() if shared else scatter
    n = _pool(counts, scatter) if shared else 0.0
    for k in range(n_components):
        value += math.lgamma(prior.concentration + counts[k])
        g = prior.own * k
        if (k == 0) if shared else (counts[k] > 0.0):
            nu = _given_rows(prior, n if shared else counts[k] - 1.0, scatter[g], root)
            if math.isnan(nu):
                return -math.inf
            if draw and not draw_covariance(rng, prior, nu, root, matrices, latent[g], cholesky[g], scaling[k]):
                return -math.inf
            value += log_prior_covariance(prior, latent[g]) - _log_proposed(prior, nu, root, cholesky[g], scaling[k])
        if shared and draw and k > 0:
            put(scaling[k], scaling[0])
        if counts[k] > 0.0:
            value += log_marginal(prior, counts[k], means[k], own[k], cholesky[g], scaling[k], matrices)
    return value


@compiled
def _allocate(rng, target, state, place):
    """Draw the component of every row given the mixture; -1 for rows of no weight."""
    n_rows, n_components = target.rows.features.shape[1], len(state.weights)
    density = np.empty((n_rows, n_components))
    row_model = RowModel(not target.prior.correlated, np.empty(0))
    component_log_densities(target.rows.features, state.means, state.scaling, row_model, density)
    for i in range(n_rows):
        highest = -math.inf
        for k in range(n_components):
            density[i, k] += math.log(state.weights[k])
            highest = max(highest, density[i, k])
        total = 0.0
        for k in range(n_components):
            density[i, k] = math.exp(density[i, k] - highest)
            total += density[i, k]
        place[i] = pick(rng.random() * total, density[i]) if target.row_weights[i] > 0.0 else -1


@compiled(inline="always")
def _propose(rng, target, library, own, near, state, work):
    """Another allocation and covariances; weights and means, integrated out, are drawn given them."""
    prior, features, new, matrices = target.prior, target.rows.features, work.new, work.matrices
    (d, n_rows), n_components = features.shape, state.means.shape[0]
    place, old_place = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    groups = Groups(
        np.empty(n_components), np.empty((n_components, d)), np.empty((n_components, d, d)), np.zeros((d, d))
    )
    _allocate(rng, target, state, old_place)
    gain = -_log_given(rng, prior, np.bool_(False), features, old_place, groups, state, matrices)
    m = rng.integers(0, own.r.shape[0])
    for i in range(n_rows):
        place[i] = pick(rng.random(), own.r[m, i]) if target.row_weights[i] > 0.0 else -1
    gain += _log_given(rng, prior, np.bool_(True), features, place, groups, new, matrices)
    if gain == -math.inf:
        return gain, m, True
    back, near[0] = log_grouping(own.log_r, near[0], old_place, n_components, work.table)
    way, _ = log_grouping(own.log_r, m, place, n_components, work.table)
    counts, nothing, vector = groups.counts, np.zeros(d), np.empty(d)
    draw_weights(rng, counts, prior.concentration, new.weights)
    for k in range(n_components):
        g = prior.own * k
        if counts[k] == 0.0:
            draw_prior_component(
                rng, prior, new.means[k], new.latent[g], new.cholesky[g], new.scaling[k], matrices[0], prior.own > 0
            )
        else:
            update_mean(rng, prior, counts[k], nothing, groups.means[k], new.scaling[k], matrices[0], matrices[1],
                        vector, new.means[k])  # fmt: skip
    return gain + back - way, m, True


def _fit(problem: Any, samples: Sequence[Sample], proposals: Proposals) -> Groupings:
    """How the draws of each mode group the rows, for few rows, each complete and counted once."""
    table, k = problem.table, samples[0].means.shape[1]
    if table.n_rows >= MANY_ROWS or np.any(table.weights != 1.0) or not table.is_complete or table.known is not None:
        return no_groupings(k)
    r = np.empty((len(samples), table.n_rows, k))
    for m, sample in enumerate(samples):
        some = sample.take(evenly_spaced(len(sample.weights), _GROUPED_DRAWS))
        r[m] = mean_responsibilities(
            table.standardized, some.weights, some.means, some.scaling, row_model=problem.structure.row_model
        )
    odd = _ODD_ROWS / table.n_rows
    r = (1.0 - odd) * r + odd / k
    return Groupings(r, np.log(r))


MOVE = Move(
    "reallocation moves",
    _propose,
    fit=_fit,
    none=lambda n_components, n_features: no_groupings(n_components),
    possible=lambda n_components, own: n_components <= MAX_WHOLE and len(own.r) > 0,
)
