"""What was asked, and of which data."""

from __future__ import annotations

from bayesgmm.reporting import method
from bayesgmm.reporting.document.blocks import Block, Section, Tabular, Text
from bayesgmm.reporting.numbers import join
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["question"]


def question(subject: Subject) -> Section:
    """File, observations, variables, missing cells, apparent resolution, fingerprint."""
    table, said = subject.fit.table_, method.data(subject.fit)
    asked = (
        "How many clusters are there, what does each look like, and how sure is it where each observation belongs?"
        if subject.compared is not None
        else f"What do {subject.fit.n_components} component{'s' * (subject.fit.n_components != 1)} of these data look "
        "like, and how sure is it where each observation belongs?"
    )
    where = subject.told.source or "a table in memory (no file was named)"
    facts = (
        f"Data: {where}; variable{'s' * (table.n_features > 1)}: {join(table.feature_names)}. The SHA-256 of the "
        f"values and weights begins with {method.fingerprint(table)}."
    )
    missing = "No cell is missing." if table.is_complete else ""
    blocks: list[Block] = [Text(asked, strong=True), Text(facts)]
    blocks += [Text(line) for line in (*said["sentences"], missing) if line]
    blocks.append(
        Tabular(
            "variables", "Variables, in the units of the table; a unit stands where a name has one.", said["columns"]
        )
    )
    return Section("question", "Question and data", tuple(blocks))
