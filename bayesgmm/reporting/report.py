"""One self-contained report on a fit: what was found, whether to believe it, and how to do it again.

A report is a list of sections (`reporting.sections`), written as HTML, Markdown or PDF (`reporting.document`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.arguments import check_choice, check_probability
from bayesgmm.errors import InputError
from bayesgmm.reporting.checklists import CHECKLISTS, checklist_section
from bayesgmm.reporting.document.blocks import Block, Box, Bullets, Section, Text
from bayesgmm.reporting.known_classes import as_labels
from bayesgmm.reporting.plots.scene import check_fitted
from bayesgmm.reporting.sections import SECTIONS, Subject
from bayesgmm.reporting.sections.subject import Told

if TYPE_CHECKING:
    from bayesgmm.model_selection.comparison import ComparedFits
    from bayesgmm.model_selection.fit import Fit

__all__ = ["ENDINGS", "check_ending", "report", "sections_of", "subject_of", "write_report"]


def report(
    fit: Fit | ComparedFits,
    path: str | PathLike[str],
    *,
    ci_prob: float = 0.95,
    checklist: str | None = None,
    source: str | None = None,
    labels: Any = None,
) -> Path:
    """Write a report on a fit, or on a comparison and the fit it recommends.

    Parameters
    ----------
    fit : BayesianGMM or Comparison
        Fitted.
    path : str or PathLike
        The file to write; one that is there is replaced only once the new one is complete. What it ends in says what it
        is: ``.md`` is Markdown, with its figures in a folder beside it (``report_files`` for ``report.md``), ``.pdf``
        is printed by Chromium, Chrome or Edge where one is found, anything else is one HTML page, figures included.
    ci_prob : float
        Probability of all intervals.
    checklist : {"smart-lca", "grolts"}, optional
        A checklist of reporting standards, answered item by item: SMART-LCA (van Lissa, Garnier-Villarreal and Anadria
        2023) or GRoLTS (van de Schoot et al. 2017).
    source : str, optional
        Where the table comes from, as the report names it: the name of a file.
    labels : sequence (N,), optional
        Known classes of the observations, NaN or None where there is none: for a table of agreement only.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If `fit` is not a fitted `BayesianGMM`, the file cannot be written, an option is out of range, or no browser is
        found that prints a PDF.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.report(fit, "report.html", checklist="smart-lca", source="penguins.csv")  # doctest: +SKIP
    """
    if source is not None and not isinstance(source, str):
        raise InputError("source must be None or the name of a file, as text.")
    told = Told(source=source)
    return write_report(fit, path, told, ci_prob=ci_prob, checklist=checklist, labels=labels)


def write_report(
    fit: Fit | ComparedFits,
    path: str | PathLike[str],
    told: Told,
    *,
    ci_prob: float = 0.95,
    checklist: str | None = None,
    labels: Any = None,
) -> Path:
    """`report`, with all that may have been told of the fit."""
    from bayesgmm.data.files import check_writable

    subject = subject_of(fit, told, ci_prob, labels)
    if checklist is not None:
        check_choice(checklist, "checklist", tuple(CHECKLISTS))
    check_writable(path)  # before the work, not after it
    check_ending(path)
    write = ENDINGS.get(Path(path).suffix.lower(), _write_html)
    write(Path(path), subject, _sections(subject, checklist))
    return Path(path)


def subject_of(fit: Fit | ComparedFits, told: Told, ci_prob: float, labels: Any = None) -> Subject:
    """What a report is about, after the arguments have been checked."""
    compared: Any = fit if hasattr(fit, "candidates") else None
    chosen: Any = fit if compared is None else compared.best
    check_fitted(chosen)
    check_probability(ci_prob)
    if labels is not None:
        told = Told(**{**vars(told), "labels": as_labels(labels, chosen.table_)})
    return Subject(chosen, compared, float(ci_prob), told)


def check_ending(path: str | PathLike[str]) -> None:
    """Refuse at once a PDF that nothing can print."""
    if Path(path).suffix.lower() == ".pdf":
        from bayesgmm.reporting.document.pdf import find_browser

        find_browser()


def sections_of(subject: Subject) -> list[Section]:
    """The sections of a report, without a checklist."""
    return [section(subject) for section in SECTIONS]


def _sections(subject: Subject, checklist: str | None) -> list[Section]:
    found = sections_of(subject)
    if checklist is not None:
        found.append(checklist_section(checklist, subject, found))
    return found


def _before(subject: Subject) -> list[Block]:
    """What must be read before everything else."""
    if not subject.alarm and not subject.caution:
        return []
    words = (
        "This fit has not converged. Its numbers must not be used yet."
        if subject.alarm
        else "Read single components with care."
    )
    inside: list[Block] = [Text(words, strong=True), Text(subject.diagnosis.verdict)]
    if subject.diagnosis.advice:
        inside.append(Bullets(tuple(subject.diagnosis.advice)))
    return [Box("alarm" if subject.alarm else "caution", tuple(inside))]


def _page(subject: Subject, sections: list[Section]) -> str:
    from bayesgmm.reporting.document.html import html_page

    return html_page(subject.title, _now(), _before(subject), sections)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _write_html(path: Path, subject: Subject, sections: list[Section]) -> None:
    from bayesgmm.data.files import write_whole

    write_whole(path, _page(subject, sections).encode())


def _write_pdf(path: Path, subject: Subject, sections: list[Section]) -> None:
    from bayesgmm.data.files import write_whole
    from bayesgmm.reporting.document.pdf import printed

    write_whole(path, printed(_page(subject, sections)))


def _write_markdown(path: Path, subject: Subject, sections: list[Section]) -> None:
    from bayesgmm.data.files import one_error, write_whole
    from bayesgmm.reporting.document.markdown import markdown_page

    folder = path.with_name(f"{path.stem}_files")
    text, figures = markdown_page(subject.title, _now(), _before(subject), sections, folder.name)
    with one_error(folder, "made"):
        folder.mkdir(exist_ok=True)
    for name, content in figures.items():
        write_whole(folder / name, content)
    write_whole(path, text.encode())


ENDINGS: dict[str, Callable[[Path, Subject, list[Section]], None]] = {
    ".html": _write_html, ".htm": _write_html, ".md": _write_markdown, ".pdf": _write_pdf,
}  # fmt: skip
