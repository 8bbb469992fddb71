"""From the cells of a DataFrame to finite numbers; a fault is told with its column and row."""

from __future__ import annotations

from reprlib import repr as short
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_complex_dtype, is_numeric_dtype, is_object_dtype

from bayesgmm.errors import InputError

__all__ = ["finite_values"]


class _NotANumberError(InputError, TypeError):
    """An object that has no value as a number; scikit-learn's conventions ask for a TypeError here."""


def finite_values(frame: pd.DataFrame, *, gaps: bool | None = None) -> NDArray[np.float64]:
    """The cells of a DataFrame as a new C-contiguous array of finite numbers.

    Parameters
    ----------
    frame : DataFrame of shape (N, D)
    gaps : bool, optional
        True: NaN is a cell that is missing, and stays. False: it could, if it were asked for; None: it cannot.

    Returns
    -------
    ndarray of shape (N, D)

    Raises
    ------
    InputError
        No rows or columns, text or complex columns, infinite values, or NaN unless `gaps`.

    Examples
    --------
    >>> finite_values(pd.DataFrame([[1, 2], [3, 4]]))
    array([[1., 2.],
           [3., 4.]])
    """
    _check_not_empty(frame.shape)
    _check_no_text(frame)
    values = np.empty(frame.shape, dtype=np.float64)
    for j, name in enumerate(frame.columns):
        values[:, j] = _column_to_numbers(frame.iloc[:, j], name)
    _check_finite(values, frame, gaps)
    return values


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
    if is_complex_dtype(column.dtype) or _holds_complex(column):
        raise InputError(f"Complex data not supported: column {name!r} is complex; give real numbers.")
    if is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    try:
        return np.array([np.nan if cell is None or cell is pd.NA else _number(cell) for cell in column])
    except OverflowError as error:
        raise InputError(f"Column {name!r} holds a number too large for a float64: give it in other units.") from error
    except (TypeError, ValueError) as error:
        raise _NotANumberError(f"Column {name!r} holds an object that is not a number: {error}; drop it.") from error


def _holds_complex(column: pd.Series[Any]) -> bool:
    """Whether one of the objects of a column is a complex number; NumPy's would lose its imaginary part unasked."""
    return is_object_dtype(column.dtype) and any(isinstance(cell, (complex, np.complexfloating)) for cell in column)


def _number(cell: Any) -> float:
    if isinstance(cell, np.ndarray):
        raise TypeError("an array")
    return float(cell)


def _check_finite(values: NDArray[np.float64], frame: pd.DataFrame, gaps: bool | None) -> None:
    fault = np.isinf if gaps else lambda column: ~np.isfinite(column)
    if not any(fault(column).any() for column in values.T):  # a column at a time: no mask of the whole table
        return
    faulty = fault(values)
    row, column = np.argwhere(faulty)[0]
    what = "NaN (a missing value)" if np.isnan(values[row, column]) else "inf (an infinite value)"
    way_out = "take missing='allow', or leave these rows out" if gaps is False else "leave these rows out or mend them"
    raise InputError(
        f"Column {frame.columns[column]!r} holds {what} in row {frame.index[row]!r}, and "
        f"{int(faulty.any(axis=1).sum())} of {len(values)} rows are affected: {way_out}."
    )
