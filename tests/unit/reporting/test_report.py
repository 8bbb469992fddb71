"""The report: one self-contained page that says what was found and whether to believe it."""

from __future__ import annotations

import base64
import re
import warnings
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import bayesgmm.reporting.results as results
from bayesgmm.datasets import load_faithful
from bayesgmm.errors import InputError, NotConvergedWarning
from bayesgmm.estimator import BayesianGMM, load
from bayesgmm.reporting.method import frame
from bayesgmm.reporting.numbers import Grid, decimals_for, fixed, join, percent, significant
from bayesgmm.reporting.report import report

_VOID = {"meta", "img", "br", "hr", "link", "input"}


class _Page(HTMLParser):
    """Tags, attributes and text of a page; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def quiet_fit(k: int, X: Any, **options: Any) -> BayesianGMM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        weights = options.pop("sample_weight", None)
        return BayesianGMM(k, random_seed=1, progressbar=False, **options).fit(X, sample_weight=weights)


@pytest.fixture(scope="module")
def good() -> BayesianGMM:
    return quiet_fit(2, load_faithful(), draws=600, tune=300)


@pytest.fixture(scope="module")
def bad() -> BayesianGMM:
    return quiet_fit(4, load_faithful(), draws=40, tune=40, n_init=4)


@pytest.fixture(scope="module")
def good_page(good: BayesianGMM, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(good, tmp_path_factory.mktemp("report") / "good.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bad_page(bad: BayesianGMM, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(bad, tmp_path_factory.mktemp("report") / "bad.html").read_text(encoding="utf-8")


# --- the file


def test_returns_the_path_of_the_only_file_it_writes(good: BayesianGMM, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert report(good, str(target)) == target
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_page_is_well_formed_and_needs_nothing_else(good_page: str, bad_page: str) -> None:
    for html in (good_page, bad_page):
        page = _Page(html)
        assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
        assert [attrs for tag, attrs in page.tags if tag == "script"] == [{}]  # within the page, from nowhere else
        links = [attrs["href"] or "" for _, attrs in page.tags if "href" in attrs]
        anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        assert all(link.startswith("data:application/pdf;base64,") or link[1:] in anchors for link in links)
        assert not [a for _, attrs in page.tags for a in attrs if a in ("srcset", "action")]
        sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
        assert len(sources) == 6  # the tree of merges is one of them
        assert all(source and source.startswith("data:image/svg+xml;base64,") for source in sources)
        assert not re.search(r"url\(|@import|https?://", re.sub(r'(src|href)="[^"]*"', "", html))
        for source in sources:
            assert source
            root = ElementTree.fromstring(base64.b64decode(source.split(",", 1)[1]))
            assert root.tag.endswith("svg")
        assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")


def test_what_a_page_is_made_of_ships_with_the_package() -> None:
    home = files("bayesgmm.reporting")
    for name in ("page.html.j2", "blocks.html.j2", "page.css", "page.js"):
        assert home.joinpath("templates", name).is_file()
    assert home.joinpath("references.bib").is_file()


def test_a_failure_leaves_the_old_report_and_nothing_else(
    good: BayesianGMM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.html"
    target.write_text("the old one")

    def fail(*_: Any) -> Any:
        raise RuntimeError("interrupted")

    monkeypatch.setattr(results, "clusters", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        report(good, target)
    assert target.read_text() == "the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_saved_fit_gives_the_same_report(good: BayesianGMM, good_page: str, tmp_path: Path) -> None:
    good.save(tmp_path / "fit.nc")
    again = report(load(tmp_path / "fit.nc"), tmp_path / "again.html").read_text(encoding="utf-8")

    def undated(html: str) -> str:
        return re.sub(r"written [0-9: UTC-]+", "written", html)

    assert undated(again) == undated(good_page)


# --- what it says


def test_headline_has_sizes_with_intervals_and_the_verdict(good: BayesianGMM, good_page: str) -> None:
    words = _Page(good_page).words
    assert good.diagnose().ok
    assert (
        "A mixture of 2 Gaussian components (full covariance) was fitted to 272 observations of 2 variables." in words
    )
    weights = good.posterior_["posterior"]["weights"].values.reshape(-1, 2)
    for k in range(2):
        low, high = np.quantile(weights[:, k], [0.025, 0.975])
        said = f"mixing proportion {weights[:, k].mean():.2f} (95 % credible interval {low:.2f} to {high:.2f})"
        assert f"Component {k} has {said}" in words
    assert good.diagnose().verdict in words


def test_sections_are_all_there(good: BayesianGMM, good_page: str) -> None:
    words = _Page(good_page).words
    headings = re.findall(r"<h2>(.*?)</h2>", good_page)
    assert headings == [
        "Question and data", "Answer", "Convergence", "Choice of the number of components", "The clusters",
        "Assignments", "Model and prior", "Posterior predictive check", "Methods paragraph", "How to make it again",
        "Versions and seed",
    ]  # fmt: skip
    for line in str(good.prior_).splitlines():
        assert line in words
    assert str(good.em_) in words
    assert f"{good.em_.bic:.1f}" in words
    assert "Apparent measurement resolution: eruptions (0.001) and waiting (1)." in words
    assert "random seed 1" in words
    assert "bg.BayesianGMM(n_components=2, draws=600, tune=300, random_seed=1)" in words
    for name, version in re.findall(r'"([\w-]+)": "([\d.]+)"', good.posterior_.attrs["versions"]):
        assert f"{name} {version}" in words
    for quantity in (*good.diagnose().table.index, *good.summary().index):
        assert quantity in words
    assert "All starts led to one mode." in words


def test_assignment_counts_are_those_of_predict_proba(good: BayesianGMM, good_page: str) -> None:
    p = good.predict_proba(load_faithful())
    sure = int((p.max(axis=1) > 0.9).sum())
    words = _Page(good_page).words
    assert f"{sure} of 272 observations ({percent(sure / 272)}) belong to one component" in words
    least = int(p.max(axis=1).argmin())
    order = np.argsort(-p[least])
    row = f"{least} component {order[0]} ({p[least, order[0]]:.2f}) component {order[1]} ({p[least, order[1]]:.2f})"
    assert row in words


def test_an_unconverged_fit_says_so_first(bad: BayesianGMM, bad_page: str, good_page: str) -> None:
    assert not bad.diagnose().ok
    page = _Page(bad_page)
    assert ("div", {"class": "banner", "role": "alert"}) in page.tags
    assert bad_page.index('role="alert"') < bad_page.index("<h2>") < bad_page.index('class="answer"')
    assert "This fit has not converged. Its numbers must not be used yet." in page.words
    assert page.words.index(bad.diagnose().verdict) < page.words.index("A mixture of 4")
    for line in bad.diagnose().advice:
        assert " ".join(line.split()) in page.words
    assert bad_page.count('class="n bad">NO<') >= len(bad.summary())
    assert 'role="alert"' not in good_page
    assert "Not converged" not in _Page(good_page).words


def test_no_number_is_given_to_fifteen_digits(good_page: str, bad_page: str) -> None:
    for html in (good_page, bad_page):
        said = re.sub(r"10\.\d+/\S+", "", _Page(html).words)  # but DOIs
        numbers = re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", said)  # versions have two points
        assert len(numbers) > 300
        assert [n for n in numbers if len(n.replace(".", "").lstrip("0")) > 8] == []


def test_names_are_text_never_markup(tmp_path: Path) -> None:
    data = load_faithful().iloc[:80]
    data.columns = pd.Index(["<b>bold</b> & $x_1$", '"><script>alert(1)</script>'])
    data.index = pd.Index([f"<i>{i}</i>" for i in range(80)])
    html = report(quiet_fit(2, data, draws=50, tune=50, n_init=2), tmp_path / "r.html").read_text(encoding="utf-8")
    page = _Page(html)
    assert not {"b>bold", "i"} & {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert data.columns[0] in page.words
    assert data.columns[1] in page.words
    assert html.count("<script") == 1
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html
    assert unescape("&lt;i&gt;") in page.words  # the least certain rows carry their names


def test_names_cannot_turn_round_or_hide_what_stands_beside_them(tmp_path: Path) -> None:
    data = load_faithful().iloc[:80]
    data.columns = pd.Index(["right\u202eleft", "bell\x07\x1b[31m"])
    data.index = pd.Index([f"\u2066row\ud800 {i}\u2069" for i in range(80)], dtype=object)
    html = report(quiet_fit(2, data, draws=50, tune=50, n_init=2), tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html) is None
    for shown in (r"right\u202eleft", r"bell\x07\x1b[31m", r"\u2066row\ud800 "):
        assert shown in _Page(html).words
    for drawn in re.findall('svg[+]xml;base64,([^"]*)', html):
        svg = base64.b64decode(drawn).decode()
        ElementTree.fromstring(svg)  # a control character would not parse
        assert "\u202e" not in svg


def test_weighted_rows_one_component_no_prior_for_rounding(tmp_path: Path) -> None:
    from bayesgmm.model.prior import MixturePrior

    weight = np.ones(272)
    weight[:2] = 0.0
    weight[2] = 3.0
    fit = quiet_fit(1, load_faithful(), draws=50, tune=50, prior=MixturePrior(resolution=None), sample_weight=weight)
    words = _Page(report(fit, tmp_path / "r.html").read_text(encoding="utf-8")).words
    assert "Observations are weighted: weights from 1 to 3, 272 in total; 2 of weight 0 are ignored." in words
    assert "was fitted to 270 observations" in words
    assert "leaves rounding out" in words
    assert "There is one component, to which every observation belongs" in words
    assert "weights = ... # the weight of each observation" in words


# --- what it refuses


def test_bad_input(good: BayesianGMM, tmp_path: Path) -> None:
    for wrong, message in (
        (BayesianGMM(2), "not fitted yet"),
        ([1.0], "a fitted BayesianGMM is needed here, not a list"),
        (None, "not a NoneType"),
    ):
        with pytest.raises(InputError, match=message):
            report(wrong, tmp_path / "r.html")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not exist"):
        report(good, tmp_path / "nowhere" / "r.html")
    with pytest.raises(InputError, match="is a folder"):
        report(good, tmp_path)
    with pytest.raises(InputError, match="ci_prob"):
        report(good, tmp_path / "r.html", ci_prob=95)
    assert list(tmp_path.iterdir()) == []


# --- numbers


@pytest.mark.parametrize(
    ("x", "text"), [(0.0, "0"), (1234567.0, "1234567"), (1e9, "1e+09"), (0.1 + 0.2, "0.3"), (float("nan"), "–")]
)
def test_significant(x: float, text: str) -> None:
    assert significant(x) == text


def test_decimals_show_the_uncertainty_to_two_digits() -> None:
    rng = np.random.default_rng(0)
    for sd in 10.0 ** rng.uniform(-4, 4, size=200):
        decimals = decimals_for(sd)
        assert decimals is not None
        shown = float(fixed(sd, decimals))
        assert abs(shown - sd) <= 0.051 * sd  # half a unit of the second digit is at most 5 %
        assert decimals == 0 or len(fixed(sd, decimals).lstrip("0.").replace(".", "")) <= 3


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (1.0, "100 %"), (0.9996, "> 99.9 %"), (0.0002, "< 0.1 %")])
def test_percent_never_rounds_to_certainty(share: float, text: str) -> None:
    assert percent(share) == text


def test_lists_are_cut() -> None:
    assert join(["a"]) == "a"
    assert join(["a"] * 20, limit=3) == "a, a, a and 17 more"


def test_data_frames_as_text() -> None:
    table = pd.DataFrame({"n_starts": [12000], "log_posterior": [-455.99312], "status": ["ok"], "best": [True]})
    assert frame(table) == Grid(
        ("status", "n starts", "log posterior", "best"), (("ok", "12,000", "-455.99", "yes"),), 1
    )
