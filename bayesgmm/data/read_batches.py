"""One pass over batches: every cell checked, means and cross-products merged, a random sample of the rows kept.

Chan, T. F., Golub, G. H., LeVeque, R. J. (1983). Algorithms for computing the sample variance. The American
Statistician 37, 242-247.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.batches import Batches
from bayesgmm.data.checks import check_columns, check_enough_rows
from bayesgmm.data.resolution import Resolution, column_resolution
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError

__all__ = ["ReadBatches", "evenly_weighted", "read_batches"]

Array = NDArray[np.float64]

_SAMPLE = 50_000  # rows that are kept


@dataclass(frozen=True, eq=False)
class ReadBatches:
    """What one pass over batches finds.

    Attributes
    ----------
    sample : Table
        Random rows, their weights raised to those of all rows; centre and scale are those of all rows.
    n_rows, weight : int, float
    mean, sd, low, high : arrays (D,)
        Of all rows of positive weight, original units.
    """

    sample: Table
    n_rows: int
    weight: float
    mean: Array
    sd: Array
    low: Array
    high: Array


def read_batches(
    batches: Batches, *, n_components: int | None = None, standardize: bool = True, resolution: Resolution = "auto",
    random_seed: int | None = None,
) -> ReadBatches:  # fmt: skip
    """Check all rows, find their scale and sample them, in one pass.

    Raises
    ------
    InputError
        As of `prepare_table`; cells must not be missing.
    """
    # A stream of its own: rows that were simulated with the same seed would be chosen by what they are.
    rng = np.random.default_rng(np.random.SeedSequence(random_seed).spawn(1)[0])
    n_rows, weight = 0, 0.0
    mean: Array = np.zeros(0)
    square = low = high = mean
    kept: tuple[Array, ...] = ()
    for values, weights in batches:
        if not n_rows:
            mean = square = np.zeros(values.shape[1])
            low, high = mean + np.inf, mean - np.inf
            kept = (np.empty(0), np.empty((0, values.shape[1])), np.empty(0), np.empty(0))
        used = weights > 0.0
        keys, places = rng.random(len(values)), np.arange(n_rows, n_rows + len(values))
        n_rows += len(values)
        if not used.any():
            continue
        rows, w = (values, weights) if used.all() else (values[used], weights[used])
        with np.errstate(over="ignore", invalid="ignore"):
            here = w @ rows / w.sum()
            gap, total = here - mean, weight + w.sum()
            square = square + w @ (rows - here) ** 2 + gap**2 * (weight * w.sum() / total)
            mean, weight = mean + gap * (w.sum() / total), total
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        parts = (keys[used], rows, w, places[used])
        kept = tuple(np.concatenate(pair) for pair in zip(kept, parts, strict=True))
        if len(kept[0]) > _SAMPLE:
            smallest = np.sort(np.argpartition(kept[0], _SAMPLE)[:_SAMPLE])
            kept = tuple(part[smallest] for part in kept)
    if not n_rows or not weight > 0.0:
        raise InputError("The batches hold no rows of positive weight: check the file or the filter they come from.")
    _, rows, w, numbers = kept
    names, sd = batches.feature_names, np.sqrt(square / weight)
    check_enough_rows(rows, n_components)
    constant = low == high
    if constant.any():
        j = int(constant.argmax())
        raise InputError(f"Column {names[j]!r} is constant ({low[j]:g} in every row): drop the column.")
    check_columns(rows, w, names)
    sample = Table(
        values=np.ascontiguousarray(rows), feature_names=names, row_names=pd.Index(numbers.astype(np.int64)),
        weights=w * (weight / w.sum()), center=mean if standardize else np.zeros(len(mean)),
        scale=sd if standardize else np.ones(len(sd)),
        resolution=column_resolution(resolution, rows, w, names), missing="error",
    )  # fmt: skip
    return ReadBatches(sample, n_rows, weight, mean, sd, low, high)


def evenly_weighted(table: Table) -> Table:
    """A sample with weights that sum to its number of rows: so much is known from it."""
    return replace(table, weights=table.weights * (table.n_rows / table.weights.sum()))
