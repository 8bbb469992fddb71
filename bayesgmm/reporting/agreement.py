"""How clusters agree with classes known from outside: the cross-table and the adjusted Rand index."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["agreement", "agreement_text"]

_SHOWN = 40  # classes


def agreement(labels: pd.Series[str], assigned: ArrayLike, what: str) -> dict[str, Any]:
    """Known classes against assigned numbers (N,); rows without a class do not count.

    >>> agreement(pd.Series(["a", "a", "b", None], name="kind"), [1, 1, 0, 0], "cluster")["table"]
    {'a': {'0': 0, '1': 2}, 'b': {'0': 1, '1': 0}}
    """
    from sklearn.metrics import adjusted_rand_score

    known = labels.notna().to_numpy()
    classes = labels[known].astype(str).to_numpy()
    found = pd.Series(assigned).to_numpy()[known]
    table = pd.crosstab(classes, found)
    return {
        "label": str(labels.name),
        "of": what,
        "adjusted_rand_index": float(adjusted_rand_score(classes, found)),
        "rows": int(known.sum()),
        "table": {str(c): {str(k): int(n) for k, n in row.items()} for c, row in table.iterrows()},
    }


def agreement_text(found: dict[str, Any]) -> str:
    """The cross-table, unless there are many classes, then the index."""
    table = pd.DataFrame(found["table"]).T
    table.index.name, table.columns.name = found["label"], found["of"]
    shown = table.to_string() if len(table) <= _SHOWN else f"{len(table)} classes: too many for a table."
    return (
        f"{shown}\n"
        f"Agreement with the known classes ({found['label']}), by {found['of']}: adjusted Rand index "
        f"{found['adjusted_rand_index']:.3f} over {found['rows']} rows"
    )
