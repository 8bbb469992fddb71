"""The hot path: one compiled pass over blocks of rows.

For every row x and component k the pass computes the whitened residual

    y = scaling_k (x - mean_k),   scaling_k = inverse of the lower Cholesky factor of covariance_k,

the component log density, the log-sum-exp over components, the responsibilities and the sufficient
statistics of the *whitened* residuals (counts, sums and outer products). Whitened statistics are free of
units and of cancellation, whatever the conditioning of the covariances; EM, the gradient of the
posterior, prediction and the pointwise log-likelihood are all functions of them.

Temporaries are one block of rows, independent of N. Functions are compiled once, generic in N, D and K,
and cached on disk; numba does not notice that a *called* function in another file changed, so clear
``__pycache__`` after editing this file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.block_math import BLOCK, FAST, exp_block, log_block, take_from_span
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import (
    RowModel,
    add_block,
    degrees_of_freedom,
    forget_cells,
    log_densities,
    log_density,
    log_normalizers,
    n_classes,
    residuals_block,
    tail_weights,
)
from bayesgmm.kernels.rows import PIECE, add_free, free_span, gather

__all__ = ["component_log_densities", "mixture_pass", "weigh_block"]

Array = NDArray[np.float64]


@compiled(fastmath=FAST)
def weigh_block(row_model, features, known, start, n, log_norm, means, scaling, basis, centred, y, r, work):
    """Whitened residuals y (K, D, block) and unnormalised responsibilities r (R, block) of rows start..start+n.

    R is `n_classes`, `known` that of `Rows`, `basis` (K, M, D) that of `free_span` for M missing cells. ``r[k, b] =
    exp(log density - highest[b])``; `work` (3, block) gets the highest, and the sum of r over components.
    """
    highest, total, buffer = work[0], work[1], work[2]
    bits = buffer.view(np.int64)
    n_components, classes = means.shape[0], r.shape[0]
    observed = features.shape[0] - basis.shape[1]
    for k in range(n_components):
        rk = r[k]
        residuals_block(row_model, features, start, n, means[k], scaling[k], centred, y[k], rk)
        if basis.shape[1] > 0:
            take_from_span(basis[k], n, buffer, y[k], rk)
        log_densities(log_norm[k], degrees_of_freedom(log_norm, classes, k), observed, rk, n, total, buffer, bits)
        if k == 0:
            for b in range(n):
                highest[b] = rk[b]
        else:
            for b in range(n):
                highest[b] = rk[b] if rk[b] > highest[b] else highest[b]
    if classes > n_components:
        constant, rk = log_norm[n_components], r[n_components]
        for b in range(n):
            rk[b] = constant
            highest[b] = constant if constant > highest[b] else highest[b]
    if known.shape[0] > 0:
        for b in range(n):
            of_row = known[start + b]
            if of_row >= 0:
                highest[b] = r[of_row, b]
                for k in range(classes):
                    if k != of_row:
                        r[k, b] = -np.inf
    for b in range(n):
        total[b] = 0.0
    for k in range(classes):
        rk = r[k]
        for b in range(n):
            rk[b] -= highest[b]
        exp_block(rk, buffer, bits, n)
        for b in range(n):
            total[b] += rk[b]


@compiled
def mixture_pass(
    rows, row_weights, log_norm, means, scaling, row_model, counts, sums, outers, log_density, responsibilities
):
    """One pass over the rows; returns the weighted log-likelihood.

    Parameters
    ----------
    rows : Rows; N of them.
    row_weights : (N,) weight of each row.
    log_norm : (H,) from `log_normalizers`.
    means : (K, D).
    scaling : (K, D, D) lower-triangular inverse Cholesky factors of the covariances.
    row_model : RowModel; what the density of a row given its component is.
    counts, sums, outers : (C,), (K, D), (K, D, D) outputs, weighted sums of r, r y and r y y' (lower
        triangle); of t components the last two have r u in place of r. Length 0 in `counts` means that no statistics
        are wanted. Counts are those of the R = `n_classes`; of t components 2 K more, the sums of r u and of
        r E(log U - U), see `tail_weights`.
    log_density : (N,) output of the marginal log density of each row, or length 0.
    responsibilities : (N, R) output, or length 0.

    Of rows with missing cells the statistics are expectations given the observed ones, see `kernels.rows`.
    """
    features, order, first, observed, known = rows
    (n_components, d), wanted = means.shape, counts.shape[0] > 0
    if wanted:
        counts[:] = 0.0
        sums[:] = 0.0
        outers[:] = 0.0
    if order.shape[0] == 0:
        none = np.empty((n_components, 0, d))
        return _pass(features, known, row_weights, log_norm, means, scaling, none, row_model, counts, sums, outers,
                     log_density, responsibilities)  # fmt: skip
    log_likelihood = 0.0
    for p in range(observed.shape[0]):
        missing = np.flatnonzero(observed[p] == 0)
        constants, centres, basis = free_span(missing, log_norm, means, scaling)
        forget_cells(row_model, missing, n_components, d, constants)
        before = counts.copy()
        for start in range(first[p], first[p + 1], PIECE):
            index = order[start : min(start + PIECE, first[p + 1])]
            m = index.shape[0]
            density = np.empty(m if log_density.shape[0] > 0 else 0)
            shares = np.empty((m if responsibilities.shape[0] > 0 else 0, n_classes(row_model, n_components)))
            log_likelihood += _pass(
                gather(features, index, missing), known[index] if len(known) else known, row_weights[index], constants,
                centres, scaling, basis, row_model, counts, sums, outers, density, shares,
            )  # fmt: skip
            for i in range(density.shape[0]):
                log_density[index[i]] = density[i]
            for i in range(shares.shape[0]):
                for k in range(shares.shape[1]):
                    responsibilities[index[i], k] = shares[i, k]
        if wanted:
            for k in range(n_components):
                add_free(basis[k], counts[k] - before[k], outers[k])
    return log_likelihood


@compiled(fastmath=FAST)
def _pass(
    features, known, row_weights, log_norm, means, scaling, basis, row_model,
    counts, sums, outers, log_density, responsibilities,
):  # fmt: skip
    """`mixture_pass` of rows of one pattern, features (D, N); statistics are added to."""
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    want_statistics = counts.shape[0] > 0
    want_density = log_density.shape[0] > 0
    want_responsibilities = responsibilities.shape[0] > 0
    classes = n_classes(row_model, n_components)
    heavy, observed = log_norm.shape[0] > classes, n_features - basis.shape[1]
    y, r = np.empty((n_components, n_features, BLOCK)), np.empty((classes, BLOCK))
    centred, work = np.empty((n_features, BLOCK)), np.empty((4, BLOCK))
    highest, total, buffer, log_total = work[0], work[1], work[2], work[3]
    bits = buffer.view(np.int64)
    log_likelihood = 0.0
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        weigh_block(row_model, features, known, start, n, log_norm, means, scaling, basis, centred, y, r, work)
        log_block(total, log_total, buffer, bits, n)
        for b in range(n):
            v = highest[b] + log_total[b]
            log_total[b] = v
            log_likelihood += row_weights[start + b] * v
        if want_density:
            for b in range(n):
                log_density[start + b] = log_total[b]
        if want_responsibilities:
            for b in range(n):
                inverse = 1.0 / total[b]
                for k in range(classes):
                    responsibilities[start + b, k] = r[k, b] * inverse
        if want_statistics:
            for b in range(n):
                total[b] = row_weights[start + b] / total[b]
            for k in range(classes):
                rk = r[k]
                acc = 0.0
                for b in range(n):
                    v = rk[b] * total[b]
                    rk[b] = v
                    acc += v
                counts[k] += acc
                if k == n_components:
                    break
                if heavy:
                    df = degrees_of_freedom(log_norm, classes, k)
                    mass, tail = tail_weights(y[k], df, observed, n, rk, centred[0], log_total, buffer, bits)
                    counts[classes + k] += mass
                    counts[classes + n_components + k] += tail
                add_block(row_model, y[k], rk, n, centred, sums[k], outers[k])
    return log_likelihood


@compiled(fastmath=FAST)
def component_log_densities(features, means, scaling, row_model, out):
    """out[n, k] = log N(x_n; mean_k, covariance_k), without weights; features (D, N) of complete rows, out (N, K)."""
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    log_norm = np.empty(n_components)
    log_normalizers(np.zeros(n_components), scaling, RowModel(row_model.diagonal, np.empty(0)), log_norm)
    block = 128
    y = np.empty((n_features, block))
    centred = np.empty((n_features, block))
    square = np.empty(block)
    for start in range(0, n_rows, block):
        n = min(block, n_rows - start)
        for k in range(n_components):
            residuals_block(row_model, features, start, n, means[k], scaling[k], centred, y, square)
            for b in range(n):
                out[start + b, k] = log_density(log_norm[k], square[b])
