"""What a table shows of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.table import Table
from bayesgmm.record import numbers, sentences, tables
from bayesgmm.wording import plural


def _missing(table: Table) -> int:
    return int(np.isnan(table.values).sum())


@numbers.register
def _(table: Table) -> dict[str, Any]:
    return {"n_rows": table.n_rows, "n_features": table.n_features, "missing_cells": _missing(table)}


@sentences.register
def _(table: Table) -> str:
    n, d, gaps = table.n_rows, table.n_features, _missing(table)
    out = f"{n:,} {plural(n, 'observation')} of {d} {plural(d, 'column')}"
    out += f"; {gaps:,} {plural(gaps, 'cell')} missing" if gaps else ""
    if not (table.weights == 1.0).all():
        out += f"; {table.weight_type} weights, sum {table.weights.sum():,.6g}"
    return out + ("." if table.known is None else f"; the class of {(table.known >= 0).sum():,} is known.")


@tables.register
def _(table: Table) -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame(table.values, columns=list(table.feature_names))
    columns = frame.agg(["count", "min", "median", "max"]).T.astype({"count": int})
    return {"Columns; resolution 0 is continuous": columns.assign(resolution=table.resolution)}
