"""Rows with missing cells, completed by draws for each of their copies, and sums over the completed rows."""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled

__all__ = ["MANY_COPIES", "add_completed"]

MANY_COPIES = 50  # of a row, beyond which numbers of copies and sums of noise are drawn instead of each copy


@compiled
def _complete(known, noise, turn, u):
    """u = M' known + (I - M' M) noise, M = turn (O, D): the residual of a whole row; `known` (O,) is overwritten."""
    o, d = turn.shape
    for j in range(d):
        u[j] = noise[j]
    for i in range(o):
        for j in range(d):
            known[i] -= turn[i, j] * noise[j]
        for j in range(d):
            u[j] += known[i] * turn[i, j]


@compiled
def _add_row(u, weight, to_sum, total, outer):
    """Add a row (D,) of some weight to the lower triangle of products, and to the sum."""
    for i in range(u.shape[0]):
        if to_sum:
            total[i] += weight * u[i]
        for j in range(i + 1):
            outer[i, j] += weight * u[i] * u[j]


@compiled
def add_completed(rng, y, copies, n, turn, total, outer):
    """Add the rows of a block with copies in one component to its sums; returns the copies.

    Of a row only y (O, block) is known; what is orthogonal to it is drawn, for each copy on its own.
    The noise of many copies is drawn by its sums: their mean is that of one row as heavy as they are, and the scatter
    around it is Wishart with one degree of freedom less (Bartlett's lower triangle L, the scatter being L L').
    """
    o, d = turn.shape
    count, noise, u, known = 0.0, np.empty(d), np.empty(d), np.zeros(o)
    for b in range(n):
        left = copies[b]
        count += left
        whole = math.floor(left)
        together = whole if whole > max(MANY_COPIES, d) else 0.0
        for column in range(d if together > 0.0 else 0):
            for j in range(d):
                noise[j] = rng.standard_normal() if j > column else 0.0
            noise[column] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (together - 1.0 - column)))
            known[:] = 0.0
            _complete(known, noise, turn, u)
            _add_row(u, 1.0, False, total, outer)
        while left > 0.0:
            weight = together if together > 0.0 else min(left, 1.0)
            left, together = left - weight, 0.0
            for j in range(d):
                noise[j] = rng.standard_normal() / math.sqrt(weight)
            for i in range(o):
                known[i] = y[i, b]
            _complete(known, noise, turn, u)
            _add_row(u, weight, True, total, outer)
    return count
