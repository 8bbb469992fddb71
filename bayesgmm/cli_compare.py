"""``bayesgmm compare data.csv --components 1:6``: how many clusters, from a file."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.errors import InputError
from bayesgmm.model.structure import COVARIANCE_TYPES

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.comparison import Comparison

__all__ = ["parse_components", "parse_structures", "run_compare"]

_MOST = 100
_SHOWN = {
    "elpd_loo": "elpd_loo", "se": "se", "elpd_diff": "diff", "diff_se": "diff_se", "log_evidence": "log_evidence",
    "mcse": "mcse", "probability": "p(K|y)", "stacking_weight": "stacking", "occupied_mean": "occupied",
    "n_clusters": "clusters", "cluster_probability": "probability", "bic": "BIC", "icl": "ICL", "aicc": "AICc",
    "max_pareto_k": "max_k", "loo_methods": "rows_by", "elpd_waic": "waic(legacy)", "n_waic_unstable": "unstable",
    "cv_log_likelihood": "cv", "within_ss": "within_ss", "silhouette": "silhouette", "status": "status",
    "elpd_mcse": "elpd_mcse",
    "seconds": "seconds",
}  # fmt: skip


def parse_components(text: str) -> list[int]:
    """Numbers of components: ``1:6`` is 1 to 6, ``2,3,5`` a list; parts may be combined.

    >>> parse_components("1:3,6")
    [1, 2, 3, 6]
    """
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = int(last) if colon else low
            if low < 1 or high < low or high - low >= _MOST:
                raise ValueError
            numbers += range(low, high + 1)
    except ValueError:
        raise InputError(
            f"--components {text!r}: give a range such as 1:6 or a list such as 2,3,5, at most {_MOST} numbers from 1."
        ) from None
    return sorted(set(numbers))


def parse_structures(text: str) -> list[str]:
    """Structures separated by commas; ``all`` is every one.

    >>> parse_structures("full, diag")
    ['full', 'diag']
    """
    return (
        list(COVARIANCE_TYPES) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]
    )


def run_compare(
    frame: pd.DataFrame,
    components: str,
    structures: str,
    *,
    out: Path | None,
    as_json: bool,
    source: str,
    **options: Any,
) -> int:
    """Compare, print, write the report; the exit code is 3 where no fit converged."""
    from bayesgmm.compare import compare_components
    from bayesgmm.storage import check_writable

    numbers, names = parse_components(components), parse_structures(structures)
    if out is not None:
        check_writable(out)
        if out.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{out}: the report is HTML; give a name that ends in .html.")
    comparison = compare_components(frame, numbers, covariance_type=names, **options)
    print(json.dumps(as_record(comparison, source), indent=2) if as_json else as_text(comparison, source, frame))
    if out is not None:
        from bayesgmm.reporting.report import report

        report(comparison, out)
        print(f"report written to {out}", file=sys.stderr if as_json else sys.stdout)
    return 0 if (comparison.table["status"] != "not converged").any() else 3


def as_text(comparison: Comparison, source: str, frame: pd.DataFrame) -> str:
    """The answer, then the table turned on its side."""
    table = comparison.table
    shown = table[[name for name in _SHOWN if name in table]].rename(columns=_SHOWN)
    turned = shown.map(_cell).T
    turned.columns = [str(label) for label in table.index]
    head = f"{source}: {len(frame)} rows, {frame.shape[1]} columns ({', '.join(map(str, frame.columns))})"
    return f"{head}\n\n{comparison}\n\n{turned.to_string()}"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool,)) or type(value).__name__ == "bool":
        return "yes" if value else "NO"
    number = float(value)
    if not math.isfinite(number):
        return "-"
    return f"{number:.0f}" if number == round(number) and abs(number) < 1e6 else (
        f"{number:.2f}" if abs(number) < 100 else f"{number:.1f}"
    )  # fmt: skip


def as_record(comparison: Comparison, source: str) -> dict[str, Any]:
    """Everything as plain JSON values; what is not known is null."""
    recommendation = comparison.recommendation
    return {
        "source": source,
        "headline": recommendation.headline,
        "sentences": list(recommendation.sentences),
        "n_components": recommendation.n_components,
        "n_clusters": recommendation.n_clusters,
        "cluster_probability": recommendation.cluster_probability,
        "covariance_type": comparison.best.covariance_type,
        "most_probable": recommendation.most_probable,
        "stable": recommendation.stable,
        "criteria_agree": recommendation.agree,
        "table": json.loads(comparison.table.to_json(orient="records")),
        "probability_by_mean_scale": json.loads(comparison.sensitivity.to_json(orient="index")),
        "occupied": json.loads(comparison.occupied.to_json(orient="index")),
    }
