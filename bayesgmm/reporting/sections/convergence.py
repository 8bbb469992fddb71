"""Whether the draws can be believed: verdict, numbers, figure, tables; of a comparison, of every fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.reporting import method
from bayesgmm.reporting.comparison import fits_in_words
from bayesgmm.reporting.document.blocks import Block, Bullets, Drawing, Fold, Heading, Section, Tabular, Text
from bayesgmm.reporting.numbers import Grid
from bayesgmm.reporting.plots.diagnostics import DIAGNOSTICS_CAPTION, DIAGNOSTICS_SIZE, draw_diagnostics
from bayesgmm.reporting.sections.subject import Subject

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = ["convergence"]

_MOST_PARAMETERS = 500  # rows of a table


def convergence(subject: Subject) -> Section:
    """The diagnosis, the starts of EM, and the posterior modes that were found."""
    fit = subject.fit
    found, likelihood = method.diagnostics(fit), method.likelihood(fit)
    blocks: list[Block] = [Text(found["verdict"], strong=True), Text(found["numbers"])]
    if found["advice"] and not subject.alarm and not subject.caution:
        blocks.append(Bullets(tuple(found["advice"])))
    blocks.append(
        Drawing("diagnostics", "Diagnostics", DIAGNOSTICS_CAPTION, DIAGNOSTICS_SIZE,
                lambda figure: draw_diagnostics(figure, fit))
    )  # fmt: skip
    if subject.compared is not None:
        blocks.append(Tabular("fits", "Every fit: whether it converged, how it was sampled, and what was done.",
                              fits_in_words(subject.compared)))  # fmt: skip
    blocks += [
        Fold("Table (a): label-invariant quantities, on which convergence is judged",
             (Tabular("invariants", "Label-invariant quantities.", _relative(found["gate"])),)),
        Fold("Table (b): component parameters after relabelling",
             (_parameters(fit, found["components"]),)),
        Fold(f"Starts of EM: {likelihood['summary']}",
             (Tabular("starts", "Starts of the maximum-likelihood search.", likelihood["starts"]),)),
    ]  # fmt: skip
    if found["modes"] is not None:
        several = len(found["modes"].rows) > 1
        words = (
            "Chains start at different modes, so that several modes show as disagreement between chains."
            if several
            else "All starts led to one mode."
        )
        blocks += [Heading("Posterior modes that were found"), Text(words)]
        blocks.append(
            Tabular("modes", "Modes, best first; log posterior and Laplace's log evidence less those of the best mode.",
                    method.frame(_differences(fit.modes_)))
        )  # fmt: skip
    return Section("convergence", "Convergence", tuple(blocks))


def _parameters(fit: Fit, grid: Grid) -> Tabular:
    """All component parameters, or of very many those with the smallest effective sample sizes."""
    caption = "Component parameters."
    if len(grid.rows) > _MOST_PARAMETERS:
        ess = fit.diagnose().components[["ess_bulk", "ess_tail"]].min(axis=1).to_numpy()
        worst = np.sort(np.argsort(np.nan_to_num(ess), kind="stable")[:_MOST_PARAMETERS])
        caption = (
            f"The {_MOST_PARAMETERS} of {len(grid.rows):,} component parameters with the smallest effective sample "
            "sizes (all: fit.diagnose().components)."
        )
        grid = Grid.of(grid.header, [grid.rows[j] for j in worst], grid.n_text)
    return Tabular("parameters-convergence", caption, grid)


def _differences(modes: Any) -> Any:
    """Logarithms less those of the first mode: these do not depend on the units."""
    out = modes.copy()
    for name in ("log_posterior", "laplace_log_evidence"):
        if name in out:
            out[name] = out[name] - out[name].iloc[0]
    return out


def _relative(grid: Grid) -> Grid:
    """Without the mean of the log posterior, whose level is that of no density in original units."""
    rows = [[row[0], "–", *row[2:]] if row[0] == "log_posterior" else row for row in grid.rows]
    return Grid.of(grid.header, rows, grid.n_text)
