"""A table as CSV, LaTeX or Markdown: what the buttons of the page copy, and what `report_tables` gives."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

from bayesgmm.reporting.numbers import Grid
from bayesgmm.visible import visible

__all__ = ["FORMATS", "LATEX", "escape_markdown", "latex_escaped", "table_text", "to_csv", "to_latex", "to_markdown"]

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "−": "$-$", "√": r"$\sqrt{}$", "±": r"$\pm$",
    "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "½": r"$\frac{1}{2}$",
    "“": "``", "”": "''", "Δ": r"$\Delta$", "α": r"$\alpha$", "≥": r"$\geq$", "≤": r"$\leq$",
    "²": r"\textsuperscript{2}",
}  # fmt: skip


def latex_escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> print(latex_escaped("mass_g & 5 %"))
    mass\_g \& 5 \%
    """
    return "".join(LATEX.get(c, c) for c in text)


def escape_markdown(text: str) -> str:
    r"""Text that Markdown prints as it is.

    >>> print(escape_markdown("a*b_c | <i>"))
    a\*b\_c \| \<i\>
    """
    escaped = re.sub(r"([\\`*_\[\]<>|#$~])", r"\\\1", text)
    return re.sub(r"^(\s*)(\d+)([.)])(\s)", r"\1\2\\\3\4", re.sub(r"^(\s*)([-+])(\s)", r"\1\\\2\3", escaped))


def _cells(grid: Grid) -> tuple[list[str], list[list[str]]]:
    return [visible(c) for c in grid.header], [[visible(c) for c in row] for row in grid.rows]


def to_csv(grid: Grid) -> str:
    """Comma-separated values, with a line for the names of the columns."""
    out = io.StringIO()
    header, rows = _cells(grid)
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def to_latex(grid: Grid) -> str:
    """A tabular for the package booktabs."""
    header, rows = _cells(grid)
    columns = "".join("l" if j < grid.n_text else "r" for j in range(len(header)))
    lines = [" & ".join(map(latex_escaped, row)) + r" \\" for row in rows]
    head = " & ".join(map(latex_escaped, header)) + r" \\"
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def to_markdown(grid: Grid) -> str:
    """A pipe table."""
    header, rows = _cells(grid)
    rule = ["---" if j < grid.n_text else "---:" for j in range(len(header))]
    lines = [[escape_markdown(c) for c in row] for row in (header, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (lines[0], rule, *lines[1:])) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Grid], str]]] = {
    "csv": ("csv", to_csv), "latex": ("tex", to_latex), "markdown": ("md", to_markdown),
}  # fmt: skip


def table_text(grid: Grid, how: str) -> str:
    """The table in one of `FORMATS`."""
    return FORMATS[how][1](grid)
