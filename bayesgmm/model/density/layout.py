"""A posterior packed into one integer header and one flat array of floats: where what lies.

`model.density.density.Density.build` writes it. One compiled function then serves Python and, as a C callback, the
sampler, for every N, D, K, structure and prior.
"""

from __future__ import annotations

from bayesgmm.kernels.compiled import compiled

__all__ = ["CELLS", "CORRELATED", "FAMILY", "HEADER", "N_SD", "D", "G", "K", "N", "split"]

# Positions in the integer header; the (D, D) cell table follows.
N, D, K, G, CELLS, N_SD, CORRELATED, FAMILY, HEADER = range(9)


@compiled
def split(ints, floats):
    """Views of the packed problem, in the order in which `Density.build` wrote them."""
    n, d, k, g = ints[N], ints[D], ints[K], ints[G]
    c, s = ints[CELLS], ints[N_SD]
    sizes = (d * n, n, k * d, g * d * d, g * d * d, k * d, g * c, k - 1, k - 1, d, d, 2 * s, d, 3, g * d * d)
    cells = ints[HEADER : HEADER + d * d].reshape(d, d)
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
