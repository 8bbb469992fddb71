"""A posterior packed into one integer header and one flat array of floats: where what lies.

`model.density.density.Density.build` writes it. One compiled function then serves Python and, as a C callback, the
sampler, for every N, D, K, structure and prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.rows import Rows

__all__ = ["D", "N", "Packed", "header", "split", "with_rows"]

Array = NDArray[np.float64]

# Positions in the integer header; the (D, D) cell table follows, then patterns of missing cells and known components.
N, D, K, G, CELLS, N_SD, CORRELATED, FAMILY, BACKGROUND, N_DF, PATTERNS, KNOWN, HEADER = range(13)


class Packed(NamedTuple):
    """Views of a packed problem, in the order in which they lie; C cells are free in each of G matrices."""

    rows: Rows
    row_weights: Array  # (N,)
    mean_ref: Array  # (K, D)
    chol_ref: Array  # (G, D, D)
    inv_ref: Array  # (G, D, D)
    mean_step: Array  # (K, D)
    cell_step: Array  # (G, C)
    stick_ref: Array  # (H - 1,) coordinates of the head: sticks, logit of the background, logs of v - 2
    stick_step: Array  # (H - 1,)
    mean_loc: Array  # (D,)
    mean_scale: Array  # (D,)
    sd_prior: Array  # (2, n_sd)
    floor: Array  # (D,)
    latent_ref: Array  # (G, D, D)
    background: Array  # (D,), or (0,): as in `RowModel`
    noise_prior: Array  # (2,) of a beta
    df_prior: Array  # (2,) shape and rate of a gamma
    cells: NDArray[np.int64]  # (D, D)
    eta: float
    concentration: float
    constant: float
    correlated: bool
    family: int


def header(
    n_rows: int, n_components: int, n_matrices: int, n_cells: int, n_sd: int, correlated: bool, family: int,
    background: bool, n_df: int, cells: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """The integers of a packed problem whose rows, if any, are complete."""
    sizes = [n_rows, len(cells), n_components, n_matrices, n_cells, n_sd, correlated, family, background, n_df, 0, 0]
    return np.array([*map(int, sizes), *cells.ravel()], dtype=np.int64)


@compiled
def with_rows(ints, rows):
    """The integers of the same problem with other rows (a `Rows`)."""
    d, n_patterns = ints[D], rows.observed.shape[0]
    fixed = HEADER + d * d
    out = np.empty(fixed + n_patterns + 1 + n_patterns * d + len(rows.order) + len(rows.known), dtype=np.int64)
    out[:fixed] = ints[:fixed]
    out[N], out[PATTERNS], out[KNOWN] = rows.features.shape[1], n_patterns, len(rows.known)
    o = fixed
    for part in (rows.first, rows.observed.ravel(), rows.order, rows.known):
        out[o : o + len(part)] = part
        o += len(part)
    return out


@compiled
def split(ints, floats):
    """The `Packed` views of a problem, whose scalars come last among the floats."""
    n, d, k, g = ints[N], ints[D], ints[K], ints[G]
    c, s, p = ints[CELLS], ints[N_SD], ints[PATTERNS]
    h = k - 1 + ints[BACKGROUND] + ints[N_DF]
    cells = ints[HEADER : HEADER + d * d].reshape(d, d)
    o = 0
    features = floats[o : o + d * n].reshape(d, n)
    o += d * n
    row_weights = floats[o : o + n]
    o += n
    mean_ref = floats[o : o + k * d].reshape(k, d)
    o += k * d
    chol_ref = floats[o : o + g * d * d].reshape(g, d, d)
    o += g * d * d
    inv_ref = floats[o : o + g * d * d].reshape(g, d, d)
    o += g * d * d
    mean_step = floats[o : o + k * d].reshape(k, d)
    o += k * d
    cell_step = floats[o : o + g * c].reshape(g, c)
    o += g * c
    stick_ref = floats[o : o + h]
    o += h
    stick_step = floats[o : o + h]
    o += h
    mean_loc = floats[o : o + d]
    o += d
    mean_scale = floats[o : o + d]
    o += d
    sd_prior = floats[o : o + 2 * s].reshape(2, s)
    o += 2 * s
    floor = floats[o : o + d]
    o += d
    latent_ref = floats[o : o + g * d * d].reshape(g, d, d)
    o += g * d * d
    background = floats[o : o + d * ints[BACKGROUND]]
    o += len(background)
    noise_prior = floats[o : o + 2]
    o += 2
    df_prior = floats[o : o + 2]
    o += 2
    begin = HEADER + d * d
    first = ints[begin : begin + p + 1]
    begin += p + 1
    observed = ints[begin : begin + p * d].reshape(p, d)
    begin += p * d
    order = ints[begin : begin + (n if p else 0)]
    begin += len(order)
    known = ints[begin : begin + ints[KNOWN]]
    rows = Rows(features, order, first, observed, known)
    return Packed(
        rows, row_weights, mean_ref, chol_ref, inv_ref, mean_step, cell_step, stick_ref, stick_step, mean_loc,
        mean_scale, sd_prior, floor, latent_ref, background, noise_prior, df_prior, cells,
        floats[o], floats[o + 1], floats[o + 2], ints[CORRELATED] != 0, ints[FAMILY],
    )  # fmt: skip
