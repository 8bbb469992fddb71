"""What commands write beside what they print: reports, assignments."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesgmm.errors import InputError

if TYPE_CHECKING:
    from bayesgmm.comparison import Comparison
    from bayesgmm.estimator import BayesianGMM

__all__ = ["About", "about", "check_about", "check_outputs", "show", "tell", "write_assignments", "write_report"]


def check_outputs(source: str, out: Path | None, **others: Path | None) -> None:
    """Refuse files that cannot be written, that are the data, or that are one, before any work."""
    from bayesgmm.data.files import check_writable

    given = {name: path for name, path in {"out": out, **others}.items() if path is not None}
    for path in given.values():
        check_writable(path)
        if Path(source).exists() and path.exists() and path.samefile(source):
            raise InputError(f"{path}: is the data file; give another name.")
    if out is not None:
        from bayesgmm.reporting.report import ENDINGS, check_ending

        if out.suffix.lower() not in ENDINGS:
            raise InputError(
                f"{out}: the report is HTML, Markdown or PDF; give a name that ends in .html, .md or .pdf."
            )
        check_ending(out)
    names = list(given)
    for j, name in enumerate(names):
        for other in names[:j]:
            if given[name] == given[other]:
                raise InputError(f"{given[name]}: --{other} and --{name} name the same file.")


class About(NamedTuple):
    """What a report is told besides the fit."""

    checklist: str | None
    weights: str | None
    reading: dict[str, Any]
    loading: str | None


def about(
    checklist: str | None, weights: str | None = None, survey_weights: str | None = None,
    reading: dict[str, Any] | None = None, loading: str | None = None,
) -> About:  # fmt: skip
    """From options of the command line; a checklist that is not known is refused before any work."""
    from bayesgmm.arguments import check_choice
    from bayesgmm.reporting.checklists import CHECKLISTS

    if checklist is not None:
        check_choice(checklist, "--checklist", tuple(CHECKLISTS))
    given = {name: value for name, value in (reading or {}).items() if value not in (None, False, [])}
    return About(checklist, weights or survey_weights, given, loading)


def check_about(said: About, out: Path | None) -> None:
    """Refuse what is for a report where none is written."""
    if said.checklist is not None and out is None:
        raise InputError(f"--checklist {said.checklist}: is answered in a report; give --out too.")


def write_report(
    result: BayesianGMM | Comparison, out: Path, said: About, *, source: str, labels: Any, as_json: bool
) -> None:
    """The report, and a line that says so."""
    from bayesgmm.reporting import report
    from bayesgmm.reporting.sections.subject import Told

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it can keep its fonts is of no interest here
    line = shlex.join(["bayesgmm", *sys.argv[1:]])
    told = Told(source, None, line, said.loading, said.reading, said.weights)
    report.write_report(result, out, told, checklist=said.checklist, labels=labels)
    tell(f"report written to {out}", as_json=as_json)


def write_assignments(fit: BayesianGMM, lines: Sequence[int], path: Path, *, as_json: bool) -> None:
    """A line a row: its name, its line of the file, its component, -1 for noise, probabilities, how unsure that is."""
    import numpy as np
    import pandas as pd

    from bayesgmm.data.files import write_whole

    found = fit.assignment()
    names, label = [str(name) for name in found.table.index], found.table["label"].to_numpy()
    table = pd.DataFrame({"row": names, "line": lines, "label": label})
    for k, values in found.probabilities.items():
        table[f"probability_{'noise' if k == -1 else k}"] = values.to_numpy()
    if np.ptp(fit.table_.weights) > 0.0:
        table["weight"] = fit.table_.weights
    table["uncertainty"] = 1.0 - found.table["probability"].to_numpy()
    write_whole(path, table.to_csv(index=False, float_format="%.6g").encode())
    tell(f"assignments written to {path}", as_json=as_json)


def show(text: str) -> None:
    """Print a result; on a terminal sentences break between words, tables stay as they are.

    >>> show("one\\ntwo")
    one
    two
    """
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = (line if "  " in line else textwrap.fill(line, width) for line in text.splitlines())
        text = "\n".join(lines)
    print(text)


def tell(line: str, *, as_json: bool) -> None:
    """A line beside the result, which is alone on standard output if it is JSON."""
    print(line, file=sys.stderr if as_json else sys.stdout)
