"""Which two components a walk takes: rather close ones, and of them the smaller to move.

The probability of a pair depends on the state, so it is part of what a walk leaves invariant.
"""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled

__all__ = ["draw_pair", "log_pair", "set_closeness"]

_UNIFORM = 0.1  # probability that a pair is any pair, rather than a close one


@compiled
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


@compiled
def set_closeness(k, state, close):
    """Row and column k of `close` (K, K), of which the lower triangle is in use."""
    for i in range(close.shape[0]):
        if i != k:
            close[max(i, k), min(i, k)] = _closeness(i, k, state)


@compiled
def draw_pair(rng, state, close):
    """Two components, rather close ones, the one that moves rather the smaller: see `log_pair`."""
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


@compiled
def log_pair(a, b, state, close):
    """Log probability of the ordered pair."""
    k = close.shape[0]
    total = 0.0
    for i in range(k):
        for j in range(i):
            total += close[i, j]
    closest = close[max(a, b), min(a, b)] / total if total > 0.0 else 2.0 / (k * (k - 1.0))
    share = _UNIFORM * 2.0 / (k * (k - 1.0)) + (1.0 - _UNIFORM) * closest
    return math.log(share * state.weights[b] / (state.weights[a] + state.weights[b]))
