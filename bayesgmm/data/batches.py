"""A table that is read in batches, as often as a method needs: the rows are never all in memory.

One pass checks every cell, merges means and cross-products (Chan, Golub and LeVeque 1983) and keeps a random sample of
the rows. Whatever the pieces of the source, batches hold the same rows: sums over them are the same to the last digit
however the table is divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_count, shown
from bayesgmm.data.cells import finite_values
from bayesgmm.data.checks import check_columns, check_enough_rows, row_weights
from bayesgmm.data.frames import as_frame, as_pandas, default_names
from bayesgmm.data.pieces import divided, is_divided
from bayesgmm.data.resolution import Resolution, column_resolution
from bayesgmm.data.table import Table
from bayesgmm.errors import InputError

__all__ = ["Batches", "ReadBatches", "ScaledBatches", "as_batches", "columns_of", "evenly_weighted", "read_batches"]

Array = NDArray[np.float64]

_SAMPLE = 50_000  # rows that are kept


class Batches:
    """A table in batches.

    Parameters
    ----------
    source : array, frame, path, Arrow dataset, collection of Dask, list of tables, or function
        NumPy arrays and memory maps (N, D); frames of pandas, polars (lazy too), Arrow; the path of a Parquet file, of
        a folder of them, or of comma-separated text; ``pyarrow.dataset.Dataset``; collections of Dask; a list of
        tables; a function without arguments that returns an iterable of tables, each time it is called.
    columns : sequence of str, optional
        The columns to take, in this order; all by default.
    weights : str, optional
        A column of row weights, which is not one of the table's.
    batch_size : int
        Rows of a batch.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesgmm as bg
    >>> batches = bg.Batches([np.zeros((3, 2)), np.ones((2, 2))], batch_size=4)
    >>> [len(values) for values, weights in batches]
    [4, 1]
    """

    def __init__(
        self, source: Any, *, columns: Sequence[str] | None = None, weights: str | None = None,
        batch_size: int = 32_768,
    ) -> None:  # fmt: skip
        check_count(batch_size, "batch_size")
        columns = [columns] if isinstance(columns, str) else columns
        for name, value in (("columns", columns), ("weights", None if weights is None else [weights])):
            if value is None:
                continue
            if not isinstance(value, Sequence) or not value or not all(isinstance(x, str) for x in value):
                raise InputError(f"{name}={shown(value)} must name columns as text.")
        self.source, self.columns, self.weights, self.batch_size = source, columns, weights, int(batch_size)
        wanted = None if columns is None else [*columns, *([] if weights is None else [weights])]
        self._pieces = divided(source, wanted, self.batch_size)
        self._names: tuple[str, ...] | None = None if columns is None else tuple(columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, from the first piece."""
        if self._names is None:
            next(self._checked(), None)
        return self._names or ()

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Values (n, D) in original units, complete, and row weights (n,); every batch but the last of `batch_size`."""
        held: list[tuple[Array, Array]] = []
        n = 0
        for values, weights in self._checked():
            if not held and len(values) == self.batch_size:
                yield values, weights
                continue
            held.append((values, weights))
            n += len(values)
            while n >= self.batch_size:
                whole = [np.concatenate([part[i] for part in held]) for i in (0, 1)]
                yield whole[0][: self.batch_size], whole[1][: self.batch_size]
                rest = (whole[0][self.batch_size :], whole[1][self.batch_size :])
                held, n = [rest] if len(rest[1]) else [], n - self.batch_size
        if n:
            yield np.concatenate([part[0] for part in held]), np.concatenate([part[1] for part in held])

    def _checked(self) -> Iterator[tuple[Array, Array]]:
        row = 0
        for piece in self._pieces:
            if self._is_plain(piece):
                row += len(piece)
                yield np.ascontiguousarray(piece), np.ones(len(piece))
                continue
            native = as_pandas(piece)
            if isinstance(native, pd.DataFrame) and not len(native):
                continue
            frame = as_frame(native)
            try:
                if self.weights is not None and self.weights not in frame.columns:
                    raise InputError(f"there is no column {self.weights!r} of weights: name one that is there.")
                ones = self.weights is None
                weights = np.ones(len(frame)) if ones else row_weights(frame[self.weights].to_numpy(), len(frame))
                rest = frame if ones else frame.drop(columns=self.weights)
                self._names = self._names or tuple(rest.columns)
                missing = [name for name in self._names if name not in rest.columns]
                if missing:
                    raise InputError(f"the column {missing[0]!r} is missing: every piece takes the same columns.")
                values = finite_values(rest[list(self._names)])
            except InputError as error:
                if not row:
                    raise
                raise InputError(f"From row {row:,} on (counted from 0): {error}") from None
            row += len(frame)
            yield values, weights

    def _is_plain(self, piece: Any) -> bool:
        """Whether a piece is an array of finite numbers, of which no more need be asked."""
        if type(piece) not in (np.ndarray, np.memmap) or piece.dtype != np.float64 or self.weights is not None:
            return False
        if piece.ndim != 2 or not len(piece) or not np.isfinite(piece.sum()):
            return False
        self._names = self._names or default_names(piece.shape[1])
        return self._names == default_names(piece.shape[1])


def as_batches(X: Any) -> Batches | None:
    """What is read in batches, as such; None for a table in memory."""
    if isinstance(X, Batches):
        return X
    return Batches(X) if is_divided(X) else None


def columns_of(batches: Batches, names: Sequence[str]) -> list[int]:
    """Where columns stand in batches: by name, or by order where none of the names is there.

    Raises
    ------
    InputError
        Some are missing.
    """
    given = batches.feature_names
    missing = [name for name in names if name not in given]
    if not missing:
        return [given.index(name) for name in names]
    if len(missing) == len(names) == len(given):
        return list(range(len(names)))
    raise InputError(f"the batches lack the column {missing[0]!r}: give the columns {', '.join(names)}.")


@dataclass(frozen=True, eq=False)
class ScaledBatches:
    """Batches as (features (D, n), weights (n,)) on the scale (x - center) / scale, as often as they are asked for."""

    batches: Batches
    center: Array
    scale: Array

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for values, weights in self.batches:
            yield np.ascontiguousarray(((values - self.center) / self.scale).T), weights


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
    rng = np.random.default_rng(random_seed)
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
