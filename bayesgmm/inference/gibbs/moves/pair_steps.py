"""One step of a pair of components: the first by an element of the affine group, the second such that moments are kept.

See `inference.gibbs.moves.walks`.
"""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import add, compiled, put
from bayesgmm.kernels.triangular import factor, invert, rounding_removed
from bayesgmm.model.density.natural import squares_by_variance

__all__ = ["MEAN", "SHAPE", "SHARE", "compensate", "move_component"]

SHARE, MEAN, SHAPE = 1, 2, 4  # what a step moves: any of these together


@compiled
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
        put(term, spare)
        add(out, term)
    for _ in range(halvings):
        _multiply(out, out, 1.0, spare)
        put(out, spare)


@compiled
def _multiply(a, b, scale, out):
    d = a.shape[0]
    for i in range(d):
        for j in range(d):
            value = 0.0
            for m in range(d):
                value += a[i, m] * b[m, j]
            out[i, j] = scale * value


@compiled
def move_component(rng, prior, size, parts, a, old, new, group, work):
    """Component a of `new`, moved from `old`; the log Jacobian with respect to (mean, covariance), -inf for no move.

    The generator of the group's element is symmetric about zero, so a step and its inverse are equally likely.
    """
    d = old.means.shape[1]
    g = prior.own * a
    generator, moved = group[0], group[1]
    generator[:] = 0.0
    if parts & MEAN:
        for i in range(d):
            generator[i, d] = size * rng.standard_normal()
    shaped = parts & SHAPE > 0 and prior.own > 0
    if shaped:
        for i in range(d):
            own = prior.variance[i] == i
            generator[i, i] = size * rng.standard_normal() / math.sqrt(2.0) if own else generator[0, 0]
            for j in range(prior.first[i], i):
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
        elif prior.variance[i] == i:
            jacobian += 2.0 * generator[i, i]
    if not rounding_removed(new.cholesky[a], prior.floor, work[0], new.latent[a]):
        return -math.inf
    invert(new.cholesky[a], new.scaling[a])
    return jacobian


@compiled
def compensate(prior, a, b, old, new, work):
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
    if not prior.own:
        return d * log_ratio
    # Second moments about the old mean of b.
    for i in range(d):
        for j in range(prior.first[i], i + 1):
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
    square = squares_by_variance(prior, matrix)
    for i in range(d):
        v = square[prior.variance[i]] * len(square) / d
        if not v > 0.0:
            return -math.inf
        new.cholesky[b, i, i] = math.sqrt(v)
    if not rounding_removed(new.cholesky[b], prior.floor, work[1], new.latent[b]):
        return -math.inf
    invert(new.cholesky[b], new.scaling[b])
    return (d + len(square)) * log_ratio
