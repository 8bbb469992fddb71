"""Every figure can be drawn into axes of one's own figure; the figure of BIC; labels that stay apart."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

import bayesgmm as bg
from bayesgmm.model_selection.candidate import score_candidate
from bayesgmm.reporting.plots.entropy import apart

PLOTS = [name for name in bg.__all__ if name.startswith("plot_")]
PANELS = {  # of the figures of several
    "plot_assignment": (1, 2), "plot_comparison": (2, 2), "plot_credible_ball": (2, 2), "plot_diagnostics": (2, 3),
    "plot_merging": (1, 2), "plot_posterior_predictive": (1, 3),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(
        2, inference="laplace", draws=200, n_init=4, random_seed=1, progressbar=False
    ).fit(bg.datasets.load_faithful())  # fmt: skip


@pytest.fixture(scope="module")
def given(fit: bg.BayesianGMM) -> dict[str, Any]:
    """What each figure is drawn of, where that is not a fit."""
    tree = fit.posterior_.copy()
    tree["approximation"] = xr.DataTree(xr.Dataset({"elbo": ("iteration", np.linspace(-9.0, -1.0, 500))}))
    comparison = bg.Comparison(fits={2: fit}, candidates={2: score_candidate(fit, seconds=1.0)})
    return {"plot_elbo": tree, "plot_comparison": comparison, "plot_bic": [fit.em_]}


@pytest.mark.parametrize("name", PLOTS)
def test_figures_are_drawn_into_given_axes(name: str, fit: bg.BayesianGMM, given: dict[str, Any]) -> None:
    import matplotlib.pyplot as plt

    plot, shape = getattr(bg, name), PANELS.get(name)
    (argument,) = {"ax", "axes"} & set(inspect.signature(plot).parameters)
    assert (argument == "axes") == (shape is not None)
    figure, mine = plt.subplots(*(shape or (1, 1)), squeeze=False)
    drawn = plot(given.get(name, fit), **{argument: mine if shape else mine[0, 0]})
    assert plt.get_fignums() == [figure.number]
    assert set(np.ravel(drawn)) <= set(mine.ravel())
    assert all(ax.has_data() or ax.texts for ax in np.ravel(drawn))
    assert figure.get_suptitle() == ""
    figure.savefig("/dev/null", format="png")


def test_coclustering_in_given_axes_has_a_legend_below_its_label(fit: bg.BayesianGMM) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(layout="constrained")
    bg.plot_coclustering(fit, ax=ax)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["component 0", "component 1"]
    figure.canvas.draw()
    box, label = legend.get_window_extent(), ax.xaxis.label.get_window_extent()
    assert box.y1 <= label.y0 and box.y0 >= 0.0


@pytest.mark.parametrize("name", PANELS)
def test_axes_that_are_too_few_are_refused(name: str, fit: bg.BayesianGMM, given: dict[str, Any]) -> None:
    import matplotlib.pyplot as plt

    _, mine = plt.subplots(1, 5)
    with pytest.raises(bg.InputError, match=r"^axes=.* must be None or \d Axes of matplotlib: .*\.$"):
        getattr(bg, name)(given.get(name, fit), axes=mine)


def test_without_convergence_axes_of_others_say_so() -> None:
    import matplotlib.pyplot as plt

    bad = bg.BayesianGMM(2, inference="laplace", draws=20, chains=2, n_init=2, random_seed=1, progressbar=False)
    with pytest.warns(bg.NotConvergedWarning):
        bad.fit(bg.datasets.load_faithful().iloc[:40])
    for name in ("plot_assignment", "plot_credible_ball", "plot_diagnostics", "plot_merging"):
        _, mine = plt.subplots(*PANELS[name], squeeze=False)
        getattr(bg, name)(bad, axes=mine)
        assert any("Not converged" in text.get_text() for ax in mine.ravel() for text in ax.texts), name


def result(kind: str, k: int, bic: float, converged: bool = True) -> Any:
    """What the figure reads of a result of EM."""
    return SimpleNamespace(params=SimpleNamespace(kind=kind, n_components=k), bic=bic, converged=converged)


def test_bic_by_structure_and_number() -> None:
    fits = [
        result("full", 2, 30.0), result("full", 1, 50.0), result("diag", 1, 55.0), result("diag", 2, 28.0),
        result("diag", 3, 33.0, converged=False), result("full", 2, 31.0), result("full", 3, np.inf),
    ]  # fmt: skip
    ax = bg.plot_bic(fits)
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_array_equal(lines["full"].get_xydata(), [[1, 50], [2, 30], [3, np.nan]])
    np.testing.assert_array_equal(lines["diag"].get_xydata(), [[1, 55], [2, 28], [3, 33]])
    crosses = np.concatenate([line.get_xydata() for line in ax.lines if line.get_gid() == "not converged"])
    np.testing.assert_array_equal(crosses, [[3, 33]])
    (ring,) = [line.get_xydata() for line in ax.lines if line.get_gid() == "smallest"]
    np.testing.assert_array_equal(ring, [[2, 28]])
    assert ax.get_title(loc="left") == "Smallest BIC: K = 2, diag"


def test_bic_of_fits_in_any_holder(fit: bg.BayesianGMM, given: dict[str, Any]) -> None:
    one = bg.fit_em(bg.datasets.load_faithful(), 1, covariance_type="diag")
    # n log-likelihood by hand: one Gaussian with independent columns.
    rows = bg.datasets.load_faithful().to_numpy()
    n, variances = len(rows), rows.var(axis=0)
    bic = n * (2 * np.log(2 * np.pi) + np.log(variances).sum() + 2) + 4 * np.log(n)
    for held in ([one], (one,), {"a": one}):
        (point, *_) = bg.plot_bic(held).lines
        np.testing.assert_allclose(point.get_xydata(), [[1, bic]], rtol=1e-9)
    (point, *_) = bg.plot_bic(given["plot_comparison"]).lines
    np.testing.assert_allclose(point.get_xydata(), [[2, fit.em_.bic]])
    for wrong in ([], {}, [1], one, "full"):
        with pytest.raises(bg.InputError, match="fits="):
            bg.plot_bic(wrong)


def test_names_in_the_figure_of_entropy_stay_apart() -> None:
    """In one column observations of one value lie on one point, and all lie along one curve."""
    X = bg.datasets.load_faithful()[["waiting"]]
    one = bg.BayesianGMM(2, inference="laplace", draws=200, n_init=4, random_seed=1, progressbar=False).fit(X)
    ax = bg.plot_entropy_split(one)
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_text().isdigit()]  # not their lines
    assert len(boxes) == 6
    for a, b in combinations(boxes, 2):
        assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)


def test_places_are_apart_and_as_near_as_can_be() -> None:
    wanted = np.random.default_rng(1).random(9)
    found = apart(wanted, 0.1)
    assert (np.diff(np.sort(found)) >= 0.1 - 1e-12).all() and found.min() >= 0 and found.max() <= 1
    assert (np.argsort(found) == np.argsort(wanted)).all()
    np.testing.assert_allclose(apart(np.array([0.2, 0.9]), 0.1), [0.2, 0.9])
    np.testing.assert_allclose(apart(np.array([1.0, 1.0]), 0.1), [0.9, 1.0])
