"""What is shown of t components and noise: text, records, figures, reports, and the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_t

import bayesgmm as bg
from bayesgmm.cli import main, parse_kinds
from bayesgmm.em.fit import fit_em
from bayesgmm.errors import InputError
from bayesgmm.model.background import box_of
from bayesgmm.reporting.agreement import agreement, agreement_text
from bayesgmm.reporting.plots.panels import ellipse_outlines
from bayesgmm.reporting.plots.scene import Scene
from bayesgmm.reporting.plots.style import NOISE_STYLE
from bayesgmm.reporting.text import fit_record, fit_text

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "ignore::bayesgmm.errors.NotConvergedWarning")

QUICK: dict[str, Any] = {
    "inference": "laplace", "draws": 100, "chains": 2, "n_init": 3, "random_seed": 1, "progressbar": False
}  # fmt: skip


def table() -> pd.DataFrame:
    """Two clusters, and twelve rows over a wide box."""
    rng = np.random.default_rng(5)
    clusters = rng.normal(size=(100, 2)) + np.repeat([[0.0, 0.0], [7.0, 4.0]], 50, axis=0)
    rows = np.concatenate([clusters, rng.uniform([-12, -12], [20, 16], (12, 2))])
    return pd.DataFrame(rows, columns=["length", "width"], index=[f"bird {i}" for i in range(len(rows))])


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(2, component="t", noise=True, **QUICK).fit(table())


@pytest.fixture(scope="module")
def alone() -> bg.BayesianGMM:
    return bg.BayesianGMM(1, component="t_each", noise=True, **QUICK).fit(table())


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_text_says_noise_and_tails(fit: bg.BayesianGMM) -> None:
    text = fit_text(fit, "birds.csv", None)
    n = int((fit.labels_ == -1).sum())
    assert n > 5
    assert "Mixture of 2 t components and noise (full covariance) by maximum likelihood" in text
    assert re.search(rf"Noise has mixing proportion 0\.\d\d .*; {n} observations are most probably noise", text)
    assert re.search(r"The tails of all components are those of a t distribution with \d+ degrees of freedom", text)


def test_estimates_at_a_bound_are_said() -> None:
    light = np.random.default_rng(1).uniform(size=(200, 2))
    assert "1000 (the bound: tails are hardly heavier than normal)" in str(fit_em(light, 1, component="t"))
    assert "Mixture of 1 Gaussian component (full" in str(fit_em(light, 1))


def test_record_is_plain(fit: bg.BayesianGMM) -> None:
    record = json.loads(json.dumps(fit_record(fit, "birds.csv", None)))
    assert (record["component"], record["noise"]) == ("t", True)
    assert record["noise_weight"] == fit.noise_weight_ and record["df"] == fit.df_.tolist()
    assert -1 in record["labels"]
    assert any(line.startswith("mixing proportion of noise ~ Beta") for line in record["prior"])


def test_report_names_noise(fit: bg.BayesianGMM, alone: bg.BayesianGMM, tmp_path: Path) -> None:
    page = bg.report(fit, tmp_path / "two.html").read_text()
    for words in (
        "<h1>Mixture of 2 t components and noise</h1>", "The observations that are most like noise", "multivariate t ",
        "Peel and McLachlan 2000", "Banfield and Raftery 1993", "scale of length", "<td class=\"t\">noise</td>",
        f"The mixture has {fit.em_.params.n_parameters} free parameters",
    ):  # fmt: skip
        assert words in page, words
    assert "Classification table" in bg.report(alone, tmp_path / "one.html").read_text()


FIGURES = {
    "clusters": bg.plot_clusters, "one column": lambda fit: bg.plot_clusters(fit, features="width"),
    "assignment": bg.plot_assignment, "entropy": bg.plot_entropy_split, "map": bg.plot_uncertainty_map,
    "together": bg.plot_coclustering, "ball": bg.plot_credible_ball, "diagnostics": bg.plot_diagnostics,
    "profile": bg.plot_profile, "predictive": bg.plot_posterior_predictive,
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(fit: bg.BayesianGMM, alone: bg.BayesianGMM, name: str) -> None:
    for one in (fit, alone):
        axes = np.ravel(FIGURES[name](one))
        axes[0].figure.canvas.draw()
        legends = [*axes[0].figure.legends, *(ax.get_legend() for ax in axes if ax.get_legend())]
        if name not in ("ball", "diagnostics", "profile", "predictive"):
            assert any("noise" in text.get_text() for legend in legends for text in legend.get_texts())


def test_rows_of_noise_are_crosses(fit: bg.BayesianGMM) -> None:
    ax = bg.plot_clusters(fit)
    drawn = [rows for rows in ax.collections if rows.get_gid() == "rows"]
    of_noise = [rows for rows in drawn if rows.get_label() == "_-1"]
    for k in (0, 1, -1):
        own = [rows for rows in drawn if rows.get_label() == f"_{k}"]
        assert sum(len(rows.get_offsets()) for rows in own) == (fit.labels_ == k).sum()
    assert {mpl.colors.to_hex(rows.get_edgecolor()[0]) for rows in of_noise} == {NOISE_STYLE[0]}


def test_densities_along_a_column_add_up(fit: bg.BayesianGMM) -> None:
    ax = bg.plot_clusters(fit, features="width")
    parts = [line.get_ydata() for line in ax.lines if line.get_gid() == "mean"]
    (total,) = [line.get_ydata() for line in ax.lines if line.get_gid() == "predictive"]
    np.testing.assert_allclose(np.sum(parts, axis=0), total, rtol=1e-10)
    x = ax.lines[0].get_xdata()
    assert np.trapezoid(parts[-1], x) == pytest.approx(Scene.of(fit).weights[:, -1].mean(), rel=0.02)


def test_box_along_a_column_is_that_of_its_rows() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(300, 3)) @ np.array([[1.0, 0.9, 0.2], [0.0, 0.3, 0.5], [0.0, 0.0, 0.4]])
    box = box_of(rows)
    assert not box.along_columns
    drawn = box.draw(rng, 400_000)
    for column in range(3):
        heights, edges = np.histogram(drawn[:, column], bins=40, density=True)
        density = box.density_along(column, 0.5 * (edges[1:] + edges[:-1]))
        assert np.abs(density - heights).max() < 0.02 * heights.max() + 0.01


def test_ellipses_of_t_hold_their_share() -> None:
    scale = np.array([[2.0, 0.6], [0.6, 1.0]])
    outline = ellipse_outlines(np.zeros((1, 2)), scale[None], 0.9, df=np.array([4.0]))[0]
    square = np.einsum("ti,ij,tj->t", outline, np.linalg.inv(scale), outline)
    rows = multivariate_t(shape=scale, df=4.0, seed=3).rvs(200_000)
    inside = np.einsum("ni,ij,nj->n", rows, np.linalg.inv(scale), rows) < square[0]
    assert np.ptp(square) < 1e-9 * square[0]
    assert inside.mean() == pytest.approx(0.9, abs=0.003)


def test_other_clusterings_and_classes(fit: bg.BayesianGMM) -> None:
    noise = fit.partition().labels == -1
    assert "of noise" in str(fit.partition())
    found = bg.compare_clusterings(fit, ["k-means", "DBSCAN"])
    assert found.table.loc["mixture", "n_noise"] == noise.sum()
    assert found.table.loc["mixture", "n_clusters"] == 2
    assert len(found.disagreements("k-means")) == found.table.loc["k-means", "n_disagree"]
    assert found.table.loc["mixture", "ari"] == 1.0
    classes = pd.Series(["a"] * 50 + ["b"] * 50 + [None] * 12, name="kind")
    said = agreement_text(agreement(classes, np.where(np.arange(112) % 50 == 0, -1, fit.labels_), "component"))
    assert "noise" in said.splitlines()[0] and "count as one cluster" in said


def test_kinds_of_the_command_line() -> None:
    assert parse_kinds("all", "all", "yes")["component"] == ["normal", "t", "t_each"]
    with pytest.raises(InputError, match="no, yes or both"):
        parse_kinds("full", "normal", "maybe")


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    data, rows = tmp_path / "birds.csv", tmp_path / "rows.csv"
    table().assign(kind=["a"] * 50 + ["b"] * 50 + ["c"] * 12).to_csv(data, index=False)
    quick = ["--inference", "laplace", "--draws", "400", "--chains", "2", "--assignments", str(rows), "--json"]

    def run(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["bayesgmm", *arguments, "--label", "kind", *quick])
        with pytest.raises(SystemExit):
            main()
        return json.loads(capsys.readouterr().out)

    record = run("fit", str(data), "-k", "2", "--component", "t", "--noise")
    assert record["component"] == "t" and record["noise_weight"] > 0.0
    written = pd.read_csv(rows)
    assert written["label"].tolist() == record["labels"]
    shares = written[["probability_0", "probability_1", "probability_noise"]]
    assert (shares.sum(axis=1) - 1.0).abs().max() < 1e-4
    assert sum(row["-1"] for row in record["agreement"]["table"].values()) == (written["label"] == -1).sum()

    compared = run("compare", str(data), "-k", "1,2", "--component", "normal,t", "--noise", "both")
    assert len(compared["table"]) == 8
    assert {(row["component"], row["noise"]) for row in compared["table"]} == {
        (c, n) for c in ("normal", "t") for n in (False, True)
    }
    assert compared["noise"] is True
