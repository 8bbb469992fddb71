"""All scores of all fits, and the few of them that the choice of K rests on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesgmm.clustering.merging_words import numbers_in_words
from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.ranking import Label, elpd_table, probabilities, ranked
from bayesgmm.wording import probability

__all__ = ["comparison_details", "comparison_table"]

_SCREEN = 79  # characters that pandas prints on a screen of 80 without leaving columns out
# Columns of the table to read: the one of the details, and its decimals. Names are short, since all are to fit.
_READ = {
    "elpd_diff": ("elpd_diff", 1), "diff_se": ("diff_se", 1), "log_ev": ("log_evidence", 1),
    "prob": ("probability", None), "bic": ("bic", 0), "clusters": ("clusters", None), "entropy": ("entropy", 2),
    "status": ("status", None),
}  # fmt: skip
_LEFT_OUT_FIRST = ("entropy", "bic", "diff_se", "log_ev")


def comparison_table(details: pd.DataFrame) -> pd.DataFrame:
    """The columns that the choice of K rests on, rounded, no wider than a terminal.

    Parameters
    ----------
    details : DataFrame
        Of `comparison_details`.

    Returns
    -------
    DataFrame
        ``elpd_diff, diff_se`` (expected log predictive density less that of the best, and the standard error of the
        difference), ``log_ev`` (log evidence), ``prob`` (p(K | y), as text), ``bic``, ``clusters`` (number after
        merging, or between which it lies), ``entropy`` (relative, 1: every assignment is certain), ``status``. NaN
        where there is no number. Beside long labels of several kinds of mixture there is no room for ``entropy``,
        ``bic``, ``diff_se``, ``log_ev``.
    """
    if not len(details):
        return pd.DataFrame(columns=list(_READ))
    found = {}
    for name, (column, decimals) in _READ.items():
        values = details[column]
        found[name] = values if decimals is None else values.astype(float).round(decimals) + 0.0  # no minus zero
    found["prob"] = details["probability"].map(probability)
    table = pd.DataFrame(found, index=details.index).astype({"bic": np.int64})
    for name in _LEFT_OUT_FIRST:
        if max(map(len, table.to_string().splitlines())) > _SCREEN:
            table = table.drop(columns=name)
    return table


def comparison_details(candidates: Mapping[Label, Candidate]) -> pd.DataFrame:
    """All scores, a row a fit.

    Parameters
    ----------
    candidates : mapping of Candidate

    Returns
    -------
    DataFrame
        ``n_components, covariance_type, component, noise, ranked``; of the maximum-likelihood fit ``log_likelihood,
        bic, icl, aicc`` (lower is better); ``elpd_loo, se, elpd_diff, diff_se`` (less the best ranked fit, negative is
        worse, as ArviZ has it), ``p_loo, max_pareto_k`` (before repair), ``loo_methods`` (observations by method),
        ``n_bad_rows`` (observations not to be trusted), ``elpd_waic, n_waic_unstable`` (legacy); ``log_evidence, mcse``
        (none where it may not be used), ``log_bf_smaller, log_bf_empty, log_bf_empty_mcse`` (log Bayes factor of K - 1
        against K, by the evidences and from empty components), ``probability`` (p(K | y), all fits equally probable a
        priori), ``stacking_weight``; ``occupied_mean, occupied_mode, clusters, n_clusters, cluster_probability``; what
        latent profile analyses report (`clustering.classification`): ``entropy`` (relative), ``n_min, n_max, share_min,
        share_max`` (observations in the smallest and the largest class by most probable component, and their shares,
        which tidyLPA calls n_min and n_max), ``prob_min, prob_max`` (smallest and largest mean posterior probability of
        a class; noise is no class); ``converged, status`` (converged, rough, not converged, or
        sample: of the posterior of a random sample of the rows), ``elpd_mcse`` (Monte
        Carlo standard error of elpd), ``method, escalation, seconds``; then secondary scores, where asked for. NaN
        where there is no number; a fit that is not ranked has no probability and no stacking weight.
    """
    differences, p, weight = elpd_table(candidates), probabilities(candidates), _stacking(candidates)
    taking_part = set(ranked(candidates))
    rows = {}
    for label, c in candidates.items():
        loo, waic, evidence, ratio = c.loo, c.waic, c.log_evidence, c.empty_ratio
        smaller = _smaller(candidates, c)
        rows[label] = {
            "n_components": c.n_components,
            **c.kind._asdict(),
            "ranked": label in taking_part,
            "log_likelihood": c.log_likelihood,
            "bic": c.bic,
            "icl": c.icl,
            "aicc": c.aicc,
            "elpd_loo": loo.elpd if loo else np.nan,
            "se": loo.se if loo else np.nan,
            "elpd_diff": differences.at[label, "elpd_diff"],
            "diff_se": differences.at[label, "diff_se"],
            "p_loo": loo.p if loo else np.nan,
            "max_pareto_k": float(loo.pareto_k.max()) if loo else np.nan,
            "loo_methods": ", ".join(f"{name} {n}" for name, n in loo.counts.items()) if loo else "",
            "n_bad_rows": loo.n_bad if loo else np.nan,
            "elpd_waic": waic.elpd if waic else np.nan,
            "n_waic_unstable": waic.n_unstable if waic else np.nan,
            "log_evidence": np.nan if evidence is None else evidence,
            "mcse": c.evidence.mcse if c.evidence else np.nan,
            "log_bf_smaller": np.nan if evidence is None or smaller is None else smaller - evidence,
            "log_bf_empty": ratio.value if ratio and ratio.ok else np.nan,
            "log_bf_empty_mcse": ratio.mcse if ratio and ratio.ok else np.nan,
            "probability": p[label],
            "stacking_weight": weight[label],
            "occupied_mean": float(c.occupied.index.to_numpy() @ c.occupied.to_numpy()),
            "occupied_mode": int(c.occupied.index[int(c.occupied.to_numpy().argmax())]),
            "clusters": numbers_in_words(c.merging.numbers),
            "n_clusters": c.merging.best,
            "cluster_probability": c.merging.best_probability,
            "entropy": c.classification.relative_entropy,
            "n_min": c.classification.n_min,
            "n_max": c.classification.n_max,
            "share_min": float(c.classification.shares.min()),
            "share_max": float(c.classification.shares.max()),
            "prob_min": c.classification.prob_min,
            "prob_max": c.classification.prob_max,
            "converged": c.converged,
            "status": c.status,
            "elpd_mcse": c.elpd_mcse,
            "method": c.method,
            "escalation": c.notes,
            "seconds": c.seconds,
            **c.secondary,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _smaller(candidates: Mapping[Label, Candidate], candidate: Candidate) -> float | None:
    """Log evidence of the fit with one component less and the same structure."""
    for other in candidates.values():
        if (other.n_components, other.kind) == (candidate.n_components - 1, candidate.kind):
            return other.log_evidence
    return None


def _stacking(candidates: Mapping[Label, Candidate]) -> pd.Series[float]:
    """Weights of the ranked fits that average their predictive densities best (Yao, Vehtari, Simpson, Gelman 2018)."""
    import warnings

    out = pd.Series(np.nan, index=list(candidates), dtype=float)
    records = {str(n): c.to_elpd_data() for n in ranked(candidates) if (c := candidates[n].loo) is not None}
    names = {str(n): n for n in candidates}
    if len(records) == 1:
        out[names[next(iter(records))]] = 1.0
    if len(records) > 1:
        import arviz as az

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # rows not to be trusted are said by `n_bad_rows`
            table = az.compare(records, method="stacking", round_to="none")
        for name, weight in table["weight"].items():
            out[names[str(name)]] = float(weight)
    return out
