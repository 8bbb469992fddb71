"""One pass over batches: every cell checked, means and squares merged, a random sample of the rows kept.

Chan, T. F., Golub, G. H., LeVeque, R. J. (1983). Algorithms for computing the sample variance. The American
Statistician 37, 242-247.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from operator import add
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.batches import Batches
from bayesgmm.data.checks import check_columns, check_enough_rows
from bayesgmm.data.engine import Batch
from bayesgmm.data.resolution import Resolution, column_resolution
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError

__all__ = ["ReadBatches", "evenly_weighted", "read_batches"]

Array = NDArray[np.float64]
Kept = tuple[NDArray[Any], ...]

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


class _Found(NamedTuple):
    """Of some rows: sums, and a random sample with keys, values, weights and places among them."""

    n_rows: int
    weight: float
    mean: Array
    square: Array  # weighted sum of squared distances to the mean
    low: Array
    high: Array
    kept: Kept


def read_batches(
    batches: Batches, *, n_components: int | None = None, standardize: bool = True, resolution: Resolution = "auto",
    random_seed: int | None = None,
) -> ReadBatches:  # fmt: skip
    """Check all rows, find their scale and sample them, in one pass; where they lie elsewhere another counts first.

    Raises
    ------
    InputError
        As of `prepare_table`; cells must not be missing.
    """
    # Streams of their own: rows that were simulated with the same seed would be chosen by what they are.
    seed = int(np.random.default_rng(random_seed).integers(2**63))
    largest = 1.0
    if batches.elsewhere is not None:  # rows that have no chance are not sent about
        n_used = batches.engine.fold(_used, add) or 0
        largest = (_SAMPLE + 6.0 * math.sqrt(_SAMPLE)) / max(n_used, 1)
    found: _Found | None = batches.engine.fold(
        partial(_look, seed=seed, largest=largest, most=_SAMPLE), partial(_both, most=_SAMPLE)
    )
    if found is None or not found.weight > 0.0:
        raise InputError("The batches hold no rows of positive weight: check the file or the filter they come from.")
    n_rows, weight, mean, square, low, high, (_, rows, w, numbers) = found
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


def _used(batch: Batch, number: int) -> int:
    return int((batch[1] > 0.0).sum())


def _look(batch: Batch, number: int, seed: int, largest: float, most: int) -> _Found:
    """What is to be known of a batch, and those rows whose random key is at most `largest`."""
    values, weights = batch
    used = weights > 0.0
    keys, places = np.random.default_rng([seed, number]).random(len(values)), np.arange(len(values))
    rows, w = (values, weights) if used.all() else (values[used], weights[used])
    d, weight = values.shape[1], float(w.sum())
    mean, square, low, high = np.zeros(d), np.zeros(d), np.full(d, np.inf), np.full(d, -np.inf)
    if len(rows):
        low, high = rows.min(axis=0), rows.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = w @ rows / weight
            square = w @ (rows - mean) ** 2
    some = used & (keys <= largest)
    kept = _smallest((keys[some], values[some], weights[some], places[some]), most)
    return _Found(len(values), weight, mean, square, low, high, kept)


def _both(one: _Found, other: _Found, most: int) -> _Found:
    """What is known of two parts, the one before the other."""
    keys, values, weights, places = other.kept
    pairs = zip(one.kept, (keys, values, weights, places + one.n_rows), strict=True)
    kept = _smallest(tuple(np.concatenate(pair) for pair in pairs), most)
    weight = one.weight + other.weight
    share = other.weight / weight if weight > 0.0 else 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        gap = other.mean - one.mean
        mean, square = one.mean + gap * share, one.square + other.square + gap**2 * (one.weight * share)
    low, high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
    return _Found(one.n_rows + other.n_rows, weight, mean, square, low, high, kept)


def _smallest(kept: Kept, most: int) -> Kept:
    """The rows of the smallest keys, `most` at most, in their order."""
    if len(kept[0]) <= most:
        return kept
    smallest = np.sort(np.argpartition(kept[0], most)[:most])
    return tuple(part[smallest] for part in kept)


def evenly_weighted(table: Table) -> Table:
    """A sample with weights that sum to its number of rows: so much is known from it."""
    return replace(table, weights=table.weights * (table.n_rows / table.weights.sum()))
