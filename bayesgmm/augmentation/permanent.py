"""The permanent of a small matrix, and sums, on the log scale."""

from __future__ import annotations

import math

from bayesgmm.compiled import compiled

__all__ = ["LOST", "add_log", "log_permanent", "size"]


LOST = 45.0  # terms so many nats below the largest do not show in a sum


@compiled
def size(subset):
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
        row = size(subset)
        for j in range(k):
            if not subset >> j & 1:
                table[subset | 1 << j] += value * logs[row, j]
    return scale + math.log(table[(1 << k) - 1]) if table[(1 << k) - 1] > 0.0 else -math.inf


@compiled
def add_log(highest, total, value):
    """A running log-sum-exp as (highest, total)."""
    if value == -math.inf:
        return highest, total
    if value > highest:
        return value, (total * math.exp(highest - value) if total > 0.0 else 0.0) + 1.0
    return highest, total + math.exp(value - highest)
