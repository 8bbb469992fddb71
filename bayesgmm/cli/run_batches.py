"""``bayesgmm fit`` of a table in batches: a folder of Parquet files, or a long one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from bayesgmm.cli.reading import say
from bayesgmm.cli.writing import About, check_about, check_outputs, show, tell, write_report
from bayesgmm.errors import InputError, NotConvergedWarning

__all__ = ["run_batches"]


def run_batches(
    source: str, components: int, *, columns: Sequence[str] | None, weights: str | None, out: Path | None,
    save: Path | None, assignments: Path | None, as_json: bool, about: About, inference: str,
    refused: dict[str, Any], **options: Any,
) -> None:  # fmt: skip
    """Fit, print, write; the exit code is 3 where the fit has not converged. NUTS, the default, is Laplace here.

    `refused` are options that batches do not take, by their names, as they were given.
    """
    from bayesgmm.data.batches import Batches
    from bayesgmm.data.pieces import names_in_pieces
    from bayesgmm.data.quoted import split_names
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.reporting.text import fit_record, fit_text

    given = [name for name, value in refused.items() if value not in (None, False, [])]
    if given:
        raise InputError(
            f"{given[0]}: a table that is read in batches does not take it; read it into memory and fit it."
        )
    check_outputs(source, out, save=save, assignments=assignments)
    check_about(about, out)
    if assignments is not None and assignments.suffix != ".parquet":
        raise InputError(f"{assignments}: assignments of a table in batches are Parquet; give a name in .parquet.")
    names = split_names(columns, names_in_pieces(source)) if columns else None
    batches = Batches(source, columns=names, weights=weights)
    next(iter(batches))  # it can be read
    say("the table is read in batches; the posterior is found by Laplace's approximation, with importance weights")
    inference = "laplace" if inference == "nuts" else inference
    estimator = BayesianGMM(components, inference=inference, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # the verdict is printed below
        estimator.fit(batches)
    if as_json:
        print(json.dumps(fit_record(estimator, source, None), indent=2))
    else:
        show(fit_text(estimator, source, None))
    if out is not None:
        write_report(estimator, out, about, source=source, labels=None, as_json=as_json)
    if assignments is not None:
        estimator.predict_proba(batches, to=assignments)
        tell(f"probabilities of the components written to {assignments}", as_json=as_json)
    if save is not None:
        estimator.save(save)
        tell(f"fit saved to {save}", as_json=as_json)
    if not estimator.diagnose().ok:
        raise typer.Exit(3)
