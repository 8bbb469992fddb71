"""Matchings of the rows and columns of a small matrix: the best, and the sum over all; and sums on the log scale."""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled

__all__ = ["LOST", "add_log", "assign", "log_permanent"]


LOST = 45.0  # terms so many nats below the largest do not show in a sum


@compiled
def _size(subset):
    """Number of bits of a set of columns."""
    n = 0
    while subset:
        n += 1
        subset &= subset - 1
    return n


@compiled
def log_permanent(logs, table, least):
    """Log permanent of exp(logs) (K, K), or -inf where it is surely below `least`.

    `table` is scratch of length 2^K. Entries of `logs` are overwritten.
    """
    k = logs.shape[0]
    scale = 0.0
    for i in range(k):
        highest = logs[i, 0]
        for j in range(1, k):
            highest = max(highest, logs[i, j])
        scale += highest
        for j in range(k):
            logs[i, j] = math.exp(logs[i, j] - highest)
    if scale + k * math.log(k) < least:  # no sum over a row exceeds K times its largest entry
        return -math.inf
    # table[S]: permanent of the first |S| rows on the columns S.
    table[:] = 0.0
    table[0] = 1.0
    for subset in range((1 << k) - 1):
        value = table[subset]
        if value == 0.0:
            continue
        row = _size(subset)
        for j in range(k):
            if not subset >> j & 1:
                table[subset | 1 << j] += value * logs[row, j]
    return scale + math.log(table[(1 << k) - 1]) if table[(1 << k) - 1] > 0.0 else -math.inf


@compiled
def assign(cost, n_large, best, choice, out):
    """out[k] = column of row k of `cost` (G of K rows are read) with the least sum, the others follow; the sum is
    returned."""
    k = cost.shape[1]
    full = 1 << k
    best[:full] = math.inf
    best[0] = 0.0
    for subset in range(full):
        value = best[subset]
        if value == math.inf:
            continue
        row = _size(subset)
        if row >= n_large:
            continue
        for j in range(k):
            if not subset >> j & 1:
                other = subset | 1 << j
                if value + cost[row, j] < best[other]:
                    best[other] = value + cost[row, j]
                    choice[other] = j
    at, least = 0, math.inf
    for subset in range(full):
        row = _size(subset)
        if row == n_large and best[subset] < least:
            at, least = subset, best[subset]
    if least == math.inf:
        return least
    rest = n_large
    for j in range(k):
        if not at >> j & 1:
            out[rest] = j
            rest += 1
    for row in range(n_large - 1, -1, -1):
        out[row] = choice[at]
        at ^= 1 << choice[at]
    return least


@compiled
def add_log(highest, total, value):
    """A running log-sum-exp as (highest, total)."""
    if value == -math.inf:
        return highest, total
    if value > highest:
        return value, (total * math.exp(highest - value) if total > 0.0 else 0.0) + 1.0
    return highest, total + math.exp(value - highest)
