"""Responsibilities of many draws, a block at a time: never draws x rows x components at once.

A reader who needs every draw of a row (quantiles over draws) walks over blocks of rows; one who needs every row of a
draw (labels, products of rows) walks over blocks of draws. Both are the same compiled pass. `merge` sums the
components of a cluster, so that whatever is said of components can be said of clusters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.errors import InputError
from bayesgmm.kernels.compiled import compiled, plain
from bayesgmm.kernels.row_model import RowModel, log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows, as_rows, count_rows, take_rows
from bayesgmm.kernels.threads import over_threads

__all__ = ["BLOCK_BYTES", "RowBlock", "as_merge", "blocks_of_draws", "blocks_of_rows", "responsibilities_of_draws"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
RowBlock = tuple[slice, Array, Array]

BLOCK_BYTES = 40_000_000


@compiled
def _fill(rows, weights, means, scaling, row_model, out, log_density):
    """out[s] = responsibilities (N, R) of draw s; log_density[s] = log density of the rows, or length 0."""
    n_rows = rows.features.shape[1]
    log_norm = np.empty(weights.shape[1])
    row_weights = np.ones(n_rows)
    none, none2, none3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(rows, row_weights, log_norm, means[s], scaling[s], row_model, none, none2, none3,
                     log_density[s] if log_density.shape[0] else none, out[s])  # fmt: skip


def responsibilities_of_draws(
    rows: Array | Rows,
    weights: Array,
    means: Array,
    scaling: Array,
    *,
    row_model: RowModel,
    log_density: Array | None = None,
) -> Array:  # fmt: skip
    """Responsibilities of each row under each draw.

    Parameters
    ----------
    rows : array (N, D) or Rows
    weights, means, scaling : arrays (S, H), (S, K, D), (S, K, D, D)
        Draws, the first their heads (`kernels.row_model`); `scaling` holds inverse Cholesky factors.
    row_model : RowModel
    log_density : array (S, N), optional
        Filled with the log density of each row.

    Returns
    -------
    array (S, N, R)
        R is K, or K + 1 with a background, which comes last.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.kernels.draw_blocks import responsibilities_of_draws
    >>> from bayesgmm.kernels.row_model import NORMAL
    >>> two = np.array([[[-1.0], [1.0]]])
    >>> shares, one = np.array([[0.3, 0.7]]), np.ones((1, 2, 1, 1))
    >>> responsibilities_of_draws(np.zeros((1, 1)), shares, two, one, row_model=NORMAL)
    array([[[0.3, 0.7]]])
    """
    packed = as_rows(rows)
    weights, means, scaling = plain(weights, means, scaling)
    n_draws = len(weights)
    out = np.empty((n_draws, count_rows(rows), n_classes(row_model, means.shape[1])))
    density = np.empty((0, 0)) if log_density is None else log_density

    def work(s: slice) -> None:
        _fill(packed, weights[s], means[s], scaling[s], row_model, out[s], density[s] if len(density) else density)

    over_threads(work, n_draws)
    return out


def as_merge(merge: ArrayLike | None, n_components: int) -> IntArray | None:
    """Checked cluster 0..M-1 of each component; None merges nothing.

    >>> as_merge([0, 1, 0], 3)
    array([0, 1, 0])
    """
    if merge is None:
        return None
    clusters = np.asarray(merge)
    if clusters.shape != (n_components,) or clusters.dtype.kind not in "iu":
        raise InputError(f"merge must give one whole number, its cluster, for each of the {n_components} components.")
    if set(clusters.tolist()) != set(range(int(clusters.max()) + 1)):
        raise InputError(f"merge must number the clusters 0, 1, ... without gaps, got {clusters.tolist()}.")
    return clusters.astype(np.int64)


def _merged(r: Array, merge: IntArray | None) -> Array:
    """Responsibilities of clusters; the background stays on its own."""
    if merge is None:
        return r
    alone = np.arange(merge.max() + 1, merge.max() + 1 + r.shape[-1] - len(merge))
    numbers = np.concatenate([merge, alone])
    return r @ (numbers[:, None] == np.arange(numbers.max() + 1)).astype(np.float64)


def blocks_of_rows(
    rows: Array | Rows, weights: Array, means: Array, scaling: Array, *, row_model: RowModel,
    merge: IntArray | None = None, block_bytes: int = BLOCK_BYTES,
) -> Iterator[RowBlock]:  # fmt: skip
    """Walk over blocks of rows, with all draws of each.

    Parameters
    ----------
    rows, weights, means, scaling, row_model
        As in `responsibilities_of_draws`.
    merge : int array (K,), optional
        From `as_merge`.
    block_bytes : int
        Size aimed at of a block; at least one row is in it.

    Yields
    ------
    slice, array (S, n, R), array (S, n)
        Rows of the block, their responsibilities and log densities under every draw.
    """
    n_block = max(1, block_bytes // (8 * weights.size))
    for start in range(0, count_rows(rows), n_block):
        where = slice(start, min(start + n_block, count_rows(rows)))
        density = np.empty((len(weights), where.stop - where.start))
        r = responsibilities_of_draws(
            take_rows(rows, where), weights, means, scaling, row_model=row_model, log_density=density
        )
        yield where, _merged(r, merge), density


def blocks_of_draws(
    rows: Array | Rows, weights: Array, means: Array, scaling: Array, *, row_model: RowModel,
    merge: IntArray | None = None, block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[slice, Array]]:  # fmt: skip
    """Walk over blocks of draws, with all rows of each; arguments as in `blocks_of_rows`.

    Yields
    ------
    slice, array (s, N, R)
        Draws of the block, and their responsibilities.
    """
    n_block = max(1, block_bytes // (8 * n_classes(row_model, means.shape[1]) * max(1, count_rows(rows))))
    for start in range(0, len(weights), n_block):
        where = slice(start, min(start + n_block, len(weights)))
        r = responsibilities_of_draws(rows, weights[where], means[where], scaling[where], row_model=row_model)
        yield where, _merged(r, merge)
