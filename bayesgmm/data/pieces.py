"""From anything that holds many rows to pieces that fit in memory: arrays, frames, files, folders, collections.

A way to divide a source is one entry of `_WAYS`: what it takes, and how it is gone through once. Libraries that are not
installed are not asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.arguments import shown
from bayesgmm.data.files import as_path
from bayesgmm.errors import InputError
from bayesgmm.visible import visible

__all__ = ["divided", "is_divided", "names_in_pieces", "reads_in_pieces"]

type Pieces = Iterator[Any]

_MANY = 1_000_000  # rows of a Parquet file that is read in pieces unasked
_TEXT = (".csv", ".tsv", ".txt", ".gz", ".bz2", ".xz", ".zip")


def is_divided(source: Any) -> bool:
    """Whether a source is of a kind that is always read in pieces: an Arrow dataset, a collection of Dask.

    >>> is_divided(np.zeros((2, 2)))
    False
    """
    return _is_dataset(source) or _is_dask(source)


def reads_in_pieces(path: str | PathLike[str]) -> bool:
    """Whether a command reads this path in pieces: a folder, or a Parquet file of a million rows.

    >>> reads_in_pieces("table.csv")
    False
    """
    file = Path(path)
    if file.is_dir():
        return True
    if file.suffix != ".parquet" or not file.is_file():
        return False
    parquet = _pyarrow("parquet", path)
    try:
        return int(parquet.ParquetFile(file).metadata.num_rows) >= _MANY
    except Exception:  # damaged: who reads it says so
        return False


def names_in_pieces(path: str | PathLike[str]) -> list[str]:
    """Names of the columns of a folder of Parquet files, or of one, whatever they hold."""
    dataset = _pyarrow("dataset", path)
    try:
        return list(dataset.dataset(str(path), format="parquet").schema.names)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]}); save it anew.") from error


def divided(source: Any, columns: Sequence[str] | None, size: int) -> Iterable[Any]:
    """The pieces of a source, tables of at most about `size` rows, as often as they are asked for.

    Parameters
    ----------
    source : array, frame, path, Arrow dataset, collection of Dask, list of tables, or function
        A function without arguments returns an iterable of tables each time.
    columns : sequence of str or None
        Columns that are wanted, of sources that can leave others unread.

    Raises
    ------
    InputError
        What cannot be gone through more than once, or is no source of rows.

    Examples
    --------
    >>> [len(piece) for piece in divided(np.zeros((5, 2)), None, 2)]
    [2, 2, 1]
    """
    for takes, pieces in _WAYS:
        if takes(source):
            return _Again(partial(pieces, source, columns, size))
    if isinstance(source, Iterator):
        raise InputError(
            "X is an iterator, which can be gone through once, and rows are read several times: give a function that "
            "returns one, or a list of tables."
        )
    raise InputError(f"X={shown(source)} is no table in pieces: give an array, a frame, a path or a list of tables.")


class _Again:
    def __init__(self, begin: Callable[[], Pieces]) -> None:
        self._begin = begin

    def __iter__(self) -> Pieces:
        return self._begin()


def _slices(source: Any, columns: Sequence[str] | None, size: int) -> Pieces:
    return (source[start : start + size] for start in range(0, len(source), size))


def _of_pandas(source: pd.DataFrame, columns: Sequence[str] | None, size: int) -> Pieces:
    return (source.iloc[start : start + size] for start in range(0, len(source), size))


def _of_frame(source: Any, columns: Sequence[str] | None, size: int) -> Pieces:
    """A frame that Narwhals understands, lazy ones in the batches of their library where it has them."""
    import narwhals as nw

    if hasattr(source, "collect_batches"):
        yield from source.collect_batches(chunk_size=size)
        return
    frame = nw.from_native(source)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    for start in range(0, len(frame), size):
        yield frame[start : start + size].to_native()


def _of_dataset(source: Any, columns: Sequence[str] | None, size: int) -> Pieces:
    # Little is read ahead: a row group a time, not sixteen.
    yield from source.to_batches(
        columns=None if columns is None else list(columns), batch_size=size, batch_readahead=2, fragment_readahead=1
    )


def _of_dask(source: Any, columns: Sequence[str] | None, size: int) -> Pieces:
    if hasattr(source, "get_partition"):
        parts = (source.get_partition(i) for i in range(source.npartitions))
    else:  # an array: its columns must be in one chunk
        parts = (source.blocks[i] for i in range(source.numblocks[0]))
    for part in parts:
        piece = part.compute()
        yield from _of_pandas(piece, columns, size) if isinstance(piece, pd.DataFrame) else _slices(piece, None, size)


def _of_path(source: str | PathLike[str], columns: Sequence[str] | None, size: int) -> Pieces:
    path = as_path(source)
    if not path.exists():
        raise InputError(f"{visible(path)}: no such file or folder; check the path.")
    if path.is_dir() or path.suffix == ".parquet":
        dataset = _pyarrow("dataset", path)
        try:
            found = dataset.dataset(path, format="parquet")
            if not found.files:
                raise InputError(f"{path}: holds no Parquet files; give another folder.")
            for file in found.files:  # a row group at a time: a scanner of datasets reads far ahead
                with _pyarrow("parquet", path).ParquetFile(file) as opened:
                    yield from opened.iter_batches(size, columns=None if columns is None else list(columns))
        except InputError:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]}); save it anew.") from error
        return
    if not path.name.lower().endswith(_TEXT):
        raise InputError(f"{path}: not a folder, a Parquet file or delimited text; give one of these.")
    wanted = None if columns is None else list(columns)
    try:
        with pd.read_csv(path, chunksize=size, sep="\t" if path.suffix == ".tsv" else ",", usecols=wanted) as pieces:
            yield from pieces
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:160]}); save it anew.") from error


def _is_frame(source: Any) -> bool:
    if isinstance(source, (list, tuple, np.ndarray, str)) or callable(source):
        return False
    import narwhals as nw

    return isinstance(nw.from_native(source, pass_through=True), (nw.DataFrame, nw.LazyFrame))


def _is_dataset(source: Any) -> bool:
    dataset = sys.modules.get("pyarrow.dataset")
    return dataset is not None and isinstance(source, dataset.Dataset)


def _is_dask(source: Any) -> bool:
    return type(source).__module__.startswith("dask") and hasattr(source, "compute")


def _is_list(source: Any) -> bool:
    """Of tables: not one table written as a list of rows."""
    try:
        return isinstance(source, (list, tuple)) and bool(source) and all(np.ndim(piece) == 2 for piece in source)
    except ValueError:  # ragged lists have no dimension
        return False


def _called(source: Callable[[], Any], columns: Sequence[str] | None, size: int) -> Pieces:
    try:
        return iter(source())
    except TypeError as error:
        raise InputError(f"X={shown(source)} must return an iterable of tables, without arguments.") from error


def _pyarrow(module: str, path: Any) -> Any:
    from importlib import import_module

    try:
        return import_module(f"pyarrow.{module}")
    except ImportError as error:
        raise InputError(f"{path}: to read this takes pyarrow; install it with: pip install pyarrow") from error


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Sequence[str] | None, int], Pieces]], ...] = (
    (lambda x: isinstance(x, (str, PathLike)), _of_path),
    (_is_dataset, _of_dataset),
    (_is_dask, _of_dask),
    (lambda x: isinstance(x, pd.DataFrame), _of_pandas),
    (lambda x: isinstance(x, np.ndarray) and x.ndim == 2, _slices),
    (_is_list, lambda x, columns, size: iter(x)),
    (callable, _called),
    (_is_frame, _of_frame),
)
