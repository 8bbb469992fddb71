"""Fits and comparisons as text for a terminal, and as plain JSON values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bayesgmm.data.coarse_columns import coarse_columns
from bayesgmm.data.gaps import missing_cells_in_words
from bayesgmm.data.known_labels import known_labels_in_words
from bayesgmm.data.weighting import weights_in_words
from bayesgmm.model_selection.comparison import ComparedFits
from bayesgmm.model_selection.fit import Fit
from bayesgmm.posterior.tree import structure_of
from bayesgmm.reporting.agreement import agreement_text
from bayesgmm.reporting.noise_and_tails import noise_and_tails_in_words
from bayesgmm.reporting.observations import observations_of
from bayesgmm.reporting.parameters import mle_elsewhere, parameter_text
from bayesgmm.reporting.score_tables import score_tables
from bayesgmm.visible import visible
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["comparison_record", "comparison_text", "fit_record", "fit_text"]


def fit_text(fit: Fit, source: str, agreement: dict[str, Any] | None) -> str:
    """The table, the maximum-likelihood fit, the summary, the verdict, the modes.

    Names are shown with their control characters written out, so that a file cannot command the terminal.
    """
    table, (n_rows, about) = fit.table_, observations_of(fit)
    names = ", ".join(map(visible, table.feature_names))
    lines = [f"{visible(source)}: {n_rows} observations of {_variables(table.n_features)} ({names})"]
    known = known_labels_in_words(table.known, table.classes)
    lines += [*missing_cells_in_words(table), *known, *about]
    coarse = coarse_columns(table) if fit.prior_.rounded_columns() else []
    if coarse:
        lines.append(f"Measurement resolution in the model: {visible(', '.join(coarse))}")
    lines.append(f"\nMaximum likelihood (EM)\n{fit.em_}\n")
    summary = fit.summary().rename(index=visible)
    lines.append(parameter_text(summary))
    lines += noise_and_tails_in_words(fit)
    if (fit.em_.starts["method"] == "regularised").any():
        lines.append("The column mle holds the restricted estimate above, which is no maximum of the likelihood.")
    else:
        lines += mle_elsewhere(summary)
    lines.append(f"\n{fit.diagnose()}")
    if len(fit.modes_) > 1:
        lines.append(f"\n{len(fit.modes_)} distinct posterior modes were found (densities per original unit):")
        lines.append(fit.modes_.round(2).to_string(index=False))
    if agreement is not None:
        lines.append(f"\n{agreement_text(agreement)}")
    return _visible_lines(lines)


def fit_record(fit: Fit, source: str, agreement: dict[str, Any] | None) -> dict[str, Any]:
    """Everything as plain JSON values."""
    diagnosis, em = fit.diagnose(), fit.em_
    summary = fit.summary()
    return {
        "source": source,
        "n_rows": observations_of(fit)[0],
        "features": list(fit.table_.feature_names),
        "n_components": fit.n_components,
        "covariance_type": fit.covariance_type,
        "component": fit.component,
        "noise": bool(fit.noise),
        "random_seed": fit.random_seed,
        "em": {"log_likelihood": em.log_likelihood, "bic": em.bic, "aic": em.aic, "icl": em.icl,
               "converged": bool(em.converged)},
        "converged": bool(diagnosis.ok),
        "verdict": diagnosis.verdict,
        "advice": list(diagnosis.advice),
        "summary": json.loads(summary.to_json(orient="index")),
        "weights": fit.weights_.tolist(),
        "means": fit.means_.tolist(),
        "covariances": fit.covariances_.tolist(),
        "df": None if fit.df_ is None else fit.df_.tolist(),
        "noise_weight": fit.noise_weight_,
        "row_names": [str(n) for n in fit.table_.row_names],
        "labels": fit.labels_.tolist(),
        "n_divergences": diagnosis.n_divergences,
        "status": diagnosis.status,
        "prior": fit.prior_.lines(structure_of(fit.posterior_)),
        "modes": json.loads(fit.modes_.to_json(orient="records")),
        "agreement": agreement,
    }  # fmt: skip


def comparison_text(comparison: ComparedFits, source: str, frame: pd.DataFrame | None) -> str:
    """The answer, then the scores in tables; names as in `fit_text`. A table in batches has no frame."""
    table, attributes = comparison.best.table_, comparison.best.posterior_.attrs
    columns = list(table.feature_names if frame is None else frame.columns)
    n_rows = attributes.get("rows_in_batches", attributes.get("sample_of_rows")) if frame is None else len(frame)
    names = ", ".join(visible(name) for name in columns)
    head = f"{visible(source)}: {n_rows} observations of {_variables(len(columns))} ({names})"
    weighted = [] if frame is None else weights_in_words(table)[:1]  # the recommendation says the rest
    return _visible_lines([head, *weighted, "", str(comparison), "", score_tables(comparison.details)])


def _variables(n: int) -> str:
    return f"{n} {plural(n, 'variable')}"


def _visible_lines(lines: list[str]) -> str:
    """The text, in which nothing but line breaks is left of control characters."""
    return visible("\n".join(lines), keep="\n")


def comparison_record(comparison: ComparedFits, source: str) -> dict[str, Any]:
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
        "component": comparison.best.component,
        "noise": bool(comparison.best.noise),
        "most_probable": recommendation.most_probable,
        "stable": recommendation.stable,
        "criteria_agree": recommendation.agree,
        "table": json.loads(comparison.details.to_json(orient="records")),
        "probability_by_mean_scale": json.loads(comparison.sensitivity.to_json(orient="index")),
        "occupied": json.loads(comparison.occupied.to_json(orient="index")),
    }
