"""A file of any kind to columns as they are written: text, or numbers where the file holds numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.delimited import DelimitedText, from_text
from bayesgmm.data.opened import decoded, unpacked
from bayesgmm.errors import InputError

__all__ = ["Source", "read_source"]

type Cells = Sequence[str] | NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """The columns of a file.

    Attributes
    ----------
    columns : mapping from str to sequence of str, or ndarray of shape (N,)
    lines : sequence of int
        Line of the file, or row of the sheet, of each record.
    row_names : sequence of str or None
    comma_delimited : bool
    notes : list of str
        What was taken to be so and may be otherwise.
    """

    columns: Mapping[str, Cells]
    lines: Sequence[int]
    row_names: Sequence[str] | None
    comma_delimited: bool
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns)


def read_source(
    path: str | PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    decimal: str | None = None,
    sheet: str | None = None,
) -> Source:
    """Read delimited text, an Excel sheet or a Parquet file; text may be compressed.

    Raises
    ------
    InputError
        A file that cannot be read as a table, or names of columns used twice.
    """
    content, kind = unpacked(path)
    if sheet is not None and kind != "xlsx":
        raise InputError(f"{path}: has no sheets; leave --sheet out.")
    if kind == "parquet":
        from bayesgmm.data.spreadsheets import read_parquet

        return _of_frame(read_parquet(content, path), path)
    if kind == "xlsx":
        from bayesgmm.data.spreadsheets import read_sheet

        return _of_text(read_sheet(content, path, sheet=sheet, header=header), path, comma=False)
    text = from_text(decoded(content, path), path, delimiter=delimiter, header=header, decimal=decimal)
    return _of_text(text, path, comma=text.delimiter == ",")


def _of_text(text: DelimitedText, path: str | PathLike[str], *, comma: bool) -> Source:
    _check_unique(text.names, path)
    columns = dict(zip(text.names, zip(*text.records, strict=True), strict=True))
    return Source(columns, text.lines, text.row_names, comma, text.notes)


def _of_frame(frame: pd.DataFrame, path: str | PathLike[str]) -> Source:
    names = [str(name) for name in frame.columns]
    _check_unique(names, path)
    if not len(frame) or not names:
        raise InputError(f"{path}: the table is empty; give one row per observation.")
    columns = {name: _written(frame.iloc[:, j]) for j, name in enumerate(names)}
    row_names = None if isinstance(frame.index, pd.RangeIndex) else [str(name) for name in frame.index]
    return Source(columns, range(1, len(frame) + 1), row_names, comma_delimited=False)


def _written(column: pd.Series[Any]) -> Cells:
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return ["" if missing else str(cell) for cell, missing in zip(column, column.isna(), strict=True)]


def _check_unique(names: Sequence[str], path: str | PathLike[str]) -> None:
    repeated = [name for j, name in enumerate(names) if name in names[:j]]
    if repeated:
        raise InputError(f"{path}: the column name {repeated[0]!r} is used more than once; rename one of them.")
