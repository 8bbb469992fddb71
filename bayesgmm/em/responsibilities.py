"""To which components rows belong, under a mixture in triangular form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.checks import row_blocks
from bayesgmm.em.state import State
from bayesgmm.kernels.row_model import log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import Rows, take_rows
from bayesgmm.model.structure import Structure

__all__ = ["largest_responsibility", "responsibilities"]

Array = NDArray[np.float64]

_NONE_1, _NONE_2, _NONE_3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))


def responsibilities(rows: Rows, state: State, structure: Structure) -> Array:
    """(N, R) probability of each component, and of the background, for each row."""
    n_rows, log_norm, row_model = rows.features.shape[1], np.empty_like(state.weights), structure.row_model
    out = np.empty((n_rows, structure.n_classes(len(state.means))))
    log_normalizers(np.log(state.weights), state.scaling, row_model, log_norm)
    mixture_pass(
        rows, np.ones(n_rows), log_norm, state.means, state.scaling, row_model,
        _NONE_1, _NONE_2, _NONE_3, _NONE_1, out,
    )  # fmt: skip
    return out


def largest_responsibility(rows: Rows, state: State, structure: Structure) -> Array:
    """(N,) probability of the most probable component of each row, a block of rows at a time."""
    out = np.empty(rows.features.shape[1])
    for some in row_blocks(len(out)):
        block = take_rows(rows, some)
        out[some] = responsibilities(block, state, structure).max(axis=1)
    return out
