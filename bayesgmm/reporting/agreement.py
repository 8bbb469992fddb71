"""How clusters agree with classes known from outside: the cross-table and the adjusted Rand index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.clustering.merging_words import clusters_in_words, numbers_in_words

if TYPE_CHECKING:
    from bayesgmm.clustering.merging import Merging

__all__ = ["agreement", "agreement_text", "clusters_counted", "observations_compared"]

_SHOWN = 40  # classes


def agreement(
    labels: pd.Series[str], assigned: ArrayLike, what: str, weights: ArrayLike | None = None
) -> dict[str, Any]:
    """Known classes against assigned numbers (N,), of which -1, noise, counts as one cluster.

    Rows without a class do not count, others as `weights` say.

    >>> agreement(pd.Series(["a", "a", "b", None], name="kind"), [1, 1, 0, 0], "cluster")["table"]
    {'a': {'0': 0, '1': 2}, 'b': {'0': 1, '1': 0}}
    """
    known = labels.notna().to_numpy()
    classes = labels[known].astype(str).to_numpy()
    found = pd.Series(assigned).to_numpy()[known]
    copies = np.ones(len(found)) if weights is None else np.asarray(weights, dtype=np.float64)[known]
    table = pd.crosstab(classes, found, values=copies, aggfunc="sum").fillna(0.0)
    return {
        "label": str(labels.name),
        "of": what,
        "adjusted_rand_index": _adjusted_rand(table.to_numpy()),
        "rows": _as_count(copies.sum()),
        "rows_without_class": int((~known).sum()),
        "table": {str(c): {str(k): _as_count(n) for k, n in row.items()} for c, row in table.iterrows()},
    }


def _as_count(n: float) -> float:
    return int(n) if n == int(n) else float(n)


def _adjusted_rand(counts: NDArray[np.float64]) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) of a table of counts."""
    together, own, theirs, every = (
        float((n * (n - 1.0) / 2.0).sum()) for n in (counts, counts.sum(axis=0), counts.sum(axis=1), counts.sum())
    )
    chance = own * theirs / every if every > 0.0 else 0.0
    room = 0.5 * (own + theirs) - chance
    return 1.0 if abs(room) < 1e-12 * max(every, 1.0) else (together - chance) / room


def clusters_counted(merging: Merging) -> str:
    """Of which number of clusters their table is, where more than one number is possible; else nothing."""
    if merging.stable:
        return ""
    return (
        f"The table is of {clusters_in_words((merging.best,))}, what is more than {merging.shown:g} SDs apart; "
        f"{numbers_in_words(merging.numbers)} are possible."
    )


def observations_compared(found: dict[str, Any]) -> str:
    """How many observations an agreement is of, and how many have no class."""
    lacking = found["rows_without_class"]
    return f"{found['rows']:.10g} observations" + f" ({lacking:,} more have no class)" * bool(lacking)


def agreement_text(found: dict[str, Any], about: str = "") -> str:
    """What the table is of, `about`, the cross-table, unless there are many classes, then the index."""
    table = pd.DataFrame(found["table"]).T.rename(columns={"-1": "noise"})
    table.index.name, table.columns.name = found["label"], found["of"]
    noise = ", of which those of noise count as one cluster" if "noise" in table.columns else ""
    shown = table.to_string() if len(table) <= _SHOWN else f"{len(table)} classes: too many for a table."
    return (
        f"{about}{chr(10) if about else ''}{shown}\n"
        f"Agreement of the {found['of']}s with the known classes ({found['label']}): adjusted Rand index "
        f"{found['adjusted_rand_index']:.3f} over {observations_compared(found)}{noise}."
    )
