"""Excel sheets as records of text, and Parquet as columns; both by way of pandas and its optional engines."""

from __future__ import annotations

import datetime
import io
import warnings
from os import PathLike
from typing import Any

import pandas as pd

from bayesgmm.data.delimited import DelimitedText, from_records
from bayesgmm.errors import InputError

__all__ = ["read_parquet", "read_sheet"]


def read_sheet(
    content: bytes, path: str | PathLike[str], *, sheet: str | None = None, header: bool | None = None
) -> DelimitedText:
    """The records of one sheet of a workbook, the first by default; lines are rows of the sheet.

    Raises
    ------
    InputError
        openpyxl is not installed, the workbook is damaged, or there is no such sheet.
    """
    with _engine("openpyxl", path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles that openpyxl does not know
        book = pd.ExcelFile(io.BytesIO(content), engine="openpyxl")
        names = [str(name) for name in book.sheet_names]
        if sheet is not None and sheet not in names:
            raise InputError(f"{path}: there is no sheet {sheet!r}; the sheets are {', '.join(names)}.")
        chosen = names[0] if sheet is None else sheet
        cells = book.parse(chosen, header=None, dtype=object, na_filter=False)
    notes = []
    if sheet is None and len(names) > 1:
        notes.append(f"sheet {chosen!r} was read; the others are {', '.join(names[1:])} (--sheet)")
    numbered = [(line, [_written(cell) for cell in row]) for line, row in enumerate(cells.to_numpy(), start=1)]
    used = [(line, record) for line, record in numbered if any(record)]
    titles = 0  # rows of a title above the table hold fewer cells than the table
    while titles < len(used) - 2 and sum(map(bool, used[titles][1])) < min(2, sum(map(bool, used[-2][1]))):
        titles += 1
    if titles:
        notes.append(f"row {used[0][0]} ({' '.join(filter(None, used[0][1]))!r}) is no part of the table: left out")
    return from_records(used[titles:], path, header=header, notes=notes)


def read_parquet(content: bytes, path: str | PathLike[str]) -> pd.DataFrame:
    """The table of a Parquet file.

    Raises
    ------
    InputError
        pyarrow is not installed, or the file is damaged.
    """
    with _engine("pyarrow", path):
        return pd.read_parquet(io.BytesIO(content), engine="pyarrow")


def _written(cell: Any) -> str:
    """A cell as text that comes back as the same number."""
    if cell is None or cell is pd.NaT:
        return ""
    if isinstance(cell, (datetime.datetime, datetime.date)):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell).strip()


class _engine:  # noqa: N801
    """What a library that reads files says of one, as one `InputError`."""

    def __init__(self, library: str, path: str | PathLike[str]) -> None:
        self.library, self.path = library, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise InputError(
                f"{self.path}: to read this file takes {self.library}; install it with: pip install {self.library}"
            ) from error
        if isinstance(error, Exception) and not isinstance(error, InputError):
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{self.path}: cannot be read ({reason}); save it anew, or as CSV.") from error
