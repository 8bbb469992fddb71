"""A column of row weights of a file, checked with its lines."""

from __future__ import annotations

from os import PathLike
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.numerals import Numbers
from bayesgmm.data.sources import Source
from bayesgmm.errors import InputError

__all__ = ["weight_column"]


def weight_column(name: str, column: Numbers, source: Source, path: str | PathLike[str]) -> NDArray[np.float64]:
    """The weights (N,) of the rows.

    Raises
    ------
    InputError
        If a row has none, or it is text, negative or infinite: its line is named.
    """
    values = np.asarray(column.values, dtype=np.float64)
    texts, lines = np.isin(np.arange(len(values)), column.texts), np.asarray(source.lines)
    cells: Any = source.columns[name]
    for wrong, what in (
        (texts, "text"), (np.isnan(values), "no value"), (np.isinf(values), "an infinite value"),
        (values < 0.0, "a negative number"),
    ):  # fmt: skip
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}: the weights in column {name!r} hold {what} ({short(cells[row])} on line {lines[row]}): give "
                "every row a number of at least 0."
            )
    return values
