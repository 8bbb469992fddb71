"""Jumps between allocations: all rows are grouped anew, by how the draws of some mode group them.

Mixtures proposed as a whole (`proposals`, `joint`) have a density in a hundred dimensions and more in many columns, and
none that is fitted is close to the posterior's. The allocation of a few hundred rows is simpler: in one mode most rows
have one component that they can be in. So the rows are allocated anew, each on its own, with the mean responsibilities
of the draws of one mode, and the covariances are drawn from an inverse-Wishart (or inverse-gammas) given the rows, as
in `covariances`; weights and means are integrated out, and drawn given the rest when the jump is made. The probability
of an allocation is summed over the modes and, since the rows are independent in each, over the orders of the components
by a permanent. For row weights of 1, or 0 for rows that are left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.complete_data import draw_weights, update_mean
from bayesgmm.inference.gibbs.conditionals import before_data
from bayesgmm.inference.gibbs.moves.lone_rows import log_marginal
from bayesgmm.kernels.compiled import add, compiled, put
from bayesgmm.kernels.matrices import factor, invert, rounding_removed
from bayesgmm.kernels.row_pass import log_normalizers
from bayesgmm.kernels.state import copy_state
from bayesgmm.kernels.wishart import draw_inverse_wishart
from bayesgmm.model.density.natural import draw_prior_component, log_prior_covariance
from bayesgmm.model.proposals.orders import LOST, add_log, log_permanent

__all__ = ["Groupings", "log_grouping", "no_groupings", "regroup"]

Array = NDArray[np.float64]


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
def _allocate(rng, features, row_weights, log_norm, means, scaling, correlated, place):
    """Draw the component of every row given the mixture; -1 for rows of no weight."""
    (d, n_rows), n_components = features.shape, means.shape[0]
    r, off = np.empty(n_components), np.empty(d)
    for row in range(n_rows):
        place[row] = -1
        if row_weights[row] == 0.0:
            continue
        highest = -math.inf
        for k in range(n_components):
            for i in range(d):
                off[i] = features[i, row] - means[k, i]
            square = 0.0
            for i in range(d):
                value = 0.0
                for j in range(0 if correlated else i, i + 1):
                    value += scaling[k, i, j] * off[j]
                square += value * value
            r[k] = log_norm[k] - 0.5 * square
            highest = max(highest, r[k])
        total = 0.0
        for k in range(n_components):
            r[k] = math.exp(r[k] - highest)
            total += r[k]
        place[row] = _pick(rng.random() * total, r)


@compiled
def _pick(level, r):
    """The place in which `level` falls, between 0 and the sum of r."""
    for k in range(r.shape[0] - 1):
        level -= r[k]
        if level < 0.0:
            return k
    return r.shape[0] - 1


@compiled
def _sum_up(features, place, correlated, counts, means, scatter):
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
            for j in range(0 if correlated else i, i + 1):
                scatter[k, i, j] += off[i] * off[j]
    for k in range(n_components):
        for i in range(d):
            for j in range(i):
                scatter[k, j, i] = scatter[k, i, j]


@compiled(inline="always")
def _given_rows(prior, n, scatter, out):
    """What covariances are proposed given `n` rows besides their mean: degrees of freedom nu of an inverse-Wishart and,
    in `out`, the factor of its scale; of inverse-gammas nu / 2 is the shape, and the scales are on the diagonal. NaN
    where there is none."""
    d = scatter.shape[0]
    nu, scale = before_data(prior, n, scatter)
    if prior.correlated:
        matrix = scatter.copy()
        for i in range(d):
            matrix[i, i] += 2.0 * scale[i]
        return nu + n if factor(matrix, out) else math.nan
    total = 0.0
    for i in range(d):
        total += scatter[i, i]
    for i in range(d):
        out[i, i] = scale[i] + 0.5 * (total if prior.one_sd else scatter[i, i])
    return 2.0 * nu + n * (d if prior.one_sd else 1.0)


@compiled
def _draw_covariance(rng, prior, nu, root, work, latent, cholesky, scaling):
    """Draw what `_log_covariance` is the density of; False where rounding does not allow it."""
    d = root.shape[0]
    if prior.correlated:
        if not draw_inverse_wishart(rng, nu, root, work[0], work[1], cholesky):
            return False
        invert(cholesky, scaling)
        return rounding_removed(cholesky, prior.floor, work[0], latent)
    v = 0.0
    for i in range(d):
        if i == 0 or not prior.one_sd:
            v = root[i, i] / max(rng.standard_gamma(0.5 * nu), 1e-300)
        if not prior.floor[i] < v < math.inf:
            return False
        cholesky[i, i] = math.sqrt(v)
        scaling[i, i] = 1.0 / cholesky[i, i]
        latent[i, i] = math.sqrt(v - prior.floor[i])
    return True


@compiled
def _log_covariance(prior, nu, root, cholesky, scaling):
    d = root.shape[0]
    value = 0.0
    if not prior.correlated:
        for i in range(1 if prior.one_sd else d):
            value += 0.5 * nu * math.log(root[i, i]) - math.lgamma(0.5 * nu) - (nu + 2.0) * math.log(cholesky[i, i])
            value -= root[i, i] * scaling[i, i] * scaling[i, i]
        return value
    value = -0.5 * nu * d * math.log(2.0) - 0.25 * d * (d - 1.0) * math.log(math.pi)
    for i in range(d):
        value += nu * math.log(root[i, i]) - (nu + d + 1.0) * math.log(cholesky[i, i]) - math.lgamma(0.5 * (nu - i))
        for j in range(i + 1):
            total = 0.0
            for m in range(j, i + 1):
                total += scaling[i, m] * root[m, j]
            value -= 0.5 * total * total
    return value


@compiled(inline="always")
def _pool(prior, counts, scatter):
    """With a shared covariance, rows besides the means and scatter of all, in those of the first component."""
    n = 0.0
    for k in range(counts.shape[0]):
        n += max(counts[k] - 1.0, 0.0)
        if k > 0:
            add(scatter[0], scatter[k])
    return n


@compiled
def _log_given(prior, draw, rng, features, place, means, scatter, counts, roots, latent, cholesky, scaling, work):
    """Log posterior of an allocation and the covariances, less the log density with which those are proposed, which are
    drawn first if `draw`; -inf where there are none."""
    n_components, shared = means.shape[0], prior.shared
    _sum_up(features, place, prior.correlated, counts, means, scatter)
    value = 0.0
    own = scatter.copy() if shared else scatter
    n = _pool(prior, counts, scatter) if shared else 0.0
    for k in range(n_components):
        value += math.lgamma(prior.concentration + counts[k])
        g = 0 if shared else k
        if (k == 0) if shared else (counts[k] > 0.0):
            nu = _given_rows(prior, n if shared else counts[k] - 1.0, scatter[g], roots)
            if math.isnan(nu):
                return -math.inf
            if draw and not _draw_covariance(rng, prior, nu, roots, work, latent[g], cholesky[g], scaling[k]):
                return -math.inf
            value += log_prior_covariance(prior, latent[g]) - _log_covariance(prior, nu, roots, cholesky[g], scaling[k])
        if shared and draw and k > 0:
            put(scaling[k], scaling[0])
        if counts[k] > 0.0:
            value += log_marginal(prior, counts[k], means[k], own[k], cholesky[g], scaling[k], work)
    return value


@compiled(inline="always")
def regroup(rng, features, row_weights, prior, groupings, state, new, work, log_norm, table, near):
    """Propose another allocation and covariances, and accept them or not: the grouping used, and whether the state
    changed. `state`, `new`, `work`, `log_norm`, `table` as in `jump`; `near` (1,) the grouping likely to be near."""
    (d, n_rows), n_components = features.shape, state.means.shape[0]
    place, old_place = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    counts, means = np.empty(n_components), np.empty((n_components, d))
    scatter, root = np.empty((n_components, d, d)), np.zeros((d, d))
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    _allocate(rng, features, row_weights, log_norm, state.means, state.scaling, prior.correlated, old_place)
    gain = -_log_given(prior, np.bool_(False), rng, features, old_place, means, scatter, counts, root,
                       state.latent, state.cholesky, state.scaling, work)  # fmt: skip
    m = rng.integers(0, groupings.r.shape[0])
    for i in range(n_rows):
        place[i] = _pick(rng.random(), groupings.r[m, i]) if row_weights[i] > 0.0 else -1
    gain += _log_given(prior, np.bool_(True), rng, features, place, means, scatter, counts, root, new.latent,
                       new.cholesky, new.scaling, work)  # fmt: skip
    if gain == -math.inf:
        return m, False
    back, near[0] = log_grouping(groupings.log_r, near[0], old_place, n_components, table)
    way, _ = log_grouping(groupings.log_r, m, place, n_components, table)
    if not math.log(rng.random()) < gain + back - way:
        return m, False
    draw_weights(rng, counts, prior.concentration, new.weights)
    nothing, vector = np.zeros(d), np.empty(d)
    for k in range(n_components):
        g = 0 if prior.shared else k
        if counts[k] == 0.0:
            draw_prior_component(
                rng, prior, new.means[k], new.latent[g], new.cholesky[g], new.scaling[k], work[0], not prior.shared
            )
        else:
            update_mean(rng, prior, counts[k], nothing, means[k], new.scaling[k], work[0], work[1], vector,
                        new.means[k])  # fmt: skip
    copy_state(state, new)
    return m, True
