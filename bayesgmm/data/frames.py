"""From any table to a pandas DataFrame: frames that Narwhals understands (pandas, polars, Arrow, ...), arrays, lists.

Names and order of the columns are the frame's; `data.cells` makes numbers of what it holds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from math import isnan
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError

__all__ = ["as_frame", "as_pandas", "default_names", "row_index", "text_names"]


def default_names(n_features: int) -> tuple[str, ...]:
    """Names of unnamed columns.

    >>> default_names(2)
    ('x1', 'x2')
    """
    return tuple(f"x{j}" for j in range(1, n_features + 1))


def as_pandas(X: Any) -> Any:
    """A frame of any library as a pandas DataFrame, lazy ones collected; what is no frame as it is.

    >>> as_pandas([[1.0, 2.0]])
    [[1.0, 2.0]]
    """
    if X is None or isinstance(X, (pd.DataFrame, pd.Series, np.ndarray, list, tuple, str, bytes, int, float)):
        return X
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    pyarrow = nw.dependencies.get_pyarrow()
    if pyarrow is not None and isinstance(X, pyarrow.RecordBatch):
        X = pyarrow.Table.from_batches([X])
    try:
        frame = nw.from_native(X, pass_through=True)
        if isinstance(frame, nw.LazyFrame):
            frame = _collected(frame)
        if not isinstance(frame, nw.DataFrame):
            return X
        names = frame.columns
    except DuplicateError as error:
        raise InputError(f"Column names must differ: {' '.join(str(error).split())}; rename or drop columns.") from None
    if nw.dependencies.is_pandas_dataframe(native := frame.to_native()):
        return native
    columns = {name: _native_column(frame[name]) for name in names}
    index = pd.RangeIndex(len(frame))
    return pd.DataFrame(columns, index=index, columns=pd.Index(names, dtype=object), copy=False)


def _collected(frame: Any) -> Any:
    try:
        return frame.collect()
    except Exception as error:  # of whichever library computes it
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"The lazy table cannot be computed ({reason}): mend its query.") from error


def _native_column(column: Any) -> NDArray[Any]:
    """The cells (N,) of a column of Narwhals; nested ones as objects."""
    try:
        cells = column.to_numpy()
    except Exception:  # a library's own, for a type that NumPy has not
        cells = None
    if cells is not None and cells.ndim == 1:
        return cells
    nested = np.empty(len(column), dtype=object)
    nested[:] = column.to_list()
    return nested


def text_names(X: Any) -> tuple[str, ...] | None:
    """The names of the columns of a pandas DataFrame where they are text; else None.

    >>> text_names(pd.DataFrame({"a": [1.0]})), text_names(pd.DataFrame([[1.0]])), text_names([[1.0]])
    (('a',), None, None)
    """
    if not isinstance(X, pd.DataFrame) or not all(isinstance(name, str) for name in X.columns):
        return None
    return tuple(X.columns) or None


def as_frame(X: Any, feature_names: Sequence[str] | None = None, row_names: Any = None) -> pd.DataFrame:
    """Any two-dimensional table as a DataFrame whose column names are text and unique.

    Parameters
    ----------
    X : frame or array_like of shape (N, D)
    feature_names : sequence of str of length D, optional
        Replace the names of the columns; unnamed columns are called x1, x2, …
    row_names : sequence of length N, optional
        Replace the row index.

    Returns
    -------
    DataFrame of shape (N, D)
        Shares its memory with `X` where possible.

    Raises
    ------
    InputError
        Sparse data, a shape that is not (N, D), names of the wrong number, given twice, missing, or text and numbers
        mixed.

    Examples
    --------
    >>> as_frame([[3.6, 79], [1.8, 54]], feature_names=["eruptions", "waiting"], row_names=["a", "b"])
       eruptions  waiting
    a        3.6     79.0
    b        1.8     54.0
    """
    X = as_pandas(X)
    frame = X.copy(deep=False) if isinstance(X, pd.DataFrame) else _array_to_frame(X)
    n_rows, n_features = frame.shape
    columns = _column_names(frame.columns if feature_names is None else feature_names)
    if len(columns) != n_features:
        raise InputError(f"feature_names has {len(columns)} names for {n_features} columns: give one name per column.")
    index = frame.index if row_names is None else row_index(row_names, n_rows)
    return frame.set_axis(columns, axis=1).set_axis(index, axis=0)


def row_index(row_names: Any, n_rows: int) -> pd.Index[Any]:
    """The names of N rows as an index.

    >>> row_index(["a", "b"], 2).tolist()
    ['a', 'b']
    """
    try:
        if isinstance(row_names, (str, bytes)):
            raise TypeError
        index = row_names if isinstance(row_names, pd.Index) else pd.Index(list(row_names))
    except (TypeError, ValueError):
        raise InputError(f"row_names={shown(row_names)} must be a sequence: give one name per row.") from None
    if len(index) != n_rows:
        raise InputError(f"row_names has {len(index)} names for {n_rows} rows: give one name per row.")
    return index


def _column_names(names: Any) -> list[str]:
    """Names of columns as text, where each is one and no two are the same."""
    try:
        given = list(names) if not isinstance(names, (str, bytes)) else None
    except TypeError:
        given = None
    if given is None:
        raise InputError(f"feature_names={shown(names)} must be a sequence of text: give one name per column.")
    other = [name for name in given if not isinstance(name, str)]
    for j, name in enumerate(given):
        if not isinstance(name, Hashable) or name is np.ma.masked:
            raise InputError(f"Column {j + 1} of {len(given)} has {shown(name)} for a name: give it text.")
        if name is None or name is pd.NA or name is pd.NaT or (isinstance(name, float) and isnan(name)):
            raise InputError(f"Column {j + 1} of {len(given)} has {name} for a name: give it one.")
        if isinstance(name, str) and not name.strip():
            raise InputError(f"Column {j + 1} of {len(given)} has an empty name: give it one.")
        if isinstance(name, str) and ("\0" in name or any("\ud800" <= c <= "\udfff" for c in name)):
            raise InputError(f"The column name {shown(name)} holds a character that is no text: rename the column.")
    if 0 < len(other) < len(given):
        raise InputError(f"Some column names are text and {shown(other[0])} is not: rename this column.")
    try:
        texts = [str(name) for name in given]
    except Exception:  # a str may raise anything
        raise InputError(f"The column names {shown(given)} cannot be written: rename the columns.") from None
    seen: set[str] = set()
    for name in texts:
        if name in seen:
            raise InputError(f"The column name {name!r} is used more than once: rename or drop one of the columns.")
        seen.add(name)
    return texts


def _array_to_frame(X: Any) -> pd.DataFrame:
    array = _as_array(X)
    if array.ndim == 1:
        raise InputError(
            "Expected a 2D array (rows, columns), got a 1D array. Reshape your data: X.reshape(-1, 1) or "
            "series.to_frame() for a single column, X.reshape(1, -1) for a single row."
        )
    if isinstance(X, (str, PathLike)):
        raise InputError(f"X={shown(X)} is text, no table: read the file with bg.read_csv, or give bg.Batches(path).")
    if isinstance(X, Iterator):
        raise InputError(
            "X is an iterator, which can be gone through once: give a list of tables to bg.Batches, or batch_size to "
            "fit_em, which sees each row once."
        )
    if array.ndim != 2:
        raise InputError(
            f"Expected a 2D array (rows, columns), got {array.ndim} dimensions. "
            "Reshape your data to one row per observation and one column per feature."
        )
    return pd.DataFrame(array, columns=pd.Index(default_names(array.shape[1]), dtype=object), copy=False)


def _as_array(X: Any) -> NDArray[Any]:
    if issparse(X):
        raise InputError("Sparse data is not supported: convert it to a dense array with X.toarray().")
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.filled(X.astype(np.float64), np.nan)
    try:
        array = np.asarray(X)
        # Among lists one text cell turns every number into text: look at the cells as they are.
        array = np.asarray(X, dtype=object) if array.dtype.kind in "US" else array
    except ValueError as error:
        raise InputError("The rows differ in length: give every row one value per column.") from error
    except TypeError as error:
        raise InputError(f"X={shown(X)} is no table: give an array or a frame of rows and columns.") from error
    return array.astype(np.float64, copy=False) if array.dtype.kind in "buif" else array
