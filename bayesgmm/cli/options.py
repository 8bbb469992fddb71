"""The options that commands share, and what they say of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Assignments", "ChainCount", "ChecklistName", "Columns", "Component", "Decimal", "Delimiter", "DrawCount",
    "DropMissing", "Exclude", "File", "Header", "Inference", "Json", "Label", "Missing", "Noise", "Out", "Save", "Seed",
    "Sheet", "Steps", "Structure", "SurveyWeights", "Thousands", "TuneCount", "Weights",
]  # fmt: skip

# The table
File = Annotated[
    str, typer.Argument(help="CSV (compressed too), .xlsx or .parquet; the delimiter and the header are recognised.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", help="Columns to use, separated by commas or repeated; default: all that are numbers."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="A column to leave out; may be repeated.")]
Label = Annotated[
    str | None, typer.Option("--label", help="Column of known classes: not fitted, compared with the clusters.")
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="Column of weights, not fitted: an observation of weight 3 counts as three."),
]
SurveyWeights = Annotated[
    str | None,
    typer.Option(
        "--survey-weights",
        help="Column of survey weights, not fitted: rescaled to the effective sample size; intervals are approximate.",
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        help="A cell that stands for no value, such as -200 or COLUMN=-200, besides empty ones, NA, NaN, null, ?, - "
        "and the like; may be repeated.",
    ),
]
DropMissing = Annotated[bool, typer.Option("--drop-missing", help="Leave out observations that lack a value.")]
Header = Annotated[bool | None, typer.Option("--header/--no-header", help="Whether the first line names the columns.")]
Delimiter = Annotated[str | None, typer.Option("--delimiter", help="One character, or tab.")]
Decimal = Annotated[str | None, typer.Option("--decimal", help="The decimal mark: . or ,")]
Thousands = Annotated[str | None, typer.Option("--thousands", help="The mark between thousands: . or ,")]
Sheet = Annotated[str | None, typer.Option("--sheet", help="Sheet of an .xlsx file; default: the first.")]

# The model
Structure = Annotated[str, typer.Option("--covariance", help="full, tied, diag, spherical or EEI.")]
Component = Annotated[
    str,
    typer.Option(
        "--component",
        help="Density of a component: normal; t: heavier tails, degrees of freedom estimated; t_each: one for each.",
    ),
]
Noise = Annotated[
    bool,
    typer.Option("--noise", help="Observations may belong to noise, uniform over the range of the table; label -1."),
]
Steps = Annotated[
    list[str] | None,
    typer.Option("--resolution", help="Measurement resolution: COLUMN=STEP, repeated, or one STEP for all columns."),
]
Inference = Annotated[
    str,
    typer.Option("--inference", help="nuts, gibbs, laplace, advi, fullrank_advi or auto: how to find the posterior."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
DrawCount = Annotated[int, typer.Option("--draws", help="Draws kept of each chain.")]
TuneCount = Annotated[int, typer.Option("--tune", help="Warm-up (tuning) iterations of each chain.")]
ChainCount = Annotated[int, typer.Option("--chains", help="Number of chains.")]

# What is written
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Write a report to this .html or .md file, or .pdf where a browser prints it."),
]
ChecklistName = Annotated[
    str | None,
    typer.Option("--checklist", help="Answer a checklist of reporting standards in the report: smart-lca or grolts."),
]
Save = Annotated[Path | None, typer.Option("--save", help="Save the fit to this .nc file.")]
Assignments = Annotated[
    Path | None,
    typer.Option(
        "--assignments",
        help="Write the component (-1: noise) and its probabilities of each observation to this .csv file.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
