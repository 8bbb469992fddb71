"""Which columns of a file are numbers to fit, what the others are, and what is wrong with some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any

import numpy as np

from bayesgmm.data.numerals import Numbers, is_missing, is_numeral
from bayesgmm.data.recognise import coded, date_like, not_measured
from bayesgmm.data.sources import Cells, Source
from bayesgmm.errors import InputError

__all__ = ["Fault", "Sorted", "naming_column", "refuse_no_numbers", "sort_columns"]

_TEXT = 0.5  # share of numbers below which a column is one of text


@dataclass(frozen=True)
class Fault:
    """Why columns cannot be fitted, and which of them would have to go."""

    sentence: str
    columns: tuple[str, ...]


@dataclass
class Sorted:
    """Columns by what becomes of them: numbers to fit, left out for a reason, faulty."""

    kept: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def sort_columns(numbers: Mapping[str, Numbers], source: Source, *, chosen: bool) -> Sorted:
    """What becomes of each column; of those that were chosen by name, none is left out."""
    out = Sorted()
    for name, column in numbers.items():
        reason = None if chosen else _reason(name, column, source.columns[name])
        fault = None if reason else _fault(name, column, source)
        if reason:
            out.left_out[name] = reason
        elif fault:
            out.faults.append(fault)
        else:
            out.kept.append(name)
    return out


def naming_column(source: Source, excluded: Collection[str]) -> str | None:
    """The first or last column if its texts differ from row to row, so that they name the rows."""
    if source.row_names is not None or len(source.columns) < 2:
        return None
    for name in (source.names[0], source.names[-1]):
        cells = source.columns[name]
        texts = name not in excluded and not isinstance(cells, np.ndarray) and 1 < len(set(cells)) == len(cells)
        if texts and not any(map(is_missing, cells)) and not any(map(is_numeral, cells)):
            return name
    return None


def refuse_no_numbers(numbers: Mapping[str, Numbers], source: Source, path: Any) -> None:
    """The error of a file without a column of numbers."""
    name, column = next(iter(numbers.items()))
    row = column.texts[0] if column.texts else 0
    cell = f"{short(source.columns[name][row])} on line {source.lines[row]}"
    if len(source.names) == 1 and len(column.texts) == len(column.values):
        raise InputError(
            f"{path}: the file reads as one column of text ({cell}), so its delimiter was not recognised; separate the "
            "columns by a comma, semicolon, tab, bar or blank, or state it with --delimiter."
        )
    raise InputError(f"{path}: no column holds numbers ({name!r} holds {cell}); give numbers.")


def _reason(name: str, column: Numbers, cells: Cells) -> str | None:
    """Why a column is left out."""
    n_given = len(column.values) - column.missing.total()
    if n_given == 0:
        return "no value at all"
    if column.n_numbers < _TEXT * n_given:
        return "dates" if date_like([str(cells[row]) for row in column.texts]) else "text"
    if not isinstance(cells, np.ndarray) and not column.texts and coded(cells):
        return "codes that begin with 0"
    return None if column.texts else not_measured(name, column.values[~np.isnan(column.values)])


def _fault(name: str, column: Numbers, source: Source) -> Fault | None:
    """What is wrong with a column of numbers."""
    if column.texts:
        return Fault(_text_fault(name, column, source), (name,))
    if len(column.affixes) > 1 and ("%" in column.affixes or len(column.affixes.keys() - {""}) > 1):
        cells = (f"{source.columns[name][row]!r} (line {source.lines[row]})" for row in column.affixes.values())
        return Fault(f"column {name!r} holds {' and '.join(cells)}, which may be of different units", (name,))
    infinite = np.flatnonzero(np.isinf(column.values))
    if infinite.size:
        return Fault(
            f"column {name!r} has an infinite value on line {source.lines[infinite[0]]}, and {infinite.size} of "
            f"{len(source.lines)} rows are affected",
            (name,),
        )
    if column.missing.total() == len(column.values):
        return Fault(f"column {name!r} holds no value at all", (name,))
    return None


def _text_fault(name: str, column: Numbers, source: Source) -> str:
    cells = [str(source.columns[name][row]) for row in column.texts]
    said = f"column {name!r} holds text ({short(cells[0])} on line {source.lines[column.texts[0]]})"
    if column.n_numbers < _TEXT * (column.n_numbers + len(cells)):
        return said
    many = f" in {len(cells)} of {len(column.values)} cells" if len(cells) > 1 else ""
    code = f", with --missing {short(cells[0])} if it stands for no value" if len(set(cells)) < 4 else ""
    return said + many + code
