"""The compiled posterior: log density and gradient of a flat vector; see `model.density.density`."""

from __future__ import annotations

import math

import numpy as np
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from bayesgmm.kernels.compiled import callback, compiled, put
from bayesgmm.kernels.row_model import RowModel, df_slope, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.triangular import invert_lower, multiply_lower
from bayesgmm.model.density.coordinates import unpack_point
from bayesgmm.model.density.layout import split
from bayesgmm.model.density.prior_density import log_sd_prior

__all__ = ["log_posterior_callback", "log_posterior_given", "log_posterior_gradient", "log_posteriors"]


@compiled
def log_posterior_gradient(x, grad, ints, floats):
    """Log posterior density of the flat vector x, Jacobian and constants included; writes its gradient.

    Returns -inf outside the support. `ints` and `floats` are a packed problem, see `Density.build`.
    """
    return log_posterior_given(x, grad, ints, floats, 0.0, np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)))


@compiled
def log_posterior_given(x, grad, ints, floats, log_likelihood, of_counts, of_sums, of_outers):
    """`log_posterior_gradient` from the log-likelihood at x and the statistics of a pass there (`mixture_pass`), which
    someone else made; of the packed rows where `of_counts` has length 0."""
    packed = split(ints, floats)
    chol_ref, inv_ref, latent_ref, cells = packed.chol_ref, packed.inv_ref, packed.latent_ref, packed.cells
    mean_step, cell_step, sd_prior, family = packed.mean_step, packed.cell_step, packed.sd_prior, packed.family
    (n_components, d), n_matrices, n_sd = mean_step.shape, len(chol_ref), sd_prior.shape[1]
    correlated, eta, concentration, value = packed.correlated, packed.eta, packed.concentration, packed.constant

    n_head, fractions = len(packed.stick_ref), np.empty((n_components, 2))
    has_background, n_df = len(packed.background) > 0, n_head - n_components + 1
    if has_background:
        n_df -= 1
    classes = n_head + 1 - n_df
    vectors = np.empty((2, n_head + 1))
    log_weights, log_norm = vectors[0], vectors[1]
    counts = np.empty(classes + (2 * n_components if n_df > 0 else 0))
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
    unpack_point(x, packed, log_weights, fractions, means[0], factors, latent, cholesky)
    rounded = packed.floor.max() > 0.0

    # `inverse` is scaling times the reference factor of the means, T^-1 when nothing was rounded.
    if rounded:
        invert_lower(cholesky, scaling[:n_matrices])
        for g in range(n_matrices):
            multiply_lower(scaling[g], chol_ref[g], inverse[g])
            multiply_lower(scaling[g], latent_ref[g], whitened_ref[g])
    else:
        invert_lower(factors, inverse)
        put(whitened_ref, inverse)
        for g in range(n_matrices):
            multiply_lower(inverse[g], inv_ref[g], scaling[g])
    for k in range(n_matrices, n_components):
        put(scaling[k], scaling[0])
    row_model = RowModel(not correlated, packed.background)
    log_normalizers(log_weights, scaling, row_model, log_norm)
    if len(of_counts) > 0:
        put(counts, of_counts)
        put(sums, of_sums)
        put(outers, of_outers)
        value += log_likelihood
    else:
        value += mixture_pass(packed.rows, packed.row_weights, log_norm, means[0], scaling, row_model,
                              counts, sums, outers, np.empty(0), np.empty((0, 0)))  # fmt: skip

    # Weights: the beta priors of the sticks; their logits carry the Jacobian.
    below = counts[n_components - 1]
    for k in range(n_components - 2, -1, -1):
        a, b = concentration, (n_components - 1 - k) * concentration
        value += a * fractions[k, 0] + b * fractions[k, 1]
        v, complement = math.exp(fractions[k, 0]), math.exp(fractions[k, 1])
        grad[k] = packed.stick_step[k] * ((counts[k] + a) * complement - (below + b) * v)
        below += counts[k]
    if has_background:
        k, a, b = n_components - 1, packed.noise_prior[0], packed.noise_prior[1]
        value += a * fractions[k, 0] + b * fractions[k, 1]
        v, complement = math.exp(fractions[k, 0]), math.exp(fractions[k, 1])
        grad[k] = packed.stick_step[k] * ((counts[n_components] + a) * complement - (below + b) * v)
    for i in range(n_df):
        place = classes - 1 + i
        df = log_norm[classes + i]
        step, a, b = packed.stick_step[place], packed.df_prior[0], packed.df_prior[1]
        u = packed.stick_ref[place] + step * x[place]
        value += (a - 1.0) * log_weights[classes + i] - b * df + u
        slope = (a - 1.0) / df - b + df_slope(df, i, n_df, counts, classes)
        grad[place] = step * (slope * math.exp(u) + 1.0)
    o = n_head
    mean_loc, mean_scale = packed.mean_loc, packed.mean_scale

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
            multiply_lower(scaling[k], latent[g], product)
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


@compiled
def log_posteriors(draws, ints, floats, out):
    """out[s] = log posterior density of draws[s]."""
    gradient = np.empty(draws.shape[1])
    for s in range(draws.shape[0]):
        out[s] = log_posterior_gradient(draws[s], gradient, ints, floats)


@intrinsic
def _as_pointer(typingctx, address):
    """A memory address as a void pointer."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@callback(
    types.int64(types.uint64, types.CPointer(types.float64), types.CPointer(types.float64),
                types.CPointer(types.float64), types.CPointer(types.int64))
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
