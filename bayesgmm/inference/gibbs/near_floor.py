"""Covariances whose spread is little more than what rounding adds: steps on the matrix before rounding, compiled.

Where the rows of a component agree in the recorded value of a column, or nearly, their sum of squares lies below what
rounding alone adds to the variance, and an inverse-Wishart that follows it proposes matrices that have no S = Sigma -
diag(step^2 / 12): hardly any is accepted, and a chain stays with the covariance that it began with, in all columns. So
S is changed itself, one row of its Cholesky factor at a time: a row is multiplied by a factor, which changes one sd
before rounding, or an entry is moved in units of the diagonal, or turned against it, which changes correlations. Steps
are of any size between a row's worth of error and one. Their cost does not depend on the number of rows.
"""

from __future__ import annotations

import math

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import factor, invert
from bayesgmm.model.density.natural import log_prior_covariance
from bayesgmm.model.density.prior_density import log_sd_prior

__all__ = ["STEPS", "any_near_floor", "near_floor", "step_matrix", "step_variance"]

STEPS = 4  # of one variance
_ENTRIES = 3  # moved in each row of a matrix, besides the row as a whole
_NEAR = 4.0  # times the variance that rounding adds


@compiled(inline="always")
def near_floor(floor, n, square):
    """Whether `n` numbers with this sum of squares about the mean spread little more than rounding does."""
    return floor > 0.0 and square < _NEAR * n * floor


@compiled
def any_near_floor(floor, n, scatter):
    """Whether `n` rows with sum of squares `scatter` (D, D) do in some column; it depends on the rows alone."""
    found = False
    for i in range(floor.shape[0]):
        found = found or near_floor(floor[i], n, scatter[i, i])
    return found


@compiled(inline="always")
def _size(rng, n):
    """A step, of a size between 1 / sqrt(n) and 1."""
    return math.exp(-0.5 * math.log(n + 1.0) * rng.random()) * rng.standard_normal()


@compiled
def _factor_rounded(latent, floor, matrix, out):
    """out = factor of latent latent' + diag(floor)."""
    d = latent.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total = floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += latent[i, m] * latent[j, m]
            matrix[i, j] = total
    return factor(matrix, out)


@compiled
def _log_target(prior, n, scatter, latent, cholesky, scaling):
    """log p(S | n rows), constants aside; scatter's lower triangle is read."""
    d = latent.shape[0]
    value = log_prior_covariance(prior, latent)
    for i in range(d):
        value -= n * math.log(cholesky[i, i])
        for a in range(i + 1):
            value -= 0.5 * scaling[i, a] * scaling[i, a] * scatter[a, a]
            for b in range(a):
                value -= scaling[i, a] * scaling[i, b] * scatter[a, b]
    return value


@compiled
def step_matrix(rng, prior, n, scatter, work, latent, cholesky, scaling):
    """Steps of S given `n` rows; `latent`, `cholesky` and `scaling` are changed. Number of steps made and accepted."""
    d = latent.shape[0]
    matrix, new, new_cholesky, new_scaling = work[0], work[1], work[2], work[3]
    before, tried, accepted = _log_target(prior, n, scatter, latent, cholesky, scaling), 0, 0
    for i in range(d):
        for step in range(1 + min(i, _ENTRIES)):
            put(new, latent)
            move, log_jacobian = _size(rng, n), 0.0
            if step == 0:
                for j in range(i + 1):
                    new[i, j] *= math.exp(move)
                log_jacobian = (d + 1.0) * move
            else:
                j = step - 1 if i <= _ENTRIES else rng.integers(0, i)
                if rng.random() < 0.5:  # what the columns before leave of the variance stays
                    new[i, j] += move * latent[i, i]
                else:  # the variance stays
                    new[i, i] = math.cos(move) * latent[i, i] - math.sin(move) * latent[i, j]
                    new[i, j] = math.cos(move) * latent[i, j] + math.sin(move) * latent[i, i]
                    log_jacobian = (d - i) * math.log(max(new[i, i], 1e-300) / latent[i, i])
            tried += 1
            if not new[i, i] > 0.0 or not _factor_rounded(new, prior.floor, matrix, new_cholesky):
                continue
            invert(new_cholesky, new_scaling)
            after = _log_target(prior, n, scatter, new, new_cholesky, new_scaling)
            if math.log(rng.random()) < after - before + log_jacobian:
                put(latent, new)
                put(cholesky, new_cholesky)
                put(scaling, new_scaling)
                before = after
                accepted += 1
    return tried, accepted


@compiled
def step_variance(rng, prior, j, rows, square, sd):
    """`STEPS` of one sd before rounding given a sum of squares of `rows` numbers: the new one, and steps accepted."""
    before, accepted = _log_target_sd(prior, j, rows, square, sd), 0
    for _ in range(STEPS):
        move = _size(rng, rows)
        new = sd * math.exp(move)
        after = _log_target_sd(prior, j, rows, square, new)
        if math.log(rng.random()) < after - before + move:
            sd, before = new, after
            accepted += 1
    return sd, accepted


@compiled
def _log_target_sd(prior, j, rows, square, sd):
    """Log density of an sd before rounding given `rows` numbers, constants aside."""
    variance = sd * sd + prior.floor[j]
    value = log_sd_prior(prior.family, prior.sd[0, j], prior.sd[1, j], sd)[0]
    return value - 0.5 * (rows * math.log(variance) + square / variance)
