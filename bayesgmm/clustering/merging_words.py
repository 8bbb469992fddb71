"""What merged components say, in sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.wording import plural, probability

__all__ = ["clusters_in_words", "dependence_in_words", "number_in_words", "numbers_in_words"]

_NEAR = 4.0  # sds, within which it is said how far apart groups are


def clusters_in_words(numbers: tuple[int, ...]) -> str:
    """``"3 clusters"``, or between which numbers the answer lies.

    >>> clusters_in_words((1,)), clusters_in_words((2, 3)), clusters_in_words((1, 2, 4))
    ('1 cluster', '2 or 3 clusters', '1 to 4 clusters')
    """
    return f"{numbers_in_words(numbers)} {plural(numbers[-1], 'cluster')}"


def numbers_in_words(numbers: tuple[int, ...]) -> str:
    """``"3"``, ``"2 or 3"``, ``"1 to 4"``."""
    if len(numbers) == 1:
        return str(numbers[0])
    return f"{numbers[0]} {'or' if len(numbers) == 2 else 'to'} {numbers[-1]}"


def number_in_words(n_clusters: pd.Series[float], merge: NDArray[np.int64], together: pd.DataFrame) -> str:
    """How many clusters, where one number holds, and which components are together."""
    m = int(n_clusters.index[int(n_clusters.to_numpy().argmax())])
    others = ", ".join(f"{c}: {v:.2f}" for c, v in n_clusters.items() if c != m and v >= 0.005)
    said = f"{_described(len(merge), (m,))} (probability {probability(n_clusters[m])}{'; ' + others if others else ''})"
    groups = [np.flatnonzero(merge == c) for c in range(m)]
    joined = "; ".join(_together(together, g.tolist()) for g in groups if len(g) > 1)
    return f"{said}: {joined}." if joined else f"{said}."


def dependence_in_words(numbers: tuple[int, ...], in_question: pd.DataFrame, tree: pd.DataFrame) -> str:
    """Between which numbers of clusters the answer lies, and what it depends on."""
    return (
        f"{_described(len(tree) + 1, numbers)}, depending on how many SDs apart groups must be to count as clusters: "
        f"{', '.join(_ranges(in_question))}. {_distances(tree, _NEAR)}"
    )


def _described(k: int, numbers: tuple[int, ...]) -> str:
    return f"{k} {plural(k, 'component')} describe{'s' * (k == 1)} {clusters_in_words(numbers)}"


def _together(together: pd.DataFrame, group: list[int]) -> str:
    weakest = probability(float(together.to_numpy()[np.ix_(group, group)].min()))
    least = weakest if len(group) == 2 or weakest[0] in "<>" else f"each pair at least {weakest}"
    return f"components {_listed(group)} together (probability {least})"


def _ranges(table: pd.DataFrame) -> list[str]:
    """The most probable number over a range of separations: ``"3 at 2 to 2.6 SDs (probability 0.55 to 0.92)"``."""
    mode, out = table.idxmax(axis=1), []
    for _, part in table.groupby((mode != mode.shift()).cumsum()):
        number = mode[part.index[0]]
        ends = [f"{s:g}" for s in (part.index[0], part.index[-1])]
        low, high = probability(part[number].min()), probability(part[number].max())
        where = ends[0] if len(part) == 1 else " to ".join(ends)
        out.append(f"{number} at {where} SDs (probability {low if low == high else f'{low} to {high}'})")
    return out


def _distances(tree: pd.DataFrame, most: float) -> str:
    said = [
        f"{_group(m['group'])} and {_group(m['other'])} {m['separation']:.1f} SDs ({m['low']:.1f} to {m['high']:.1f})"
        for m in tree.to_dict("records")
        if m["separation"] < most
    ]
    return f"Apart by the posterior median (90 % credible interval): components {'; '.join(said)}." if said else ""


def _group(members: tuple[int, ...]) -> str:
    return str(members[0]) if len(members) == 1 else f"({', '.join(map(str, members))})"


def _listed(group: list[int]) -> str:
    return f"{', '.join(map(str, group[:-1]))} and {group[-1]}"
