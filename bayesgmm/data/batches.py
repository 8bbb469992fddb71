"""A table that is read in batches, as often as a method needs: the rows are never all in memory.

Whatever the pieces of the source, batches hold the same rows: sums over them are the same to the last digit however the
table is divided. Batches that lie elsewhere (`data.engine`) do not cross the borders of partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_count, lacking, no_column, shown
from bayesgmm.data.cells import finite_values
from bayesgmm.data.checks import row_weights
from bayesgmm.data.dask_batches import DaskBatches, is_dask
from bayesgmm.data.engine import Batch, Engine, Prepared, merged
from bayesgmm.data.frames import as_frame, as_pandas, default_names
from bayesgmm.data.pieces import divided, is_divided
from bayesgmm.data.table_blocks import as_features
from bayesgmm.errors import InputError

__all__ = ["Batches", "ScaledBatches", "as_batches", "columns_of"]

Array = NDArray[np.float64]


class Batches:
    """A table in batches.

    Parameters
    ----------
    source : array, frame, path, Arrow dataset, collection of Dask, list of tables, function, or engine
        NumPy arrays and memory maps (N, D); frames of pandas, polars (lazy too), Arrow; the path of a Parquet file, of
        a folder of them, or of comma-separated text; ``pyarrow.dataset.Dataset``; a list of tables; a function without
        arguments that returns an iterable of tables, each time it is called. Of ``dask.array`` and ``dask.dataframe``
        the rows stay where they lie, and the current client's workers do the work; so it is with any object that has
        the methods of `data.engine.Engine`, and its own columns, weights and batches.
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
        self.elsewhere: Engine | None = None
        self._names: tuple[str, ...] | None = None if columns is None else tuple(columns)
        if is_dask(source):
            read = partial(Batches, columns=columns, weights=weights, batch_size=self.batch_size)
            self.elsewhere = DaskBatches(source, columns, weights, read)
        elif isinstance(source, Engine):
            if columns is not None or weights is not None:
                raise InputError("columns, weights: an engine has its own; leave them out.")
            self.elsewhere = source
        else:
            wanted = None if columns is None else [*columns, *([] if weights is None else [weights])]
            self._pieces = divided(source, wanted, self.batch_size)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, from the first piece."""
        if self.elsewhere is not None:
            return self.elsewhere.feature_names
        if self._names is None:
            next(self._checked(), None)
        return self._names or ()

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Values (n, D) in original units, complete, and row weights (n,); every batch but the last of `batch_size`."""
        if self.elsewhere is not None:
            yield from self.elsewhere.map(_itself)
            return
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

    @property
    def engine(self) -> Engine:
        """What does work on the batches: their own engine, or this process, one batch after the other."""
        return _Here(self) if self.elsewhere is None else self.elsewhere

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
                    raise InputError(f"weights: {no_column([self.weights], list(frame.columns))}")
                ones = self.weights is None
                weights = np.ones(len(frame)) if ones else row_weights(frame[self.weights].to_numpy(), len(frame))
                rest = frame if ones else frame.drop(columns=self.weights)
                self._names = self._names or tuple(rest.columns)
                missing = [name for name in self._names if name not in rest.columns]
                if missing and not row:
                    raise InputError(f"columns: {no_column(missing, list(rest.columns))}")
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


@dataclass(frozen=True, eq=False)
class _Here:
    """The engine of batches that are read in this process."""

    batches: Batches

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.batches.feature_names

    def fold(self, work: Callable[[Batch, int], Any], combine: Callable[[Any, Any], Any]) -> Any:
        return merged(combine, self.map(work))

    def map(self, work: Callable[[Batch, int], Any]) -> Iterator[Any]:
        return (work(batch, number) for number, batch in enumerate(self.batches))


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
    raise InputError(f"the batches lack {lacking(missing, names, given)}")


@dataclass(frozen=True, eq=False)
class ScaledBatches:
    """Batches as (features (D, n), weights (n,)) on the scale (x - center) / scale, as often as they are asked for."""

    batches: Batches
    center: Array
    scale: Array

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        return map(self._scaled, self.batches)

    @property
    def elsewhere(self) -> Prepared | None:
        """The engine that goes through them, if they are not read in this process."""
        there = self.batches.elsewhere
        return None if there is None else Prepared(there, self._scaled)

    @property
    def _scaled(self) -> Callable[[Batch], Batch]:
        return partial(_scaled, center=self.center, scale=self.scale)


def _scaled(batch: Batch, center: Array, scale: Array) -> Batch:
    values, weights = batch
    return as_features(values, center, scale), weights


def _itself(batch: Batch, number: int) -> Batch:
    return batch
