"""The table of a file: which columns are numbers to fit, what was left out and why, and every fault at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.arguments import no_column, shown
from bayesgmm.data.decimal_mark import Question, find_decimal
from bayesgmm.data.kept import Fault, naming_column, refuse_no_numbers, sort_columns
from bayesgmm.data.numerals import Mark, Numbers, is_missing, read_numbers
from bayesgmm.data.quoted import excluding
from bayesgmm.data.recognise import total_row
from bayesgmm.data.said import grouped, lacking, unlike, unsure
from bayesgmm.data.sources import Cells, Source
from bayesgmm.data.weight_column import weight_column
from bayesgmm.errors import InputError

__all__ = ["FileTable", "drop_missing_rows", "raise_faults", "table_of"]

_NO_CLASS = frozenset({"-", "--", "–", "—"})  # marks for no value that may be classes


@dataclass
class FileTable:
    """Numbers of a file.

    Attributes
    ----------
    data : DataFrame of shape (N, D)
        Floating-point numbers, NaN where there is no value.
    labels : Series of length N or None
        Known classes.
    weights : ndarray of shape (N,) or None
        Weights of the rows.
    lines : list of int, length N
        Lines of the file.
    notes : list of str
        What was left out or read in an uncommon way: one sentence each.
    faults : list of Fault
    lacking : str or None
        How many cells have no value, and how they are written.
    """

    data: pd.DataFrame
    labels: pd.Series[str] | None
    lines: list[int]
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lacking: str | None = None
    weights: np.ndarray[Any, np.dtype[np.float64]] | None = None


def table_of(
    source: Source,
    path: str | PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    label: str | None = None,
    missing: Sequence[str] = (),
    decimal: Mark | None = None,
    weights: str | None = None,
) -> FileTable:
    """The numbers of a file.

    Parameters
    ----------
    source : Source
    path : str or PathLike
        For messages.
    columns : sequence of str, optional
        The columns to keep, in this order; by default all that are numbers.
    exclude : sequence of str
        Columns to leave out.
    label : str, optional
        A column of known classes.
    missing : sequence of str
        Further cells that stand for no value: a token, or COLUMN=TOKEN.
    decimal : {".", ","}, optional
    weights : str, optional
        A column of row weights.

    Raises
    ------
    InputError
        Unknown columns, none left, or marks that can be read in two ways.
    """
    aside = [name for name in (label, weights) if name is not None]
    wanted = _selected(source.names, columns, exclude, aside, path)
    tokens = _by_column(missing, source, path)
    mark = decimal or _decimal(source, wanted, path)
    numbers = {name: _numbers(source.columns[name], mark, tokens[name]) for name in wanted}
    found = sort_columns(numbers, source, chosen=columns is not None)
    if not found.kept and not found.faults:
        refuse_no_numbers(numbers, source, path)
    notes = list(source.notes)
    names_rows = naming_column(source, {*exclude, *found.kept, *aside})
    if names_rows in found.left_out:
        found.left_out[names_rows] = "names of the rows"
    if found.left_out:
        notes.append(f"left out: {grouped(found.left_out)}; to take a number in, name it with --columns")
    kept = {name: numbers[name] for name in found.kept}
    if decimal is None and mark == ",":
        notes += unsure(source, found.kept)
    notes += unlike(kept)
    index = _row_index(source.row_names if names_rows is None else source.columns[names_rows], len(source.lines))
    data = pd.DataFrame({name: column.values for name, column in kept.items()}, index=index)
    labels = None
    if label is not None:
        labels = pd.Series([_class(cell) for cell in source.columns[label]], index=index, name=label, dtype=object)
    out = FileTable(data, labels, list(source.lines), notes, found.faults)
    if weights is not None:
        out.weights = weight_column(weights, _numbers(source.columns[weights], mark, tokens[weights]), source, path)
        out.notes.append(f"column {weights!r} holds the weights of the rows and is not fitted")
    _leave_out_totals(out, source)
    out.lacking = lacking(out.data, kept)
    return out


def raise_faults(faults: Sequence[Fault], path: str | PathLike[str]) -> None:
    """All faults in one line, and the options that leave their columns out."""
    if not faults:
        return
    sentences = [fault.sentence for fault in faults]
    more = f"; and {len(sentences) - 8} more" if len(sentences) > 8 else ""
    names = list(dict.fromkeys(name for fault in faults for name in fault.columns))
    remedy = f"; mend them, or leave columns out with {excluding(names)}" if names else ""
    raise InputError(f"{path}: {'; '.join(sentences[:8])}{more}{remedy}.")


def drop_missing_rows(table: FileTable, path: str | PathLike[str]) -> None:
    """Leave out the rows that lack a value, and say how many they are."""
    without = table.data.isna().to_numpy().any(axis=1)
    if not without.any():
        return
    if without.all():
        worst = table.data.isna().sum().idxmax()
        raise InputError(f"{path}: every row lacks a value; leave columns out, such as with {excluding([str(worst)])}.")
    table.lacking = f"{table.lacking}; these rows were dropped"
    _keep_rows(table, ~without)


def _keep_rows(table: FileTable, kept: Any) -> None:
    table.data = table.data[kept]
    table.labels = None if table.labels is None else table.labels[kept]
    table.weights = None if table.weights is None else table.weights[kept]
    table.lines = [line for line, keep in zip(table.lines, kept, strict=True) if keep]


def _selected(
    names: Sequence[str], columns: Sequence[str] | None, exclude: Sequence[str], aside: Sequence[str], path: Any
) -> list[str]:
    asked = [*(columns or []), *exclude, *aside]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise InputError(f"{path}: {no_column(unknown, names)}")
    chosen = names if columns is None else columns
    wanted = [name for name in dict.fromkeys(chosen) if name not in aside and name not in exclude]
    if not wanted:
        besides = f" besides {' and '.join(map(repr, aside))}" if aside else ""
        raise InputError(f"{path}: no column is left for the data; select at least one{besides}.")
    return wanted


def _by_column(missing: Sequence[str], source: Source, path: Any) -> dict[str, list[str]]:
    names = source.names
    tokens: dict[str, list[str]] = {name: [] for name in names}
    for given in missing:
        column, equals, token = given.rpartition("=")
        if equals and column not in names and not any(given in map(str, cells) for cells in source.columns.values()):
            raise InputError(f"{path}: --missing {shown(given)}: {no_column([column], names)}")
        for name in [column] if equals and column in names else names:
            tokens[name].append(token if equals and column in names else given)
    return tokens


def _decimal(source: Source, wanted: Sequence[str], path: Any) -> Mark:
    usual: Mark | None = None if source.comma_delimited else "."
    written = {name: cells for name, cells in source.columns.items() if not isinstance(cells, np.ndarray)}
    found = find_decimal({name: written[name] for name in wanted if name in written}, usual=usual)
    if not isinstance(found, Question):
        return found
    cells = " and ".join(f"{cell!r} (line {source.lines[row]})" for row, cell in found.cells)
    if found.both:
        raise InputError(
            f"{path}: {cells} have different decimal marks; say which one the file has with --decimal , or "
            f"--decimal ., or leave a column out, such as with {excluding([found.column])}."
        )
    other = "," if found.mark == "." else "."
    raise InputError(
        f"{path}: column {found.column!r} holds {cells}, where the {'point' if found.mark == '.' else 'comma'} may "
        f"stand between thousands or before decimals; say --thousands {found.mark} (decimals then have {other!r}) or "
        f"--decimal {found.mark}."
    )


def _numbers(cells: Cells, mark: Mark, missing: Sequence[str]) -> Numbers:
    if not isinstance(cells, np.ndarray):
        return read_numbers(cells, mark, missing)
    values = cells.copy()
    codes = read_numbers(missing).values
    tokens = Counter({"empty": int(np.isnan(values).sum())})
    for code, token in zip(codes, missing, strict=True):
        tokens[token] += int((values == code).sum())
        values[values == code] = np.nan
    return Numbers(values, +tokens, [], None, {"": 0})


def _leave_out_totals(table: FileTable, source: Source) -> None:
    if table.data.empty:
        return
    texts = [str(cells[-1]) for cells in source.columns.values() if not isinstance(cells, np.ndarray)]
    texts += [] if source.row_names is None else [source.row_names[-1]]
    found = total_row(table.data, texts)
    if found is not None:
        row, what = found
        table.notes.append(f"line {table.lines[row]} holds the {what} of the rows above: left out")
        _keep_rows(table, np.arange(len(table.data)) != row)


def _class(cell: Any) -> Any:
    text = f"{cell:g}" if isinstance(cell, float) else cell
    return np.nan if text == "nan" or (is_missing(text) and text not in _NO_CLASS) else text


def _row_index(names: Sequence[Any] | Any, n_rows: int) -> pd.Index[Any]:
    if names is None:
        return pd.RangeIndex(n_rows)
    if all(name.isdecimal() and str(int(name)) == name for name in names):
        return pd.Index([int(name) for name in names])
    return pd.Index(list(names))
