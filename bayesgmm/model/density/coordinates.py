"""From the flat vector of `model.density.density` to weights, means and factors of the covariances, compiled."""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.model.density.layout import split

__all__ = ["LEAST_DF", "unpack_draws", "unpack_point"]

# Of a draw. Under small concentrations log weights of e^-1000 are drawn, which would be 0 and have no logarithm.
_LEAST_WEIGHT = 1e-300
LEAST_DF = 2.0  # degrees of freedom, above which covariances exist


@compiled
def _add_rounding(latent, floor, cholesky):
    """cholesky = lower factor of latent latent' + diag(floor); latent itself where nothing was rounded."""
    d = latent.shape[0]
    if floor.max() == 0.0:
        put(cholesky, latent)
        return
    for i in range(d):
        for j in range(i + 1):
            total = floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += latent[i, m] * latent[j, m]
            for m in range(j):
                total -= cholesky[i, m] * cholesky[j, m]
            cholesky[i, j] = math.sqrt(total) if i == j else total / cholesky[j, j]


@compiled
def _break_stick(u, out):
    """log v and log(1 - v) of v = 1 / (1 + exp(-u))."""
    tail = math.log1p(math.exp(-abs(u)))
    out[0] = min(u, 0.0) - tail
    out[1] = -max(u, 0.0) - tail


@compiled(inline="always")
def unpack_point(x, packed, log_weights, fractions, means, factors, latent, cholesky):
    """Flat vector -> log head (H,), stick fractions (K, 2: log v, log(1-v); that of the background last), means, T,
    M = M0 T and L."""
    mean_ref, chol_ref, latent_ref, cells = packed.mean_ref, packed.chol_ref, packed.latent_ref, packed.cells
    mean_step, cell_step = packed.mean_step, packed.cell_step
    stick_ref, stick_step = packed.stick_ref, packed.stick_step
    n_components, d = mean_ref.shape
    n_matrices = chol_ref.shape[0]
    remaining, n_sticks = 0.0, n_components - 1
    if len(packed.background) > 0:
        n_sticks += 1
        _break_stick(stick_ref[n_sticks - 1] + stick_step[n_sticks - 1] * x[n_sticks - 1], fractions[n_sticks - 1])
        log_weights[n_components], remaining = fractions[n_sticks - 1, 0], fractions[n_sticks - 1, 1]
    for k in range(n_components - 1):
        _break_stick(stick_ref[k] + stick_step[k] * x[k], fractions[k])
        log_weights[k] = remaining + fractions[k, 0]
        remaining += fractions[k, 1]
    log_weights[n_components - 1] = remaining
    o = len(stick_ref)
    for i in range(n_sticks, o):
        log_weights[i + 1] = math.log(LEAST_DF + math.exp(stick_ref[i] + stick_step[i] * x[i]))
    for k in range(n_components):
        ref = chol_ref[k if n_matrices > 1 else 0]
        for i in range(d):
            total = mean_ref[k, i]
            for j in range(i + 1):
                total += ref[i, j] * (mean_step[k, j] * x[o + j])
            means[k, i] = total
        o += d
    for g in range(n_matrices):
        for i in range(d):
            for j in range(i + 1):
                c = cells[i, j]
                if c < 0:
                    factors[g, i, j] = 0.0
                elif i == j:
                    factors[g, i, j] = math.exp(cell_step[g, c] * x[o + c])
                else:
                    factors[g, i, j] = cell_step[g, c] * x[o + c]
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for m in range(j, i + 1):
                    total += latent_ref[g, i, m] * factors[g, m, j]
                latent[g, i, j] = total
        _add_rounding(latent[g], packed.floor, cholesky[g])
        o += cell_step.shape[1]


@compiled
def unpack_draws(draws, ints, floats, weights, means, cholesky, latent):
    """Flat draws (S, n) -> heads (S, H), means (S, K, D), factors with and before rounding (S, K, D, D)."""
    packed = split(ints, floats)
    (n_components, d), n_matrices = packed.mean_ref.shape, packed.chol_ref.shape[0]
    log_weights = np.empty(weights.shape[1])
    fractions = np.empty((n_components, 2))
    work = np.zeros((3, n_matrices, d, d))
    factors, before, after = work[0], work[1], work[2]
    for s in range(draws.shape[0]):
        unpack_point(draws[s], packed, log_weights, fractions, means[s], factors, before, after)
        for i in range(weights.shape[1]):
            weights[s, i] = max(math.exp(log_weights[i]), _LEAST_WEIGHT)
        for k in range(n_components):
            put(cholesky[s, k], after[k if n_matrices > 1 else 0])
            put(latent[s, k], before[k if n_matrices > 1 else 0])
