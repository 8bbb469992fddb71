"""Who belongs where: classification table, entropy, least certain observations, known classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesgmm.reporting import results
from bayesgmm.reporting.agreement import agreement, clusters_counted, observations_compared
from bayesgmm.reporting.class_quality import class_quality
from bayesgmm.reporting.document.blocks import Block, Heading, Section, Tabular, Text
from bayesgmm.reporting.numbers import MISSING, Grid, class_name, count, tally
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["assignments"]

_MOST_CLASSES = 40


def assignments(subject: Subject) -> Section:
    """Sentences and tables; of one component, why there are none."""
    blocks = _classification(subject) if len(subject.classes) > 1 else [
        Text("There is one component, to which every observation belongs: there is nothing to assign.")
    ]  # fmt: skip
    if subject.told.labels is not None:
        blocks += _known(subject)
    return Section("assignments", "Assignments", tuple(blocks))


def _classification(subject: Subject) -> list[Block]:
    found = results.assignment(subject.fit, subject.probabilities)
    assert found is not None
    quality = class_quality(subject.fit, subject.probabilities)
    names = [class_name(k) for k in subject.classes]
    rows = [
        [names[c], tally(float(quality.assigned[c])), *(MISSING if np.isnan(p) else f"{p:.3f}" for p in of)]
        for c, of in enumerate(quality.mean_probability)
    ]
    blocks: list[Block] = [
        Text(
            f"{found['sentence']} Observations are assigned to their most probable component; p is its posterior "
            "probability."
        ),
        Tabular(
            "assigned", "Observations assigned to each class, expected in it, and how surely.", found["components"]
        ),
        Text(
            f"Relative entropy is {quality.entropy:.3f}: 1 where every observation belongs to one class for certain, "
            "0 where all classes are equally probable (Celeux and Soromenho 1996)."
        ),
        Tabular(
            "classification",
            "Classification table: mean posterior probability of each class (columns) among the observations assigned "
            "to each (rows).",
            Grid.of(["assigned to", "observations", *names], rows),
        ),
    ]
    if found["least"] is not None:
        blocks.append(Tabular("least-certain", "The least certain observations, by name.", found["least"]))
    if found["noise"] is not None:
        blocks.append(Tabular("like-noise", "The observations that are most like noise.", found["noise"]))
    return blocks


def _known(subject: Subject) -> list[Block]:
    """Known classes against components and, where these were merged, against clusters."""
    fit, labels = subject.fit, subject.told.labels
    assert labels is not None
    sets = {"component": fit.labels_}
    merging = fit.merging()
    merge = merging.merge
    if len(set(merge.tolist())) < len(merge):
        sets["cluster"] = np.where(fit.labels_ < 0, -1, merge[fit.labels_])
    blocks: list[Block] = [Heading(f"Known classes: {labels.name}")]
    for what, assigned in sets.items():
        found = agreement(labels, assigned, what, fit.table_.weights)
        table = pd.DataFrame(found["table"]).T
        blocks.append(
            Text(
                f"Adjusted Rand index of the known classes and the {what}s over {observations_compared(found)}: "
                f"{found['adjusted_rand_index']:.3f} (1 is perfect agreement, 0 that of chance; Hubert and Arabie "
                f"1985). {clusters_counted(merging) if what == 'cluster' else ''}".strip()
            )
        )
        if len(table) <= _MOST_CLASSES:
            header = [found["label"], *(class_name(int(k), what) for k in table.columns)]
            rows = [[str(name), *(count(n) if n == int(n) else f"{n:.1f}" for n in row)]
                    for name, row in zip(table.index, table.to_numpy(), strict=True)]  # fmt: skip
            blocks.append(
                Tabular(f"known-{what}s", f"Known classes (rows) and {what}s (columns).", Grid.of(header, rows))
            )
        else:
            blocks.append(Text(f"{len(table)} known classes: too many for a table."))
    return blocks
