"""The page in a browser: it fits a phone and a desk, light and dark, its buttons copy what Python writes, it prints."""

from __future__ import annotations

import json
import re
import subprocess
import warnings
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.errors import InputError
from bayesgmm.reporting.document.pdf import find_browser

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning", "ignore::UserWarning")
QUICK: dict[str, Any] = {
    "inference": "laplace", "draws": 500, "chains": 2, "n_init": 3, "random_seed": 1, "progressbar": False
}  # fmt: skip
# What a frame of a given width says of the page within it.
MEASURE = """
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement, out = {};
  page.querySelectorAll("details").forEach(d => { d.open = true; });
  out.scroll = root.scrollWidth; out.client = root.clientWidth;
  out.beyond = [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll")
    && e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.tagName);
  out.narrow = [...page.querySelectorAll("td, th, p, li, h1, h2, h3, summary, figcaption, button, pre")].filter(e =>
    e.textContent.trim().length > 4 && e.getBoundingClientRect().width > 0
    && e.getBoundingClientRect().width < 32).map(e => e.textContent);
  out.background = frame.contentWindow.getComputedStyle(page.body).backgroundColor;
  const as = frame.contentWindow.eval("AS");
  out.tables = {};
  page.querySelectorAll("table").forEach(t => {
    out.tables[t.dataset.name] = [as.csv(t), as.latex(t), as.markdown(t)];
  });
  const said = document.createElement("script");
  said.type = "application/json"; said.id = "said"; said.textContent = JSON.stringify(out).replaceAll("<", "\\\\u003c");
  document.body.append(said);
};
frame.srcdoc = PAGE;
"""


@pytest.fixture(scope="module")
def browser() -> str:
    try:
        return find_browser()
    except InputError:
        pytest.skip("no Chromium, Chrome or Edge on the PATH")


def named(d: int, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, d)) + 4.0 * (np.arange(n) % 2)[:, None]
    return pd.DataFrame(rows, columns=[f"a rather long name of column {j} & <b>" for j in range(d)])


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    """One column, two with noise and tails, 50, and a comparison."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "one": bg.BayesianGMM(2, **QUICK).fit(bg.datasets.load_galaxies()),
            "noise": bg.BayesianGMM(2, component="t", noise=True, **QUICK).fit(named(2)),
            "wide": bg.BayesianGMM(2, covariance_type="diag", **QUICK).fit(named(50)),
            "compared": bg.compare_components(bg.datasets.load_faithful(), [1, 2], **QUICK),
        }


@pytest.fixture(scope="module")
def pages(fits: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        name: bg.report(fit, folder / f"{name}.html", checklist="grolts").read_text(encoding="utf-8")
        for name, fit in fits.items()
    }


def seen(browser: str, page: str, width: int, folder: Path, *options: str) -> dict[str, Any]:
    """What the page says of itself in a frame of that width; a window of the browser is never narrower than 500."""
    script = MEASURE.replace("PAGE", json.dumps(page).replace("</", "<\\/"))
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f'<iframe style="width:{width}px;height:800px;border:0"></iframe><script>{script}</script>')
    command = [
        browser, "--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={folder}/profile", *options,
        "--virtual-time-budget=20000", "--window-size=1600,900", "--dump-dom", wrapper.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    found = re.search(r'<script type="application/json" id="said">(.*?)</script>', dom, re.S)
    assert found, dom[-500:]
    return json.loads(found[1])


@pytest.mark.parametrize("name", ["one", "noise", "wide", "compared"])
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_overflows_and_no_word_is_broken_into_letters(
    name: str, width: int, browser: str, pages: dict[str, str], tmp_path: Path
) -> None:
    found = seen(browser, pages[name], width, tmp_path)
    assert found["client"] in (width, width - 15)  # with a scroll bar
    assert found["scroll"] <= found["client"]
    assert found["beyond"] == []
    assert found["narrow"] == []


def test_a_page_that_overflows_is_found(browser: str, pages: dict[str, str], tmp_path: Path) -> None:
    page = pages["one"].replace("<main>", '<main><p style="width:3000px">wide</p><p style="width:9px">letters</p>')
    found = seen(browser, page, 400, tmp_path)
    assert found["scroll"] > found["client"]
    assert "P" in found["beyond"] and "letters" in found["narrow"]


def test_light_and_dark(browser: str, pages: dict[str, str], tmp_path: Path) -> None:
    light = seen(browser, pages["one"], 900, tmp_path)
    dark = seen(browser, pages["one"], 900, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert light["background"] == "rgb(255, 255, 255)"
    assert max(int(v) for v in re.findall(r"\d+", dark["background"])) < 60


def test_buttons_copy_what_python_writes(
    browser: str, fits: dict[str, Any], pages: dict[str, str], tmp_path: Path
) -> None:
    found = seen(browser, pages["noise"], 900, tmp_path)["tables"]
    for j, form in enumerate(("csv", "latex", "markdown")):
        texts = bg.report_tables(fits["noise"], table_format=form)
        assert len(texts) > 10
        for name, text in texts.items():
            assert found[name][j] == text, (name, form)
    assert any(r"\& \textless{}b\textgreater{}" in latex for _, latex, _ in found.values())


def test_pdf_is_printed(browser: str, fits: dict[str, Any], tmp_path: Path) -> None:
    path = bg.report(fits["one"], tmp_path / "r.pdf")
    content = path.read_bytes()
    assert content.startswith(b"%PDF") and len(content) > 50_000
    assert [p.name for p in tmp_path.iterdir()] == ["r.pdf"]


def test_size_of_a_page(pages: dict[str, str]) -> None:
    """A table of 342 x 4 with K = 1 to 6 has to stay below 1.5 MB; this one has half the columns and two fits."""
    assert len(pages["compared"]) < 900_000
    assert len(pages["wide"]) < 2_000_000  # 50 columns


def test_of_very_many_parameters_those_with_the_fewest_effective_draws_are_shown() -> None:
    from types import SimpleNamespace

    from bayesgmm.reporting.numbers import Grid
    from bayesgmm.reporting.sections.convergence import _parameters

    ess = pd.DataFrame({"ess_bulk": np.arange(900.0)[::-1], "ess_tail": np.full(900, 5e3)})
    fit: Any = SimpleNamespace(diagnose=lambda: SimpleNamespace(components=ess))
    table = _parameters(fit, Grid.of(["parameter"], [[str(j)] for j in range(900)]))
    assert [row[0] for row in table.grid.rows] == [str(j) for j in range(400, 900)]
    assert table.caption.startswith("The 500 of 900 component parameters with the smallest")
    few = Grid.of(["parameter"], [["a"]])
    assert _parameters(fit, few).grid is few


def test_figures_of_many_rows_are_thinned(fits: dict[str, Any], tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(100_000, 2)) + 6.0 * (np.arange(100_000) % 2)[:, None]
    fit = bg.BayesianGMM(2, **{**QUICK, "draws": 50, "log_likelihood": False}).fit(rows)
    path = bg.report(fit, tmp_path / "large.html")
    assert path.stat().st_size < 1_500_000
    assert "5,000 of 100,000 observations" in unescape(path.read_text(encoding="utf-8"))
