"""Versions, seed and settings."""

from __future__ import annotations

from bayesgmm.reporting import method
from bayesgmm.reporting.document.blocks import Section, Tabular
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["versions"]


def versions(subject: Subject) -> Section:
    """Two tables."""
    found = method.reproducibility(subject.fit)
    return Section(
        "versions", "Versions and seed",
        (
            Tabular("settings", "Settings of the fit.", found["settings"]),
            Tabular("versions-of-packages", "Versions.", found["versions"]),
        ),
    )  # fmt: skip
