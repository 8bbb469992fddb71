"""The numbers by which fits are ranked: paired differences of elpd, and posterior probabilities of K.

A fit that does not meet the convergence criteria is not ranked, unless sampling was kept short and its chains agree on
the scores (`model_selection.candidate`), or all failed.

Two fits predict about equally well where their elpd differ by less than one standard error of the paired difference,
with the Monte Carlo errors of both, or by less than 4: of so small a difference the standard error is itself not to be
believed (Sivula, Magnusson, Matamoros, Vehtari 2025, Bayesian Analysis; arXiv 2008.10296). Without the second clause
surplus components win by fractions of a nat: on Old Faithful K = 5 is 0.48 above K = 4 with a standard error of 0.47.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from bayesgmm.data.copies import weighted_spread
from bayesgmm.model_selection.candidate import SCALES, Candidate
from bayesgmm.model_selection.loo.loo import LooResult

__all__ = [
    "NEGLIGIBLE_ELPD",
    "Label",
    "depends_on",
    "elpd_difference",
    "elpd_table",
    "predict_as_well",
    "probabilities",
    "ranked",
    "scale_table",
]

Label = int | str
Array = NDArray[np.float64]

NEGLIGIBLE_ELPD = 4.0


def ranked(candidates: Mapping[Label, Candidate]) -> list[Label]:
    """Labels of the fits that take part in the rankings: those converged or rough, or all if there are none."""
    usable = [label for label, c in candidates.items() if c.converged or c.rough]
    return usable or list(candidates)


def elpd_difference(best: LooResult, other: LooResult) -> tuple[float, float]:
    """elpd of `other` less that of `best`, and the standard error of the paired difference over rows, or copies."""
    difference, n = other.elpd_i - best.elpd_i, float(best.weight_i.sum())
    spread = weighted_spread(difference, best.weight_i) * math.sqrt((n - 1.0) / n) if n > 1.0 else 0.0
    return float(difference.sum()), spread


def elpd_table(candidates: Mapping[Label, Candidate]) -> pd.DataFrame:
    """``elpd_diff`` and ``diff_se`` of every fit with LOO, less the best ranked one: negative is worse, as in ArviZ."""
    results = {label: c.loo for label, c in candidates.items() if c.loo is not None}
    names = [label for label in ranked(candidates) if label in results]
    out = pd.DataFrame(index=list(candidates), columns=["elpd_diff", "diff_se"], dtype=float)
    if names:
        best = max(names, key=lambda label: results[label].elpd)
        for label, result in results.items():
            out.loc[label] = elpd_difference(results[best], result)
    return out


def _allowed(candidates: Mapping[Label, Candidate]) -> pd.Series[float]:
    """How far below the best a fit predicts about as well: a standard error, that of the draws included, or 4."""
    table = elpd_table(candidates)
    mcse = {label: float(np.nan_to_num(c.elpd_mcse)) for label, c in candidates.items()}
    scored = [label for label in ranked(candidates) if candidates[label].loo is not None]
    best = mcse[max(scored, key=lambda label: table["elpd_diff"][label])] if scored else 0.0
    se = [math.hypot(table["diff_se"][label], mcse[label], best) for label in table.index]
    return pd.Series(np.maximum(se, NEGLIGIBLE_ELPD), index=table.index)


def predict_as_well(candidates: Mapping[Label, Candidate]) -> list[Label]:
    """Ranked fits that predict about as well as the best, the smallest K first, then the fewest parameters."""
    table, allowed = elpd_table(candidates), _allowed(candidates)
    near = [label for label in ranked(candidates) if table["elpd_diff"][label] >= -allowed[label]]
    return sorted(near, key=lambda label: (candidates[label].n_components, candidates[label].n_parameters))


def depends_on(candidates: Mapping[Label, Candidate]) -> Label | None:
    """The rough fit that the recommendation depends on: it names it, or could if elpd were off by two standard errors.

    The smallest K is recommended that predicts about as well as the best. So first the fit that is named; then rough
    ones with fewer components that could come near the best, then one that could leave the named fit behind.
    """
    near = predict_as_well(candidates)
    rough = [label for label in ranked(candidates) if candidates[label].rough]
    if not near or not rough:
        return None
    named, table, allowed = near[0], elpd_table(candidates), _allowed(candidates)
    if named in rough:
        return named
    for label in sorted(rough, key=lambda label: candidates[label].n_components):
        elpd, slack = table["elpd_diff"][label], 2.0 * candidates[label].elpd_mcse
        smaller = candidates[label].n_components < candidates[named].n_components
        if smaller and elpd + slack >= -allowed[label]:
            return label
        if not smaller and elpd + slack - table["elpd_diff"][named] > allowed[named]:
            return label
    return None


def probabilities(candidates: Mapping[Label, Candidate], scale: float = 1.0) -> pd.Series[float]:
    """Posterior probability of every ranked fit, all equally probable a priori; NaN where there is no evidence.

    Parameters
    ----------
    candidates : mapping
    scale : float
        Factor of the prior scale of the means, one of `SCALES`. Other than 1, there is no answer (all NaN) as soon as
        the evidence of one ranked fit is missing at this scale that is known at scale 1.
    """
    out = pd.Series(np.nan, index=list(candidates), dtype=float)
    value: dict[Label, float] = {}
    for label in ranked(candidates):
        c = candidates[label]
        if c.log_evidence is None:
            continue
        value[label] = c.log_evidence if scale == 1.0 else (
            math.nan if c.sensitivity is None else float(c.sensitivity["log_evidence"].loc[scale])
        )  # fmt: skip
    if value and not any(math.isnan(v) for v in value.values()):
        out[list(value)] = softmax(np.array(list(value.values())))
    return out


def scale_table(candidates: Mapping[Label, Candidate]) -> pd.DataFrame:
    """p(K | y), a row a fit, a column for each factor of the prior scale of the means."""
    table = pd.DataFrame({scale: probabilities(candidates, scale) for scale in SCALES})
    return table.rename_axis(columns="mean_scale_factor")
