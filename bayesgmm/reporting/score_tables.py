"""The scores of a comparison as tables for a terminal, none wider than 80 characters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from bayesgmm.reporting.numbers import percent, tally
from bayesgmm.wording import probability

__all__ = ["score_tables"]

_WIDTH = 80
Format = Callable[[Any], str]


def score_tables(details: pd.DataFrame) -> str:
    """Four tables, a row a fit: what the choice of K rests on, the classes, and what else was computed.

    Parameters
    ----------
    details : DataFrame
        As ``comparison.details``.
    """
    tables: dict[str, dict[str, tuple[str, Format]]] = {
        "Number of components (lower BIC is better; entropy 1 means certain assignment):": {
            "elpd_diff": ("elpd_diff", _decimals(1)),
            "SE": ("diff_se", _decimals(1)),
            "log evidence": ("log_evidence", _decimals(1)),
            "p(K|y)": ("probability", probability),
            "BIC": ("bic", _decimals(1)),
            "clusters": ("clusters", str),
            "entropy": ("entropy", _decimals(2)),
            "status": ("status", str),
        },
        "Classes (observations by most probable component, their mean probability of it):": {
            "smallest": ("n_min", tally),
            "share ": ("share_min", percent),
            "largest": ("n_max", tally),
            "share": ("share_max", percent),
            "lowest mean p": ("prob_min", probability),
            "highest mean p": ("prob_max", probability),
        },
        "Other criteria and Monte Carlo errors (MCSE):": {
            "elpd": ("elpd_loo", _decimals(1)),
            "MCSE": ("elpd_mcse", _decimals(2)),
            "max k": ("max_pareto_k", _decimals(2)),
            "stacking": ("stacking_weight", _decimals(2)),
            "MCSE ev.": ("mcse", _decimals(2)),
            "occupied": ("occupied_mean", _decimals(2)),
            "AICc": ("aicc", _decimals(1)),
            "ICL": ("icl", _decimals(1)),
            "seconds": ("seconds", _decimals(0)),
        },
        "Secondary scores:": {
            "cross-validated log-likelihood": ("cv_log_likelihood", _decimals(1)),
            "within SS": ("within_ss", _decimals(1)),
            "silhouette": ("silhouette", _decimals(2)),
        },
    }
    shown = {title: _text(details, columns) for title, columns in tables.items()}
    return "\n\n".join(f"{title}\n{text}" for title, text in shown.items() if text)


def _text(details: pd.DataFrame, columns: Mapping[str, tuple[str, Format]]) -> str:
    """The columns that there are."""
    found = {name: details[c].map(show) for name, (c, show) in columns.items() if c in details}
    if not found:
        return ""
    table = pd.DataFrame(found).set_axis([str(label) for label in details.index]).rename_axis(columns="K")
    return table.to_string(line_width=_WIDTH)


def _decimals(n: int) -> Format:
    return lambda x: f"{x + 0.0:.{n}f}" if math.isfinite(x) else "–"
