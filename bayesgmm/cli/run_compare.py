"""``bayesgmm compare``: numbers of components side by side, printed and reported."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bayesgmm.cli.cost import say_cost
from bayesgmm.cli.parse import parse_components, parse_steps
from bayesgmm.cli.writing import check_about, check_outputs, show, write_assignments, write_report
from bayesgmm.interruption import watch

if TYPE_CHECKING:
    from bayesgmm.cli.writing import About
    from bayesgmm.data.file_table import FileTable

__all__ = ["run_compare"]

_LIKELY = 5  # numbers of components that "auto" tries, for what to say of the time
_SCORED = 3.0  # times what a fit takes: with its scores


def run_compare(
    table: FileTable, components: str, kinds: dict[str, Any], *, source: str, steps: Sequence[str], out: Path | None,
    assignments: Path | None, as_json: bool, about: About, **options: Any,
) -> None:  # fmt: skip
    """Compare, print, write; the exit code is 3 where no fit has converged. `kinds` is what `parse_kinds` gives."""
    from bayesgmm.compare import compare_components
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.model.prior import MixturePrior
    from bayesgmm.reporting.agreement import agreement, agreement_text, clusters_counted
    from bayesgmm.reporting.text import comparison_record, comparison_text

    numbers = parse_components(components)
    check_outputs(source, out, assignments=assignments)
    check_about(about, out)
    given = parse_steps(steps, [str(name) for name in table.data.columns])
    watch.files(
        (out, f"the report was written to {out}", "the report was not written"),
        (assignments, f"the assignments were written to {assignments}", "the assignments were not written"),
        folder=Path(options["checkpoint"]) if options["checkpoint"] else None,
    )
    if options["max_seconds"] is None:
        cost = {name: options[name] for name in ("inference", "draws", "tune", "chains")}
        likely = list(range(1, _LIKELY + 1)) if isinstance(numbers, str) else numbers
        each = likely * math.prod(len(several) for several in kinds.values())
        say_cost(table.data.shape, each, BayesianGMM(covariance_type=kinds["covariance_type"][0], **cost), _SCORED)
    watch.busy = True
    comparison = compare_components(
        table.data,
        numbers,
        **kinds,
        prior=MixturePrior(resolution=given) if given else None,
        sample_weight=table.weights,
        **options,
    )
    with watch:
        known, counted = [], ("", "")
        if table.labels is not None:
            known.append(agreement(table.labels, comparison.labels_, "cluster", table.weights))
            merging = comparison.candidates[comparison.recommendation.label].merging
            counted = (clusters_counted(merging), "")
            if len(set(merging.merge.tolist())) < len(merging.merge):
                known.append(agreement(table.labels, comparison.best.labels_, "component", table.weights))
        if as_json:
            record = comparison_record(comparison, source)
            print(json.dumps(record | {"agreement": known, "notes": table.notes}, indent=2))
        else:
            tables = [agreement_text(found, said) for found, said in zip(known, counted, strict=False)]
            show("\n\n".join([comparison_text(comparison, source, table.data), *tables]))
        watch.printed = f"the answer{' so far' if comparison.unfinished else ''} was printed"
    if out is not None:
        write_report(comparison, out, about, source=source, labels=table.labels, as_json=as_json)
    if assignments is not None:
        write_assignments(comparison.fits[comparison.recommendation.label], table.lines, assignments, as_json=as_json)
    if not comparison.details["status"].isin(["converged", "rough"]).any():
        raise typer.Exit(3)
