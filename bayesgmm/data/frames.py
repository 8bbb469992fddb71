"""From any table to finite numbers: NumPy, pandas, lists, or whatever converts to one of them.

Everything becomes a DataFrame first, so that one piece of code can name the column and the row of a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import repr as short
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_complex_dtype, is_numeric_dtype, is_object_dtype
from scipy.sparse import issparse

from bayesgmm.errors import InputError

__all__ = ["as_frame", "default_names", "finite_values"]


class _NotANumberError(InputError, TypeError):
    """An object that has no value as a number; scikit-learn's conventions ask for a TypeError here."""


def default_names(n_features: int) -> tuple[str, ...]:
    """Names of unnamed columns.

    >>> default_names(2)
    ('x1', 'x2')
    """
    return tuple(f"x{j}" for j in range(1, n_features + 1))


def as_frame(
    X: Any, feature_names: Sequence[str] | None = None, row_names: Sequence[Any] | pd.Index[Any] | None = None
) -> pd.DataFrame:
    """Any two-dimensional table as a DataFrame whose column names are text and unique.

    Parameters
    ----------
    X : DataFrame or array_like of shape (N, D)
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
        Sparse data, a shape that is not (N, D), names of the wrong number or given twice.

    Examples
    --------
    >>> as_frame([[3.6, 79], [1.8, 54]], feature_names=["eruptions", "waiting"], row_names=["a", "b"])
       eruptions  waiting
    a        3.6     79.0
    b        1.8     54.0
    """
    frame = X.copy(deep=False) if isinstance(X, pd.DataFrame) else _array_to_frame(X)
    n_rows, n_features = frame.shape
    columns = [str(name) for name in (frame.columns if feature_names is None else feature_names)]
    index = frame.index if row_names is None else pd.Index(row_names)
    if len(columns) != n_features:
        raise InputError(f"feature_names has {len(columns)} names for {n_features} columns: give one name per column.")
    if len(index) != n_rows:
        raise InputError(f"row_names has {len(index)} names for {n_rows} rows: give one name per row.")
    repeated = [name for j, name in enumerate(columns) if name in columns[:j]]
    if repeated:
        raise InputError(f"The column name {repeated[0]!r} is used more than once: rename or drop one of the columns.")
    return frame.set_axis(columns, axis=1).set_axis(index, axis=0)


def finite_values(frame: pd.DataFrame) -> NDArray[np.float64]:
    """The cells of a DataFrame as a new C-contiguous array of finite numbers.

    Parameters
    ----------
    frame : DataFrame of shape (N, D)

    Returns
    -------
    ndarray of shape (N, D)

    Raises
    ------
    InputError
        No rows or columns, text or complex columns, NaN or infinite values.

    Examples
    --------
    >>> finite_values(as_frame([[1, 2], [3, 4]]))
    array([[1., 2.],
           [3., 4.]])
    """
    _check_not_empty(frame.shape)
    _check_no_text(frame)
    values = np.empty(frame.shape, dtype=np.float64)
    for j, name in enumerate(frame.columns):
        values[:, j] = _column_to_numbers(frame.iloc[:, j], name)
    _check_finite(values, frame)
    return values


def _array_to_frame(X: Any) -> pd.DataFrame:
    array = _as_array(X)
    if array.ndim == 1:
        raise InputError(
            "Expected a 2D array (rows, columns), got a 1D array. Reshape your data: X.reshape(-1, 1) or "
            "series.to_frame() for a single column, X.reshape(1, -1) for a single row."
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
    return array.astype(np.float64, copy=False) if array.dtype.kind in "buif" else array


def _check_not_empty(shape: tuple[int, int]) -> None:
    for size, what, remedy in (
        (shape[1], "feature(s)", "Give at least one numeric column."),
        (shape[0], "sample(s)", "Check the file or the filter the table comes from."),
    ):
        if size == 0:
            raise InputError(f"Found array with 0 {what} (shape={shape}) while a minimum of 1 is required. {remedy}")


def _check_no_text(frame: pd.DataFrame) -> None:
    faults = {name: _text_fault(frame.iloc[:, j]) for j, name in enumerate(frame.columns)}
    refused = [f"{name!r} holds {fault}" for name, fault in faults.items() if fault]
    if not refused:
        return
    shown = "; ".join(refused[:5]) + (f"; and {len(refused) - 5} more" if len(refused) > 5 else "")
    numeric = [name for name, fault in faults.items() if not fault]
    usable = f" ({', '.join(numeric)})" if 0 < len(numeric) <= 8 else ""
    raise InputError(
        f"Columns must be numbers, but column {shown}: select the numeric columns{usable}, "
        "with X[[...]] in Python or --columns on the command line."
    )


def _text_fault(column: pd.Series[Any]) -> str | None:
    """What a column holds when it is not numbers, in words; None when it may be read as numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "categories"
    if is_object_dtype(column.dtype) or isinstance(column.dtype, pd.StringDtype):
        texts = (
            f"text ({short(cell)} in row {row!r})"
            for row, cell in zip(column.index, column, strict=True)
            if isinstance(cell, (str, bytes))
        )
        return next(texts, None)
    return None if is_numeric_dtype(column.dtype) else f"values of type {column.dtype}"


def _column_to_numbers(column: pd.Series[Any], name: str) -> NDArray[np.float64]:
    if is_complex_dtype(column.dtype):
        raise InputError(f"Complex data not supported: column {name!r} is complex; give real numbers.")
    if is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    try:
        return np.array([np.nan if cell is None or cell is pd.NA else float(cell) for cell in column], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _NotANumberError(f"Column {name!r} holds an object that is not a number: {error}; drop it.") from error


def _check_finite(values: NDArray[np.float64], frame: pd.DataFrame) -> None:
    if all(np.isfinite(column).all() for column in values.T):  # a column at a time: no mask of the whole table
        return
    faulty = ~np.isfinite(values)
    row, column = np.argwhere(faulty)[0]
    what = "NaN (a missing value)" if np.isnan(values[row, column]) else "inf (an infinite value)"
    raise InputError(
        f"Column {frame.columns[column]!r} holds {what} in row {frame.index[row]!r}, and "
        f"{int(faulty.any(axis=1).sum())} of {len(values)} rows are affected: drop these rows or fill in their values."
    )
