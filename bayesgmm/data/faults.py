"""Every fault of columns at once: constant, out of range, codes of one category, dependent on others."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesgmm.data.checks import ColumnError, check_columns
from bayesgmm.data.kept import Fault
from bayesgmm.data.recognise import one_hot
from bayesgmm.errors import InputError

__all__ = ["column_faults"]

_MOST = 20


def column_faults(data: pd.DataFrame) -> list[Fault]:
    """The faults of columns of numbers, NaN where there is no value; each column that has to go is taken out in turn.

    >>> table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [3.0, 3.0, 3.0], "c": [2.0, 4.0, 8.0]})
    >>> [fault.sentence for fault in column_faults(table)]
    ["column 'b' is constant (3 in every row)", "columns 'a' and 'c' differ only in their units (correlation ±1)"]
    """
    faults = [
        Fault(
            f"columns {', '.join(map(repr, group[:-1]))} and {group[-1]!r} code one category (each row has one 1 among "
            "them)",
            tuple(group),
        )
        for group in one_hot(data)
    ]
    names = [str(name) for name in data.columns if not any(name in fault.columns for fault in faults)]
    finite = data[names].replace([np.inf, -np.inf], np.nan)
    constant = [name for name in names if finite[name].nunique() == 1 and len(finite) > 1]
    for name in constant:
        value = finite[name].dropna().iloc[0]
        faults.append(Fault(f"column {name!r} is constant ({value:g} in every row)", (name,)))
    kept = [name for name in names if name not in constant and finite[name].notna().any()]
    complete = finite[kept].dropna().to_numpy(np.float64)
    while kept and len(complete) > len(kept) and len(faults) < _MOST:
        try:
            check_columns(complete, np.ones(len(complete)), kept)
        except ColumnError as error:
            faults.append(Fault(_clause(error), error.columns))
            stay = [j for j, name in enumerate(kept) if name not in error.columns]
            kept, complete = [kept[j] for j in stay], complete[:, stay]
        else:
            break
    return faults


def _clause(error: InputError) -> str:
    """The fault without its remedy, as part of a sentence."""
    text = str(error).rstrip(".")
    fault, _, remedy = text.rpartition(": ")
    clause = fault if fault and remedy.startswith("drop") else text
    return clause[0].lower() + clause[1:]
