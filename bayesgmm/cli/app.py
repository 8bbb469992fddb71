"""The commands, and what becomes of an error."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from bayesgmm.cli import options as o
from bayesgmm.errors import InputError
from bayesgmm.interruption import watch
from bayesgmm.visible import one_line

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Bayesian Gaussian mixtures: how many clusters, what each looks like, who belongs where, how sure we are.",
)  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bayesgmm {version('bayesgmm')}")
        raise typer.Exit


@app.callback()
def every(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """What every command takes."""


@app.command()
def fit(
    data: o.File,
    components: Annotated[int, typer.Option("--components", "-k", help="Number of components.")],
    columns: o.Columns = None,
    exclude: o.Exclude = None,
    label: o.Label = None,
    weights: o.Weights = None,
    survey_weights: o.SurveyWeights = None,
    missing: o.Missing = None,
    drop_missing: o.DropMissing = False,
    header: o.Header = None,
    delimiter: o.Delimiter = None,
    decimal: o.Decimal = None,
    thousands: o.Thousands = None,
    sheet: o.Sheet = None,
    covariance: o.Structure = "full",
    component: o.Component = "normal",
    noise: o.Noise = False,
    resolution: o.Steps = None,
    inference: o.Inference = "nuts",
    seed: o.Seed = 1,
    draws: o.DrawCount = 1000,
    tune: o.TuneCount = 500,
    chains: o.ChainCount = 4,
    out: o.Out = None,
    checklist: o.ChecklistName = None,
    save: o.Save = None,
    assignments: o.Assignments = None,
    as_json: o.Json = False,
) -> None:
    """Fit a Bayesian mixture, Gaussian unless --component says otherwise, to the columns of a file.

    A folder of Parquet files, or a Parquet file of a million rows, is read in batches.
    """
    from bayesgmm.cli.reading import read_table
    from bayesgmm.cli.run_fit import run_fit
    from bayesgmm.cli.writing import about
    from bayesgmm.data.pieces import reads_in_pieces

    reading: dict[str, Any] = {
        "missing": missing, "drop_missing": drop_missing, "header": header, "delimiter": delimiter, "decimal": decimal,
        "thousands": thousands, "sheet": sheet,
    }  # fmt: skip
    if reads_in_pieces(data):
        from bayesgmm.cli.run_batches import run_batches

        run_batches(
            data, components, columns=columns, weights=weights, out=out, save=save, assignments=assignments,
            as_json=as_json, about=about(checklist, weights), covariance_type=covariance, component=component,
            noise=noise, inference=inference, random_seed=seed, draws=draws, chains=chains,
            refused={"--exclude": exclude, "--label": label, "--survey-weights": survey_weights,
                     "--resolution": resolution, **_as_options(reading)},
        )  # fmt: skip
        return
    table = read_table(
        data, columns=columns, exclude=exclude, label=label, weights=weights, survey_weights=survey_weights, **reading
    )
    run_fit(
        table, components, source=data, steps=resolution or [], out=out, save=save, assignments=assignments,
        as_json=as_json, about=about(checklist, weights, survey_weights, reading), covariance_type=covariance,
        component=component, noise=noise, inference=inference, random_seed=seed, draws=draws, tune=tune, chains=chains,
        weight_type="frequency" if survey_weights is None else "survey",
    )  # fmt: skip


@app.command()
def compare(
    data: o.File,
    components: Annotated[
        str,
        typer.Option(
            "--components", "-k", help="Numbers of components: 1:6, or 2,3,5; auto goes up while a component gains."
        ),
    ] = "auto",
    columns: o.Columns = None,
    exclude: o.Exclude = None,
    label: o.Label = None,
    weights: o.Weights = None,
    survey_weights: o.SurveyWeights = None,
    missing: o.Missing = None,
    drop_missing: o.DropMissing = False,
    header: o.Header = None,
    delimiter: o.Delimiter = None,
    decimal: o.Decimal = None,
    thousands: o.Thousands = None,
    sheet: o.Sheet = None,
    covariance: Annotated[
        str,
        typer.Option("--covariance", "--covariance-type", help="full, tied, diag, spherical, EEI; several, or all."),
    ] = "full",
    component: Annotated[str, typer.Option("--component", help="normal, t, t_each; several, or all.")] = "normal",
    noise: Annotated[
        str, typer.Option("--noise", help="no, yes or both: compare mixtures without and with a noise component.")
    ] = "no",
    resolution: o.Steps = None,
    inference: o.Inference = "nuts",
    seed: o.Seed = 1,
    draws: o.DrawCount = 1000,
    tune: o.TuneCount = 500,
    chains: o.ChainCount = 4,
    jobs: Annotated[int, typer.Option("--jobs", help="Fits at once.")] = 1,
    effort: Annotated[str, typer.Option("--effort", help="full: sample every fit until it has converged.")] = "default",
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", help="Answer by then, with what there is.")
    ] = None,
    secondary: Annotated[bool, typer.Option("--secondary", help="Cross-validation, elbow and silhouette too.")] = False,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Folder of finished fits, to continue a run that was stopped.")
    ] = None,
    out: o.Out = None,
    checklist: o.ChecklistName = None,
    assignments: o.Assignments = None,
    as_json: o.Json = False,
) -> None:
    """How many clusters: compare numbers of components.

    A folder of Parquet files, or a Parquet file of a million rows, is read in batches.
    """
    from bayesgmm.cli.parse import parse_kinds
    from bayesgmm.cli.reading import read_table
    from bayesgmm.cli.run_compare import run_compare
    from bayesgmm.cli.writing import about
    from bayesgmm.data.pieces import reads_in_pieces

    reading: dict[str, Any] = {
        "missing": missing, "drop_missing": drop_missing, "header": header, "delimiter": delimiter, "decimal": decimal,
        "thousands": thousands, "sheet": sheet,
    }  # fmt: skip
    if reads_in_pieces(data):
        from bayesgmm.cli.run_batches import run_compare_batches

        run_compare_batches(
            data, components, parse_kinds(covariance, component, noise), columns=columns, weights=weights, out=out,
            assignments=assignments, as_json=as_json, about=about(checklist, weights), inference=inference,
            random_seed=seed, draws=draws, chains=chains, n_jobs=jobs, checkpoint=checkpoint, effort=effort,
            max_seconds=max_seconds,
            refused={"--exclude": exclude, "--label": label, "--survey-weights": survey_weights,
                     "--resolution": resolution, "--secondary": secondary, **_as_options(reading)},
        )  # fmt: skip
        return
    table = read_table(
        data, columns=columns, exclude=exclude, label=label, weights=weights, survey_weights=survey_weights, **reading
    )
    run_compare(
        table, components, parse_kinds(covariance, component, noise), source=data, steps=resolution or [], out=out,
        assignments=assignments, as_json=as_json, about=about(checklist, weights, survey_weights, reading),
        inference=inference, random_seed=seed, draws=draws, tune=tune, chains=chains, n_jobs=jobs,
        secondary=secondary, checkpoint=checkpoint, effort=effort, max_seconds=max_seconds,
        weight_type="frequency" if survey_weights is None else "survey",
    )  # fmt: skip


@app.command()
def demo(
    seed: o.Seed = 1,
    out: o.Out = None,
    checklist: o.ChecklistName = None,
    save: o.Save = None,
    assignments: o.Assignments = None,
    as_json: o.Json = False,
) -> None:
    """Old Faithful: 272 eruptions, two clusters; the whole path on data that ship with the package."""
    from bayesgmm.cli.run_fit import run_fit
    from bayesgmm.cli.writing import about
    from bayesgmm.data.file_table import FileTable
    from bayesgmm.datasets import load_faithful

    eruptions = load_faithful()
    run_fit(
        FileTable(eruptions, None, list(range(2, len(eruptions) + 2))), 2, source="Old Faithful (embedded)", steps=[],
        out=out, save=save, assignments=assignments, as_json=as_json,
        about=about(checklist, loading="data = bg.datasets.load_faithful()"), random_seed=seed,
    )  # fmt: skip


def _as_options(reading: dict[str, Any]) -> dict[str, Any]:
    """Options of reading by their names on the command line."""
    return {f"--{name.replace('_', '-')}": value for name, value in reading.items()}


def main() -> None:
    """One line and exit code 2 for bad input."""
    try:
        typer.main.get_command(app)()
    except (InputError, OSError) as error:
        if watch.code:
            raise
        said = str(error) if isinstance(error, InputError) else f"{error.filename or 'file'}: {error.strerror or error}"
        print(f"bayesgmm: {one_line(said)}", file=sys.stderr)
        raise SystemExit(2) from None
