"""``bayesgmm fit``: one fit, printed, saved, reported."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bayesgmm.cli.cost import say_cost
from bayesgmm.cli.parse import parse_steps
from bayesgmm.cli.writing import check_about, check_outputs, show, tell, write_assignments, write_report
from bayesgmm.errors import NotConvergedWarning
from bayesgmm.interruption import watch

if TYPE_CHECKING:
    from bayesgmm.cli.writing import About
    from bayesgmm.data.file_table import FileTable

__all__ = ["run_fit"]


def run_fit(
    table: FileTable, components: int, *, source: str, steps: Sequence[str], out: Path | None, save: Path | None,
    assignments: Path | None, as_json: bool, about: About, **options: Any,
) -> None:  # fmt: skip
    """Fit, print, write; the exit code is 3 where the fit has not converged."""
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.model.prior import MixturePrior
    from bayesgmm.reporting.agreement import agreement
    from bayesgmm.reporting.text import fit_record, fit_text

    check_outputs(source, out, save=save, assignments=assignments)
    check_about(about, out)
    given = parse_steps(steps, [str(name) for name in table.data.columns])
    estimator = BayesianGMM(components, prior=MixturePrior(resolution=given) if given else None, **options)
    watch.files(
        (out, f"the report was written to {out}", "the report was not written"),
        (save, f"the fit was saved to {save}", "the fit was not saved"),
        (assignments, f"the assignments were written to {assignments}", "the assignments were not written"),
    )
    say_cost(table.data.shape, [components], estimator)
    watch.busy = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # the verdict is printed below
        estimator.fit(table.data, sample_weight=table.weights)
    with watch:
        known = None if table.labels is None else agreement(table.labels, estimator.labels_, "component", table.weights)
        if as_json:
            record = fit_record(estimator, source, known) | {"notes": table.notes}
            print(json.dumps(record, indent=2))
        else:
            show(fit_text(estimator, source, known))
        watch.printed = f"the result{' so far' if estimator.posterior_.attrs['partial'] else ''} was printed"
    if out is not None:
        write_report(estimator, out, about, source=source, labels=table.labels, as_json=as_json)
    if assignments is not None:
        write_assignments(estimator, table.lines, assignments, as_json=as_json)
    if save is not None:
        estimator.save(save)
        tell(f"fit saved to {save}", as_json=as_json)
    if not estimator.diagnose().ok:
        raise typer.Exit(3)
