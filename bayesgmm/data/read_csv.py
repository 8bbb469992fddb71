"""A file to a DataFrame of numbers, and the known classes of its rows if it has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import pandas as pd

from bayesgmm.arguments import check_flag, check_instance, shown
from bayesgmm.data.file_table import FileTable, drop_missing_rows, raise_faults, table_of
from bayesgmm.data.files import as_path
from bayesgmm.data.numerals import Mark
from bayesgmm.data.quoted import split_names
from bayesgmm.data.sources import read_source
from bayesgmm.errors import InputError

__all__ = ["read_csv", "read_file"]

_OTHER: dict[str, Mark] = {".": ",", ",": ".", " ": ".", "'": "."}


def read_csv(
    path: str | PathLike[str],
    *,
    columns: str | Sequence[str] | None = None,
    label: str | None = None,
    exclude: str | Sequence[str] | None = None,
    missing: str | Sequence[str] | None = None,
    drop_missing: bool = False,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    sheet: str | None = None,
) -> tuple[pd.DataFrame, pd.Series[str] | None]:
    """Read a table of numbers from delimited text, an Excel sheet or a Parquet file.

    The delimiter (comma, semicolon, tab, bar or blanks), decimal commas, thousands, signs of currency and per cent, the
    header, comments and lines before the table are recognised; text may be compressed. Columns of a file without a
    header are called x1, x2, …; a first column without a name, or a first or last one of texts that differ, names the
    rows. Columns of text, dates and identifiers are left out unless they are named, and so is a last row of sums; a
    warning says so.

    Parameters
    ----------
    path : str or PathLike
        Text in UTF-8, UTF-16 with a byte order mark, or Windows-1252; or .xlsx (takes openpyxl) or .parquet (pyarrow).
    columns : str or sequence of str, optional
        The columns to keep, in this order; by default all that are numbers, but the label.
    label : str, optional
        A column of known classes: taken out of the table and returned beside it.
    exclude : str or sequence of str, optional
        Columns to leave out.
    missing : str or sequence of str, optional
        Cells that stand for no value, as "-200", or "column=-200" for those of one column; besides empty ones, NA, NaN,
        null, ?, - and the like.
    drop_missing : bool
        Leave out the rows that lack a value.
    header : bool, optional
        Whether the first line names the columns.
    delimiter : str, optional
        One character.
    decimal, thousands : {".", ","}, optional
        The mark before decimals, or that between thousands.
    sheet : str, optional
        Of an Excel file; the first by default.

    Returns
    -------
    data : DataFrame of shape (N, D)
        Floating-point numbers, NaN where there is no value.
    labels : Series of str of length N, or None
        The classes as written, NaN where missing; None without `label`.

    Raises
    ------
    InputError
        A file that cannot be read as a table or in two ways, unknown columns, text among numbers, infinite values.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("length,width,species\\n5.1,3.5,setosa\\n6.2,NA,versicolor\\n")
    >>> data, labels = read_csv(path, columns=["length"], label="species")
    >>> data
       length
    0     5.1
    1     6.2
    >>> list(labels)
    ['setosa', 'versicolor']
    """
    if columns is not None and not isinstance(columns, str):
        columns = _names(columns, "columns")
    table = read_file(
        path,
        columns=[columns] if isinstance(columns, str) else columns,
        label=label,
        exclude=_texts(exclude, "exclude"),
        missing=_texts(missing, "missing"),
        drop_missing=drop_missing,
        header=header,
        delimiter=delimiter,
        decimal=decimal,
        thousands=thousands,
        sheet=sheet,
    )
    raise_faults(table.faults, path)
    for note in table.notes:
        warnings.warn(f"{path}: {note}.", UserWarning, stacklevel=2)
    return table.data, table.labels


def read_file(
    path: str | PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    exclude: Sequence[str] = (),
    missing: Sequence[str] = (),
    drop_missing: bool = False,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    sheet: str | None = None,
    split: bool = False,
    weights: str | None = None,
) -> FileTable:
    """As `read_csv`, with notes and faults as data; `split` cuts names of columns at commas, as of options, and
    `weights` names the column of row weights."""
    as_path(path)
    for value, name, what in (
        (label, "label", "the name of a column"),
        (sheet, "sheet", "the name of a sheet"),
        (delimiter, "delimiter", "one character"),
    ):
        if value is not None:
            check_instance(value, name, str, what)
    if header is not None:
        check_flag(header, "header")
    check_flag(drop_missing, "drop_missing")
    if delimiter is not None:
        delimiter = {"\\t": "\t", "tab": "\t", "blank": " ", "space": " "}.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '\0"\r\n':
            raise InputError(f"delimiter={shown(delimiter)} must be one character.")
    mark = _mark(decimal, thousands)
    source = read_source(path, delimiter=delimiter, header=header, decimal=mark, sheet=sheet)
    if split:
        columns = split_names(columns, source.names) if columns else None
    table = table_of(
        source, path, columns=columns, exclude=exclude, label=label, missing=missing, decimal=mark,
        weights=weights,
    )  # fmt: skip
    if drop_missing:
        drop_missing_rows(table, path)
    return table


def _mark(decimal: str | None, thousands: str | None) -> Mark | None:
    """The decimal mark that is stated, directly or by that between thousands."""
    for value, name, known in ((decimal, "decimal", ".,"), (thousands, "thousands", "., '")):
        if value is not None and (not isinstance(value, str) or len(value) != 1 or value not in known):
            raise InputError(f"{name}={shown(value)} must be one of {' '.join(known.split())!r}.")
    if decimal is not None and decimal == thousands:
        raise InputError(f"decimal and thousands are both {decimal!r}: give two different marks.")
    if decimal is not None:
        return "," if decimal == "," else "."
    return None if thousands is None or thousands not in ".," else _OTHER[thousands]


def _names(value: Any, name: str) -> list[str]:
    if not isinstance(value, Iterable) or isinstance(value, (bytes, dict)):
        raise InputError(f"{name}={shown(value)} must be the names of columns.")
    names = list(value)
    if not all(isinstance(one, str) for one in names):
        raise InputError(f"{name}={shown(value)} must be the names of columns.")
    return names


def _texts(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else _names(value, name)
