"""Jumps of a component from one cluster to another: two components merge, and a third one splits.

Of a pair that shares a cluster (`bayesgmm.augmentation.pairs`), the second takes up the first, so that their joint
weight, mean and covariance are kept; then another component is split, by coordinates in its own frame drawn as
`bayesgmm.augmentation.redraws` does. So a surplus component leaves a cluster however many rows it shares, in one jump,
and no other component moves: after Richardson and Green (1997) and Jain and Neal (2004), but with a proposal that is
fitted to draws and with as many components as before.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.augmentation.complete_prior import cells_of
from bayesgmm.augmentation.matrices import invert, rounding_removed
from bayesgmm.augmentation.pair_steps import compensate
from bayesgmm.augmentation.pairs import draw_pair, log_pair, set_closeness
from bayesgmm.augmentation.redraws import frame_of, from_frame, given_frame, log_redraw, redraw, to_frame
from bayesgmm.compiled import compiled, put

__all__ = ["propose_split_merge"]


@compiled
def _log_frame(prior, both, root):
    """Log of d(shares, mean, covariance) / du, the part that the frame gives."""
    value = 0.0
    for i in range(root.shape[0]):
        value += math.log(root[i, i])
    d = root.shape[0]
    power = 1.0
    if not prior.shared:
        power += (d + 1.0) if prior.correlated else (2.0 / d if prior.one_sd else 2.0)
    return power * value - math.log(both)


@compiled
def _third(rng, a, b, weights):
    """A component other than a and b, by weight."""
    level, c = rng.random() * (1.0 - weights[a] - weights[b]), -1
    for k in range(len(weights)):
        if k not in (a, b) and (c < 0 or level >= 0.0):
            c = k
            level -= weights[k]
    return c


@compiled
def propose_split_merge(rng, prior, redraws, state, new, work):
    """In `new`, a copy of `state`, move a component to another cluster: log q(old) - log q(new), -inf for no move."""
    n_components, d = state.means.shape
    close, frame = np.zeros((n_components, n_components)), np.zeros((3, d, d))
    u, logs = np.empty((2, 1 + d + cells_of(prior, d))), np.empty(len(redraws.constant))
    for k in range(n_components):
        set_closeness(k, state, close)
    a, b = draw_pair(rng, state, close)
    c = _third(rng, a, b, state.weights)
    gain = -log_pair(a, b, state, close)
    # a and b merge.
    root, inverse, centre = frame[0], frame[1], frame[2, 0]
    weight, rest = state.weights[a], state.weights[b]
    both = weight + rest
    # The third is drawn by its weight, and b was drawn so from the mixture that is proposed.
    gain += math.log(both / (1.0 - state.weights[c])) - math.log(state.weights[c] / (1.0 - both))
    if not frame_of(prior, a, b, state.weights, state.means, state.cholesky, centre, work[0], root):
        return -math.inf
    invert(root, inverse)
    gain -= to_frame(prior, a, b, state.weights, state.means, state.cholesky, centre, inverse, u[0])
    gain += log_redraw(redraws, given_frame(redraws, both, centre), u[0], logs)
    gain -= math.log(weight * rest) + _log_frame(prior, both, root)
    gain += (d + cells_of(prior, d)) * math.log(rest / both)
    new.weights[a], new.weights[b] = 0.0, both
    put(new.means[b], centre)
    if not prior.shared:
        put(new.cholesky[b], root)
        if not rounding_removed(root, prior.floor, work[0], new.latent[b]):
            return -math.inf
        put(new.scaling[b], inverse)
    # c splits.
    both = state.weights[c]
    put(root, new.cholesky[0 if prior.shared else c])
    invert(root, inverse)
    put(centre, state.means[c])
    given = given_frame(redraws, both, centre)
    redraw(rng, redraws, given, u[0], u[1])
    if not from_frame(prior, a, c, both, centre, root, u[0], new, work[0]):
        return -math.inf
    gain += to_frame(prior, a, c, new.weights, new.means, new.cholesky, centre, inverse, u[0])
    gain -= log_redraw(redraws, given, u[0], logs)
    gain += math.log(new.weights[a] * new.weights[c]) + _log_frame(prior, both, root)
    state.weights[a] = 0.0  # as if c had been alone
    gain += compensate(prior, a, c, state, new, work)
    state.weights[a] = weight
    if gain == -math.inf:
        return gain
    for k in range(n_components):
        set_closeness(k, new, close)
    return gain + log_pair(a, c, new, close)
