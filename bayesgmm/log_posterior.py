"""The compiled posterior: log density, gradient and unpacking of a flat vector; see `bayesgmm.density`.

A problem is packed into one integer header and one flat array of floats, so that the same compiled function
serves Python and, as a C callback, the sampler, for every N, D, K, structure and prior.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from bayesgmm.kernels import log_normalizers, mixture_pass
from bayesgmm.triangular import invert_lower

__all__ = [
    "leave_one_out_offsets", "log_posterior_callback", "log_posterior_gradient", "log_prior_draws", "log_sd_prior",
    "split", "unpack_draws",
]  # fmt: skip

# Positions in the integer header; the (D, D) cell table follows.
_N, _D, _K, _G, _CELLS, _N_SD, _CORRELATED, _FAMILY, _HEADER = range(9)

_LOG_SQRT_2_OVER_PI = 0.5 * math.log(2.0 / math.pi)
_LOG_2_OVER_PI = math.log(2.0 / math.pi)
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


@njit(cache=True, nogil=True, error_model="numpy")
def log_sd_prior(family, a, b, s):
    """Log density of a component sd s > 0 (before rounding), and its derivative by log s.

    `family` is `ScaleFamily.code` and (a, b) are its hyperparameters.
    """
    variance = s * s
    if family == 0:
        value = _LOG_SQRT_2_OVER_PI - math.log(a) - 0.5 * variance / (a * a)
        slope = -variance / (a * a)
    elif family == 1:
        q = variance / (a * a)
        value = _LOG_2_OVER_PI - math.log(a) - math.log1p(q)
        slope = -2.0 * q / (1.0 + q)
    elif family == 2:
        value = math.log(a) - a * s
        slope = -a * s
    elif family == 3:
        z = (math.log(s) - a) / b
        value = -math.log(s) - math.log(b) - _LOG_SQRT_2PI - 0.5 * z * z
        slope = -1.0 - z / b
    else:
        value = a * math.log(b) - math.lgamma(a) - (2.0 * a + 1.0) * math.log(s) - b / variance + _LOG_2
        slope = -(2.0 * a + 1.0) + 2.0 * b / variance
    return value, slope


@njit(cache=True, nogil=True, error_model="numpy")
def split(ints, floats):
    """Views of the packed problem, in the order in which `Density.build` wrote them."""
    n, d, k, g = ints[_N], ints[_D], ints[_K], ints[_G]
    c, s = ints[_CELLS], ints[_N_SD]
    sizes = (d * n, n, k * d, g * d * d, g * d * d, k * d, g * c, k - 1, k - 1, d, d, 2 * s, d, 3, g * d * d)
    cells = ints[_HEADER : _HEADER + d * d].reshape(d, d)
    o = 0
    features = floats[o : o + sizes[0]].reshape(d, n)
    o += sizes[0]
    row_weights = floats[o : o + sizes[1]]
    o += sizes[1]
    mean_ref = floats[o : o + sizes[2]].reshape(k, d)
    o += sizes[2]
    chol_ref = floats[o : o + sizes[3]].reshape(g, d, d)
    o += sizes[3]
    inv_ref = floats[o : o + sizes[4]].reshape(g, d, d)
    o += sizes[4]
    mean_step = floats[o : o + sizes[5]].reshape(k, d)
    o += sizes[5]
    cell_step = floats[o : o + sizes[6]].reshape(g, c)
    o += sizes[6]
    stick_ref = floats[o : o + sizes[7]]
    o += sizes[7]
    stick_step = floats[o : o + sizes[8]]
    o += sizes[8]
    mean_loc = floats[o : o + sizes[9]]
    o += sizes[9]
    mean_scale = floats[o : o + sizes[10]]
    o += sizes[10]
    sd_prior = floats[o : o + sizes[11]].reshape(2, s)
    o += sizes[11]
    floor = floats[o : o + sizes[12]]
    o += sizes[12]
    constants = floats[o : o + sizes[13]]
    o += sizes[13]
    latent_ref = floats[o : o + sizes[14]].reshape(g, d, d)
    return (
        cells, features, row_weights, mean_ref, chol_ref, inv_ref, mean_step, cell_step,
        stick_ref, stick_step, mean_loc, mean_scale, sd_prior, floor, constants, latent_ref,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _add_rounding(latent, floor, cholesky):
    """cholesky = lower factor of latent latent' + diag(floor); latent itself where nothing was rounded."""
    d = latent.shape[0]
    if floor.max() == 0.0:
        cholesky[:] = latent
        return
    for i in range(d):
        for j in range(i + 1):
            total = floor[i] if i == j else 0.0
            for m in range(j + 1):
                total += latent[i, m] * latent[j, m]
            for m in range(j):
                total -= cholesky[i, m] * cholesky[j, m]
            cholesky[i, j] = math.sqrt(total) if i == j else total / cholesky[j, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _unpack(x, cells, mean_ref, chol_ref, latent_ref, mean_step, cell_step, stick_ref, stick_step, floor,
            log_weights, fractions, means, factors, latent, cholesky):  # fmt: skip
    """Flat vector -> log weights (K,), stick fractions (K-1, 2: log v, log(1-v)), means, T, M = M0 T and L."""
    n_components, d = mean_ref.shape
    n_matrices = chol_ref.shape[0]
    o = 0
    remaining = 0.0
    for k in range(n_components - 1):
        u = stick_ref[k] + stick_step[k] * x[o + k]
        tail = math.log1p(math.exp(-abs(u)))
        fractions[k, 0] = min(u, 0.0) - tail
        fractions[k, 1] = -max(u, 0.0) - tail
        log_weights[k] = remaining + fractions[k, 0]
        remaining += fractions[k, 1]
    log_weights[n_components - 1] = remaining
    o += n_components - 1
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
        _add_rounding(latent[g], floor, cholesky[g])
        o += cell_step.shape[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply_lower(a, b, out):
    """out = a b for lower-triangular a and b; the upper triangle of out is left alone."""
    d = a.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(j, i + 1):
                total += a[i, m] * b[m, j]
            out[i, j] = total


@njit(cache=True, nogil=True, error_model="numpy")
def leave_one_out_offsets(ints, floats):
    """(N,) log shares of the rows of a problem from `Density.leaving_one_out`; length 0 for a plain posterior."""
    marked = ints.shape[0] > _HEADER + ints[_D] * ints[_D]
    return floats[floats.shape[0] - (ints[_N] if marked else 0) :]


@njit(cache=True, nogil=True, error_model="numpy")
def _leave_one_out(features, row_weights, offsets, log_norm, means, scaling, diagonal):
    """Row weights a_i (1 - pi_i), and sum_i a_i l_i + log sum_j exp(c_j - a_j l_j), whose gradient they give.

    pi is the softmax of c_j - a_j l_j: the probability that row j is the one left out.
    """
    n_rows = row_weights.shape[0]
    left = np.empty(n_rows)
    value = mixture_pass(features, row_weights, log_norm, means, scaling, diagonal,
                         np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)), left, np.empty((0, 0)))  # fmt: skip
    highest = -math.inf
    for i in range(n_rows):
        left[i] = offsets[i] - row_weights[i] * left[i]
        highest = max(highest, left[i])
    total = 0.0
    for i in range(n_rows):
        left[i] = math.exp(left[i] - highest)
        total += left[i]
    for i in range(n_rows):
        left[i] = row_weights[i] * (1.0 - left[i] / total)
    return left, value + highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def log_posterior_gradient(x, grad, ints, floats):
    """Log posterior density of the flat vector x, Jacobian and constants included; writes its gradient.

    Returns -inf outside the support. `ints` and `floats` are a packed problem, see `Density.build`. One from
    `Density.leaving_one_out` is the mixture of leave-one-out posteriors instead.
    """
    (cells, features, row_weights, mean_ref, chol_ref, inv_ref, mean_step, cell_step,
     stick_ref, stick_step, mean_loc, mean_scale, sd_prior, floor, constants,
     latent_ref) = split(ints, floats)  # fmt: skip
    d, n_components, n_matrices = ints[_D], ints[_K], ints[_G]
    n_sd, family = ints[_N_SD], ints[_FAMILY]
    correlated = ints[_CORRELATED] != 0
    eta, concentration, value = constants[0], constants[1], constants[2]

    vectors = np.empty((5, n_components))
    log_weights, log_norm, counts, fractions = vectors[0], vectors[1], vectors[2], vectors[3:5].T
    means = np.empty((2, n_components, d))
    sums = means[1]
    matrices = np.zeros((2 * n_components + 7 * n_matrices + 2, d, d))
    outers = matrices[:n_components]
    scaling = matrices[n_components : 2 * n_components]
    spare = matrices[2 * n_components :]
    factors, cholesky = spare[:n_matrices], spare[n_matrices : 2 * n_matrices]
    inverse = spare[2 * n_matrices : 3 * n_matrices]
    grad_factor = spare[3 * n_matrices : 4 * n_matrices]
    grad_latent = spare[4 * n_matrices : 5 * n_matrices]
    latent = spare[5 * n_matrices : 6 * n_matrices]
    whitened_ref = spare[6 * n_matrices : 7 * n_matrices]  # scaling times the reference factor of M
    product, turned = spare[7 * n_matrices], spare[7 * n_matrices + 1]
    _unpack(x, cells, mean_ref, chol_ref, latent_ref, mean_step, cell_step, stick_ref, stick_step, floor,
            log_weights, fractions, means[0], factors, latent, cholesky)  # fmt: skip
    rounded = floor.max() > 0.0

    # `inverse` is scaling times the reference factor of the means, T^-1 when nothing was rounded.
    if rounded:
        invert_lower(cholesky, scaling[:n_matrices])
        for g in range(n_matrices):
            _multiply_lower(scaling[g], chol_ref[g], inverse[g])
            _multiply_lower(scaling[g], latent_ref[g], whitened_ref[g])
    else:
        invert_lower(factors, inverse)
        whitened_ref[:] = inverse
        for g in range(n_matrices):
            _multiply_lower(inverse[g], inv_ref[g], scaling[g])
    for k in range(n_matrices, n_components):
        scaling[k] = scaling[0]
    log_normalizers(log_weights, scaling, log_norm)
    offsets = leave_one_out_offsets(ints, floats)
    if offsets.shape[0] > 0:
        row_weights, extra = _leave_one_out(features, row_weights, offsets, log_norm, means[0], scaling, not correlated)
        value += extra
    log_likelihood = mixture_pass(features, row_weights, log_norm, means[0], scaling, not correlated,
                                  counts, sums, outers, np.empty(0), np.empty((0, 0)))  # fmt: skip
    if offsets.shape[0] == 0:
        value += log_likelihood

    # Weights: the beta priors of the sticks; their logits carry the Jacobian.
    o = 0
    below = counts[n_components - 1]
    for k in range(n_components - 2, -1, -1):
        a, b = concentration, (n_components - 1 - k) * concentration
        value += a * fractions[k, 0] + b * fractions[k, 1]
        v, complement = math.exp(fractions[k, 0]), math.exp(fractions[k, 1])
        grad[o + k] = stick_step[k] * ((counts[k] + a) * complement - (below + b) * v)
        below += counts[k]
    o += n_components - 1

    # Means: with respect to m the likelihood gives T^-T sum r y, the prior L0' (.).
    for k in range(n_components):
        g = k if n_matrices > 1 else 0
        for j in range(d):
            total = 0.0
            for i in range(j, d):
                z = (means[0, k, i] - mean_loc[i]) / mean_scale[i]
                total += inverse[g, i, j] * sums[k, i] - chol_ref[g, i, j] * z / mean_scale[i]
                if j == 0:
                    value -= 0.5 * z * z
            grad[o + j] = mean_step[k, j] * total
        o += d

    # Covariances: with A = sum r y y' - N I the likelihood has gradient (scaling M0)' A (scaling M) by T.
    for k in range(n_components):
        g = k if n_matrices > 1 else 0
        for i in range(d):
            outers[k, i, i] -= counts[k]
            for j in range(i):
                outers[k, j, i] = outers[k, i, j]
        right = outers[k]
        if rounded:
            _multiply_lower(scaling[k], latent[g], product)
            for i in range(d):
                for j in range(d):
                    total = 0.0
                    for m in range(j, d):
                        total += outers[k, i, m] * product[m, j]
                    turned[i, j] = total
            right = turned
        for j in range(d):
            for i in range(j, d):
                total = 0.0
                for m in range(i, d):
                    total += whitened_ref[g, m, i] * right[m, j]
                grad_factor[g, i, j] += total
    for g in range(n_matrices):
        for i in range(d):
            s = i if n_sd > 1 else 0
            if i > 0 and n_sd == 1 and d > 1 and not correlated:
                continue
            square = 0.0
            for j in range(i + 1):
                square += latent[g, i, j] * latent[g, i, j]
            sd = math.sqrt(square)
            log_p, slope = log_sd_prior(family, sd_prior[0, s], sd_prior[1, s], sd)
            value += log_p
            if correlated:
                power = 2.0 * eta - 2.0 + d - i if i > 0 else 0.0
                value += power * (math.log(latent[g, i, i]) - math.log(sd)) - i * math.log(sd)
                slope -= power + i
                grad_latent[g, i, i] += power / latent[g, i, i]
            for j in range(i + 1):
                grad_latent[g, i, j] += slope * latent[g, i, j] / square
        for i in range(d):
            for j in range(i + 1):
                total = grad_factor[g, i, j]
                for m in range(i, d):
                    total += latent_ref[g, m, i] * grad_latent[g, m, j]
                grad_factor[g, i, j] = total
        n_cells = cell_step.shape[1]
        for c in range(n_cells):
            grad[o + c] = 0.0
        for i in range(d):
            for j in range(i + 1):
                c = cells[i, j]
                if c < 0:
                    continue
                slope = grad_factor[g, i, j]
                if i == j:
                    slope *= factors[g, i, i]
                    if n_cells > 1 or i == 0:  # the Jacobian of a shared diagonal counts once
                        value += cell_step[g, c] * x[o + c]
                        slope += 1.0
                grad[o + c] += cell_step[g, c] * slope
        o += n_cells
    if math.isnan(value):
        return -math.inf
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_draws(draws, ints, floats, weights, means, cholesky, latent):
    """Flat draws (S, n) -> weights (S, K), means (S, K, D), factors with and before rounding (S, K, D, D)."""
    (cells, features, row_weights, mean_ref, chol_ref, inv_ref, mean_step, cell_step,
     stick_ref, stick_step, mean_loc, mean_scale, sd_prior, floor, constants,
     latent_ref) = split(ints, floats)  # fmt: skip
    n_components, d = mean_ref.shape
    n_matrices = chol_ref.shape[0]
    log_weights = np.empty(n_components)
    fractions = np.empty((n_components, 2))
    work = np.zeros((3, n_matrices, d, d))
    factors, before, after = work[0], work[1], work[2]
    for s in range(draws.shape[0]):
        _unpack(draws[s], cells, mean_ref, chol_ref, latent_ref, mean_step, cell_step, stick_ref, stick_step, floor,
                log_weights, fractions, means[s], factors, before, after)  # fmt: skip
        for k in range(n_components):
            weights[s, k] = math.exp(log_weights[k])
            cholesky[s, k] = after[k if n_matrices > 1 else 0]
            latent[s, k] = before[k if n_matrices > 1 else 0]


@njit(cache=True, nogil=True, error_model="numpy")
def log_prior_draws(weights, means, latent, ints, floats, out):
    """Log prior density of each draw with respect to weights, means, sds and correlations."""
    (cells, features, row_weights, mean_ref, chol_ref, inv_ref, mean_step, cell_step,
     stick_ref, stick_step, mean_loc, mean_scale, sd_prior, floor, constants,
     latent_ref) = split(ints, floats)  # fmt: skip
    d, n_components, n_matrices = ints[_D], ints[_K], ints[_G]
    n_sd, family, correlated = ints[_N_SD], ints[_FAMILY], ints[_CORRELATED] != 0
    eta, concentration = constants[0], constants[1]
    for s in range(weights.shape[0]):
        value = 0.0
        for k in range(n_components):
            if concentration != 1.0:
                value += (concentration - 1.0) * math.log(weights[s, k])
            for i in range(d):
                z = (means[s, k, i] - mean_loc[i]) / mean_scale[i]
                value -= 0.5 * z * z + math.log(mean_scale[i]) + _LOG_SQRT_2PI
        for g in range(n_matrices):
            for i in range(n_sd):
                square = 0.0
                for j in range(i + 1):
                    square += latent[s, g, i, j] * latent[s, g, i, j]
                sd = math.sqrt(square)
                value += log_sd_prior(family, sd_prior[0, i], sd_prior[1, i], sd)[0]
                if correlated and i > 0:
                    value += (2.0 * eta - 3.0 + d - i) * math.log(latent[s, g, i, i] / sd)
        out[s] = value


@intrinsic
def _as_pointer(typingctx, address):
    """A memory address as a void pointer."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@cfunc(
    types.int64(types.uint64, types.CPointer(types.float64), types.CPointer(types.float64),
                types.CPointer(types.float64), types.CPointer(types.int64)),
    cache=True, error_model="numpy",
)  # fmt: skip
def log_posterior_callback(n_dim, x, grad, value, problem):  # pragma: no cover - runs compiled
    """`log_posterior_gradient` as a C function; `problem` holds two addresses and two lengths."""
    header = carray(problem, (4,))
    ints = carray(_as_pointer(header[0]), (header[1],), np.int64)
    floats = carray(_as_pointer(header[2]), (header[3],), np.float64)
    point = carray(x, (n_dim,))
    gradient = carray(grad, (n_dim,))
    result = log_posterior_gradient(point, gradient, ints, floats)
    carray(value, (1,))[0] = result
    if not math.isfinite(result):
        return 4
    for i in range(n_dim):
        if not math.isfinite(gradient[i]):
            return 3
    return 0
