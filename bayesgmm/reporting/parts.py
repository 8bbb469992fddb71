"""The tables and figures of a report, one by one, as text and files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.arguments import check_choice
from bayesgmm.data.files import as_path, write_whole
from bayesgmm.errors import InputError
from bayesgmm.reporting.document.blocks import Drawing, Tabular
from bayesgmm.reporting.document.figures import drawn
from bayesgmm.reporting.document.table_text import FORMATS, table_text
from bayesgmm.reporting.report import sections_of, subject_of
from bayesgmm.reporting.sections.subject import Told

if TYPE_CHECKING:
    from bayesgmm.model_selection.comparison import ComparedFits
    from bayesgmm.model_selection.fit import Fit

__all__ = ["report_figures", "report_tables"]

_FIGURES = ("svg", "pdf")


def report_tables(
    fit: Fit | ComparedFits,
    *,
    table_format: str = "csv",
    folder: str | PathLike[str] | None = None,
    ci_prob: float = 0.95,
) -> dict[str, str]:
    """Every table of a report as text, by name.

    Parameters
    ----------
    fit : BayesianGMM or Comparison
        Fitted.
    table_format : {"csv", "latex", "markdown"}
        LaTeX is a tabular for the package booktabs, with special characters escaped.
    folder : str or PathLike, optional
        Where to write each as a file, ``components.csv`` and so on; one that is there is replaced.
    ci_prob : float
        Probability of all intervals.

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        If `fit` is not fitted, an option is out of range, or the folder does not exist.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> print(bg.report_tables(fit, table_format="latex")["components"])  # doctest: +SKIP
    """
    check_choice(table_format, "table_format", tuple(FORMATS))
    subject = subject_of(fit, Told(), ci_prob)
    target = None if folder is None else _folder(folder)
    tables = [table for section in sections_of(subject) for table in section.each(Tabular)]
    texts = {table.name: table_text(table.grid, table_format) for table in tables}
    if target is not None:
        for name, text in texts.items():
            write_whole(target / f"{name}.{FORMATS[table_format][0]}", text.encode())
    return texts


def report_figures(
    fit: Fit | ComparedFits, folder: str | PathLike[str], *, figure_format: str = "svg", ci_prob: float = 0.95
) -> dict[str, Path]:
    """Write every figure of a report as a file of its own.

    Parameters
    ----------
    fit : BayesianGMM or Comparison
        Fitted.
    folder : str or PathLike
        Where to write; a file that is there is replaced.
    figure_format : {"svg", "pdf"}
    ci_prob : float
        Probability of all intervals.

    Returns
    -------
    dict of str to Path
        The files, by name of the figure.

    Raises
    ------
    InputError
        If `fit` is not fitted, an option is out of range, or the folder does not exist.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.report_figures(fit, "figures", figure_format="pdf")  # doctest: +SKIP
    """
    check_choice(figure_format, "figure_format", _FIGURES)
    subject, target = subject_of(fit, Told(), ci_prob), _folder(folder)
    out = {}
    for section in sections_of(subject):
        for drawing in section.each(Drawing):
            out[drawing.name] = target / f"{drawing.name}.{figure_format}"
            write_whole(out[drawing.name], drawn(drawing, figure_format)[figure_format])
    return out


def _folder(folder: str | PathLike[str]) -> Path:
    path = as_path(folder)
    if not path.is_dir():
        raise InputError(f"folder={str(path)!r} is no folder: make it first.")
    return path
