"""One fitted number of components and structure, with everything that speaks for or against it.

A score that cannot be computed is None and leaves a sentence in `problems`; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesgmm.empty_components import EmptyComponentRatio, empty_component_ratio
from bayesgmm.errors import InputError
from bayesgmm.evidence import Evidence
from bayesgmm.loo import LooResult
from bayesgmm.merging import Merging
from bayesgmm.occupancy import draw_occupancy, scale_sensitivity
from bayesgmm.waic import WaicResult

if TYPE_CHECKING:
    from bayesgmm.estimator import BayesianGMM

__all__ = ["SCALES", "Candidate", "aicc", "score_candidate"]

SCALES = (0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Candidate:
    """The scores of one fit.

    Attributes
    ----------
    n_components, covariance_type
        K and the structure.
    converged : bool
        The convergence gate passed.
    verdict, method, notes : str
        Of the diagnosis, of the sampler, and what was done besides (escalation); `notes` may be empty.
    log_likelihood, aicc, bic, icl : float
        Of the maximum-likelihood fit.
    n_parameters : int
    loo, waic, evidence : LooResult, WaicResult, Evidence or None
    sensitivity : DataFrame or None
        Log evidence at `SCALES` times the prior scale of the means.
    empty_ratio : EmptyComponentRatio or None
        Bayes factor of K - 1 against K from empty components; None for K = 1.
    merging : Merging
    occupied : Series
        Posterior probability of each number of occupied components.
    seconds : float
        To fit and to score.
    problems : tuple of str
        What could not be computed, and why.
    secondary : dict of str to float
        Secondary scores (`bayesgmm.secondary`), where asked for.
    """

    n_components: int
    covariance_type: str
    converged: bool
    verdict: str
    method: str
    notes: str
    log_likelihood: float
    aicc: float
    bic: float
    icl: float
    n_parameters: int
    loo: LooResult | None
    waic: WaicResult | None
    evidence: Evidence | None
    sensitivity: pd.DataFrame | None = field(repr=False)
    empty_ratio: EmptyComponentRatio | None
    merging: Merging
    occupied: pd.Series[float] = field(repr=False)
    seconds: float
    problems: tuple[str, ...]
    secondary: dict[str, float] = field(default_factory=dict)

    @property
    def log_evidence(self) -> float | None:
        """Log evidence where it may be used."""
        return self.evidence.value if self.evidence is not None and self.evidence.ok else None


def score_candidate(fit: BayesianGMM, *, seconds: float, secondary: dict[str, float] | None = None) -> Candidate:
    """Every score of a fit; what the fit has computed already is not computed again.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    seconds : float
        Time that the fit has taken.
    secondary : dict of str to float, optional
        Further columns.

    Returns
    -------
    Candidate
    """
    problems: list[str] = []

    def attempt(what: str, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except InputError as error:
            problems.append(f"no {what}: {error}")
            return None

    em, diagnosis, attributes = fit.em_, fit.diagnose(), fit.posterior_.attrs
    p, total = em.params.n_parameters, float(fit.table_.weights.sum())
    # Repairs are worth their time only for a fit that takes part in the ranking.
    loo = attempt("LOO", lambda: fit.loo(repair=bool(diagnosis.ok)))
    evidence = attempt("log evidence", fit.log_evidence)
    if loo is not None and not loo.ok:
        problems.append(str(loo))
    if evidence is not None and not evidence.ok:
        problems.append(str(evidence))
    occupancy = draw_occupancy(fit.posterior_)
    ratio = None if fit.n_components == 1 else attempt(
        "empty-component ratio", lambda: empty_component_ratio(fit.posterior_, fit.table_, fit.prior_)
    )  # fmt: skip
    sensitivity = None if evidence is None else attempt(
        "sensitivity", lambda: scale_sensitivity(evidence, fit.posterior_, fit.prior_, occupancy, SCALES)
    )  # fmt: skip
    return Candidate(
        n_components=fit.n_components,
        covariance_type=fit.covariance_type,
        converged=bool(diagnosis.ok),
        verdict=diagnosis.verdict,
        method=str(attributes.get("method", "")),
        notes=str(attributes.get("notes", "")),
        log_likelihood=em.log_likelihood,
        aicc=aicc(em.aic, p, total),
        bic=em.bic,
        icl=em.icl,
        n_parameters=p,
        loo=loo,
        waic=attempt("WAIC", fit.waic),
        evidence=evidence,
        sensitivity=sensitivity,
        empty_ratio=ratio,
        merging=fit.merging(),
        occupied=occupancy.probability,
        seconds=seconds,
        problems=tuple(problems),
        secondary=secondary or {},
    )


def aicc(aic: float, n_parameters: int, n_rows: float) -> float:
    """Akaike's criterion corrected for few rows (Hurvich and Tsai 1989); infinite with too few for the correction.

    >>> aicc(210.0, 5, 16.0)
    216.0
    """
    left = n_rows - n_parameters - 1.0
    return aic + 2.0 * n_parameters * (n_parameters + 1.0) / left if left > 0.0 else float("inf")
