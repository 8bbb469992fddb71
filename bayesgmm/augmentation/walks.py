"""Walks of a pair of components on the marginal posterior: what allocations are slow to change in tables of many rows.

Gibbs sweeps move the border between two overlapping components only as fast as rows change hands, and the more rows
they share the slower. A walk integrates the allocations out. Of a pair, one component moves by a random element of the
affine group, (mean, L) -> (mean + L m, L T), and their shares on the logit scale, so that steps are in the component's
own units; the other takes up what the first gives, such that the joint weight, mean and covariance of the two are kept
(as splits and merges do in Richardson and Green 1997). All other components stay, so that their densities are computed
once for several steps.

Which pair, and how long a step, is drawn from distributions that depend on the state; they are part of what the steps
leave invariant: draw the pair given the state, then move the state by Metropolis steps for posterior times probability
of the pair.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.augmentation.complete_prior import log_prior_covariance, log_prior_mean
from bayesgmm.augmentation.matrices import factor, invert, rounding_removed
from bayesgmm.block_math import BLOCK, FAST, exp_block, log_block, whiten
from bayesgmm.kernels import log_normalizers, weigh_block

__all__ = ["walk"]

_UNIFORM = 0.1  # probability that a pair is any pair, rather than a close one
_LOG_SIZE = 0.6  # mean of the log of a step's length, in posterior sds of a component whose rows are known
_SHARE, _MEAN, _SHAPE = 1, 2, 4  # what a step moves: any of these together
_LARGE = 600.0  # exponent from which the rows of a block are summed one by one


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _rest(features, log_norm, means, scaling, diagonal, a, b, reference, rest):
    """Reference log density of every row, and the densities of all components but a and b relative to it."""
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    y = np.empty((n_components, n_features, BLOCK))
    r = np.empty((n_components, BLOCK))
    centred, work = np.empty((n_features, BLOCK)), np.empty((3, BLOCK))
    highest, total, buffer = work[0], work[1], work[2]
    bits = buffer.view(np.int64)
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        weigh_block(features, start, n, log_norm, means, scaling, diagonal,
                    centred, y, r, highest, total, buffer, bits)  # fmt: skip
        reference[start : start + n] = highest[:n]
        for i in range(n):
            rest[start + i] = 0.0
        for k in range(n_components):
            if k not in (a, b):
                rk = r[k]
                for i in range(n):
                    rest[start + i] += rk[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _relative(features, row_weights, log_norm, means, scaling, diagonal, pair, reference, rest):
    """Log-likelihood less the weighted sum of `reference`, with the components `pair` beside `rest`."""
    n_features, n_rows = features.shape
    y, centred, work = np.empty((n_features, BLOCK)), np.empty((n_features, BLOCK)), np.empty((5, BLOCK))
    first, second, total, out, buffer = work[0], work[1], work[2], work[3], work[4]
    bits = buffer.view(np.int64)
    value = 0.0
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        largest = 0.0
        for which in range(2):
            r = work[which]
            whiten(features, start, n, means[pair[which]], scaling[pair[which]], diagonal, centred, y, r)
            c = log_norm[pair[which]]
            for i in range(n):
                v = c - 0.5 * r[i] - reference[start + i]
                r[i] = v
                largest = max(largest, v)
        if largest > _LARGE:
            for i in range(n):
                high = max(first[i], second[i], 0.0)
                t = rest[start + i] * math.exp(-high) + math.exp(first[i] - high) + math.exp(second[i] - high)
                value += row_weights[start + i] * (high + math.log(t))
            continue
        exp_block(first, buffer, bits, n)
        exp_block(second, buffer, bits, n)
        for i in range(n):
            total[i] = rest[start + i] + first[i] + second[i]
        log_block(total, out, buffer, bits, n)
        for i in range(n):
            value += row_weights[start + i] * out[i]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _exponential(generator, out, term, spare):
    """out = exp(generator), lower triangular but for its last column: Taylor's series of a part of it, squared."""
    d = generator.shape[0]
    norm = 0.0
    for i in range(d):
        for j in range(d):
            norm = max(norm, abs(generator[i, j]))
    halvings = max(0, math.ceil(math.log2(max(norm * d, 1e-300))) + 1)
    scale = 0.5**halvings
    out[:] = 0.0
    term[:] = 0.0
    for i in range(d):
        out[i, i] = 1.0
        term[i, i] = 1.0
    for order in range(1, 16):
        _multiply(term, generator, scale / order, spare)
        term[:] = spare
        out += term
    for _ in range(halvings):
        _multiply(out, out, 1.0, spare)
        out[:] = spare


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(a, b, scale, out):
    d = a.shape[0]
    for i in range(d):
        for j in range(d):
            value = 0.0
            for m in range(d):
                value += a[i, m] * b[m, j]
            out[i, j] = scale * value


@njit(cache=True, nogil=True, error_model="numpy")
def _step(rng, prior, size, parts, a, old, new, group, work):
    """Component a of `new`, moved from `old`; the log Jacobian with respect to (mean, covariance), -inf for no move.

    The generator of the group's element is symmetric about zero, so a step and its inverse are equally likely.
    """
    d = old.means.shape[1]
    g = 0 if prior.shared else a
    generator, moved = group[0], group[1]
    generator[:] = 0.0
    if parts & _MEAN:
        for i in range(d):
            generator[i, d] = size * rng.standard_normal()
    shaped = parts & _SHAPE > 0 and not prior.shared
    if shaped:
        one = size * rng.standard_normal() / math.sqrt(2.0)
        for i in range(d):
            same = prior.one_sd and not prior.correlated
            generator[i, i] = one if same else size * rng.standard_normal() / math.sqrt(2.0)
            for j in range(i if prior.correlated else 0):
                generator[i, j] = size * rng.standard_normal()
    _exponential(generator, moved, group[2], group[3])
    for i in range(d):
        value = old.means[a, i]
        for j in range(i + 1):
            value += old.cholesky[g, i, j] * moved[j, d]
        new.means[a, i] = value
    if not shaped:
        return 0.0
    jacobian = 0.0
    for i in range(d):
        for j in range(i + 1):
            value = 0.0
            for m in range(j, i + 1):
                value += old.cholesky[a, i, m] * moved[m, j]
            new.cholesky[a, i, j] = value
        if prior.correlated:
            jacobian += 2.0 * (d - i) * generator[i, i]
        elif i == 0 or not prior.one_sd:
            jacobian += 2.0 * generator[i, i]
    if prior.correlated:
        if not rounding_removed(new.cholesky[a], prior.floor, work[0], new.latent[a]):
            return -math.inf
    elif not _set_variances(prior, new.cholesky[a], new.latent[a]):
        return -math.inf
    invert(new.cholesky[a], new.scaling[a])
    return jacobian


@njit(cache=True, nogil=True, error_model="numpy")
def _set_variances(prior, cholesky, latent):
    """The factor without rounding of a diagonal covariance; False where rounding does not allow it."""
    for i in range(cholesky.shape[0]):
        v = cholesky[i, i] * cholesky[i, i] - prior.floor[i]
        if not v > 0.0:
            return False
        latent[i, i] = math.sqrt(v)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _compensate(prior, a, b, old, new, work):
    """Component b of `new` such that the joint moments of a and b are those of `old`; log Jacobian, -inf for no move.

    With the joint moments as coordinates in place of component b, a density is multiplied by weight_b to the power of
    minus the number of b's means and (co)variances.
    """
    d = old.means.shape[1]
    matrix = work[2]
    wa, wb, va, vb = old.weights[a], old.weights[b], new.weights[a], new.weights[b]
    for i in range(d):
        gone, come = old.means[a, i] - old.means[b, i], new.means[a, i] - old.means[b, i]
        new.means[b, i] = old.means[b, i] + (wa * gone - va * come) / vb
    log_ratio = math.log(wb / vb)
    if prior.shared:
        return d * log_ratio
    # Second moments about the old mean of b.
    for i in range(d):
        for j in range(i + 1) if prior.correlated else range(i, i + 1):
            gone = come = kept = 0.0
            for m in range(j + 1):
                gone += old.cholesky[a, i, m] * old.cholesky[a, j, m]
                kept += old.cholesky[b, i, m] * old.cholesky[b, j, m]
                come += new.cholesky[a, i, m] * new.cholesky[a, j, m]
            gone += (old.means[a, i] - old.means[b, i]) * (old.means[a, j] - old.means[b, j])
            come += (new.means[a, i] - old.means[b, i]) * (new.means[a, j] - old.means[b, j])
            square = (new.means[b, i] - old.means[b, i]) * (new.means[b, j] - old.means[b, j])
            matrix[i, j] = (wa * gone + wb * kept - va * come) / vb - square
    if prior.correlated:
        if not factor(matrix, new.cholesky[b]):
            return -math.inf
        if not rounding_removed(new.cholesky[b], prior.floor, work[1], new.latent[b]):
            return -math.inf
        invert(new.cholesky[b], new.scaling[b])
        return (d + 0.5 * d * (d + 1.0)) * log_ratio
    mean = 0.0
    for i in range(d):
        mean += matrix[i, i] / d
    for i in range(d):
        v = mean if prior.one_sd else matrix[i, i]
        if not v > 0.0:
            return -math.inf
        new.cholesky[b, i, i] = math.sqrt(v)
    if not _set_variances(prior, new.cholesky[b], new.latent[b]):
        return -math.inf
    invert(new.cholesky[b], new.scaling[b])
    return (d + (1.0 if prior.one_sd else d)) * log_ratio


@njit(cache=True, nogil=True, error_model="numpy")
def _log_prior_of(prior, k, state):
    g = 0 if prior.shared else k
    value = (prior.concentration - 1.0) * math.log(state.weights[k]) + log_prior_mean(prior, state.means[k])
    return value if prior.shared else value + log_prior_covariance(prior, state.latent[g])


@njit(cache=True, nogil=True, error_model="numpy")
def _set(k, shared, source, target):
    """Component k of `target` as that of `source`."""
    target.weights[k] = source.weights[k]
    target.means[k] = source.means[k]
    if not shared:
        target.scaling[k] = source.scaling[k]
        target.latent[k] = source.latent[k]
        target.cholesky[k] = source.cholesky[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _closeness(i, j, state):
    """exp(-d / 4), d the squared distance of two means in units of the component in which it is smaller."""
    first = second = 0.0
    for m in range(state.means.shape[1]):
        u = v = 0.0
        for n in range(m + 1):
            difference = state.means[i, n] - state.means[j, n]
            u += state.scaling[i, m, n] * difference
            v += state.scaling[j, m, n] * difference
        first += u * u
        second += v * v
    return math.exp(-0.25 * min(first, second))


@njit(cache=True, nogil=True, error_model="numpy")
def _set_closeness(k, state, close):
    """Row and column k of `close` (K, K), of which the lower triangle is in use."""
    for i in range(close.shape[0]):
        if i != k:
            close[max(i, k), min(i, k)] = _closeness(i, k, state)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_pair(rng, state, close):
    """Two components, rather close ones, the one that moves rather the smaller: see `_log_pair`."""
    k = close.shape[0]
    total = 0.0
    for i in range(k):
        for j in range(i):
            total += close[i, j]
    uniform = rng.random() < _UNIFORM or not total > 0.0
    level = rng.random() * (0.5 * k * (k - 1.0) if uniform else total)
    a, b = 1, 0
    for i in range(k):
        for j in range(i):
            if level >= 0.0:
                a, b = i, j
            level -= 1.0 if uniform else close[i, j]
    if rng.random() * (state.weights[a] + state.weights[b]) < state.weights[a]:
        a, b = b, a
    return a, b


@njit(cache=True, nogil=True, error_model="numpy")
def _log_pair(a, b, state, close):
    """Log probability of the ordered pair."""
    k = close.shape[0]
    total = 0.0
    for i in range(k):
        for j in range(i):
            total += close[i, j]
    closest = close[max(a, b), min(a, b)] / total if total > 0.0 else 2.0 / (k * (k - 1.0))
    share = _UNIFORM * 2.0 / (k * (k - 1.0)) + (1.0 - _UNIFORM) * closest
    return math.log(share * state.weights[b] / (state.weights[a] + state.weights[b]))


@njit(cache=True, nogil=True, error_model="numpy")
def _typical_size(n, weight):
    return _LOG_SIZE - 0.5 * math.log(n * weight + 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def walk(rng, features, row_weights, prior, steps, state, new, work, group, log_norm, reference, rest, tally):
    """`steps` Metropolis steps of a pair of components.

    `state` and `new` are a `ChainState`, the second scratch, as are `work` (5, D, D), `group` (4, D + 1, D + 1),
    `log_norm` (K,), `reference` and `rest` (N,). `tally` (2,) is added to: steps tried, accepted.
    """
    n_components, n_rows = state.means.shape[0], features.shape[1]
    new.weights[:], new.means[:], new.latent[:] = state.weights, state.means, state.latent
    new.cholesky[:], new.scaling[:] = state.cholesky, state.scaling
    close = np.zeros((n_components, n_components))
    for k in range(n_components):
        _set_closeness(k, state, close)
    a, b = _draw_pair(rng, state, close)
    pair = (a, b)
    diagonal = not prior.correlated
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    _rest(features, log_norm, state.means, state.scaling, diagonal, a, b, reference, rest)
    now = _relative(features, row_weights, log_norm, state.means, state.scaling, diagonal, pair, reference, rest)
    now += _log_prior_of(prior, a, state) + _log_prior_of(prior, b, state) + _log_pair(a, b, state, close)
    both = state.weights[a] + state.weights[b]
    for _ in range(steps):
        tally[0] += 1.0
        noise = rng.standard_normal()
        log_size = _typical_size(n_rows, state.weights[a]) + noise
        size = math.exp(log_size)
        parts = rng.integers(1, 8)
        if parts & _SHARE:
            logit = math.log(state.weights[a] / state.weights[b]) + 2.0 * size * rng.standard_normal()
            new.weights[a] = both / (1.0 + math.exp(-logit))
            new.weights[b] = both / (1.0 + math.exp(logit))
        gain, value = -math.inf, 0.0
        if min(new.weights[a], new.weights[b]) > 1e-290:
            gain = math.log(new.weights[a] * new.weights[b] / (state.weights[a] * state.weights[b]))
            gain += _step(rng, prior, size, parts, a, state, new, group, work)
        if gain > -math.inf:
            gain += _compensate(prior, a, b, state, new, work)
        if gain > -math.inf:
            back = log_size - _typical_size(n_rows, new.weights[a])
            gain += 0.5 * (noise * noise - back * back)
            log_normalizers(np.log(new.weights), new.scaling, log_norm)
            value = _relative(features, row_weights, log_norm, new.means, new.scaling, diagonal, pair, reference, rest)
            _set_closeness(a, new, close)
            _set_closeness(b, new, close)
            value += _log_prior_of(prior, a, new) + _log_prior_of(prior, b, new) + _log_pair(a, b, new, close)
        accepted = math.log(rng.random()) < gain + value - now
        source, target = (new, state) if accepted else (state, new)
        _set(a, prior.shared, source, target)
        _set(b, prior.shared, source, target)
        if accepted:
            now = value
            tally[1] += 1.0
