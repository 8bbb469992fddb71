"""One fitted number of components and structure, with everything that speaks for or against it.

A score that cannot be computed is None and leaves a sentence in `problems`; nothing is filled in.

A fit whose sampling was kept short, and that does not meet the convergence criteria, is rough: its scores may do for a
comparison all the same, since differences of under four nats do not count. So its chains are scored one by one, and it
is ranked if they agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesgmm.clustering.classification import Classification
from bayesgmm.clustering.merging import Merging
from bayesgmm.data.copies import multiplicity
from bayesgmm.errors import InputError
from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.evidence.empty_components import EmptyComponentRatio, empty_component_ratio
from bayesgmm.model_selection.evidence.occupancy import draw_occupancy, expected_occupancy, scale_sensitivity
from bayesgmm.model_selection.fit import Fit, kind_of
from bayesgmm.model_selection.loo.loo import LooResult
from bayesgmm.model_selection.loo.pointwise import log_likelihood_blocks, scored_weights
from bayesgmm.model_selection.loo.waic import WaicResult
from bayesgmm.posterior.diagnostics.approximation import approximation_fault
from bayesgmm.posterior.levels import levels
from bayesgmm.progress import out_of_time, stage
from bayesgmm.record import Record
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray

__all__ = ["MOST_ROUGH", "SCALES", "Candidate", "aicc", "score_candidate"]

SCALES = (0.5, 1.0, 2.0)
_LEAST_VISITED = 0.05  # share of the draws
MOST_ROUGH = 2.0  # nats, standard error of the elpd of a fit that is ranked: half of the least difference that counts


@dataclass(frozen=True, eq=False, repr=False)
class Candidate(Record):
    """The scores of one fit.

    Attributes
    ----------
    n_components, kind
        K, the structure of the covariances, the density of a component, and whether there is noise.
    converged : bool
        The convergence criteria are met, by draws given all rows.
    of_sample : bool
        The draws are given a random sample of the rows, so that no score can be set beside those of other fits.
    in_place_of_nuts : bool
        The draws are Laplace's approximation, since NUTS over so many rows takes minutes.
    rough : bool
        It did not, since sampling was kept short, but chains agree on the scores.
    elpd_mcse : float
        Monte Carlo standard error of elpd, where rows say theirs: of a rough fit with the differences between chains.
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
    classification : Classification
        Sizes of the classes, mean posterior probabilities and relative entropy.
    occupied : Series
        Posterior probability of each number of occupied components.
    seconds : float
        To fit and to score.
    stages : dict of str to float
        Seconds of each stage.
    problems : tuple of str
        What could not be computed, and why.
    levels : tuple of str
        Components that stand for one recorded value of a column, a sentence for each column.
    secondary : dict of str to float
        Secondary scores (`model_selection.secondary`), where asked for.
    """

    n_components: int
    kind: Kind
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
    sensitivity: pd.DataFrame | None
    empty_ratio: EmptyComponentRatio | None
    merging: Merging
    classification: Classification
    occupied: pd.Series[float]
    seconds: float
    problems: tuple[str, ...]
    secondary: dict[str, float] = field(default_factory=dict)
    levels: tuple[str, ...] = ()
    rough: bool = False
    elpd_mcse: float = math.nan
    stages: dict[str, float] = field(default_factory=dict)
    of_sample: bool = False
    in_place_of_nuts: bool = False

    @property
    def status(self) -> str:
        """``"converged"``, ``"rough"``, ``"sample"`` (of the rows) or ``"not converged"``."""
        if self.converged or self.rough:
            return "converged" if self.converged else "rough"
        return "sample" if self.of_sample else "not converged"

    @property
    def log_evidence(self) -> float | None:
        """Log evidence where it may be used."""
        return self.evidence.value if self.evidence is not None and self.evidence.ok else None


def score_candidate(fit: Fit, *, seconds: float, secondary: dict[str, float] | None = None) -> Candidate:
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
        if out_of_time():
            problems.append(f"no {what}: the time was up")
            return None
        try:
            with stage(what):
                return compute()
        except InputError as error:
            problems.append(f"no {what}: {error}")
            return None

    em, diagnosis, attributes = fit.em_, fit.diagnose(), fit.posterior_.attrs
    if "sample_of_rows" in attributes:
        return _of_sample(fit, seconds)
    in_batches = "rows_in_batches" in attributes
    long = in_batches or fit.table_.is_long
    p, total = em.params.n_parameters, float(fit.table_.weights.sum())
    kept_short = bool(attributes.get("kept_short", 0)) and not diagnosis.ok
    apart = attempt("differences between chains", lambda: _between_chains(fit.posterior_)) if kept_short else None
    with stage("merging"):
        merging = fit.merging()
        occupancy = (expected_occupancy if "log_evidence" in attributes else draw_occupancy)(fit.posterior_)
    elsewhere = _likely_elsewhere(attributes, merging) if kept_short else ""
    problems += [elsewhere] * bool(elsewhere)
    rough = apart is not None and apart <= MOST_ROUGH and not elsewhere
    useless = long and approximation_fault(attributes) is not None
    if useless:
        problems.append("no LOO and no log evidence of such draws: compare BIC, or fit a sample of the observations.")
    # Repairs are worth their time only for a fit that takes part in the ranking.
    loo = None if useless else attempt("LOO", lambda: fit.loo(repair=bool(diagnosis.ok) or rough))
    of_rows = math.nan if loo is None else math.hypot(math.sqrt(float(np.nansum(loo.mcse_i**2))), loo.sampling_se)
    mcse = of_rows if apart is None else math.hypot(apart, of_rows)
    hopeless = useless or (kept_short and not rough)  # its evidence would not be used
    evidence = None if hopeless else attempt("log evidence", fit.log_evidence)
    if loo is not None and not loo.ok:
        problems.append(str(loo))
    if evidence is not None and not evidence.ok:
        problems.append(str(evidence))
    ratio = None if fit.n_components == 1 or fit.noise or long else attempt(
        "empty-component ratio", lambda: empty_component_ratio(fit.posterior_, fit.table_, fit.prior_)
    )  # fmt: skip
    sensitivity = None if evidence is None else attempt(
        "sensitivity", lambda: scale_sensitivity(evidence, fit.posterior_, fit.prior_, occupancy, SCALES)
    )  # fmt: skip
    return Candidate(
        n_components=fit.n_components,
        kind=kind_of(fit),
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
        waic=None if long else attempt("WAIC", fit.waic),
        evidence=evidence,
        sensitivity=sensitivity,
        empty_ratio=ratio,
        merging=merging,
        classification=fit.classification(),
        occupied=occupancy.probability,
        seconds=seconds,
        problems=tuple(problems),
        levels=tuple(levels(fit.posterior_)),
        secondary=secondary or {},
        rough=rough,
        elpd_mcse=mcse,
        in_place_of_nuts="in_place_of_nuts" in attributes,
    )


def _of_sample(fit: Fit, seconds: float) -> Candidate:
    """Of a fit with the posterior of a sample of its rows: the criteria of EM, which are of all rows, and clusters."""
    em, diagnosis, attributes = fit.em_, fit.diagnose(), fit.posterior_.attrs
    total = int(attributes["sample_of_rows"])
    return Candidate(
        n_components=fit.n_components, kind=kind_of(fit), converged=False, verdict=diagnosis.verdict,
        method=str(attributes.get("method", "")), notes=str(attributes.get("notes", "")),
        log_likelihood=em.log_likelihood, aicc=aicc(em.aic, em.params.n_parameters, total), bic=em.bic, icl=em.icl,
        n_parameters=em.params.n_parameters, loo=None, waic=None, evidence=None, sensitivity=None, empty_ratio=None,
        merging=fit.merging(), classification=fit.classification(),
        occupied=draw_occupancy(fit.posterior_).probability, seconds=seconds, problems=(),
        levels=tuple(levels(fit.posterior_)), of_sample=True,
    )  # fmt: skip


def _between_chains(tree: xarray.DataTree) -> float:
    """Standard error of elpd by the differences between chains in the log predictive density of the rows."""
    times = multiplicity(scored_weights(tree))
    blocks = (logsumexp(values, axis=1) @ times[where] for where, values in log_likelihood_blocks(tree))
    alone = np.sum(list(blocks), axis=0)
    return float(np.std(alone, ddof=1) / math.sqrt(len(alone))) if len(alone) > 1 else math.inf


def _likely_elsewhere(attributes: Mapping[Any, Any], merging: Merging) -> str:
    """A sentence if short chains have hardly been where most of the posterior probability is: that chains agree says
    nothing then. Components that count there are those that `clustering.merging` counts."""
    likely = int(attributes.get("likely_occupied", merging.occupied.shape[1]))
    if (merging.occupied.sum(axis=1) <= likely).mean() >= _LEAST_VISITED:
        return ""
    return (
        f"not ranked: its short chains have hardly been where {likely} {plural(likely, 'component')} "
        f"{'is' if likely == 1 else 'are'} occupied, which is most probable (Laplace approximation)"
    )


def aicc(aic: float, n_parameters: int, n_rows: float) -> float:
    """Akaike's criterion corrected for few rows (Hurvich and Tsai 1989); infinite with too few for the correction.

    >>> aicc(210.0, 5, 16.0)
    216.0
    """
    left = n_rows - n_parameters - 1.0
    return aic + 2.0 * n_parameters * (n_parameters + 1.0) / left if left > 0.0 else float("inf")
