"""Checklists of reporting standards, answered item by item from the sections of a report.

May import what reporting may.
"""

from __future__ import annotations

from collections.abc import Sequence

from bayesgmm.reporting.checklists import grolts, smart_lca
from bayesgmm.reporting.checklists.items import Checklist
from bayesgmm.reporting.document.blocks import Link, Section, Tabular, Text
from bayesgmm.reporting.numbers import Grid
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["CHECKLISTS", "checklist_section"]

CHECKLISTS: dict[str, Checklist] = {"smart-lca": smart_lca.CHECKLIST, "grolts": grolts.CHECKLIST}


def checklist_section(name: str, subject: Subject, sections: Sequence[Section]) -> Section:
    """Every item with its answer, and the section where it stands."""
    checklist = CHECKLISTS[name]
    titles = {section.key: section.title for section in sections}
    rows = []
    for item in checklist.items:
        found = item.answer(subject)
        place = Link.to(titles[found.section], found.section) if found.section else "–"
        rows.append([item.number, item.text, found.text, place])
    grid = Grid.of(["item", "what is to be reported", "answer", "place"], rows, n_text=4)
    return Section(
        f"checklist-{name}", f"{checklist.name} checklist",
        (Text(checklist.source), Tabular(f"checklist-{name}", f"{checklist.name}, item by item.", grid)),
    )  # fmt: skip
