"""How results show themselves: one line, and HTML that a parser reads back, with the verdict first."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.model_selection.candidate import score_candidate
from bayesgmm.model_selection.loo.kfold import KFoldResult
from bayesgmm.model_selection.shown import reliable as of_model_selection
from bayesgmm.record import MOST_ROWS, Record, html_of
from tests.unit.test_arguments import RECORDS

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
QUICK: dict[str, Any] = {"inference": "laplace", "draws": 200, "chains": 4, "n_init": 4, "random_seed": 1}


class Reader(HTMLParser):
    """Paragraphs and tables of a fragment; whatever is open must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.paragraphs: list[str] = []
        self.tables: list[list[list[str]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag == "p":
            self.paragraphs.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "p" in self.open:
            self.paragraphs[-1] += data
        elif {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(2, progressbar=False, **QUICK).fit(bg.datasets.load_faithful())


@pytest.fixture(scope="module")
def records(fit: bg.BayesianGMM) -> dict[str, Record]:
    """One of every class of results."""
    partition, candidate = fit.partition(), score_candidate(fit, seconds=1.0)
    comparison = bg.Comparison(fits={2: fit}, candidates={2: candidate})
    found: list[Any] = [
        fit.em_, fit.em_.params, bg.MixturePrior(lkj_eta=1.0), fit.prior_, fit.table_, fit.diagnose(),
        fit.assignment(), fit.classification(), fit.merging(), partition, partition.ball, fit.marginal(),
        bg.highest_density_region(fit.marginal("waiting")), fit.loo(repair=False, force=True), fit.waic(),
        fit.log_evidence(force=True), bg.compare_clusterings(fit, ["k-means"], result=partition), candidate,
        comparison, comparison.recommendation, comparison.average(), candidate.empty_ratio,
        KFoldResult(-9.5, 1.25, *(np.arange(4),) * 4, np.array([True, True, True, False])),
    ]  # fmt: skip
    return {type(record).__name__: record for record in found}


def test_every_result_of_a_public_function_is_a_record(records: dict[str, Record]) -> None:
    assert set(records) >= RECORDS | {"MixtureParams", "MixturePrior", "ResolvedPrior"}
    assert all(isinstance(record, Record) for record in records.values())


def test_a_line_and_sentences(records: dict[str, Record]) -> None:
    for name, record in records.items():
        line = repr(record)
        assert line.startswith(name) and "\n" not in line and len(line) < 200, line
        assert (str(record) != line and str(record).endswith((".", "1)", "²)", "²"))) or name == "ResolvedPrior", name


def test_numbers_of_the_line(fit: bg.BayesianGMM, records: dict[str, Record]) -> None:
    em = fit.em_
    assert repr(em) == (
        f"EMResult(n_components=2, covariance_type='full', log_likelihood={em.log_likelihood:.6g}, bic={em.bic:.6g}, "
        "converged=True)"
    )
    table = fit.diagnose().table
    r_hat, ess = table["r_hat"].max(), np.nanmin(table[["ess_bulk", "ess_tail"]].to_numpy())
    assert f"r_hat={r_hat:.6g}, ess={ess:.6g}" in repr(fit.diagnose())
    assert repr(fit.table_) == "Table(n_rows=272, n_features=2, missing_cells=0)"
    assert "waiting" in repr(records["HighestDensityRegion"])
    assert repr(records["KFoldResult"]) == "KFoldResult(elpd=-9.5, se=1.25, n_folds=4, ok=False)"


def test_numbers_of_groups_in_words() -> None:
    ball = bg.partition_from_labels(np.array([[0, 0, 1], [0, 0, 1]])).ball
    assert str(ball) == "100 % of the draws lie within 0 of the estimate, with 2 groups."
    assert (
        replace(ball, n_clusters=(1, 3)).groups == "1 to 3 groups"
        and replace(ball, n_clusters=(1, 1)).groups == "1 group"
    )


def test_a_prior_is_what_was_stated_to_the_last_digit() -> None:
    prior = bg.MixturePrior(mean_scale=[1.0, 1 / 3], sd=bg.priors.HalfNormal(0.1 + 0.2))
    names = {"MixturePrior": bg.MixturePrior, "HalfNormal": bg.priors.HalfNormal}
    assert eval(repr(prior), names) == prior
    assert repr(bg.MixturePrior()) == "MixturePrior()"


def test_html_of_every_result(records: dict[str, Record]) -> None:
    for name, record in records.items():
        page = read(record._repr_html_())
        said = " ".join(page.paragraphs)
        assert len(page.paragraphs) >= 1, name
        assert all(len(table) <= MOST_ROWS + 1 for table in page.tables), name
        for line in str(record).splitlines():
            for sentence in re.split(r"(?<=[.]) ", line):
                assert sentence in said or sentence in " ".join(said.split()), f"{name}: {sentence}"


def test_tables_are_those_of_the_result(fit: bg.BayesianGMM) -> None:
    found = fit.assignment()
    components, rows = read(found._repr_html_()).tables
    assert [float(row[1]) for row in components[1:]] == pytest.approx(found.components["size"].tolist(), rel=5e-4)
    doubt = found.table["entropy"].sort_values(ascending=False, kind="stable")
    assert [row[0] for row in rows[1:]] == [str(name) for name in doubt.index[:MOST_ROWS]]
    assert f"{272 - MOST_ROWS} more rows" in found._repr_html_()


def test_the_verdict_stands_first(fit: bg.BayesianGMM) -> None:
    assert read(fit.diagnose()._repr_html_()).paragraphs[0] == fit.diagnose().verdict
    assert read(fit.em_._repr_html_()).paragraphs[0] == fit.em_.message
    waic = fit.waic()
    first = read(waic._repr_html_()).paragraphs[0]
    assert first.startswith("Not to be trusted" if waic.n_unstable else "All 272")


def test_results_of_a_fit_that_has_not_converged_say_so() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = bg.BayesianGMM(
            2, progressbar=False, draws=20, chains=2, n_init=2, inference="laplace", random_seed=1
        ).fit(bg.datasets.load_faithful().iloc[:40])  # fmt: skip
    verdict = bad.diagnose().verdict
    assert not bad.diagnose().ok
    for found in (
        bad.assignment(), bad.partition(), bad.merging(), bad.merging(separation=2.0), bad.classification(),
        bad.marginal(), bad.conditional({"waiting": 60.0}), bad.waic(),
    ):  # fmt: skip
        assert read(found._repr_html_()).paragraphs[0] == verdict, type(found)
    assert verdict in bad._repr_html_()


def test_names_cannot_break_the_page() -> None:
    frame = pd.DataFrame({"<b>&": ["<script>alert(1)</script>", "a\u202eb"]}, index=["<i>", "x"])
    html = html_of("1 < 2 & so on", {"a <table>": frame}, ("not <ok>", False))
    page = read(html)
    assert page.paragraphs == ["not <ok>", "1 < 2 & so on", "a <table>"]
    assert page.tables == [[["", "<b>&"], ["<i>", "<script>alert(1)</script>"], ["x", r"a\u202eb"]]]


def test_wide_tables_are_cut() -> None:
    frame = pd.DataFrame(np.zeros((MOST_ROWS + 1, 14)))
    page = read(html_of("", {"zeros": frame}))
    assert len(page.tables[0]) == MOST_ROWS + 1 and len(page.tables[0][0]) == 13
    assert page.paragraphs[-1] == "1 more row and 2 more columns"


def test_the_box_of_an_estimator(fit: bg.BayesianGMM) -> None:
    plain = bg.BayesianGMM(3)._repr_html_()
    assert "Mixing proportions" not in plain and "BayesianGMM" in plain
    html = fit._repr_mimebundle_()["text/html"]
    mine = read(html[: html.index("<style>")])
    assert mine.paragraphs[0] == fit.diagnose().verdict
    assert mine.paragraphs[1].startswith("2 Gaussian components (full); 272 observations of 2 columns")
    shares = [float(row[1]) for row in mine.tables[0][1:]]
    np.testing.assert_allclose(shares, fit.weights_, atol=6e-5)
    draws = fit.posterior_["posterior"]["weights"].values.reshape(-1, 2)
    bounds = [[float(cell) for cell in row[2:]] for row in mine.tables[0][1:]]
    np.testing.assert_allclose(bounds, np.quantile(draws, [0.025, 0.975], axis=0).T, atol=6e-5)


def test_a_comparison_names_what_did_not_converge(records: dict[str, Record]) -> None:
    comparison: Any = records["Comparison"]
    assert of_model_selection(comparison) == ("Converged.", True)
    failed = {2: replace(comparison.candidates[2], converged=False)}
    said = bg.Comparison(fits=comparison.fits, candidates=failed)
    assert of_model_selection(said) == ("Not converged: K = 2.", False)
    rough = {2: replace(comparison.candidates[2], converged=False, rough=True)}
    said = bg.Comparison(fits=comparison.fits, candidates=rough)
    assert of_model_selection(said) == ("Converged, but for the rough fits of K = 2.", True)
