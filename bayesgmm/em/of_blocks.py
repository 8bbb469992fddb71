"""EM of rows that come in blocks on the model's scale: the E-step is a sum over the blocks, all else is `em.steps`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.state import State
from bayesgmm.em.steps import Run, Statistics, e_step, em_by
from bayesgmm.kernels.blocks import add, fold_blocks
from bayesgmm.kernels.row_model import log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.structure import Structure

__all__ = ["e_step_of_blocks", "em_of_blocks", "log_likelihood_and_doubt", "mixture_of"]

Array = NDArray[np.float64]
Block = tuple[Array, Array]  # features (D, n) and row weights (n,)


def e_step_of_blocks(
    blocks: Iterable[Block], state: State, structure: Structure, cores: int | None = None
) -> tuple[Statistics, float]:
    """`e_step` of all blocks; the same to the last digit whatever the number of threads."""
    work = partial(_e_step_of_block, state=state, structure=structure)
    counts, sums, outers, log_likelihood = fold_blocks(work, add, blocks, cores)
    return Statistics(counts, sums, outers, state), log_likelihood


def _e_step_of_block(
    block: Block, number: int, state: State, structure: Structure
) -> tuple[Array, Array, Array, float]:
    found, log_likelihood = e_step(rows_of(block[0]), block[1], state, structure)
    return found.counts, found.sums, found.outers, log_likelihood


def em_of_blocks(
    blocks: Iterable[Block], start: MixtureParams, structure: Structure, *,
    tol: float = 1e-6, max_iter: int = 1000, floor: float = 1e-12, target: float = -math.inf,
    cores: int | None = None,
) -> Run:  # fmt: skip
    """EM from a mixture on the model's scale until the gain still to come is below `tol`; options as of `em`.

    Parameters
    ----------
    blocks : iterable of (features (D, n), row weights (n,))
        It is gone through once an iteration.
    """
    state = State(start.head, start.means, start.cholesky, start.scaling)
    return em_by(
        lambda at: e_step_of_blocks(blocks, at, structure, cores), state, structure,
        tol=tol, max_iter=max_iter, floor=floor, target=target, patience=2,
    )  # fmt: skip


def mixture_of(run: Run, structure: Structure) -> MixtureParams:
    """Where a run ended, components in its order."""
    return MixtureParams.of_head(run.state.weights, run.state.means, run.state.covariances, structure)


def log_likelihood_and_doubt(
    blocks: Iterable[Block], params: MixtureParams, structure: Structure, cores: int | None = None
) -> tuple[float, float]:
    """Log-likelihood, and the weighted sum of log max_k r_ik, which ICL takes."""
    work = partial(_doubt_of_block, params=params, structure=structure)
    total, doubt = fold_blocks(work, add, blocks, cores)
    return total, doubt


def _doubt_of_block(block: Block, number: int, params: MixtureParams, structure: Structure) -> tuple[float, float]:
    log_norm, row_model = np.empty_like(params.head), structure.row_model
    log_normalizers(np.log(params.head), params.scaling, row_model, log_norm)
    none, none_2, none_3 = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))
    r = np.empty((len(block[1]), structure.n_classes(params.n_components)))
    value = mixture_pass(
        rows_of(block[0]), block[1], log_norm, params.means, params.scaling, row_model, none, none_2, none_3, none, r
    )
    return float(value), float(block[1] @ np.log(r.max(axis=1)))
