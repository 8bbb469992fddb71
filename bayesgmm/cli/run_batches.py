"""``bayesgmm fit`` and ``compare`` of a table in batches: a folder of Parquet files, or a long one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bayesgmm.cli.parse import parse_components
from bayesgmm.cli.reading import say
from bayesgmm.cli.writing import About, check_about, check_outputs, show, tell, write_report
from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.interruption import watch

if TYPE_CHECKING:
    from bayesgmm.data.batches import Batches

__all__ = ["run_batches", "run_compare_batches"]


def run_batches(
    source: str, components: int, *, columns: Sequence[str] | None, weights: str | None, out: Path | None,
    save: Path | None, assignments: Path | None, as_json: bool, about: About, inference: str,
    refused: dict[str, Any], **options: Any,
) -> None:  # fmt: skip
    """Fit, print, write; the exit code is 3 where the fit has not converged. NUTS, the default, is Laplace here.

    `refused` are options that batches do not take, by their names, as they were given.
    """
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.reporting.text import fit_record, fit_text

    _check(refused, source, out, assignments, about, save=save)
    batches = _batches(source, columns, weights)
    estimator = BayesianGMM(components, inference=_inference(inference), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # the verdict is printed below
        estimator.fit(batches)
    if as_json:
        print(json.dumps(fit_record(estimator, source, None), indent=2))
    else:
        show(fit_text(estimator, source, None))
    if out is not None:
        write_report(estimator, out, about, source=source, labels=None, as_json=as_json)
    _assign(estimator, batches, assignments, as_json)
    if save is not None:
        estimator.save(save)
        tell(f"fit saved to {save}", as_json=as_json)
    if not estimator.diagnose().ok:
        raise typer.Exit(3)


def run_compare_batches(
    source: str, components: str, kinds: dict[str, Any], *, columns: Sequence[str] | None, weights: str | None,
    out: Path | None, assignments: Path | None, as_json: bool, about: About, inference: str,
    refused: dict[str, Any], **options: Any,
) -> None:  # fmt: skip
    """Compare, print, write; the exit code is 3 where no fit has converged. Otherwise as `run_batches`."""
    from bayesgmm.compare import compare_components
    from bayesgmm.reporting.text import comparison_record, comparison_text

    numbers = parse_components(components)
    _check(refused, source, out, assignments, about)
    batches = _batches(source, columns, weights)
    watch.files(
        (out, f"the report was written to {out}", "the report was not written"),
        (assignments, f"the assignments were written to {assignments}", "the assignments were not written"),
        folder=Path(options["checkpoint"]) if options["checkpoint"] else None,
    )
    watch.busy = True
    comparison = compare_components(batches, numbers, **kinds, inference=_inference(inference), **options)
    with watch:
        if as_json:
            print(json.dumps(comparison_record(comparison, source), indent=2))
        else:
            show(comparison_text(comparison, source, None))
        watch.printed = f"the answer{' so far' if comparison.unfinished else ''} was printed"
    if out is not None:
        write_report(comparison, out, about, source=source, labels=None, as_json=as_json)
    _assign(comparison.best, batches, assignments, as_json)
    if not comparison.details["status"].isin(["converged", "rough"]).any():
        raise typer.Exit(3)


def _check(
    refused: dict[str, Any], source: str, out: Path | None, assignments: Path | None, about: About, **outputs: Any
) -> None:
    given = [name for name, value in refused.items() if value not in (None, False, [])]
    if given:
        raise InputError(
            f"{given[0]}: a table that is read in batches does not take it; read it into memory and fit it."
        )
    check_outputs(source, out, assignments=assignments, **outputs)
    check_about(about, out)
    if assignments is not None and assignments.suffix != ".parquet":
        raise InputError(f"{assignments}: assignments of a table in batches are Parquet; give a name in .parquet.")


def _batches(source: str, columns: Sequence[str] | None, weights: str | None) -> Batches:
    from bayesgmm.data.batches import Batches
    from bayesgmm.data.pieces import names_in_pieces
    from bayesgmm.data.quoted import split_names

    names = split_names(columns, names_in_pieces(source)) if columns else None
    batches = Batches(source, columns=names, weights=weights)
    next(iter(batches))  # it can be read
    say("the table is read in batches; the posterior is found by Laplace's approximation, with importance weights")
    return batches


def _inference(given: str) -> str:
    return "laplace" if given == "nuts" else given


def _assign(fit: Any, batches: Batches, path: Path | None, as_json: bool) -> None:
    if path is not None:
        fit.predict_proba(batches, to=path)
        tell(f"probabilities of the components written to {path}", as_json=as_json)
