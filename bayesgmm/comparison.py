"""`Comparison`: fits with different numbers of components side by side, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesgmm.model_selection.candidate import Candidate
from bayesgmm.model_selection.ranking import Label, elpd_table, probabilities, ranked, scale_table
from bayesgmm.model_selection.recommend import Recommendation, recommend

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.estimator import BayesianGMM

__all__ = ["Comparison", "comparison_table"]

_SUMMARY = [
    "elpd_diff", "diff_se", "n_bad_rows", "log_evidence", "mcse", "probability", "bic", "occupied_mean", "n_clusters",
    "cluster_probability", "status",
]  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Fits with different numbers of components (and structures) to one table.

    The keys of `fits`, `trees` and `candidates` and the index of `table` are the numbers of components; with several
    structures they are ``"3 full"``, ``"3 diag"``.

    Attributes
    ----------
    fits : dict of BayesianGMM
    candidates : dict of Candidate
        The scores of each, with their records (`LooResult`, `Evidence`, `Merging`).
    unfinished : tuple of str
        What was left undone, in sentences: numbers of components that time or an interruption left out.
    """

    fits: dict[Label, BayesianGMM]
    candidates: dict[Label, Candidate]
    unfinished: tuple[str, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a fit; see `comparison_table`."""
        return comparison_table(self.candidates)

    @cached_property
    def recommendation(self) -> Recommendation:
        """The three answers; ``str()`` reads as sentences."""
        return recommend(self.candidates, self.unfinished)

    @property
    def trees(self) -> dict[Label, xr.DataTree]:
        """``posterior_`` of each fit, for ``az.compare(cmp.trees)``: ArviZ's numbers, by PSIS without repairs."""
        return {label: fit.posterior_ for label, fit in self.fits.items()}

    @property
    def best(self) -> BayesianGMM:
        """The fit that is recommended."""
        return self.fits[self.recommendation.label]

    @property
    def sensitivity(self) -> pd.DataFrame:
        """p(K | y) with the prior scale of the means halved, as it is, and doubled."""
        return scale_table(self.candidates)

    @property
    def occupied(self) -> pd.DataFrame:
        """Posterior probability of each number of occupied components, a row a fit."""
        series = {label: c.occupied for label, c in self.candidates.items()}
        return pd.DataFrame(series).T.sort_index(axis=1).fillna(0.0)

    @property
    def clusters(self) -> pd.DataFrame:
        """Posterior probability of each number of clusters after merging components, a row a fit."""
        series = {label: c.merging.n_clusters for label, c in self.candidates.items()}
        return pd.DataFrame(series).T.sort_index(axis=1).fillna(0.0)

    @property
    def stages(self) -> pd.DataFrame:
        """Seconds of each stage, a row a fit."""
        return pd.DataFrame({label: c.stages for label, c in self.candidates.items()}).T.fillna(0.0)

    def summary(self) -> pd.DataFrame:
        """The columns of `table` that the recommendation rests on, to read or to print."""
        return self.table[_SUMMARY]

    def plot(self) -> Any:
        """elpd, evidence, occupied components and criteria side by side; see `bayesgmm.plot_comparison`."""
        from bayesgmm.reporting.plots import plot_comparison

        return plot_comparison(self)

    def __repr__(self) -> str:
        return f"Comparison of {len(self.fits)} fits: {self.recommendation.headline}"

    def __str__(self) -> str:
        return str(self.recommendation)


def comparison_table(candidates: Mapping[Label, Candidate]) -> pd.DataFrame:
    """All scores, a row a fit.

    Parameters
    ----------
    candidates : mapping of Candidate

    Returns
    -------
    DataFrame
        ``n_components, covariance_type, ranked``; of the maximum-likelihood fit ``log_likelihood, bic, icl, aicc``
        (lower is better); ``elpd_loo, se, elpd_diff, diff_se`` (less the best ranked fit, negative is worse, as ArviZ
        has it), ``p_loo, max_pareto_k`` (before repair), ``loo_methods`` (rows by method), ``n_bad_rows`` (not to be
        trusted), ``elpd_waic, n_waic_unstable`` (legacy); ``log_evidence, mcse`` (none where it may not be used),
        ``log_bf_smaller, log_bf_empty, log_bf_empty_mcse`` (log Bayes factor of K - 1 against K, by the evidences and
        from empty components), ``probability`` (p(K | y), all fits equally probable a priori), ``stacking_weight``;
        ``occupied_mean, occupied_mode, n_clusters, cluster_probability``; ``converged, status`` (converged, rough or
        not converged), ``elpd_mcse`` (Monte Carlo standard error of elpd), ``method, escalation, seconds``; then
        secondary scores, where asked for. NaN where there is no number; a fit that is not ranked has no probability
        and no stacking weight.
    """
    differences, p, weight = elpd_table(candidates), probabilities(candidates), _stacking(candidates)
    taking_part = set(ranked(candidates))
    rows = {}
    for label, c in candidates.items():
        loo, waic, evidence, ratio = c.loo, c.waic, c.log_evidence, c.empty_ratio
        smaller = _smaller(candidates, c)
        rows[label] = {
            "n_components": c.n_components,
            "covariance_type": c.covariance_type,
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
            "n_clusters": c.merging.best,
            "cluster_probability": float(c.merging.n_clusters[c.merging.best]),
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
        if (other.n_components, other.covariance_type) == (candidate.n_components - 1, candidate.covariance_type):
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
