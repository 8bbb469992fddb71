"""Figures of assignments and partitions: what is drawn is what the records say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from _rows import oracle_responsibilities, scaled_tree
from _trees import two_modes

from bayesgmm.clustering.assignment import assignment
from bayesgmm.clustering.coclustering import coclustering, display_order
from bayesgmm.clustering.partition.of_posterior import partition
from bayesgmm.errors import InputError
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.posterior.tree import observed_rows, read_draws
from bayesgmm.reporting.plots import (
    plot_assignment,
    plot_coclustering,
    plot_credible_ball,
    plot_entropy_split,
    plot_uncertainty_map,
)

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _no_window_no_leak(monkeypatch: pytest.MonkeyPatch) -> Any:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("a plot function called plt.show()"))
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before, "matplotlib's settings were changed"
    plt.close("all")


def as_fit(tree: xr.DataTree) -> Any:
    if "center" not in tree["constant_data"].data_vars:
        d = tree["posterior"].sizes["feature"]
        tree["constant_data"] = xr.DataTree(
            tree["constant_data"].to_dataset().assign(center=("feature", np.zeros(d)), scale=("feature", np.ones(d)))
        )
    verdict = diagnose(tree)
    return SimpleNamespace(posterior_=tree, table_=None, diagnose=lambda: verdict)


@pytest.fixture(scope="module")
def fit():
    return as_fit(scaled_tree(60, n_draws=200, spread=0.1, distance=0.9))


EVERY = [plot_assignment, plot_entropy_split, plot_uncertainty_map, plot_coclustering, plot_credible_ball]


@pytest.mark.parametrize("plot", EVERY)
def test_every_figure_can_be_written_and_has_no_alarm_when_all_is_well(fit, plot, tmp_path):
    axes = np.ravel(plot(fit))
    figure = axes[0].figure
    figure.savefig(tmp_path / "figure.svg")
    assert all(ax.figure is figure for ax in axes)
    assert figure.get_suptitle() == ""


@pytest.mark.parametrize("plot", EVERY)
def test_a_fit_that_did_not_converge_says_so(plot):
    figure = np.ravel(plot(as_fit(two_modes())))[0].figure
    assert "ot converged" in figure.get_suptitle() or "modes" in figure.get_suptitle()


def test_intervals_are_those_of_the_record(fit):
    result = assignment(fit.posterior_, ci_prob=0.8)
    left, right = plot_assignment(fit, result=result, n_rows=5)
    top = result.table["entropy"].sort_values(ascending=False).index[:5]
    assert [t.get_text() for t in right.get_yticklabels()] == list(top)
    drawn = {tuple(np.round(line.get_xdata(), 9)) for line in right.lines if len(line.get_xdata()) == 2}
    label = result.table.loc[top[0], "label"]
    assert tuple(np.round([result.lower.loc[top[0], label], result.upper.loc[top[0], label]], 9)) in drawn
    assert "80 % credible interval" in right.get_xlabel()
    assert f"{result.n_ambiguous} of 60 observations" in left.get_title(loc="left")


def test_columns_of_a_row_reach_one(fit):
    left = plot_assignment(fit)[0]
    tops = np.concatenate([p.get_data().values for p in left.patches[2::3]])
    np.testing.assert_allclose(tops, 1.0)
    first = np.concatenate([p.get_data().values for p in left.patches[0::3]])
    np.testing.assert_allclose(np.sort(first), np.sort(assignment(fit.posterior_).table["probability"]))


def test_the_entropy_figure_places_every_row(fit):
    result = assignment(fit.posterior_)
    ax = plot_entropy_split(fit, result=result)
    drawn = np.concatenate([c.get_offsets() for c in ax.collections])
    expected = result.table[["overlap", "parameter"]].to_numpy()
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))


def test_the_map_is_the_entropy_given_two_columns(fit):
    ax = plot_uncertainty_map(fit, n_grid=3)
    image = ax.images[0]
    low_x, high_x, low_y, high_y = image.get_extent()
    grid = np.stack(np.meshgrid(np.linspace(low_x, high_x, 3), np.linspace(low_y, high_y, 3)), -1).reshape(-1, 2)
    n_draws = read_draws(fit.posterior_).weights.reshape(-1, 3).shape[0]
    chosen = np.unique(np.linspace(0, n_draws - 1, 200).round().astype(int))
    p = oracle_responsibilities(fit.posterior_, grid)[0][chosen].mean(axis=0)
    expected = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) / np.log(3)
    np.testing.assert_allclose(np.asarray(image.get_array()).ravel(), expected, atol=1e-9)


def test_the_heatmap_is_the_ordered_matrix(fit):
    similarity = coclustering(fit.posterior_)
    order = display_order(similarity)
    ax = plot_coclustering(fit)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), similarity[np.ix_(order, order)])
    assert ax.get_xlabel().startswith("60 observations;")
    some = plot_coclustering(fit, max_rows=20)
    assert "20 of 60 observations, drawn at random" in some.get_xlabel()


def test_ringed_rows_are_those_elsewhere(fit):
    result = partition(fit.posterior_, random_seed=1)
    axes = plot_credible_ball(fit, result=result)
    assert len(axes) >= 2
    ringed = [next(c for c in ax.collections if c.get_gid() == "moved").get_offsets() for ax in axes]
    assert len(ringed[0]) == 0
    furthest = next(i for i, ax in enumerate(axes) if "urthest" in ax.get_title(loc="left"))
    estimate, bound = result.labels.to_numpy(), result.ball.horizontal[0]
    best = min(
        (np.asarray(names)[bound] != estimate).sum()
        for names in np.stack(np.meshgrid(*[range(3)] * (bound.max() + 1)), -1).reshape(-1, bound.max() + 1)
    )
    assert len(ringed[furthest]) == best > 0
    assert all(tuple(r) in {tuple(v) for v in observed_rows(fit.posterior_)[0]} for r in ringed[furthest])


def test_axes_of_another_figure_are_used(fit):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3)
    for plot, ax in zip((plot_entropy_split, plot_uncertainty_map, plot_coclustering), axes, strict=True):
        assert plot(fit, ax=ax) is ax
    assert not figure.legends


def test_bad_input_is_named(fit):
    with pytest.raises(InputError, match="fitted"):
        plot_assignment("fit")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n_rows"):
        plot_assignment(fit, n_rows=0)
    with pytest.raises(InputError, match="two columns"):
        plot_uncertainty_map(fit, ["x0"])
    with pytest.raises(InputError, match="max_rows"):
        plot_coclustering(fit, max_rows=1)
    other = partition(fit.posterior_, rows=observed_rows(fit.posterior_)[0][:5])
    with pytest.raises(InputError, match="5 rows"):
        plot_credible_ball(fit, result=other)
