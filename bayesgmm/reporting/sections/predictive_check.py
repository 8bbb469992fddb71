"""Posterior predictive check: would tables from the fitted mixture look like the data?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.reporting.document.blocks import Block, Drawing, Fold, Section, Tabular, Text
from bayesgmm.reporting.numbers import Grid, count, percent, to_sd
from bayesgmm.reporting.plots.predictive_check import (
    PREDICTIVE_CAPTION,
    draw_predictive_check,
    predictive_axes,
    predictive_size,
)
from bayesgmm.reporting.plots.scene import choose_features
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["predictive_check"]

_FEW, _MOST = 30, 60


def predictive_check(subject: Subject) -> Section:
    """How many statistics lie outside, the figure, and tables of variables and pairs."""
    check = subject.check
    total, outside = len(check.marginals) + len(check.pairs), check.outside
    inside = percent(subject.ci_prob)
    of = (
        f" Of {count(check.n_rows)} observations {count(len(check.rows))}, evenly spaced, were compared."
        if len(check.rows) < check.n_rows
        else ""
    )
    blocks: list[Block] = [
        Text(
            f"{check.n_sets} tables were replicated from the posterior predictive distribution, with as many "
            "observations, missing cells and recording steps as the data (Gelman, Meng and Stern 1996)." + of
        ),
        Text(
            f"{len(outside)} of {total} statistics of the data lie outside the {inside} interval of the replicated "
            f"tables{_named(outside)}. Where the model holds, about {(1.0 - subject.ci_prob) * total:.0f} or fewer do."
        ),
    ]
    if subject.fit.noise:
        blocks.append(
            Text(
                "Noise is uniform over the box of the data, so that the smallest and largest values are hardly ever "
                "less extreme in the data than in replicated tables."
            )
        )
    columns = choose_features(subject.scene, None)
    blocks.append(
        Drawing("predictive-check", "Posterior predictive check", PREDICTIVE_CAPTION, predictive_size(len(columns)),
                lambda figure: draw_predictive_check(predictive_axes(figure, len(columns)), check, columns))
    )  # fmt: skip
    parts = [("predictive-variables", "Statistics of each variable", _marginals(subject))]
    if len(check.pairs):
        parts.append(("predictive-pairs", "Correlation of each pair of variables", _pairs(subject)))
    for name, words, grid in parts:
        table = Tabular(
            name, f"{words}: data, median and {inside} interval of the replicated tables; p: share of these in which "
                  "it is "
            "larger.", grid,
        )  # fmt: skip
        blocks.append(table if len(grid.rows) <= _FEW else Fold(f"{words} ({len(grid.rows)} rows)", (table,)))
    return Section("predictive-check", "Posterior predictive check", tuple(blocks))


def _named(outside: pd.DataFrame) -> str:
    """The first few statistics that lie outside."""
    if not len(outside):
        return ""
    first = [
        f"{row['statistic']} of {row['column']}"
        if row["statistic"] != "correlation"
        else f"correlation of {row['first']} and {row['second']}"
        for _, row in outside.head(5).iterrows()
    ]
    return f" ({'; '.join(first)}{'; …' * (len(outside) > len(first))})"


def _numbers(row: pd.Series[Any]) -> list[str]:
    values = [float(row[c]) for c in ("observed", "median", "lower", "upper")]
    spread = 0.25 * (values[3] - values[2])
    return [*(to_sd(v, spread) for v in values), f"{float(row['p']):.3f}"]


def _marginals(subject: Subject) -> Grid:
    table = subject.check.marginals
    header = ["variable", "statistic", "data", "median", *_limits(subject), "p"]
    rows = [[str(r["column"]), str(r["statistic"]), *_numbers(r)] for _, r in table.iterrows()]
    return Grid.of(header, rows, n_text=2)


def _pairs(subject: Subject) -> Grid:
    """All pairs, or those furthest out where they are many."""
    table = subject.check.pairs
    order = np.argsort(-(table["p"] - 0.5).abs().to_numpy(), kind="stable")[:_MOST]
    header = ["first", "second", "data", "median", *_limits(subject), "p"]
    rows = [[str(r["first"]), str(r["second"]), *_numbers(r)] for _, r in table.iloc[np.sort(order)].iterrows()]
    return Grid.of(header, rows, n_text=2)


def _limits(subject: Subject) -> list[str]:
    tail = 50.0 * (1.0 - subject.ci_prob)
    return [f"{tail:g} %", f"{100.0 - tail:g} %"]
