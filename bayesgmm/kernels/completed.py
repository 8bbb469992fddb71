"""Rows with missing cells, completed by draws for each of their copies, and sums over the completed rows."""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled

__all__ = ["MANY_COPIES", "add_completed"]

MANY_COPIES = 50  # of a row, beyond which numbers of copies and sums of noise are drawn instead of each copy


@compiled
def add_completed(rng, y, copies, n, basis, total, outer):
    """Add the rows of a block with copies in one component to its sums; returns the copies.

    Of a row only the residual u^ in y (D, block) is known; the rest Q z, `basis` (M, D) being Q' of `kernels.rows`, is
    drawn for each copy. For many copies its sum is drawn, and that of its squares, which about the mean is Wishart.
    """
    m, d = basis.shape
    count, u = 0.0, np.empty(d)
    for b in range(n):
        left = copies[b]
        count += left
        while left > 0.0:
            many = math.floor(left) > max(MANY_COPIES, m + 1)
            weight = math.floor(left) if many else min(left, 1.0)
            left -= weight
            u[:] = 0.0  # the sum of the rest of these copies
            for a in range(m):
                z = rng.standard_normal() * math.sqrt(weight)
                for i in range(d):
                    u[i] += z * basis[a, i]
            for i in range(d):
                total[i] += weight * y[i, b] + u[i]
                for j in range(i + 1):
                    outer[i, j] += weight * y[i, b] * y[j, b] + y[i, b] * u[j] + u[i] * y[j, b] + u[i] * u[j] / weight
            if many:
                _add_wishart(rng, weight - 1.0, basis, outer)
    return count


@compiled
def _add_wishart(rng, degrees, basis, outer):
    """Add Q W Q' (D, D; lower), W standard Wishart: by columns of Bartlett's factor."""
    m, d = basis.shape
    column = np.empty(d)
    for a in range(m):
        size = math.sqrt(2.0 * rng.standard_gamma(0.5 * (degrees - a)))
        for i in range(d):
            column[i] = size * basis[a, i]
        for c in range(a + 1, m):
            z = rng.standard_normal()
            for i in range(d):
                column[i] += z * basis[c, i]
        for i in range(d):
            for j in range(i + 1):
                outer[i, j] += column[i] * column[j]
