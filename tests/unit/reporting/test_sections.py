"""The sections of a report: numbers by their definitions, scripts that run, checklists that answer every item."""

from __future__ import annotations

import re
import shutil
import warnings
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

import bayesgmm as bg
from bayesgmm.cli import main
from bayesgmm.errors import InputError
from bayesgmm.reporting.checklists import CHECKLISTS, checklist_section
from bayesgmm.reporting.class_quality import class_quality
from bayesgmm.reporting.document.blocks import Code, Link, Section, Tabular
from bayesgmm.reporting.references import cited, references
from bayesgmm.reporting.report import sections_of, subject_of
from bayesgmm.reporting.sections import Subject
from bayesgmm.reporting.sections.again import command, script
from bayesgmm.reporting.sections.methods import methods_paragraph
from bayesgmm.reporting.sections.subject import Told

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning", "ignore::UserWarning")
QUICK: dict[str, Any] = {
    "inference": "laplace", "draws": 500, "chains": 2, "n_init": 3, "random_seed": 1, "progressbar": False
}  # fmt: skip
KINDS = pd.Series(["short"] * 90 + ["long"] * 180 + [None] * 2, name="kind", dtype=object)


@pytest.fixture(scope="module")
def compared() -> bg.Comparison:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bg.compare_components(bg.datasets.load_faithful(), [1, 2], **QUICK)


@pytest.fixture(scope="module")
def subject(compared: bg.Comparison) -> Subject:
    return subject_of(compared, Told(source="faithful.csv"), 0.95, KINDS)


@pytest.fixture(scope="module")
def alone() -> Subject:
    """A fit of t components and noise, with missing cells and weights."""
    X = bg.datasets.load_faithful()[::3].reset_index(drop=True)
    X.iloc[3, 0] = np.nan
    weights = np.ones(len(X))
    weights[0] = 2.0
    fit = bg.BayesianGMM(2, component="t", noise=True, **QUICK).fit(X, sample_weight=weights)
    return subject_of(fit, Told(), 0.9)


@pytest.fixture(scope="module")
def sections(subject: Subject) -> dict[str, Section]:
    return {section.key: section for section in sections_of(subject)}


def table(sections: dict[str, Section], key: str, name: str) -> Any:
    return next(t.grid for t in sections[key].each(Tabular) if t.name == name)


def test_order_of_the_sections(sections: dict[str, Section]) -> None:
    assert list(sections) == [
        "question", "answer", "convergence", "choice", "clusters", "assignments", "prior", "predictive-check",
        "methods", "again", "versions",
    ]  # fmt: skip


def test_names_of_tables_and_figures_are_unique(subject: Subject, alone: Subject) -> None:
    for one in (subject, alone):
        found = [(type(b).__name__, b.name) for s in sections_of(one) for b in _named(s)]
        assert len(found) == len(set(found)) > 15


def _named(section: Section) -> list[Any]:
    from bayesgmm.reporting.document.blocks import Drawing

    return [*section.each(Tabular), *section.each(Drawing)]


def test_entropy_and_classification_by_their_definitions(subject: Subject) -> None:
    fit = subject.fit
    p = fit.predict_proba(fit.table_.values)
    found = class_quality(fit)
    each = entropy(p, axis=1)
    assert found.entropy == pytest.approx(1.0 - each.mean() / np.log(p.shape[1]), abs=2e-3)
    label = p.argmax(axis=1)
    for k in range(p.shape[1]):
        assert found.assigned[k] == (label == k).sum()
        np.testing.assert_allclose(found.mean_probability[k], p[label == k].mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(found.share, fit.weights_)


def test_sizes_of_every_fit(subject: Subject, sections: dict[str, Section]) -> None:
    grid = table(sections, "choice", "sizes")
    assert [row[0] for row in grid.rows] == ["1", "2"]
    assert grid.rows[0][1] == "272 (1.00)"
    counts = np.bincount(subject.compared.fits[2].labels_)  # type: ignore[union-attr]
    weights = subject.compared.fits[2].weights_  # type: ignore[union-attr]
    assert list(grid.rows[1][1:3]) == [f"{n} ({w:.2f})" for n, w in zip(counts, weights, strict=True)]


def test_known_classes_are_crossed(subject: Subject, sections: dict[str, Section]) -> None:
    grid = table(sections, "assignments", "known-components")
    known = KINDS.notna().to_numpy()
    expected = pd.crosstab(KINDS[known], subject.fit.labels_[known])
    assert {row[0]: [int(n) for n in row[1:]] for row in grid.rows} == {
        name: row.tolist() for name, row in zip(expected.index, expected.to_numpy(), strict=True)
    }
    with pytest.raises(InputError, match="3 classes for 272 observations"):
        subject_of(subject.fit, Told(), 0.95, ["a", "b", "c"])
    with pytest.raises(InputError, match="must be None or a class for each observation"):
        subject_of(subject.fit, Told(), 0.95, "a")


def test_a_comparison_does_not_say_that_the_number_was_given(sections: dict[str, Section]) -> None:
    said = repr(sections["answer"]) + repr(sections["choice"])
    assert "was given" not in said
    assert "Of 2 fits with K = 1 and 2" in said


# --- methods


def test_every_work_that_is_cited_is_listed_and_no_other(subject: Subject, alone: Subject) -> None:
    for one in (subject, alone):
        text, keys = methods_paragraph(one)
        for key in references():
            assert (cited(key) in text) == (key in keys), key
    text, _ = methods_paragraph(alone)
    assert "t distributions" in text and "noise component" in text and "missing at random" in text
    assert "weighted by their frequencies" in text and "The number of components, 2, was given." in text
    assert "90 % credible intervals" in text
    assert "by Laplace's approximation" in text and "No-U-Turn" not in text


def test_bibtex_has_an_entry_for_every_reference(sections: dict[str, Section]) -> None:
    entries = next(code.text for code in sections["methods"].each(Code) if code.language == "bibtex")
    assert len(re.findall(r"^@\w+\{", entries, re.M)) == len(methods_keys(sections))
    assert entries.count("{") == entries.count("}")


def methods_keys(sections: dict[str, Section]) -> list[str]:
    from bayesgmm.reporting.document.blocks import Bullets

    return list(sections["methods"].each(Bullets)[0].items)


# --- how to make it again


def test_the_script_makes_the_same_fit(
    compared: bg.Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bg.datasets.load_faithful().assign(kind=KINDS)
    data.to_csv(tmp_path / "faithful.csv", index=False)
    fit = bg.BayesianGMM(2, prior=bg.MixturePrior(mean_scale=[2.0, 3.0], sd=bg.priors.HalfNormal(1.5)), **QUICK)
    fit.fit(bg.datasets.load_faithful())
    text = script(subject_of(fit, Told(source="faithful.csv"), 0.9, KINDS))
    monkeypatch.chdir(tmp_path)
    room: dict[str, Any] = {}
    exec(compile(text, "script", "exec"), room)
    np.testing.assert_allclose(room["fit"].means_, fit.means_)
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert "ci_prob=0.9" in text and "HalfNormal" in text

    again = script(subject_of(compared, Told(source="faithful.csv"), 0.95))
    assert "bg.compare_components(" in again and "[1, 2]" in again and "inference='laplace'" in again
    compile(again, "script", "exec")


def test_the_command_line_is_one_that_is_understood(subject: Subject, alone: Subject) -> None:
    line, lacking = command(subject)
    assert line == (
        "bayesgmm compare faithful.csv --components 1,2 --columns eruptions,waiting --inference laplace --seed 1 "
        "--draws 500 --chains 2 --label kind --out report.html"
    )
    assert lacking == ["n_init"]
    line, lacking = command(alone)
    assert "--component t" in line and "--noise" in line
    assert "weights that are no column of the file" in lacking
    assert command(subject_of(alone.fit, Told(command="bayesgmm demo"), 0.9)) == ("bayesgmm demo", [])


# --- checklists


def test_checklists_have_all_items_once() -> None:
    for name, number in (("smart-lca", 14), ("grolts", 16)):
        items = CHECKLISTS[name].items
        numbers = [item.number for item in items]
        assert len(set(numbers)) == len(numbers)
        assert {int(re.match(r"\d+", n)[0]) for n in numbers} == set(range(1, number + 1))  # type: ignore[index]
    assert len(CHECKLISTS["grolts"].items) == 21


@pytest.mark.parametrize("name", list(CHECKLISTS))
def test_every_item_is_answered_by_a_section_or_does_not_apply(name: str, subject: Subject, alone: Subject) -> None:
    for one in (subject, alone):
        sections = sections_of(one)
        grid = checklist_section(name, one, sections).each(Tabular)[0].grid
        keys = {section.key for section in sections}
        for _, _, answer, place in grid.rows:
            if isinstance(place, Link):
                assert place.anchor in keys
                assert not answer.startswith("Not applicable")
            else:
                assert answer.startswith("Not applicable, because ")
        applies = sum(isinstance(row[-1], Link) for row in grid.rows)
        assert applies >= (len(grid.rows) // 2 if one is subject else len(grid.rows) // 3)


def test_items_about_missing_cells_apply_where_cells_are_missing(subject: Subject, alone: Subject) -> None:
    def answer(one: Subject, number: str) -> str:
        return next(item.answer(one).text for item in CHECKLISTS["grolts"].items if item.number == number)

    assert answer(subject, "3a") == "Not applicable, because no cell is missing."
    assert answer(alone, "3a") == "Cells are assumed missing at random."
    assert answer(subject, "11") == "2 fits, K = 1 and 2; K = 1 is among them."
    assert answer(alone, "11").startswith("Not applicable, because one fit is reported")


# --- files


def test_tables_and_figures_by_functions(alone: Subject, tmp_path: Path) -> None:
    texts = bg.report_tables(alone.fit, folder=tmp_path)
    assert texts["classification"].splitlines()[0] == "assigned to,observations,component 0,component 1,noise"
    assert (tmp_path / "classification.csv").read_text() == texts["classification"]
    assert bg.report_tables(alone.fit, table_format="latex")["settings"].startswith(r"\begin{tabular}{ll}")
    with pytest.raises(InputError, match="is no folder"):
        bg.report_tables(alone.fit, folder=tmp_path / "none")
    made = bg.report_figures(alone.fit, tmp_path, figure_format="pdf")
    assert {"profile", "clusters", "prior", "predictive-check", "diagnostics"} <= set(made)
    assert all(path.read_bytes().startswith(b"%PDF") for path in made.values())


def test_markdown_report(alone: Subject, tmp_path: Path) -> None:
    path = bg.report(alone.fit, tmp_path / "report.md", checklist="grolts")
    text = path.read_text(encoding="utf-8")
    assert "## Posterior predictive check" in text and "## GRoLTS checklist" in text
    drawings = re.findall(r"!\[[^\]]*\]\((report_files/[^)]*)\)", text)
    assert len(drawings) == len(set(drawings)) >= 5
    assert all((tmp_path / drawing).is_file() for drawing in drawings)
    anchors = set(re.findall(r'<a id="([^"]*)"></a>', text))
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["bayesgmm", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    data = bg.datasets.load_faithful().assign(kind=KINDS, copies=1.0)
    data.loc[0, "copies"] = 2.0
    data.to_csv(tmp_path / "my data.csv", index=False)
    quick = ["--inference", "laplace", "--draws", "400", "--chains", "2"]
    fit = ["fit", str(tmp_path / "my data.csv"), "-k", "2", "--label", "kind", "--weights", "copies", *quick]
    code, _ = run(*fit, "--checklist", "smart-lca", "--out", str(tmp_path / "r.html"))
    assert code in (0, 3)
    page = unescape((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "SMART-LCA checklist" in page and "Known classes: kind" in page
    assert "--label kind --weights copies --inference laplace" in page
    assert "weights = data.pop('copies')" in page
    for wrong, words in (
        (["--checklist", "grolts"], "give --out too"),
        (["--checklist", "none"], "smart-lca"),
        (["--out", str(tmp_path / "r.doc")], ".html, .md or .pdf"),
    ):
        code, err = run(*fit, *wrong)
        assert code == 2 and words in err and len(err.strip().splitlines()) <= 3
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, err = run(*fit, "--out", str(tmp_path / "r.pdf"))
    assert code == 2 and "Chromium" in err


def test_recording_steps_are_options_of_the_command_line() -> None:
    prior = bg.MixturePrior(resolution={"waiting": 1.0})
    fit = bg.BayesianGMM(1, prior=prior, **QUICK).fit(bg.datasets.load_faithful()[::4])
    line, lacking = command(subject_of(fit, Told(), 0.95))
    assert "--resolution waiting=1 " in line
    assert lacking == ["n_init"]
    other = bg.MixturePrior(resolution={"waiting": 1.0}, concentration=2.0)
    fit = bg.BayesianGMM(1, prior=other, **QUICK).fit(bg.datasets.load_faithful()[::4])
    assert "prior" in command(subject_of(fit, Told(), 0.95))[1]


def test_rows_of_known_class_are_certain() -> None:
    X = bg.datasets.load_faithful()
    y = np.full(len(X), -1)
    y[:20] = (X["waiting"][:20] < 66).astype(int)  # 20 rows, some of which may lie among the others
    y[0] = 1 - y[0]
    subject = subject_of(bg.BayesianGMM(2, **QUICK).fit(X, y), Told(), 0.95)
    np.testing.assert_allclose(subject.probabilities[np.arange(20), y[:20]], 1.0)
    assert subject.probabilities[20:].max() < 1.0
    assert "The component of 20 observations was known and held fixed." in methods_paragraph(subject)[0]
