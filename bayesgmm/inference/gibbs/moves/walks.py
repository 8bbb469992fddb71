"""Walks of a pair of components on the marginal posterior: what allocations are slow to change in tables of many rows.

Gibbs sweeps move the border between two overlapping components only as fast as rows change hands, and the more rows
they share the slower. A walk integrates the allocations out. Of a pair, one component moves by a random element of the
affine group, (mean, L) -> (mean + L m, L T), and their shares on the logit scale, so that steps are in the component's
own units; the other takes up what the first gives, such that the joint weight, mean and covariance of the two are kept
(as splits and merges do in Richardson and Green 1997). All other components stay, so that their densities are computed
once for several steps.

Which pair, and how long a step, is drawn from distributions that depend on the state; they are part of what the steps
leave invariant: draw the pair given the state, then move the state by Metropolis steps for posterior times probability
of the pair. Some of the steps draw the first component anew, or move it in directions fitted to draws
(`inference.gibbs.moves.redraws`): small steps alone gave an eighth of the effective draws (20,000 rows, K = 6).
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.inference.gibbs.moves.pair_steps import SHARE, compensate, move_component
from bayesgmm.inference.gibbs.moves.pairs import draw_pair, log_pair, set_closeness
from bayesgmm.inference.gibbs.moves.redraws import (
    LEAST_WEIGHT,
    frame_of,
    from_frame,
    given_frame,
    log_redraw,
    nudge,
    redraw,
    to_frame,
)
from bayesgmm.kernels.block_math import BLOCK, FAST, exp_block, log_block
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.row_model import RowModel, log_density_block, log_normalizers
from bayesgmm.kernels.row_pass import weigh_block
from bayesgmm.kernels.state import copy_component, copy_state
from bayesgmm.kernels.triangular import invert
from bayesgmm.model.density.natural import cells_of, log_prior_covariance, log_prior_mean

__all__ = ["walk"]

_LOG_SIZE = 0.6  # mean of the log of a step's length, in posterior sds of a component whose rows are known
_ANEW, _FITTED = 0.4, 0.8  # shares of the steps: drawn anew, and these and those in fitted directions
_LARGE = 600.0  # exponent from which the rows of a block are summed one by one


@compiled(fastmath=FAST)
def _rest(features, row_weights, log_norm, means, scaling, row_model, a, b, reference, rest):
    """Reference log density of every row, and the densities of all components but a and b relative to it; returned is
    the log-likelihood of all components less the weighted sum of the reference."""
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    y = np.empty((n_components, n_features, BLOCK))
    r = np.empty((n_components, BLOCK))
    centred, work = np.empty((n_features, BLOCK)), np.empty((4, BLOCK))
    highest, total, buffer, out = work[0], work[1], work[2], work[3]
    bits = buffer.view(np.int64)
    value = 0.0
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        weigh_block(features, start, n, log_norm, means, scaling, row_model,
                    centred, y, r, highest, total, buffer, bits)  # fmt: skip
        put(reference[start : start + n], highest[:n])
        log_block(total, out, buffer, bits, n)
        for i in range(n):
            value += row_weights[start + i] * out[i]
            rest[start + i] = 0.0
        for k in range(n_components):
            if k not in (a, b):
                rk = r[k]
                for i in range(n):
                    rest[start + i] += rk[i]
    return value


@compiled(fastmath=FAST)
def _relative(features, row_weights, log_norm, means, scaling, row_model, pair, reference, rest):
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
            k = pair[which]
            log_density_block(row_model, features, start, n, log_norm[k], means[k], scaling[k], centred, y, r)
            for i in range(n):
                v = r[i] - reference[start + i]
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


@compiled
def _log_prior_of(prior, k, state):
    g = prior.own * k
    value = (prior.concentration - 1.0) * math.log(state.weights[k]) + log_prior_mean(prior, state.means[k])
    return value + log_prior_covariance(prior, state.latent[g]) if prior.own else value


@compiled
def _typical_size(n, weight):
    return _LOG_SIZE - 0.5 * math.log(n * weight + 1.0)


@compiled(inline="always")
def _step(rng, n_rows, prior, a, b, both, state, new, group, work):
    """A small step of component a and the shares: log Jacobian and ratio of proposals, -inf where there is no step."""
    noise = rng.standard_normal()
    log_size = _typical_size(n_rows, state.weights[a]) + noise
    size = math.exp(log_size)
    parts = rng.integers(1, 8)
    if parts & SHARE:
        logit = math.log(state.weights[a] / state.weights[b]) + 2.0 * size * rng.standard_normal()
        new.weights[a] = both / (1.0 + math.exp(-logit))
        new.weights[b] = both / (1.0 + math.exp(logit))
    if not min(new.weights[a], new.weights[b]) > LEAST_WEIGHT:
        return -math.inf
    back = log_size - _typical_size(n_rows, new.weights[a])
    gain = move_component(rng, prior, size, parts, a, state, new, group, work)
    return gain + 0.5 * (noise * noise - back * back)


@compiled(inline="always")
def _fitted_step(rng, anew, prior, redraws, given, a, b, both, frame, state, new, u, logs, work):
    """Component a and the shares drawn anew, or moved in the directions of fitted ones: as `_step`."""
    gain = -to_frame(prior, a, b, state.weights, state.means, state.cholesky, frame[2, 0], frame[1], u[0])
    old = log_redraw(redraws, given, u[0], logs[0])
    m = -1
    if anew:
        redraw(rng, redraws, given, u[0], u[1])
    else:
        m = nudge(rng, redraws, logs[0], old, u[0], u[1])
    drawn = from_frame(prior, a, b, both, frame[2, 0], frame[0], u[0], new, work[0])
    if not drawn:
        return -math.inf
    gain += to_frame(prior, a, b, new.weights, new.means, new.cholesky, frame[2, 0], frame[1], u[0])
    gain += old - log_redraw(redraws, given, u[0], logs[1])
    # A nudge is drawn by the probability of the part given u.
    return gain if anew else gain + logs[1, m] - logs[0, m]


@compiled
def walk(rng, features, row_weights, bins, prior, redraws, steps, state, new, work, group, log_norm, reference, rest,
         tally):  # fmt: skip
    """`steps` Metropolis steps of a pair of components, in two stages where there are `bins`.

    `state` and `new` are a `ChainState`, the second scratch, as are `work` (5, D, D), `group` (4, D + 1, D + 1),
    `log_norm` (K,), `reference` and `rest` (N,). `tally` (4,) is added to: steps tried, accepted; pairs drawn anew,
    accepted.
    """
    n_components, n_rows = state.means.shape[0], features.shape[1]
    d = features.shape[0]
    copy_state(new, state)
    close = np.zeros((n_components, n_components))
    for k in range(n_components):
        set_closeness(k, state, close)
    a, b = draw_pair(rng, state, close)
    pair = (a, b)
    row_model = RowModel(not prior.correlated)
    log_normalizers(np.log(state.weights), state.scaling, log_norm)
    now = _rest(features, row_weights, log_norm, state.means, state.scaling, row_model, a, b, reference, rest)
    staged, rough_now = len(bins.weights) > 0, 0.0
    rough_reference, rough_rest = np.empty(len(bins.weights)), np.empty(len(bins.weights))
    if staged:
        rough_now = _rest(bins.features, bins.weights, log_norm, state.means, state.scaling, row_model, a, b,
                          rough_reference, rough_rest)  # fmt: skip
    before = _log_prior_of(prior, a, state) + _log_prior_of(prior, b, state) + log_pair(a, b, state, close)
    both = state.weights[a] + state.weights[b]
    frame, u = np.zeros((3, d, d)), np.empty((2, 1 + d + cells_of(prior, d)))
    logs = np.empty((2, len(redraws.constant)))
    fitted = len(redraws.constant) > 0 and frame_of(
        prior, a, b, state.weights, state.means, state.cholesky, frame[2, 0], work[0], frame[0]
    )
    if fitted:
        invert(frame[0], frame[1])
    given = given_frame(redraws, both, frame[2, 0])
    for _ in range(steps):
        level = rng.random() if fitted else 1.0
        anew = level < _ANEW
        kind = 2 if anew else 0
        tally[kind] += 1.0
        if level < _FITTED:
            gain = _fitted_step(rng, anew, prior, redraws, given, a, b, both, frame, state, new, u, logs, work)
        else:
            gain = _step(rng, n_rows, prior, a, b, both, state, new, group, work)
        value = rough = after = 0.0
        if gain > -math.inf:
            gain += math.log(new.weights[a] * new.weights[b] / (state.weights[a] * state.weights[b]))
            gain += compensate(prior, a, b, state, new, work)
        accepted = gain > -math.inf
        if accepted:
            log_normalizers(np.log(new.weights), new.scaling, log_norm)
            set_closeness(a, new, close)
            set_closeness(b, new, close)
            after = _log_prior_of(prior, a, new) + _log_prior_of(prior, b, new) + log_pair(a, b, new, close)
            gain += after - before
        if accepted and staged:
            rough = _relative(bins.features, bins.weights, log_norm, new.means, new.scaling, row_model, pair,
                              rough_reference, rough_rest)  # fmt: skip
            accepted = math.log(rng.random()) < gain + rough - rough_now
            gain = rough_now - rough
        if accepted:
            value = _relative(features, row_weights, log_norm, new.means, new.scaling, row_model, pair, reference, rest)
            accepted = math.log(rng.random()) < gain + value - now
        source, target = (new, state) if accepted else (state, new)
        copy_component(a, prior.own, target, source)
        copy_component(b, prior.own, target, source)
        if accepted:
            now, rough_now, before = value, rough, after
            tally[kind + 1] += 1.0
