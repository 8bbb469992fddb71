"""The scores of compared fits as tables: the one place of reports that reads the columns of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.reporting.numbers import Grid

if TYPE_CHECKING:
    from bayesgmm.model_selection.comparison import ComparedFits

__all__ = ["Comparing", "comparing", "fits_in_words", "probability_by_scale", "probability_of"]

_PREDICTION = {"elpd_diff": "Δelpd", "diff_se": "SE", "p_loo": "p_loo", "max_pareto_k": "largest k̂",
               "loo_methods": "LOO method", "elpd_waic": "elpd_waic (legacy)",
               "n_waic_unstable": "n(p_waic > 0.4)"}  # fmt: skip
_OTHERS = {"log_evidence": "log evidence", "mcse": "MC error", "probability": "p(K | y)",
           "log_bf_smaller": "log BF (K − 1 against K)", "log_bf_empty": "by empty components (Nobile)",
           "stacking_weight": "stacking", "occupied_mean": "occupied", "clusters": "clusters",
           "cluster_probability": "probability", "cv_log_likelihood": "cross-validated", "within_ss": "within SS",
           "silhouette": "silhouette"}  # fmt: skip
_PROBABILITIES = ("probability", "cluster_probability")
_LIKELIHOOD = {"log_likelihood": "log-likelihood", "bic": "BIC", "icl": "ICL", "aicc": "AICc"}


@dataclass(frozen=True)
class Comparing:
    """Sentences and tables of the section."""

    headline: str
    sentences: tuple[str, ...]
    prediction: Grid
    others: Grid
    likelihood: Grid


def comparing(comparison: ComparedFits) -> Comparing:
    """What the section on the number of components shows."""
    table, said = comparison.details, comparison.recommendation

    def grid(columns: dict[str, str], first: dict[str, str]) -> Grid:
        names = {**first, **{c: words for c, words in columns.items() if c in table}}
        shown = {name: _probability if name in _PROBABILITIES else _cell for name in names}
        rows = [[str(label), *(shown[c](table.at[label, c]) for c in names)] for label in table.index]
        return Grid.of(["K", *names.values()], rows)

    return Comparing(
        headline=said.headline,
        sentences=said.sentences,
        prediction=grid(_PREDICTION, {"status": "status", "elpd_loo": "elpd_loo", "se": "SE"}),
        others=grid(_OTHERS, {}),
        likelihood=grid(_LIKELIHOOD, {}),
    )


def fits_in_words(comparison: ComparedFits) -> Grid:
    """Status, sampler, what was done besides, and verdict of every fit."""
    rows = []
    for label, candidate in comparison.candidates.items():
        seconds = f"{candidate.seconds:.1f}"
        words = [str(label), candidate.status, candidate.method, candidate.notes or "–", candidate.verdict]
        rows.append([*words, seconds])
    return Grid.of(["K", "status", "sampler", "what was done besides", "verdict", "seconds"], rows, n_text=5)


def probability_by_scale(comparison: ComparedFits) -> Grid | None:
    """p(K | y) with the prior scale of the means halved, as it is, and doubled; None where it is not known."""
    table = comparison.sensitivity
    if table.isna().all(axis=None):
        return None
    names = {0.5: "SD of the means × ½", 1.0: "as fitted", 2.0: "SD of the means × 2"}
    rows = [[str(label), *(_probability(float(v)) for v in table.loc[label])] for label in table.index]
    return Grid.of(["K", *(names[float(c)] for c in table.columns)], rows)


def probability_of(comparison: ComparedFits) -> float:
    """p(K | y) of the fit that is recommended; NaN where it is not known."""
    known = {str(label): p for label, p in comparison.sensitivity[1.0].items()}
    return float(known[str(comparison.recommendation.label)])


def _probability(p: Any) -> str:
    """Never 0 or 1.

    >>> _probability(0.999), _probability(0.001), _probability(0.25)
    ('> 0.99', '< 0.01', '0.25')
    """
    if not np.isfinite(p):
        return "–"
    return "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"{p:.2f}"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "NO"
    if not np.isfinite(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}" if abs(value) < 1000 else f"{value:.1f}"
