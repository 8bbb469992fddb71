"""Report and figures of a fit with missing cells: none fails, and what is assumed of the cells is said."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.reporting.report import report

mpl.use("Agg")


def gapped() -> pd.DataFrame:
    """Eruptions with a third column, a tenth of the cells missing and one row empty."""
    X = bg.datasets.load_faithful()
    rng = np.random.default_rng(2)
    X["noise"] = rng.normal(size=len(X))
    X = X.mask(rng.random(X.shape) < 0.1)
    X.iloc[5] = np.nan
    return X


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    options: dict[str, Any] = {"inference": "laplace", "draws": 100, "chains": 2, "n_init": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.NotConvergedWarning)
        return bg.BayesianGMM(2, random_seed=1, progressbar=False, **options).fit(gapped())


FIGURES: list[Callable[[Any], Any]] = [
    bg.plot_clusters,
    lambda fit: bg.plot_clusters(fit, features=["waiting"]),
    bg.plot_diagnostics,
    bg.plot_assignment,
    bg.plot_entropy_split,
    lambda fit: bg.plot_uncertainty_map(fit, ["eruptions", "waiting"], n_grid=5),
    bg.plot_coclustering,
    bg.plot_credible_ball,
    bg.plot_profile,
    bg.plot_posterior_predictive,
]


@pytest.mark.parametrize("plot", FIGURES)
def test_every_figure_can_be_written(fit: bg.BayesianGMM, plot: Callable[[Any], Any], tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    np.ravel(plot(fit))[0].figure.savefig(tmp_path / "figure.svg")
    plt.close("all")


def test_the_figure_shows_the_rows_that_have_both_cells(fit: bg.BayesianGMM) -> None:
    import matplotlib.pyplot as plt

    ax = bg.plot_clusters(fit, features=["eruptions", "waiting"])
    marks = [c for c in ax.get_children() if c.get_gid() == "rows"]
    drawn = np.concatenate([np.asarray(np.ma.filled(m.get_offsets(), np.nan)) for m in marks])
    both = gapped()[["eruptions", "waiting"]].dropna().to_numpy()
    shown = drawn[~np.isnan(drawn).any(axis=1)]
    assert {tuple(row) for row in shown} == {tuple(row) for row in both}
    plt.close("all")


def test_the_report_says_how_many_cells_are_missing_and_what_is_assumed(fit: bg.BayesianGMM, tmp_path: Path) -> None:
    html = report(fit, tmp_path / "report.html").read_text(encoding="utf-8")
    words = " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
    gaps = gapped().isna().to_numpy()
    assert f"{gaps.sum()} of {gaps.size} cells are missing" in words
    assert f"in {gaps.any(axis=1).sum()} of {len(gaps)} observations" in words
    assert "An observation counts by the density of the cells it has." in words
    assert "missing at random" in words


def test_a_comparison_is_drawn() -> None:
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bg.compare_components(
            gapped()[::2], [1, 2], inference="laplace", draws=500, chains=2, n_init=4, random_seed=1, progressbar=False
        )
    assert len(np.ravel(bg.plot_comparison(found))) > 0
    plt.close("all")
