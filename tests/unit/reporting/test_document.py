"""Blocks in their forms: tables as text, Markdown, SVG, PDF."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from bayesgmm.errors import InputError
from bayesgmm.reporting.document import pdf
from bayesgmm.reporting.document.blocks import (
    Block,
    Box,
    Bullets,
    Code,
    Drawing,
    Fold,
    Heading,
    Link,
    Section,
    Tabular,
    Text,
)
from bayesgmm.reporting.document.figures import drawn
from bayesgmm.reporting.document.markdown import markdown_page
from bayesgmm.reporting.document.svg import smaller_svg
from bayesgmm.reporting.document.table_text import table_text, to_csv, to_latex, to_markdown
from bayesgmm.reporting.numbers import Grid

GRID = Grid.of(
    ["name", "p > 0.9"],
    [["a_b & 5 %", "1.0"], ['say "x", y', "−2"], [r"$c\d$ {#} ~ ^", "–"]],
)  # fmt: skip


def test_csv_reads_back() -> None:
    frame = pd.read_csv(io.StringIO(to_csv(GRID)), dtype=str, keep_default_na=False)
    assert list(frame.columns) == list(GRID.header)
    assert [tuple(row) for row in frame.to_numpy()] == list(GRID.rows)


def test_latex_is_that_of_pandas_where_it_prints_the_same() -> None:
    plain = Grid.of(["name", "n_1"], [["a_b & 5 %", "10"], ["c # {d} $x$", "2.5"]])
    frame = pd.DataFrame(plain.rows, columns=list(plain.header))
    theirs = frame.to_latex(index=False, escape=True, column_format="lr")
    assert to_latex(plain) == theirs


def test_latex_escapes_signs() -> None:
    text = to_latex(GRID)
    assert r"\$c\textbackslash{}d\$ \{\#\} \textasciitilde{} \textasciicircum{} & --" in text
    assert r"p \textgreater{} 0.9" in text
    assert "$-$2" in text


def test_markdown_table_has_a_cell_for_each_and_no_markup() -> None:
    lines = to_markdown(Grid.of(["x", "y"], [["a|b", "*1*"], ["<i>", "1. z"]])).splitlines()
    assert lines == ["| x | y |", "| --- | ---: |", r"| a\|b | \*1\* |", r"| \<i\> | 1\. z |"]


def test_every_format_has_a_name() -> None:
    assert table_text(GRID, "csv") == to_csv(GRID)
    assert table_text(GRID, "latex") == to_latex(GRID)
    assert table_text(GRID, "markdown") == to_markdown(GRID)


# --- Markdown


def line(figure: object) -> None:
    figure.subplots().plot([0.0, 1.0, 2.0], [0.0, 1.0, 0.5], gid="line")  # type: ignore[attr-defined]


def every_block() -> tuple[Block, ...]:
    table = Tabular("t", "A table.", Grid.of(["a", "b"], [["x", Link.to("there", "second")]]))
    return (
        Text("plain *text*"), Text("loud", strong=True), Heading("Head"), Bullets(("one", "two")),
        Code("a = 1\nb = 2", "python"), Code("a paragraph", "prose"), table,
        Drawing("curve", "Curve", "What it shows.", (2.0, 1.5), line),
        Box("answer", (Text("in a box"),)), Fold("More", (Text("folded"),)),
    )  # fmt: skip


def test_markdown_has_every_block() -> None:
    sections = [Section("first", "First", every_block()), Section("second", "Second", (Text("end"),))]
    text, figures = markdown_page("T", "now", [], sections, "r_files")
    for part in (
        r"plain \*text\*", "**loud**", "### Head", "- one\n- two", "```python\na = 1\nb = 2\n```",
        "\n\na paragraph\n\n",
        "| x | [there](#second) |", "![Curve](r_files/curve.svg)", "> in a box", "**More**\n\nfolded",
        '<a id="second"></a>\n\n## Second',
    ):  # fmt: skip
        assert part in text, part
    assert list(figures) == ["curve.svg"]
    assert ElementTree.fromstring(figures["curve.svg"]).tag.endswith("svg")


def test_sections_find_blocks_within_others() -> None:
    inner = Tabular("inner", "", GRID)
    section = Section("s", "S", (Fold("f", (Box("answer", (inner,)),)), Text("x")))
    assert section.each(Tabular) == [inner]


# --- SVG


def matplotlib_svg() -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rng = np.random.default_rng(0)
    with mpl.rc_context({"svg.hashsalt": "x"}):
        figure = Figure(figsize=(4, 3))
        ax = figure.subplots()
        ax.plot(np.linspace(0, 1, 200), np.cumsum(rng.normal(size=200)), gid="path")
        ax.scatter(rng.random(150), rng.normal(size=150), s=9.0)
        ax.set_xlabel("a label")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg")
    return buffer.getvalue().decode()


def vertices(d: str) -> np.ndarray:
    """Points of a path of M, L, l and z."""
    at, out = np.zeros(2), []
    for command, numbers in re.findall(r"([MLlz])([^MLlz]*)", d):
        values = [float(v) for v in re.findall(r"-?\d*\.?\d+", numbers)]
        for x, y in zip(values[::2], values[1::2], strict=True):
            at = at + [x, y] if command == "l" else np.array([x, y])
            out.append(at)
    return np.array(out)


def test_a_smaller_svg_shows_the_same_to_a_tenth_of_a_point() -> None:
    before = matplotlib_svg()
    after = smaller_svg(before)
    assert len(after) < 0.6 * len(before)
    ElementTree.fromstring(after)
    longest = max(re.findall(r' d="([^"]*)"', before), key=lambda d: d.count("L") if "Q" not in d else 0)
    same = max(re.findall(r' d="([^"]*)"', after), key=lambda d: len(d) if not set(d) & set("QC") else 0)
    a, b = vertices(longest.replace("\n", " ")), vertices(same)
    nearest = np.abs(a[:, None] - b[None]).max(axis=2).min(axis=1)
    assert nearest.max() <= 0.0501
    for drawing in (before, after):  # the markers, wherever they are written
        places = re.findall(r'<use [^>]*x="([^"]*)" y="([^"]*)"', drawing)
        assert len(places) >= 150
    assert len(re.findall("<use ", before)) == len(re.findall("<use ", after))
    used = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', after))
    names = set(re.findall(r' id="([^"]*)"', after))
    assert {a or b for a, b in used} <= names


def test_the_same_drawing_gives_the_same_bytes() -> None:
    drawing = Drawing("curve", "Curve", "", (2.0, 1.5), line)
    first, second = (drawn(drawing, "svg", "pdf") for _ in range(2))
    assert first == second
    assert first["pdf"].startswith(b"%PDF")


# --- PDF


def test_without_a_browser_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"none of Chromium, Chrome and Edge is on the PATH: install one, or write an"):
        pdf.printed("<p>x</p>")


def test_a_browser_that_fails_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(pdf.shutil, "which", lambda name: str(browser) if name == "chromium" else None)
    with pytest.raises(InputError, match=r"did not print the report to PDF \(broken\)"):
        pdf.printed("<p>x</p>")
