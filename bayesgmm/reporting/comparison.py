"""The part of a report that says how the number of components was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.reporting.numbers import Grid

if TYPE_CHECKING:
    from bayesgmm.model_selection.comparison import ComparedFits

__all__ = ["Comparing", "comparing"]

_PREDICTION = {"elpd_diff": "less the best", "diff_se": "SE", "p_loo": "p_loo", "max_pareto_k": "largest k̂",
               "loo_methods": "rows by", "elpd_waic": "elpd_waic (legacy)",
               "n_waic_unstable": "rows with p_waic > 0.4"}  # fmt: skip
_OTHERS = {"log_evidence": "log evidence", "mcse": "MC error", "probability": "p(K | y)",
           "log_bf_smaller": "log BF (K − 1 against K)", "log_bf_empty": "by empty components (Nobile)",
           "stacking_weight": "stacking", "occupied_mean": "occupied", "clusters": "clusters",
           "cluster_probability": "probability", "bic": "BIC", "icl": "ICL", "aicc": "AICc",
           "cv_log_likelihood": "cross-validated", "within_ss": "within SS", "silhouette": "silhouette"}  # fmt: skip


@dataclass(frozen=True)
class Comparing:
    """Sentences and tables of the section."""

    headline: str
    sentences: tuple[str, ...]
    prediction: Grid
    others: Grid


def comparing(comparison: ComparedFits) -> Comparing:
    """What the section on the number of components shows."""
    table, said = comparison.details, comparison.recommendation

    def grid(columns: dict[str, str], first: dict[str, str]) -> Grid:
        names = {**first, **{c: words for c, words in columns.items() if c in table}}
        rows = [[str(label), *(_cell(table.at[label, c]) for c in names)] for label in table.index]
        return Grid.of(["K", *names.values()], rows)

    return Comparing(
        headline=said.headline,
        sentences=said.sentences,
        prediction=grid(_PREDICTION, {"status": "status", "elpd_loo": "elpd_loo", "se": "SE"}),
        others=grid(_OTHERS, {}),
    )


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "NO"
    if not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}" if abs(value) < 1000 else f"{value:.1f}"
