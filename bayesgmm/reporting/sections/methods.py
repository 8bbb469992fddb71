"""The methods paragraph of a paper, ready to paste, with its references and their BibTeX."""

from __future__ import annotations

import json

import numpy as np

from bayesgmm.model_selection.fit import kind_of
from bayesgmm.posterior.diagnostics.convergence import ESS_MIN, R_HAT_MAX
from bayesgmm.posterior.tree import structure_of
from bayesgmm.reporting.comparison import probability_of
from bayesgmm.reporting.document.blocks import Bullets, Code, Fold, Heading, Section
from bayesgmm.reporting.numbers import count, join, percent
from bayesgmm.reporting.references import bibtex, cited, listed
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["methods", "methods_paragraph"]


def methods(subject: Subject) -> Section:
    """Paragraph, references, BibTeX."""
    text, keys = methods_paragraph(subject)
    return Section(
        "methods", "Methods paragraph",
        (
            Code(text, "prose"),
            Heading("References"),
            Bullets(tuple(listed(keys))),
            Fold("BibTeX", (Code(bibtex(keys), "bibtex"),)),
        ),
    )  # fmt: skip


_HOW = {
    "nuts": ("by the No-U-Turn sampler", "hoffman2014"),
    "gibbs": ("by Gibbs sampling with moves between modes", "diebolt1994"),
    "laplace": ("by Laplace's approximation with importance resampling", "tierney1986"),
    "advi": ("by mean-field variational inference", "kucukelbir2017"),
    "fullrank_advi": ("by full-rank variational inference", "kucukelbir2017"),
}


class _Cited:
    """Keeps what was cited."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        self.keys += keys
        return f"({'; '.join(cited(key) for key in keys)})"


def methods_paragraph(subject: Subject) -> tuple[str, list[str]]:
    """The paragraph, and the keys of the works it cites."""
    cite = _Cited()
    sentences = [
        *_model(subject, cite),
        *_data(subject, cite),
        *_prior(subject, cite),
        *_posterior(subject, cite),
        *(_choice(subject, cite) if subject.compared is not None else _given(subject)),
        *_checks(subject, cite),
        _software(subject, cite),
    ]
    return " ".join(sentences), list(dict.fromkeys(cite.keys))


def _model(subject: Subject, cite: _Cited) -> list[str]:
    fit, structure = subject.fit, structure_of(subject.fit.posterior_)
    table, kind = fit.table_, kind_of(subject.fit)
    d = table.n_features
    out = [
        f"We modelled {count(float((table.weights > 0).sum()))} observations of {d} variable{'s' * (d > 1)} "
        f"({join(table.feature_names)}) by a finite mixture {cite('mclachlan2000')} of "
        f"{kind.counted(fit.n_components)} ({structure.name} covariance: {structure.words})."
    ]
    if structure.component != "normal":
        out.append(f"Components were t distributions, whose degrees of freedom were estimated {cite('peel2000')}.")
    if structure.has_background:
        out.append(f"A noise component, uniform over the box of the data, was included {cite('banfield1993')}.")
    return out


def _data(subject: Subject, cite: _Cited) -> list[str]:
    table, out = subject.fit.table_, []
    if subject.fit.standardize:
        out.append("Variables were standardised for estimation; results are in original units.")
    if not table.is_complete:
        out.append(
            "Observations with missing cells entered by the density of their observed cells, which is valid if cells "
            f"are missing at random {cite('rubin1976')}."
        )
    if table.weight_type == "survey":
        out.append("Survey weights were rescaled to Kish's effective sample size.")
    elif table.weights.min() != table.weights.max():
        out.append("Observations were weighted by their frequencies.")
    if table.known is not None:
        out.append(f"The component of {count(float((table.known >= 0).sum()))} observations was known and held fixed.")
    if subject.fit.prior_.rounded_columns():
        out.append("The variance of rounding to the recording step of a variable was part of the model.")
    return out


def _prior(subject: Subject, cite: _Cited) -> list[str]:
    prior, structure = subject.fit.prior_, structure_of(subject.fit.posterior_)
    what = "variances" if prior.family.on_variance else "standard deviations"
    ranges = f" scaled to the range of each variable {cite('richardson1997')}" if _default_means(subject) else ""
    lkj = ""
    if structure.correlated and subject.fit.table_.n_features > 1:
        lkj = f", and an LKJ({prior.lkj_eta:g}) prior of the correlations {cite('lewandowski2009')}"
    return [
        f"Mixing proportions had a symmetric Dirichlet({prior.concentration:g}) prior, component means independent "
        f"normal priors{ranges}, component {what} {type(prior.family).__name__} priors{lkj}; all numbers are in the "
        "section on the prior."
    ]


def _default_means(subject: Subject) -> bool:
    given = getattr(subject.fit, "prior", None)
    return given is None or (given.mean_loc is None and given.mean_scale is None)


def _posterior(subject: Subject, cite: _Cited) -> list[str]:
    fit = subject.fit
    attrs, sizes = fit.posterior_.attrs, fit.posterior_["posterior"].sizes
    used = str(attrs["inference"])
    how, work = _HOW.get(used, (f"by {attrs.get('method', used)}", ""))
    draws = f"{sizes['chain']} chains of {count(sizes['draw'])} draws"
    if used not in ("nuts", "gibbs"):
        draws = f"{count(sizes['chain'] * sizes['draw'])} draws"
    warm_up = f" after {fit.tune} warm-up iterations" * (used == "nuts")
    out = [
        f"Starting values were maximum-likelihood fits by the EM algorithm {cite('dempster1977')} from {fit.n_init} "
        "starts.",
        f"The posterior was found {how}{f' {cite(work)}' if work else ''}, {draws}{warm_up}.",
    ]
    if fit.n_components > 1:
        out.append(f"Label switching was corrected by relabelling {cite('stephens2000')}.")
    verdict = "were met" if subject.diagnosis.ok else "were NOT met"
    out.append(
        f"Convergence was judged on quantities that do not depend on labels {cite('vehtari2021')}: the criteria "
        f"(R-hat below {R_HAT_MAX:g}, bulk and tail effective sample size above {ESS_MIN:g}) {verdict}."
    )
    return out


def _choice(subject: Subject, cite: _Cited) -> list[str]:
    assert subject.compared is not None
    chosen = subject.compared.candidates[subject.compared.recommendation.label]
    numbers = sorted({fit.n_components for fit in subject.fits.values()})
    out = [
        f"Fits with K = {join([str(k) for k in numbers])} components ({len(subject.fits)} in all) were compared by "
        f"expected log predictive density, estimated by leave-one-out cross-validation {cite('vehtari2017')}, by the "
        f"marginal likelihood, estimated by bridge sampling {cite('meng1996')}, by BIC {cite('schwarz1978')} and by "
        f"ICL {cite('biernacki2000')}.",
        "We took the smallest K whose predictive density was within one standard error, or 4, of the best: K = "
        f"{chosen.n_components}."
        if chosen.loo is not None
        else f"We took the K of largest posterior probability: K = {chosen.n_components}.",
    ]
    p = probability_of(subject.compared)
    if np.isfinite(p):
        out.append(f"Its posterior probability among the fits compared was {'above 0.99' if p > 0.99 else f'{p:.2f}'}.")
    return out


def _given(subject: Subject) -> list[str]:
    return [f"The number of components, {subject.fit.n_components}, was given."]


def _checks(subject: Subject, cite: _Cited) -> list[str]:
    out = [
        f"Results are posterior means with {percent(subject.ci_prob)} credible intervals.",
        f"Model fit was checked by replicated tables from the posterior predictive distribution {cite('gelman1996')}, "
        f"sensitivity to the prior by reweighting and power-scaling {cite('kallioinen2024')}.",
    ]
    if len(subject.classes) > 1:
        out.insert(1, f"How well classes are told apart is given by the relative entropy {cite('celeux1996')}.")
    if subject.told.labels is not None:
        out.append(f"Agreement with known classes is the adjusted Rand index {cite('hubert1985')}.")
    return out


def _software(subject: Subject, cite: _Cited) -> str:
    attrs = subject.fit.posterior_.attrs
    versions = json.loads(attrs["versions"])
    named = {"pymc": f"PyMC {versions.get('pymc', '')} {cite('abril2023')}",
             "arviz": f"ArviZ {versions.get('arviz', '')} {cite('kumar2019')}"}  # fmt: skip
    seed = attrs["random_seed"]
    said = "no seed was set" if seed == "none" else f"random seed {seed}"
    return (
        f"Computations used bayesgmm {attrs['bayesgmm_version']} with {named['pymc']}, {named['arviz']} and nutpie "
        f"{versions.get('nutpie', '')} ({said})."
    )
