"""Data augmentation: one compiled pass that draws the component of every row and sums over what it drew.

The twin of `kernels.row_pass.mixture_pass`: the same whitened residuals and responsibilities, but instead of
weighting rows by responsibilities it draws an allocation from them, and its statistics are those of the complete
data, of t components with the precisions of `kernels.completed`; rows of a background add to its count alone. A row of
weight a counts as a copies of itself, each allocated on its own; what remains of a weight that is not whole is one more
copy that counts for that fraction.

A fraction f of a copy is not a mixture: the target has the power f of the marginal density, the complete data have the
power f of one component's. With z drawn from the responsibilities r, a move of the parameters that is reversible for
the complete data is therefore accepted with probability min(1, prod (r'_z / r_z)^(1 - f)) over the fractional copies;
the pass returns the logarithm of that ratio for the copies allocated last.

Missing cells are drawn with the allocation, given the observed cells and the component: the whitened residual of the
whole row is u^ + Q z (`kernels.rows`), z standard normal. The sums are those of completed rows. The missing cells of a
fraction f of a copy are drawn from the power f of their density. What normalises it, |V|^((1 - f) / 2) for their
covariance V, is part of the ratio. Under t components there are whole copies only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.block_math import BLOCK, FAST, log_block
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.completed import add_completed, draw_masses
from bayesgmm.kernels.picks import draw_block, draw_fractions
from bayesgmm.kernels.row_model import add_block, degrees_of_freedom, forget_cells, n_classes
from bayesgmm.kernels.row_pass import weigh_block
from bayesgmm.kernels.rows import PIECE, free_span, gather

__all__ = ["Allocation", "allocation_pass", "new_allocation"]

Array = NDArray[np.float64]

_LARGEST = (1 << 63) - 1
_FEW = 14  # columns below which adding rows of no copies, too, is less work than leaving them out


class Allocation(NamedTuple):
    """The allocation of the rows, and sums over it."""

    counts: Array  # (C,) weight of the rows drawn for each class; of t components K more, the sums of u
    sums: Array  # (K, D) of their whitened residuals y, or of u y
    outers: Array  # (K, D, D) of y y', or of u y y', lower triangles
    component: NDArray[np.int64]  # (N,) of each fractional copy, -1 before the first pass; (0,) if weights are whole
    log_r: Array  # (N,) or (0,), the log of its responsibility, and of what its missing cells are normalised by


def new_allocation(
    n_components: int, n_features: int, n_rows: int, fractional: bool, n_counts: int | None = None
) -> Allocation:
    """Storage for the allocation of a chain, to be filled by its first sweep."""
    k, d, n = n_components, n_features, n_rows if fractional else 0
    return Allocation(np.empty(n_counts or k), np.empty((k, d)), np.empty((k, d, d)), np.full(n, -1), np.empty(n))


@compiled
def _add_rows(y, copies, n, row_model, chosen, centred, total, outer):
    """Add the rows of a block with copies in one component to its sums; returns the copies.

    In many columns the other rows are left out first, into `chosen` (D + 1, block).
    """
    n_features = y.shape[0]
    if row_model.diagonal or n_features < _FEW:
        count = 0.0
        for b in range(n):
            count += copies[b]
        if count > 0.0:
            add_block(row_model, y, copies, n, centred, total, outer)
        return count
    m, count = np.int64(0), 0.0  # a literal would be compiled on its own
    places, weight = centred[0], chosen[n_features]
    for b in range(n):
        places[m] = b
        weight[m] = copies[b]
        count += copies[b]
        m += copies[b] > 0.0
    for d in range(n_features):
        for i in range(m):
            chosen[d, i] = y[d, int(places[i])]
    if m > 0:
        add_block(row_model, chosen[:n_features], weight, m, centred, total, outer)
    return count


@compiled
def _add_heavy_rows(rng, y, df, observed, copies, masses, n, row_model, basis, chosen, centred, total, outer):
    """The same for rows of a t component, missing cells or not; returns their copies and the sum of u, drawn into
    `masses`."""
    count, mass = draw_masses(rng, y, df, observed, n, copies, masses)
    if basis.shape[0] > 0:
        add_completed(rng, y, copies, masses, n, basis, total, outer)
    else:
        _add_rows(y, masses, n, row_model, chosen, centred, total, outer)
    return count, mass


@compiled
def allocation_pass(rng, rows, row_weights, log_norm, means, scaling, row_model, want_likelihood, watched, allocation):
    """Draw every row's component, and its missing cells, and sum over the rows of each.

    Returns a log acceptance ratio, 0 for whole weights, the log-likelihood of the mixture, if wanted, and the component
    of one row.

    Parameters
    ----------
    rng : numpy.random.Generator
    rows, row_weights, log_norm, means, scaling, row_model
        As in `kernels.row_pass.mixture_pass`.
    want_likelihood : bool
    watched : int
        A complete row whose component is returned; -1 for none.
    allocation : Allocation; filled
    """
    counts, sums, outers, component, log_r = allocation
    features, order, first, observed, known = rows
    n_components, d = means.shape
    counts[:] = 0.0
    sums[:] = 0.0
    outers[:] = 0.0
    if order.shape[0] == 0:
        return _allocate_pattern(
            rng, features, known, row_weights, log_norm, means, scaling, np.empty((n_components, 0, d)),
            np.zeros(len(log_norm)), row_model, want_likelihood, watched, allocation,
        )  # fmt: skip
    ratio, log_likelihood, place = 0.0, 0.0, -1
    for p in range(observed.shape[0]):
        missing = np.flatnonzero(observed[p] == 0)
        constants, centres, basis = free_span(missing, log_norm, means, scaling)
        shift = log_norm - constants
        forget_cells(row_model, missing, n_components, d, constants)
        for start in range(first[p], first[p + 1], PIECE):
            index = order[start : min(start + PIECE, first[p + 1])]
            here = -1
            for i in range(index.shape[0]):
                if index[i] == watched:
                    here = i
            fractional = component.shape[0] > 0
            places, logs = (component[index], log_r[index]) if fractional else (component, log_r)
            gain, value, found = _allocate_pattern(
                rng, gather(features, index, missing), known[index] if len(known) else known, row_weights[index],
                constants, centres, scaling, basis, shift, row_model, want_likelihood, here,
                Allocation(counts, sums, outers, places, logs),
            )  # fmt: skip
            ratio += gain
            log_likelihood += value
            place = max(place, found)
            if fractional:
                component[index] = places
                log_r[index] = logs
    return ratio, log_likelihood, place


@compiled(fastmath=FAST)
def _allocate_pattern(
    rng,
    features,
    known,
    row_weights,
    log_norm,
    means,
    scaling,
    basis,
    shift,
    row_model,
    want_likelihood,
    watched,
    allocation,
):
    """`allocation_pass` of rows of one pattern, features (D, N), added to what `allocation` holds; `basis` (K, M, D) is
    that of `free_span`, `shift` (H,) as in `draw_fractions`."""
    counts, sums, outers, component, log_r = allocation
    n_features, n_rows = features.shape
    n_components = means.shape[0]
    classes = n_classes(row_model, n_components)
    heavy, n_observed = log_norm.shape[0] > classes, n_features - basis.shape[1]
    y, r = np.empty((n_components, n_features, BLOCK)), np.empty((classes, BLOCK))
    centred, work = np.empty((n_features, BLOCK)), np.empty((3, BLOCK))
    highest, total, buffer = work[0], work[1], work[2]
    bits = buffer.view(np.int64)
    allocated, chosen, drawn = np.empty((classes, BLOCK)), np.empty((n_features + 1, BLOCK)), np.empty((4, BLOCK))
    drawn_bits = drawn[0].view(np.uint64)
    ratio, log_likelihood, place = 0.0, 0.0, -1
    key = np.uint64(rng.integers(0, _LARGEST))
    for start in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - start)
        weigh_block(row_model, features, known, start, n, log_norm, means, scaling, basis, centred, y, r, work)
        draw_block(rng, key, start, n, row_weights, r, total, allocated, drawn, drawn_bits)
        if want_likelihood:
            log_block(total, drawn[0], buffer, bits, n)
            for b in range(n):
                log_likelihood += row_weights[start + b] * (highest[b] + drawn[0, b])
        if component.shape[0] > 0:
            ratio += draw_fractions(rng, start, n, row_weights, r, total, shift, allocated, component, log_r)
        for k in range(n_components):
            if heavy:
                df = degrees_of_freedom(log_norm, classes, k)
                count, mass = _add_heavy_rows(rng, y[k], df, n_observed, allocated[k], drawn[3], n, row_model, basis[k],
                                              chosen, centred, sums[k], outers[k])  # fmt: skip
                counts[k] += count
                counts[classes + k] += mass
            elif basis.shape[1] > 0:
                counts[k] += add_completed(rng, y[k], allocated[k], allocated[k], n, basis[k], sums[k], outers[k])
            else:
                counts[k] += _add_rows(y[k], allocated[k], n, row_model, chosen, centred, sums[k], outers[k])
            if start <= watched < start + n and allocated[k, watched - start] > 0.0:
                place = k
        for b in range(n if classes > n_components else 0):
            counts[n_components] += allocated[n_components, b]
    return ratio, log_likelihood, place
