"""A row leaves its component for a vacant one, or returns: a Metropolis step of a Gibbs sweep.

An outlier widens the component that it is in; alone in another, that one is narrower. In many columns a sweep does not
get across: the row cannot leave while its host is wide, and the host stays wide while it has the row. So the host
changes with it. Given the allocation of the other rows, let S be the scatter of the host's rows without the row and
S+ that with it (plus what a proposal for the covariance has before the data). The host's covariance becomes

    gaining the row: A Sigma A',   losing it: A^-1 Sigma A'^-1,   A = (f)^(1/2) chol(S+) chol(S)^-1,

which keeps it where it was in its conditional distribution, up to one degree of freedom, f. Weights and means are
integrated out, since the sweep draws them next, and so is the covariance of a vacant component; that of a component
that is filled is drawn from the prior. The row is chosen before the rows are allocated. Everything follows from the
sums over the rows of each component, so the step costs no pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.gibbs.conditionals import before_data
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.state import copy_covariance
from bayesgmm.kernels.triangular import factor, invert, multiply_lower, rounding_removed
from bayesgmm.model.density.natural import draw_prior_component, log_prior_covariance, squares_by_variance

__all__ = ["Sums", "log_marginal", "move_row"]

Array = NDArray[np.float64]


class Sums(NamedTuple):
    """Of the rows of each component, about a centre of its own."""

    counts: Array  # (K,)
    centres: Array  # (K, D)
    totals: Array  # (K, D)
    raws: Array  # (K, D, D), lower triangles


@compiled
def _scatter(n, centre, total, raw, y, sign, mean, out):
    """Rows in all, their mean and scatter about it, from sums about `centre`, with (+1) or without (-1) the row y."""
    d = mean.shape[0]
    m = n + sign
    for i in range(d):
        mean[i] = (total[i] + sign * (y[i] - centre[i])) / m
        for j in range(i + 1):
            square = raw[i, j] + sign * (y[i] - centre[i]) * (y[j] - centre[j])
            out[i, j] = out[j, i] = square - m * mean[i] * mean[j]
    for i in range(d):
        mean[i] += centre[i]
    return m


@compiled
def log_marginal(prior, n, mean, scatter, cholesky, scaling, work):
    """Log density of `n` rows of a component given its covariance, its mean integrated out; without (2 pi)^(-n D/2).

    Of the rows `mean` (D,) and `scatter` (D, D) about it; `work` is (2, D, D).
    """
    d = mean.shape[0]
    value = -0.5 * d * math.log(n)
    trace = 0.0
    for i in range(d):
        value += (1.0 - n) * math.log(cholesky[i, i])
        for j in range(prior.first[i], i + 1):
            total = 0.0
            for m in range(prior.first[i], i + 1):
                total += scaling[i, m] * scatter[m, j]
            trace += total * scaling[i, j]
    matrix, root = work[0], work[1]
    for i in range(d):
        for j in range(prior.first[i], i + 1):
            total = prior.mean_scale[i] * prior.mean_scale[i] if i == j else 0.0
            for m in range(prior.first[i], j + 1):
                total += cholesky[i, m] * cholesky[j, m] / n
            matrix[i, j] = total
    square = 0.0
    if not prior.correlated:
        for i in range(d):
            off = mean[i] - prior.mean_loc[i]
            value -= 0.5 * math.log(matrix[i, i])
            square += off * off / matrix[i, i]
        return value - 0.5 * (trace + square)
    if not factor(matrix, root):
        return -math.inf
    spare = matrix[0]
    for i in range(d):
        v = mean[i] - prior.mean_loc[i]
        for m in range(i):
            v -= root[i, m] * spare[m]
        spare[i] = v / root[i, i]
        square += spare[i] * spare[i]
        value -= math.log(root[i, i])
    return value - 0.5 * (trace + square)


@compiled
def _stretch(prior, n, without, within, work, out):
    """out = A of the host (D, D; lower), `n` rows without the row: log |d(A Sigma A') / d Sigma|, NaN for no A."""
    d = without.shape[0]
    nu, scale = before_data(prior, n, without)
    if prior.correlated:
        for i in range(d):
            without[i, i] += 2.0 * scale[i]
            within[i, i] += 2.0 * scale[i]
        smaller, larger, inverse = work[0], work[1], work[2]
        if not (factor(without, smaller) and factor(within, larger)):
            return math.nan
        invert(smaller, inverse)
        multiply_lower(larger, inverse, out)
        size = math.sqrt((nu + n) / (nu + n + 1.0))
        log_det = 0.0
        for i in range(d):
            for j in range(i + 1):
                out[i, j] *= size
            log_det += math.log(out[i, i])
        return (d + 1.0) * log_det
    small, large = squares_by_variance(prior, without), squares_by_variance(prior, within)
    columns = d // len(small)
    log_det, half = 0.0, 0.5 * n * columns
    for i in range(d):
        j = prior.variance[i]
        b = scale[i]
        square = (b + 0.5 * large[j]) / (b + 0.5 * small[j]) * (nu + half) / (nu + half + 0.5 * columns)
        if not 0.0 < square < math.inf:
            return math.nan
        if j == i:
            log_det += math.log(square)
        out[i, i] = math.sqrt(square)
    return log_det


@compiled
def _stretched(prior, stretch, gain, cholesky, work, latent, out, scaling):
    """out = the factor of A Sigma A', or of A^-1 Sigma A'^-1 when a row is lost; False where rounding forbids it."""
    d = cholesky.shape[0]
    if prior.correlated:
        if gain:
            multiply_lower(stretch, cholesky, out)
        else:
            invert(stretch, work[0])
            multiply_lower(work[0], cholesky, out)
        invert(out, scaling)
        return rounding_removed(out, prior.floor, work[0], latent)
    for i in range(d):
        sd = cholesky[i, i] * stretch[i, i] if gain else cholesky[i, i] / stretch[i, i]
        if not sd * sd > prior.floor[i]:
            return False
        out[i, i], scaling[i, i], latent[i, i] = sd, 1.0 / sd, math.sqrt(sd * sd - prior.floor[i])
    return True


@compiled
def _log_hosts(y, sums, state, out):
    """Log probability of each component with rows but this one to be the host, by weight and density, their means
    those of their rows."""
    counts, centres, totals, _ = sums
    n_components, d = centres.shape
    highest = -math.inf
    for k in range(n_components):
        out[k] = -math.inf
        if counts[k] == 0.0:
            continue
        value = math.log(counts[k])
        for i in range(d):
            whitened = 0.0
            for j in range(i + 1):
                off = y[j] - centres[k, j] - totals[k, j] / counts[k]
                whitened += state.scaling[k, i, j] * off
            value += math.log(state.scaling[k, i, i]) - 0.5 * whitened * whitened
        out[k] = value
        highest = max(highest, value)
    total = 0.0
    for k in range(n_components):
        total += math.exp(out[k] - highest)
    for k in range(n_components):
        out[k] -= highest + math.log(total)


@compiled
def _add_row(y, sign, k, sums):
    counts, centres, totals, raws = sums
    counts[k] += sign
    for i in range(len(y)):
        a = y[i] - centres[k, i]
        totals[k, i] += sign * a
        for j in range(i + 1):
            raws[k, i, j] += sign * a * (y[j] - centres[k, j])
    if counts[k] == 0.0:
        totals[k], raws[k] = 0.0, 0.0


@compiled
def _draw_place(rng, log_weight):
    """A place, with probability exp(log_weight)."""
    u, place = rng.random(), 0
    while place < log_weight.shape[0] - 1:
        u -= math.exp(log_weight[place])
        if u < 0.0:
            break
        place += 1
    return place


@compiled
def move_row(rng, y, place, prior, sums, state, work, tally):
    """Move row y, of weight 1 and allocated to `place`, to a vacant component or out of one, or not.

    `sums` of the rows of each component are changed in place, as is `state`, of which only covariances count; `work` is
    a `Workspace`, `tally` (2,) is added to: proposed, accepted.
    """
    counts, new, n_components = sums.counts, work.new, len(sums.counts)
    _add_row(y, -1.0, place, sums)
    n_vacant = (counts == 0.0).sum()
    filling = counts[place] > 0.0
    if n_vacant == 0 or n_vacant == n_components:
        _add_row(y, 1.0, place, sums)
        return
    tally[0] += 1.0
    hosts = np.empty(n_components)
    if filling:
        h, a, skip = place, 0, rng.integers(0, n_vacant)
        while counts[a] > 0.0 or skip > 0:
            skip -= counts[a] == 0.0
            a += 1
    else:
        _log_hosts(y, sums, state, hosts)
        h, a = _draw_place(rng, hosts), place
    to = a if filling else h
    if _accepted(rng, y, filling, n_vacant, h, a, prior, sums, state, new, hosts, work.matrices):
        tally[1] += 1.0
        if prior.own:
            for k in (h, a):
                copy_covariance(k, k, state, new)
        if filling:
            put(sums.centres[a], y)
        _add_row(y, 1.0, to, sums)
    else:
        _add_row(y, 1.0, place, sums)


@compiled(inline="always")
def _accepted(rng, y, filling, n_vacant, h, a, prior, sums, state, new, hosts, work):
    """Propose covariances of host and vacant component in `new`, and accept them or not; sums are without the row."""
    d, (counts, centres, totals, raws) = y.shape[0], sums
    mean, with_mean, none = np.empty(d), np.empty(d), np.zeros((d, d))
    without, within, stretch = np.empty((d, d)), np.empty((d, d)), np.zeros((d, d))
    n = _scatter(counts[h], centres[h], totals[h], raws[h], y, 0.0, mean, without)
    _scatter(counts[h], centres[h], totals[h], raws[h], y, 1.0, with_mean, within)
    gh, ga = prior.own * h, prior.own * a
    if not prior.own:
        copy_covariance(0, h, new, state)
        put(new.scaling[a], state.scaling[a])
        log_stretch = 0.0
    else:
        log_stretch = _stretch(prior, n, without.copy(), within.copy(), work, stretch)
        if math.isnan(log_stretch) or not _stretched(
            prior, stretch, not filling, state.cholesky[h], work, new.latent[h], new.cholesky[h], new.scaling[h]
        ):
            return False
        if filling:
            draw_prior_component(
                rng, prior, new.means[a], new.latent[a], new.cholesky[a], new.scaling[a], work[0], np.bool_(True)
            )
        else:
            copy_covariance(a, a, new, state)
    filled, vacant = (new, state) if filling else (state, new)
    alone = log_marginal(prior, 1.0, y, none, filled.cholesky[ga], filled.scaling[a], work)
    alone += log_marginal(prior, n, mean, without, filled.cholesky[gh], filled.scaling[h], work)
    alone += math.log(prior.concentration)
    together = log_marginal(prior, n + 1.0, with_mean, within, vacant.cholesky[gh], vacant.scaling[h], work)
    together += math.log(prior.concentration + n)
    if prior.own:
        alone += log_prior_covariance(prior, filled.latent[h])
        together += log_prior_covariance(prior, vacant.latent[h])
    if filling:  # the host that the way back would choose is so by the covariances then
        scaling = state.scaling[h].copy()
        put(state.scaling[h], new.scaling[h])
        _log_hosts(y, sums, state, hosts)
        put(state.scaling[h], scaling)
    gain = alone - together + hosts[h] + math.log(n_vacant) - log_stretch
    return math.log(rng.random()) < (gain if filling else -gain)
