"""A CSV file to a DataFrame of numbers, and the known classes of its rows if it has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from reprlib import repr as short

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_instance, shown
from bayesgmm.data.delimited import DelimitedText, is_missing, read_delimited, to_number
from bayesgmm.data.files import as_path
from bayesgmm.errors import InputError

__all__ = ["read_csv"]


def read_csv(
    path: str | PathLike[str], *, columns: str | Sequence[str] | None = None, label: str | None = None
) -> tuple[pd.DataFrame, pd.Series[str] | None]:
    """Read a table of numbers from delimited text.

    The delimiter (comma, semicolon, tab, bar or blanks), the decimal comma of semicolon files and the header are
    recognised. Columns of a file without a header are called x1, x2, …; a first column without a name gives the
    row names.

    Parameters
    ----------
    path : str or PathLike
        Text in UTF-8, UTF-16 with a byte order mark, or Windows-1252.
    columns : str or sequence of str, optional
        The columns to keep, in this order; all but the label by default.
    label : str, optional
        A column of known classes: taken out of the table and returned beside it.

    Returns
    -------
    data : DataFrame of shape (N, D)
        Floating-point numbers without missing values.
    labels : Series of str of length N, or None
        The classes as written, NaN where missing; None without `label`.

    Raises
    ------
    InputError
        A file that cannot be read as a table, unknown columns, columns of text, missing values.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("length,width,species\\n5.1,3.5,setosa\\n6.2,2.9,versicolor\\n")
    >>> data, labels = read_csv(path, label="species")
    >>> data
       length  width
    0     5.1    3.5
    1     6.2    2.9
    >>> list(labels)
    ['setosa', 'versicolor']
    """
    as_path(path)
    if label is not None:
        check_instance(label, "label", str, "the name of a column")
    text = read_delimited(path)
    _check_unique(text.names, path)
    wanted = _selected(text.names, columns, label, path)
    cells = dict(zip(text.names, zip(*text.records, strict=True), strict=True))
    numbers = {name: [to_number(cell) for cell in cells[name]] for name in wanted}
    _check_numeric(numbers, cells, text, path)
    values = {name: np.array(column, dtype=np.float64) for name, column in numbers.items()}
    _check_finite(values, text.lines, path)
    index = _row_index(text)
    data = pd.DataFrame(values, index=index)
    if label is None:
        return data, None
    classes = [np.nan if is_missing(cell) else cell for cell in cells[label]]
    return data, pd.Series(classes, index=index, name=label, dtype=object)


def _check_unique(names: Sequence[str], path: str | PathLike[str]) -> None:
    repeated = [name for j, name in enumerate(names) if name in names[:j]]
    if repeated:
        raise InputError(f"{path}: the column name {repeated[0]!r} is used more than once; rename one of them.")


def _selected(
    names: Sequence[str], columns: str | Sequence[str] | None, label: str | None, path: str | PathLike[str]
) -> list[str]:
    chosen: list[str] = []
    if columns is None or isinstance(columns, str):
        chosen = list(names) if columns is None else [columns]
    elif isinstance(columns, Iterable) and all(isinstance(name, str) for name in columns):
        chosen = list(columns)
    else:
        raise InputError(f"columns={shown(columns)} must be the names of columns.")
    unknown = [name for name in [*chosen, *([] if label is None else [label])] if name not in names]
    if unknown:
        asked = ", ".join(map(shown, unknown))
        raise InputError(f"{path}: there is no column {asked}; the columns are {', '.join(names)}.")
    wanted = [name for name in dict.fromkeys(chosen) if name != label]
    if not wanted:
        raise InputError(f"{path}: no column is left for the data; select at least one besides the label {label!r}.")
    return wanted


def _check_numeric(
    numbers: dict[str, list[float | None]],
    cells: dict[str, tuple[str, ...]],
    text: DelimitedText,
    path: str | PathLike[str],
) -> None:
    texts = {name: column.index(None) for name, column in numbers.items() if None in column}
    if not texts:
        return
    name, row = next(iter(texts.items()))
    if len(text.names) == 1 and all(number is None for number in numbers[name]):
        raise InputError(
            f"{path}: the file reads as one column of text ({short(cells[name][row])} on line {text.lines[row]}), "
            "so its delimiter was not recognised; separate the columns by a comma, semicolon, tab, bar or blank."
        )
    shown = "; ".join(
        f"{name!r} holds text ({short(cells[name][row])} on line {text.lines[row]})"
        for name, row in list(texts.items())[:5]
    )
    more = f"; and {len(texts) - 5} more" if len(texts) > 5 else ""
    numeric = [name for name in numbers if name not in texts]
    advice = f"select the numeric columns with --columns {','.join(numeric)}" if numeric else "give numbers"
    raise InputError(f"{path}: column {shown}{more}; {advice}.")


def _check_finite(values: dict[str, NDArray[np.float64]], lines: Sequence[int], path: str | PathLike[str]) -> None:
    faulty = ~np.isfinite(np.column_stack(list(values.values())))  # (N, D)
    if not faulty.any():
        return
    row, column = np.argwhere(faulty)[0]
    name = list(values)[column]
    what = "a missing value" if np.isnan(values[name][row]) else "an infinite value"
    raise InputError(
        f"{path}: column {name!r} has {what} on line {lines[row]}, and {int(faulty.any(axis=1).sum())} of "
        f"{len(lines)} rows are affected; remove these rows, fill in the values, or leave the column out with "
        "--columns."
    )


def _row_index(text: DelimitedText) -> pd.Index[int] | pd.Index[str]:
    if text.row_names is None:
        return pd.RangeIndex(len(text.records))
    if all(name.isdecimal() and str(int(name)) == name for name in text.row_names):
        return pd.Index([int(name) for name in text.row_names])
    return pd.Index(text.row_names)
