"""Facts of a fit or comparison that several items of checklists ask for."""

from __future__ import annotations

import numpy as np

from bayesgmm.model_selection.fit import kind_of
from bayesgmm.reporting.class_quality import class_quality
from bayesgmm.reporting.numbers import count, join
from bayesgmm.reporting.sections.subject import Subject

__all__ = [
    "converged", "entropy", "kinds", "kinds_are_several", "missing", "numbers", "proportions", "sample_size", "scaling",
    "starts",
]  # fmt: skip


def numbers(subject: Subject) -> str:
    """K of every fit."""
    found = sorted({fit.n_components for fit in subject.fits.values()})
    one = "K = 1 is among them" if 1 in found else "K = 1 is not among them"
    return f"{len(subject.fits)} fits, K = {join([str(k) for k in found])}; {one}."


def kinds(subject: Subject) -> str:
    """Kinds of mixture that were fitted."""
    found = list(dict.fromkeys(str(kind_of(fit)) for fit in subject.fits.values()))
    return f"Fitted: {join(found)}." + ("" if len(found) > 1 else " No other kind was compared.")


def kinds_are_several(subject: Subject) -> bool:
    return len({kind_of(fit) for fit in subject.fits.values()}) > 1


def missing(subject: Subject) -> str:
    """How many cells are missing."""
    gaps = np.isnan(subject.fit.table_.values)
    if not gaps.any():
        return "No cell is missing."
    return f"{count(gaps.sum())} of {count(gaps.size)} cells are missing; by variable in the table."


def sample_size(subject: Subject) -> str:
    """Observations, and how many for each parameter."""
    n, p = float(subject.fit.table_.weights.sum()), subject.fit.em_.params.n_parameters
    return f"{count(n)} observations for {count(p)} parameters, {n / p:.1f} each."


def scaling(subject: Subject) -> str:
    return (
        "Variables were standardised for estimation; results are in original units."
        if subject.fit.standardize
        else "Variables were modelled as they are, without rescaling."
    )


def starts(subject: Subject) -> str:
    em = subject.fit.em_
    return (
        f"{len(em.starts)} starts of EM, of which {em.n_reached_best} reached the best log-likelihood; table of starts."
    )


def converged(subject: Subject) -> str:
    ok = sum(bool(fit.diagnose().ok) for fit in subject.fits.values())
    return f"{ok} of {len(subject.fits)} fit{'s' * (len(subject.fits) != 1)} met the convergence criteria."


def entropy(subject: Subject) -> str:
    value = class_quality(subject.fit, subject.probabilities).entropy
    if np.isnan(value):
        return "There is one class, of which there is no entropy."
    return f"Relative entropy {value:.3f}; classification table and mean posterior probabilities."


def proportions(subject: Subject) -> str:
    found = [f"{w:.2f}" for w in class_quality(subject.fit, subject.probabilities).share]
    return f"Mixing proportions {join(found)}, with intervals."
