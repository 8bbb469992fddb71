"""What completes a row in data augmentation, drawn for each of its copies: missing cells, and the precision of t rows.

A t row is normal given a precision u, y ~ N(0, 1/u) whitened, u ~ Gamma(v/2, rate v/2); given the row, u is
Gamma((v + d)/2, rate (v + |y|^2)/2), d its observed cells (Liu and Rubin 1995). It adds u y and u y y' to the sums of
its component, and what is drawn of its missing cells has the variance 1/u. Of several copies the sums depend on the sum
of their u alone: given all u, sum sqrt(u) z is normal with that variance, for z standard normal, and the sum of z z'
about it is Wishart. So only that sum is drawn, gamma itself, and each copy is given an equal part of it.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled

__all__ = ["MANY_COPIES", "add_completed", "draw_masses"]

MANY_COPIES = 50  # of a row, beyond which numbers of copies and sums of noise are drawn instead of each copy


@compiled
def draw_masses(rng, y, df, d, n, copies, out):
    """out[b] = sum of u over the copies of each row of a block, of d observed cells; returns the sums of copies and of
    `out`."""
    count, mass = 0.0, 0.0
    for b in range(n):
        out[b] = 0.0
        if copies[b] == 0.0:
            continue
        square = 0.0
        for i in range(y.shape[0]):
            square += y[i, b] * y[i, b]
        out[b] = 2.0 * rng.standard_gamma(0.5 * copies[b] * (df + d)) / (df + square)
        count += copies[b]
        mass += out[b]
    return count, mass


@compiled
def add_completed(rng, y, copies, masses, n, basis, total, outer):
    """Add the rows of a block with copies in one component to its sums; returns the copies.

    `masses` are sums of u over the copies, of normal components the copies themselves.
    Of a row only the residual u^ in y (D, block) is known; the rest Q z, `basis` (M, D) being Q' of `kernels.rows`, is
    drawn for each copy. For many copies its sum is drawn, and that of its squares, which about the mean is Wishart.
    """
    m, d = basis.shape
    count, u, each = 0.0, np.empty(d), 1.0
    for b in range(n):
        left = copies[b]
        count += left
        if left > 0.0:
            each = masses[b] / left
        while left > 0.0:
            many = math.floor(left) > max(MANY_COPIES, m + 1)
            weight = math.floor(left) if many else min(left, 1.0)
            left -= weight
            mass = weight * each
            u[:] = 0.0  # the sum of the rest of these copies
            for a in range(m):
                z = rng.standard_normal() * math.sqrt(mass)
                for i in range(d):
                    u[i] += z * basis[a, i]
            for i in range(d):
                total[i] += mass * y[i, b] + u[i]
                for j in range(i + 1):
                    outer[i, j] += mass * y[i, b] * y[j, b] + y[i, b] * u[j] + u[i] * y[j, b] + u[i] * u[j] / mass
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
