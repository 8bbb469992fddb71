"""The class of each copy of a row, a component or the background, drawn from its responsibilities."""

from __future__ import annotations

import math

from bayesgmm.kernels.block_math import FAST, uniform_block
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.completed import MANY_COPIES

__all__ = ["draw_block", "draw_fractions", "pick"]


@compiled(fastmath=FAST)
def draw_block(rng, key, start, n, row_weights, r, total, allocated, work, bits):
    """Allocate the whole copies of each row of a block: allocated[k, b] counts those in class k.

    The first copy of all rows at once, by `key`; work is (3, block), bits its first row as integers.
    """
    last = r.shape[0] - 1
    level, below, copy = work[0], work[1], work[2]
    uniform_block(key, start, level, bits, n)
    several = False
    for b in range(n):
        level[b] *= total[b]
        below[b] = 0.0
        copy[b] = 1.0 if row_weights[start + b] >= 1.0 else 0.0
        several |= row_weights[start + b] >= 2.0
    for k in range(last):
        rk, out = r[k], allocated[k]
        for b in range(n):
            up_to = below[b] + rk[b]
            out[b] = copy[b] if (level[b] >= below[b]) & (level[b] < up_to) else 0.0
            below[b] = up_to
    for b in range(n):
        allocated[last, b] = copy[b] if level[b] >= below[b] else 0.0
    if several:
        for b in range(n):
            others = int(row_weights[start + b]) - 1
            if others > MANY_COPIES:
                _draw_copies(rng, others, r[:, b], allocated[:, b])
                continue
            for _ in range(others):
                allocated[pick(rng.random() * total[b], r[:, b]), b] += 1.0


@compiled
def _draw_copies(rng, copies, r, allocated):
    """Add a multinomial draw of so many copies with probabilities proportional to r (K,), a binomial at a time."""
    n_components = r.shape[0]
    tail = r.copy()  # sums of r from each component on, from behind: differences would lose small ones
    for k in range(n_components - 2, -1, -1):
        tail[k] += tail[k + 1]
    for k in range(n_components - 1):
        drawn = rng.binomial(copies, r[k] / tail[k]) if tail[k + 1] > 0.0 else copies
        allocated[k] += drawn
        copies -= drawn
    allocated[n_components - 1] += copies


@compiled
def pick(level, r):
    """The component in which `level` falls, between 0 and the sum of r (K,)."""
    for k in range(r.shape[0] - 1):
        level -= r[k]
        if level < 0.0:
            return k
    return r.shape[0] - 1


@compiled
def draw_fractions(rng, start, n, row_weights, r, total, shift, allocated, component, log_r):
    """Allocate the fractional copies; returns the log acceptance ratio of the allocation that they replace.

    `shift` (H,) is what missing cells add to the log of a responsibility, -log|V_k| / 2."""
    ratio = 0.0
    for b in range(n):
        row = start + b
        fraction = row_weights[row] - math.floor(row_weights[row])
        if fraction == 0.0:
            continue
        if component[row] >= 0:
            old = component[row]
            ratio += (1.0 - fraction) * (math.log(r[old, b] / total[b]) + shift[old] - log_r[row])
        k = pick(rng.random() * total[b], r[:, b])
        component[row] = k
        log_r[row] = math.log(r[k, b] / total[b]) + shift[k]
        allocated[k, b] += fraction
    return ratio
