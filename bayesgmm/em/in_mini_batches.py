"""`fit_em` with a batch size: a pass of mini-batch EM, and one for the log-likelihood where rows can be reread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_count
from bayesgmm.data.batches import Batches, as_batches
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.em import criteria
from bayesgmm.em.in_batches import refuse_in_batches
from bayesgmm.em.mini_batch import SEEN_ONCE, MiniBatchEM
from bayesgmm.em.of_blocks import log_likelihood_and_doubt
from bayesgmm.em.result import EMResult
from bayesgmm.model.structure import Structure

__all__ = ["em_in_mini_batches"]

Array = NDArray[np.float64]

_AT_ONCE = 100_000  # rows that are put in random order


def em_in_mini_batches(
    X: Any, n_components: int, structure: Structure, *, batch_size: int, sample_weight: Any, component: str,
    noise: bool, n_init: int, reg_covar: float, random_seed: int | None,
) -> EMResult:  # fmt: skip
    """`fit_em` of a table, of batches, or of an iterator of tables, each row seen once by the mixture."""
    check_count(batch_size, "batch_size")
    refuse_in_batches(component=component, noise=noise)
    em = MiniBatchEM(
        n_components, covariance_type=structure, batch_size=batch_size, n_init=n_init, reg_covar=reg_covar,
        random_seed=random_seed,
    )  # fmt: skip
    batches = Batches(lambda: X) if isinstance(X, Iterator) else as_batches(X)
    if batches is not None:
        refuse_in_batches(sample_weight=sample_weight)
        for values, weights in batches:
            em.partial_fit(pd.DataFrame(values, columns=batches.feature_names), sample_weight=weights)
        return em.result() if isinstance(X, Iterator) else _with_criteria(em.result(), batches, structure)
    table = X
    if not isinstance(X, Table):
        table = prepare_table(
            X, sample_weight=sample_weight, n_components=n_components, resolution=None, missing="error"
        )
    order = np.random.default_rng(random_seed).permutation(table.n_rows)
    for rows in np.array_split(order, -(-table.n_rows // _AT_ONCE)):
        em.partial_fit(pd.DataFrame(table.values[rows], columns=table.feature_names), sample_weight=table.weights[rows])
    return _with_criteria(em.result(), [(table.values, table.weights)], structure)


def _with_criteria(found: EMResult, blocks: Iterable[tuple[Array, Array]], structure: Structure) -> EMResult:
    """The result with its log-likelihood, which takes one more pass over the rows."""
    if not np.isnan(found.log_likelihood):
        return found
    total = 0.0

    def columns() -> Iterator[tuple[Array, Array]]:
        nonlocal total
        for values, weights in blocks:
            total += float(weights.sum())
            yield np.ascontiguousarray(values.T), weights

    value, doubt = log_likelihood_and_doubt(columns(), found.params, structure)
    n = found.params.n_parameters
    return replace(
        found, log_likelihood=value, aic=criteria.aic(value, n), bic=criteria.bic(value, n, total),
        icl=criteria.bic(value, n, total) - 2.0 * doubt,
        message=found.message.replace(SEEN_ONCE, "the log-likelihood took one more pass."),
    )  # fmt: skip
