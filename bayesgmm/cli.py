"""The command line: ``bayesgmm fit data.csv --components 3``, ``bayesgmm compare data.csv --components 1:6``, ``demo``.

Bad input ends with exit code 2 and one line; an unconverged fit ends with exit code 3 and says so.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.interruption import watch

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.comparison import Comparison
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.model.prior import MixturePrior

__all__ = ["app", "main", "parse_components", "parse_steps", "parse_structures"]

_MOST = 100

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Bayesian Gaussian mixtures: how many clusters, what each looks like, who belongs where, how sure we are.",
)  # fmt: skip

Components = Annotated[int, typer.Option("--components", "-k", help="Number of components.")]
Structure = Annotated[str, typer.Option("--covariance", help="full, tied, diag, spherical or EEI.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
DrawCount = Annotated[int, typer.Option("--draws", help="Draws of each chain.")]
TuneCount = Annotated[int, typer.Option("--tune", help="Draws of adaptation of each chain.")]
ChainCount = Annotated[int, typer.Option("--chains", help="Number of chains.")]
Steps = Annotated[
    list[str] | None,
    typer.Option("--resolution", help="Recording step: COLUMN=STEP, repeated, or one STEP for all columns."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Write a report to this .html file.")]
Save = Annotated[Path | None, typer.Option("--save", help="Save the fit to this .nc file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def fit(
    data: Annotated[str, typer.Argument(help="CSV file; the delimiter and the header are recognised.")],
    components: Components,
    columns: Annotated[str | None, typer.Option("--columns", help="Columns to use, separated by commas.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Column of known classes, to report agreement.")] = None,
    covariance: Structure = "full",
    resolution: Steps = None,
    seed: Seed = 1,
    draws: DrawCount = 1000,
    tune: TuneCount = 500,
    chains: ChainCount = 4,
    out: Out = None,
    save: Save = None,
    as_json: Json = False,
) -> None:
    """Fit a Bayesian Gaussian mixture to a CSV file."""
    from bayesgmm.data.read_csv import read_csv

    chosen = [c.strip() for c in columns.split(",")] if columns else None
    frame, labels = read_csv(data, columns=chosen, label=label)
    steps = parse_steps(resolution or [], [str(c) for c in frame.columns if c != label])
    _run(frame, labels, components, covariance, seed, draws, tune, chains, out, save, as_json, source=data, steps=steps)


@app.command()
def compare(
    data: Annotated[str, typer.Argument(help="CSV file; the delimiter and the header are recognised.")],
    components: Annotated[
        str, typer.Option("--components", "-k", help="Numbers of components: 1:6, or 2,3,5.")
    ] = "1:6",
    columns: Annotated[str | None, typer.Option("--columns", help="Columns to use, separated by commas.")] = None,
    covariance: Annotated[
        str,
        typer.Option("--covariance", "--covariance-type", help="full, tied, diag, spherical, EEI; several, or all."),
    ] = "full",
    resolution: Steps = None,
    seed: Seed = 1,
    draws: DrawCount = 1000,
    tune: TuneCount = 500,
    chains: ChainCount = 4,
    jobs: Annotated[int, typer.Option("--jobs", help="Fits at once.")] = 1,
    effort: Annotated[str, typer.Option("--effort", help="full: sample every fit until it has converged.")] = "default",
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", help="Answer by then, with what there is.")
    ] = None,
    secondary: Annotated[bool, typer.Option("--secondary", help="Cross-validation, elbow and silhouette too.")] = False,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Folder of finished fits, to continue a run that was stopped.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """How many clusters: compare numbers of components."""
    from bayesgmm.data.read_csv import read_csv

    frame, _ = read_csv(data, columns=[c.strip() for c in columns.split(",")] if columns else None, label=None)
    code = _compare(
        frame, components, covariance, out=out, as_json=as_json, source=data, random_seed=seed, draws=draws, tune=tune,
        chains=chains, n_jobs=jobs, secondary=secondary, checkpoint=checkpoint, effort=effort, max_seconds=max_seconds,
        prior=_prior(parse_steps(resolution or [], list(frame.columns))),
    )  # fmt: skip
    if code:
        raise typer.Exit(code)


@app.command()
def demo(
    seed: Seed = 1, out: Out = None, save: Save = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Old Faithful: 272 eruptions, two clusters; the whole path on data that ship with the package."""
    from bayesgmm.datasets import load_faithful

    _run(load_faithful(), None, 2, "full", seed, 1000, 500, 4, out, save, as_json, source="Old Faithful (embedded)")


def _run(frame: pd.DataFrame, labels: pd.Series[str] | None, components: int, covariance: str, seed: int, draws: int,
         tune: int, chains: int, out: Path | None, save: Path | None, as_json: bool, *,
         source: str, steps: dict[str, float] | None = None) -> None:  # fmt: skip
    from bayesgmm.data.files import check_writable
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.reporting.text import fit_record, fit_text

    for path in (out, save):
        if path is not None:
            check_writable(path)
            if Path(source).exists() and path.exists() and path.samefile(source):
                raise InputError(f"{path}: is the data file; give another name.")
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: the report is HTML; give a name that ends in .html.")
    if out is not None and out == save:
        raise InputError(f"{out}: --out and --save name the same file.")
    if labels is not None:
        if labels.isna().all():
            raise InputError(f"column {labels.name!r} holds no labels; leave --label out.")
        frame = frame.loc[:, [c for c in frame.columns if c != labels.name]]
    estimator = BayesianGMM(
        components, covariance_type=covariance, prior=_prior(steps), draws=draws, tune=tune, chains=chains,
        random_seed=seed,
    )  # fmt: skip
    watch.files(
        (out, f"the report was written to {out}", "the report was not written"),
        (save, f"the fit was saved to {save}", "the fit was not saved"),
    )
    watch.busy = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # the verdict is printed below
        estimator.fit(frame)
    with watch:
        agreement = _agreement(estimator, labels)
        if as_json:
            print(json.dumps(fit_record(estimator, source, agreement), indent=2))
        else:
            print(fit_text(estimator, source, agreement))
        watch.printed = f"the result{' so far' if estimator.posterior_.attrs['partial'] else ''} was printed"
    if out is not None:
        _write_report(estimator, out, as_json)
    if save is not None:
        estimator.save(save)
        _say(f"fit saved to {save}", as_json)
    if not estimator.diagnose().ok:
        raise typer.Exit(3)


def parse_components(text: str) -> list[int]:
    """Numbers of components: ``1:6`` is 1 to 6, ``2,3,5`` a list; parts may be combined.

    >>> parse_components("1:3,6")
    [1, 2, 3, 6]
    """
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = int(last) if colon else low
            if low < 1 or high < low or high - low >= _MOST:
                raise ValueError
            numbers += range(low, high + 1)
    except ValueError:
        raise InputError(
            f"--components {text!r}: give a range such as 1:6 or a list such as 2,3,5, at most {_MOST} numbers from 1."
        ) from None
    return sorted(set(numbers))


def parse_steps(texts: list[str], columns: list[str]) -> dict[str, float]:
    """Recording steps by column: ``width=0.1`` is that of one column, ``0.1`` that of all.

    >>> parse_steps(["1", "width=0.1"], ["length", "width"])
    {'length': 1.0, 'width': 0.1}
    """
    steps: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            steps |= dict.fromkeys([name] if name else columns, float(number))
        except ValueError:
            raise InputError(f"--resolution {text!r}: give COLUMN=STEP, or a STEP for all columns.") from None
    return steps


def _prior(steps: dict[str, float] | None) -> MixturePrior | None:
    from bayesgmm.model.prior import MixturePrior

    return MixturePrior(resolution=steps) if steps else None


def parse_structures(text: str) -> list[str]:
    """Structures separated by commas; ``all`` is every one.

    >>> parse_structures("full, diag")
    ['full', 'diag']
    """
    if text.strip() == "all":
        from bayesgmm.model.structure import COVARIANCE_TYPES

        return list(COVARIANCE_TYPES)
    return [name.strip() for name in text.split(",") if name.strip()]


def _compare(
    frame: pd.DataFrame,
    components: str,
    structures: str,
    *,
    out: Path | None,
    as_json: bool,
    source: str,
    **options: Any,
) -> int:
    """Compare, print, write the report; the exit code is 3 where no fit converged."""
    from bayesgmm.compare import compare_components
    from bayesgmm.data.files import check_writable
    from bayesgmm.reporting.text import comparison_record, comparison_text

    numbers, names = parse_components(components), parse_structures(structures)
    if out is not None:
        check_writable(out)
        if out.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{out}: the report is HTML; give a name that ends in .html.")
    watch.files(
        (out, f"the report was written to {out}", "the report was not written"),
        folder=Path(options["checkpoint"]) if options["checkpoint"] else None,
    )
    watch.busy = True
    comparison = compare_components(frame, numbers, covariance_type=names, **options)
    with watch:
        print(
            json.dumps(comparison_record(comparison, source), indent=2)
            if as_json
            else comparison_text(comparison, source, frame)
        )
        watch.printed = f"the answer{' so far' if comparison.unfinished else ''} was printed"
    if out is not None:
        _write_report(comparison, out, as_json)
    return 0 if (comparison.table["status"] != "not converged").any() else 3


def _write_report(result: BayesianGMM | Comparison, out: Path, as_json: bool) -> None:
    from bayesgmm.reporting.report import report

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it can keep its fonts is of no interest here
    report(result, out)
    _say(f"report written to {out}", as_json)


def _say(line: str, as_json: bool) -> None:
    print(line, file=sys.stderr if as_json else sys.stdout)


def _agreement(estimator: BayesianGMM, labels: pd.Series[str] | None) -> dict[str, float] | None:
    if labels is None:
        return None
    from sklearn.metrics import adjusted_rand_score

    known = labels.notna().to_numpy()
    score = adjusted_rand_score(labels[known].astype(str), estimator.labels_[known])
    return {"adjusted_rand_index": float(score), "rows": int(known.sum())}


def main() -> None:
    """One line and exit code 2 for bad input."""
    try:
        typer.main.get_command(app)()
    except (InputError, OSError) as error:
        if watch.code:
            raise
        said = str(error) if isinstance(error, InputError) else f"{error.filename or 'file'}: {error.strerror or error}"
        print(f"bayesgmm: {' '.join(said.split())}", file=sys.stderr)
        raise SystemExit(2) from None
