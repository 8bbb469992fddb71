"""The sections of a report, in the order of a reader's questions; each is a function from a subject to a section.

May import what reporting may.
"""

from __future__ import annotations

from collections.abc import Callable

from bayesgmm.reporting.document.blocks import Section
from bayesgmm.reporting.sections.again import again
from bayesgmm.reporting.sections.answer import answer
from bayesgmm.reporting.sections.assignments import assignments
from bayesgmm.reporting.sections.choice import choice
from bayesgmm.reporting.sections.clusters import clusters
from bayesgmm.reporting.sections.convergence import convergence
from bayesgmm.reporting.sections.methods import methods
from bayesgmm.reporting.sections.predictive_check import predictive_check
from bayesgmm.reporting.sections.prior import prior
from bayesgmm.reporting.sections.question import question
from bayesgmm.reporting.sections.subject import Subject
from bayesgmm.reporting.sections.versions import versions

__all__ = ["SECTIONS", "Subject"]

SECTIONS: tuple[Callable[[Subject], Section], ...] = (
    question, answer, convergence, choice, clusters, assignments, prior, predictive_check, methods, again, versions,
)  # fmt: skip
