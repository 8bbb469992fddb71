"""Figures of profiles and of the posterior predictive check: what is drawn is what the draws say."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from _trees import CENTRES, converged, independent_draws, make_tree, rows_around, two_modes
from test_plots import as_fit, by_gid, spread

from bayesgmm.errors import InputError
from bayesgmm.posterior.predictive_check import predictive_check
from bayesgmm.reporting.plots import plot_posterior_predictive, plot_profile

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before, "matplotlib's settings were changed"
    plt.close("all")


def test_means_stand_in_the_range_of_each_column() -> None:
    tree = converged()
    ax = plot_profile(as_fit(tree, names=["a", "b"]), ci_prob=0.8)
    rows = tree["observed_data"]["obs"].values
    low, high = rows.min(axis=0), rows.max(axis=0)
    means = tree["posterior"]["means"].values.reshape(-1, 3, 2)
    drawn = by_gid(ax, "mean")
    assert len(drawn) == 3
    for k, line in enumerate(drawn):
        np.testing.assert_allclose(line.get_xdata(), (means[:, k].mean(axis=0) - low) / (high - low), rtol=1e-10)
    bounds = np.quantile(means, [0.1, 0.9], axis=0)
    segments = [s for lines in by_gid(ax, "interval") for s in lines.get_segments()]
    expected = (bounds[:, 0, 0] - low[0]) / (high[0] - low[0])
    np.testing.assert_allclose(segments[0][:, 0], expected)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    written = {t.get_text() for t in ax.texts}
    assert {f"{v:.5g}" for v in (*low, *high)} <= written


def test_a_component_far_outside_is_drawn_at_the_end() -> None:
    centres = CENTRES.copy()
    centres[2] = [90.0, 0.0]
    tree = make_tree(rows_around(CENTRES[:2], 60), independent_draws(np.full(3, 1 / 3), centres, n_draws=100))
    ax = plot_profile(as_fit(tree))
    assert max(line.get_xdata().max() for line in by_gid(ax, "mean")) == pytest.approx(1.03)


def test_profiles_of_one_and_of_fifty_columns() -> None:
    for d in (1, 50):
        ax = plot_profile(as_fit(spread(d)))
        assert len(ax.get_yticks()) == d
        ax.figure.canvas.draw()


def test_panels_are_columns_and_pairs() -> None:
    fit = as_fit(converged(), names=["a", "b"])
    axes = plot_posterior_predictive(fit, n_draws=50, random_seed=1)
    assert [ax.get_xlabel() for ax in axes] == ["a", "b", "correlation"]
    check = predictive_check(fit.posterior_, n_sets=50, random_seed=1)
    bars = axes[1].patches
    observed = next(p for p in bars if p.get_gid() == "observed")
    np.testing.assert_allclose(observed.get_data().values, check.heights[1, 0, : len(check.edges[1]) - 1])
    (dot,) = axes[2].collections[-1].get_offsets()
    assert dot[0] == pytest.approx(np.corrcoef(fit.posterior_["observed_data"]["obs"].values.T)[0, 1])


def test_one_column_has_no_pairs_and_many_show_five() -> None:
    assert plot_posterior_predictive(as_fit(spread(1)), n_draws=10).shape == (1,)
    axes = plot_posterior_predictive(as_fit(spread(7)), n_draws=10)
    assert axes.shape == (6,)
    assert len(axes[-1].get_yticks()) == 10


def test_somebodys_axes_are_used() -> None:
    import matplotlib.pyplot as plt

    fit = as_fit(converged())
    _, ax = plt.subplots()
    assert plot_profile(fit, ax=ax) is ax
    figure, axes = plt.subplots(1, 3)
    assert plot_posterior_predictive(fit, n_draws=5, axes=axes) is axes
    assert len(figure.axes) == 3
    with pytest.raises(InputError, match="must be None or 3 Axes"):
        plot_posterior_predictive(fit, axes=axes[:2])


def test_an_unconverged_fit_says_so() -> None:
    fit = as_fit(two_modes())
    for figure in (plot_profile(fit).figure, plot_posterior_predictive(fit, n_draws=5)[0].figure):
        assert "Not converged" in " ".join(figure.get_suptitle().split())
