"""Figures: what is drawn is what the posterior says, and a fit that has not converged says so."""

from __future__ import annotations

import textwrap
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from _trees import (
    CENTRES,
    converged,
    independent_draws,
    make_tree,
    not_identified,
    oracle_components,
    rows_around,
    two_modes,
)
from matplotlib.path import Path
from scipy.stats import chi2

from bayesgmm.errors import InputError
from bayesgmm.posterior.diagnostics.convergence import ESS_MIN, R_HAT_MAX
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.reporting.plots import plot_clusters, plot_diagnostics
from bayesgmm.reporting.plots.panels import bin_edges, ellipse_outlines
from bayesgmm.reporting.plots.style import COMPONENT_COLOURS, MARKERS, axis_label, component_style, verdict_note

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _no_window_no_leak(monkeypatch: pytest.MonkeyPatch) -> Any:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("a plot function called plt.show()"))
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before, "matplotlib's settings were changed"
    plt.close("all")


def as_fit(tree: xr.DataTree, *, names: list[str] | None = None, resolution: float = 0.0) -> Any:
    """What the figures need of a fit, around a synthetic posterior on the scale of its data."""
    d = tree["posterior"].sizes["feature"]
    if names is not None:
        renamed = {n: g.to_dataset().assign_coords(_name_coords(g, names)) for n, g in tree.children.items()}
        tree, attrs = xr.DataTree.from_dict(renamed), tree.attrs
        tree.attrs = attrs
    tree["constant_data"] = xr.DataTree(
        tree["constant_data"].to_dataset().assign(
            center=("feature", np.zeros(d)), scale=("feature", np.ones(d)),
            resolution=("feature", np.full(d, resolution)),
        )
    )  # fmt: skip
    verdict = diagnose(tree)
    return SimpleNamespace(posterior_=tree, table_=None, diagnose=lambda: verdict)


def _name_coords(group: Any, names: list[str]) -> dict[str, list[str]]:
    return {dim: names for dim in ("feature", "feature_bis") if dim in group.to_dataset().dims}


def spread(d: int, k: int = 2, n_rows: int = 60, **options: Any) -> xr.DataTree:
    """K components along the diagonal of a space of D columns, well sampled."""
    centres = 8.0 * np.arange(k)[:, None] * np.ones(d)
    return make_tree(
        rows_around(centres, n_rows), independent_draws(np.full(k, 1 / k), centres, n_draws=200), **options
    )


def by_gid(ax: Any, gid: str) -> list[Any]:
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def legend_of(figure: Any) -> Any:
    return figure.legends[0]


def words(text: str) -> str:
    return " ".join(text.split())


# --- geometry


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_ellipse_holds_the_stated_share(share: float) -> None:
    covariance = np.array([[4.0, 1.8], [1.8, 1.5]])
    mean = np.array([3.0, -1.0])
    outline = ellipse_outlines(mean[None], covariance[None], share)[0]
    residual = outline - mean
    distance = np.einsum("td,de,te->t", residual, np.linalg.inv(covariance), residual)
    np.testing.assert_allclose(distance, chi2.ppf(share, df=2), rtol=1e-10)
    np.testing.assert_allclose(outline[0], outline[-1], atol=1e-12)

    n = 20_000
    rows = np.random.default_rng(4).multivariate_normal(mean, covariance, size=n)
    inside = Path(outline).contains_points(rows).mean()
    # Four binomial standard errors, and 0.2 % for the polygon inside its ellipse.
    assert abs(inside - share) < 4 * np.sqrt(share * (1 - share) / n) + 0.002


def test_bins_of_a_rounded_column_hold_whole_steps() -> None:
    values = np.round(np.random.default_rng(0).normal(50, 10, size=400))
    edges = bin_edges(values, step=1.0)
    width = np.diff(edges)
    assert edges[0] <= values.min()
    assert edges[-1] >= values.max()
    np.testing.assert_allclose(width, width[0])
    assert width[0] == round(width[0]) >= 1
    np.testing.assert_allclose(edges % 1.0, 0.5)  # no value on an edge


def test_bins_survive_an_outlier() -> None:
    values = np.append(np.random.default_rng(0).normal(size=300), 1e9)
    edges = bin_edges(values)
    assert 2 < len(edges) <= 61
    assert np.histogram(values, edges)[0].sum() == 301


def test_bins_of_one_repeated_value() -> None:
    assert np.histogram(np.ones(5), bin_edges(np.ones(5), 1.0))[0].sum() == 5


# --- clusters, two columns


def test_two_columns_show_rows_mean_ellipses_and_draws() -> None:
    tree = converged()
    fit = as_fit(tree, names=["length (cm)", "mass (g)"])
    ax = plot_clusters(fit, n_draws=30, levels=[0.5, 0.95])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length (cm)", "mass (g)")

    posterior = tree["posterior"].to_dataset()
    means = posterior["means"].values.reshape(-1, 3, 2)
    ellipses = by_gid(ax, "mean")
    assert len(ellipses) == 2 * 3
    drawn = np.array([line.get_xydata()[:-1].mean(axis=0) for line in ellipses[1::2]])
    np.testing.assert_allclose(drawn, means.mean(axis=0), atol=1e-8)

    clouds = by_gid(ax, "draws")
    assert [len(c.get_segments()) for c in clouds] == [30] * 6
    centres = np.array([s[:-1].mean(axis=0) for s in clouds[0].get_segments()])  # component 0
    gap = np.linalg.norm(means[:, 0][None] - centres[:, None], axis=2).min(axis=1)
    np.testing.assert_allclose(gap, 0.0, atol=1e-8)  # each is one of the draws


def test_markers_are_the_rows_of_their_most_probable_component() -> None:
    tree = converged()
    ax = plot_clusters(as_fit(tree))
    rows = tree["observed_data"]["obs"].values
    posterior = tree["posterior"].to_dataset()
    parts = (posterior[n].values.reshape(-1, *posterior[n].shape[2:]) for n in ("weights", "means", "covariances"))
    p = np.zeros((len(rows), 3))
    for mixture in zip(*(a[::20] for a in parts), strict=True):
        component = oracle_components(rows, *mixture)
        p += component / component.sum(axis=1, keepdims=True)
    clear = np.sort(p, axis=1)[:, -1] > 1.1 * np.sort(p, axis=1)[:, -2]  # 100 of 2000 draws decide the others
    for k in range(3):
        own = [marks for marks in by_gid(ax, "rows") if marks.get_label() == f"_{k}"]
        shown = {tuple(xy) for marks in own for xy in np.asarray(marks.get_offsets())}
        assert {tuple(r) for r in rows[clear & (p.argmax(axis=1) == k)]} <= shown
        assert not {tuple(r) for r in rows[clear & (p.argmax(axis=1) != k)]} & shown
    assert sum(len(m.get_offsets()) for m in by_gid(ax, "rows")) == len(rows)


def test_uncertain_rows_are_hollow() -> None:
    centres = np.array([[-3.0, 0.0], [3.0, 0.0]])
    rows = np.concatenate([rows_around(centres, 60), [[0.0, 0.0]]])  # the last one is between the two
    tree = make_tree(rows, independent_draws(np.full(2, 0.5), centres, n_draws=200))
    alpha = {}
    for marks in by_gid(plot_clusters(as_fit(tree)), "rows"):
        (face,) = marks.get_facecolors()  # of all of them
        alpha |= {tuple(xy): face[3] for xy in np.asarray(marks.get_offsets())}
    assert alpha[0.0, 0.0] < 0.1
    assert np.median(list(alpha.values())) > 0.55


def test_no_draws_and_row_weights() -> None:
    weight = np.ones(90)
    weight[:5] = 0.0
    weight[5] = 4.0
    tree = make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES), row_weights=weight)
    ax = plot_clusters(as_fit(tree), n_draws=0)
    marks = by_gid(ax, "rows")
    assert sum(len(m.get_offsets()) for m in marks) == 85  # rows of weight 0 are not data
    sizes = np.concatenate([m.get_sizes() for m in marks])
    assert sizes.max() == pytest.approx(4.0 * sizes.min())
    assert all(len(c.get_segments()) == 0 for c in by_gid(ax, "draws"))
    assert "draws" not in " ".join(t.get_text() for t in legend_of(ax.figure).get_texts())


def test_legend_names_components_with_their_weights() -> None:
    ax = plot_clusters(as_fit(converged()), ci_prob=0.5)
    posterior = converged()["posterior"]["weights"].values.reshape(-1, 3)
    low, high = np.quantile(posterior[:, 1], [0.25, 0.75])
    texts = [t.get_text() for t in legend_of(ax.figure).get_texts()]
    assert f"component 1: proportion {posterior[:, 1].mean():.2f} [{low:.2f}, {high:.2f}]" in texts
    assert "95 % ellipse at the posterior mean" in texts
    ax.figure.canvas.draw()
    assert not legend_of(ax.figure).get_window_extent().overlaps(ax.get_window_extent())


def test_a_component_without_rows_does_not_squeeze_the_data() -> None:
    centres = np.concatenate([CENTRES, [[0.0, 0.0]]])
    weights, means, covariances = independent_draws(np.array([0.33, 0.33, 0.33, 0.01]), centres)
    covariances[:, :, 3] *= 1e4
    ax = plot_clusters(as_fit(make_tree(rows_around(), (weights, means, covariances))))
    rows = rows_around()
    assert np.ptp(ax.get_xlim()) < 1.8 * np.ptp(rows[:, 0])
    assert np.ptp(ax.get_ylim()) < 1.8 * np.ptp(rows[:, 1])


def test_names_are_not_read_as_mathematics() -> None:
    ax = plot_clusters(as_fit(converged(), names=["$a_b$ <b>", r"\frac{1}"]))
    ax.figure.canvas.draw()
    assert ax.get_xlabel() == "$a_b$ <b>"
    assert ax.get_ylabel() == r"\frac{1}"


def test_many_rows_are_sampled_and_the_figure_says_so() -> None:
    tree = spread(2, n_rows=5200)
    ax = plot_clusters(as_fit(tree), n_draws=5)
    assert sum(len(m.get_offsets()) for m in by_gid(ax, "rows")) == 5000
    assert legend_of(ax.figure).get_title().get_text() == "5,000 of 5,200 observations, drawn at random"


# --- one column, many columns


def test_one_column_is_a_density() -> None:
    fit = as_fit(spread(1, n_rows=200), resolution=0.5)
    ax = plot_clusters(fit)
    x, predictive = by_gid(ax, "predictive")[0].get_data()
    assert np.trapezoid(predictive, x) == pytest.approx(1.0, abs=0.02)
    components = [line.get_ydata() for line in by_gid(ax, "mean")]
    np.testing.assert_allclose(np.sum(components, axis=0), predictive, rtol=1e-9)
    band = by_gid(ax, "band")[0].get_paths()[0]
    middle = np.argmax(predictive)
    assert band.contains_point((x[middle], predictive[middle]))
    bars = ax.patches
    assert sum(b.get_width() * b.get_height() for b in bars) == pytest.approx(1.0)
    assert ax.get_xlabel() == "x0"
    assert min(ax.get_yticks()) >= 0.0  # the rug lies below the axis, where there is no density
    assert all(np.asarray(m.get_offsets())[:, 1].max() < 0 for m in by_gid(ax, "rows"))


def test_three_columns_are_a_triangle() -> None:
    axes = plot_clusters(as_fit(spread(3)))
    assert axes.shape == (3, 3)
    assert [[ax.axison for ax in row] for row in axes] == [[j <= i for j in range(3)] for i in range(3)]
    assert [ax.get_xlabel() for ax in axes[2]] == ["x0", "x1", "x2"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["", "x1", "x2"]
    axes[0, 0].figure.canvas.draw()
    for i in range(3):
        for j in range(i):
            assert axes[i, j].get_xlim() == axes[2, j].get_xlim() == axes[j, j].get_xlim()
            np.testing.assert_allclose(axes[i, j].get_ylim(), axes[i, 0].get_ylim())
    np.testing.assert_allclose(axes[2, 2].get_xlim(), axes[2, 0].get_ylim())


def test_features_choose_and_order_the_columns() -> None:
    fit = as_fit(spread(3))
    ax = plot_clusters(fit, features=["x2", "x0"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x2", "x0")
    rows = fit.posterior_["observed_data"]["obs"].values
    shown = np.concatenate([np.asarray(m.get_offsets()) for m in by_gid(ax, "rows")])
    assert {tuple(r) for r in shown} == {tuple(r) for r in rows[:, [2, 0]]}
    assert plot_clusters(fit, features="x1").get_xlabel() == "x1"


def test_of_many_columns_the_separating_ones_are_shown() -> None:
    centres = np.zeros((2, 7))
    centres[1, [0, 2, 3, 5, 6]] = 8.0  # columns 1 and 4 do not tell the components apart
    tree = make_tree(rows_around(centres, 60), independent_draws(np.full(2, 0.5), centres, n_draws=200))
    axes = plot_clusters(as_fit(tree), n_draws=3)
    assert [ax.get_xlabel() for ax in axes[-1]] == ["x0", "x2", "x3", "x5", "x6"]
    assert axes[0, -1].get_legend().get_title().get_text() == "5 of 7 columns"


def test_single_component() -> None:
    ax = plot_clusters(as_fit(spread(2, k=1)))
    assert len(by_gid(ax, "mean")) == 1
    assert all("hollow" not in t.get_text() for t in legend_of(ax.figure).get_texts())


# --- somebody else's axes


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_draws_into_given_axes(layout: Any) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout=layout)
    assert plot_clusters(as_fit(two_modes()), ax=axes[0]) is axes[0]
    assert plt.get_fignums() == [figure.number]
    assert "Not converged" in " ".join(t.get_text() for t in axes[0].texts)
    assert figure.get_suptitle() == ""
    figure.canvas.draw()
    box = axes[0].get_legend().get_window_extent()
    assert not box.overlaps(axes[1].get_window_extent())


def test_draws_into_a_given_grid() -> None:
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(3, 3)
    assert plot_clusters(as_fit(spread(3)), ax=axes, n_draws=3) is axes
    with pytest.raises(InputError, match="array of 3 x 3 Axes"):
        plot_clusters(as_fit(spread(3)), ax=axes[0, 0])
    with pytest.raises(InputError, match="one Axes for 2 columns"):
        plot_clusters(as_fit(spread(2)), ax=axes)


# --- convergence in words


def test_a_converged_fit_carries_no_note() -> None:
    assert plot_clusters(as_fit(converged())).figure.get_suptitle() == ""


def test_an_unconverged_fit_says_so_on_every_figure() -> None:
    fit = as_fit(two_modes())
    verdict = fit.diagnose().verdict
    assert verdict.startswith("Not converged: the chains are in 2 different modes")
    for axes in (plot_clusters(fit), plot_diagnostics(fit)[0, 0]):
        figure = axes.figure
        assert words(figure.get_suptitle()) == words(verdict)
        figure.canvas.draw()
        box = figure._suptitle.get_window_extent()
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_unidentified_components_are_named_as_such() -> None:
    fit = as_fit(not_identified())
    assert fit.diagnose().ok
    assert "not identified" in words(plot_clusters(fit).figure.get_suptitle())


@pytest.mark.parametrize(
    ("verdict", "note"),
    [
        ("Not converged: x.", "Not converged: x."),
        ("Not reliable yet: 3 of 400 draws diverged.", "Not reliable yet: 3 of 400 draws diverged."),
        ("Too few draws: 40 in all.", "Not converged. Too few draws: 40 in all."),
    ],
)
def test_note_begins_with_not(verdict: str, note: str) -> None:
    found = verdict_note(SimpleNamespace(verdict=verdict, ok=False, status="x"))  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == note


# --- diagnostics


def test_diagnostics_of_a_converged_fit() -> None:
    fit = as_fit(converged())
    axes = plot_diagnostics(fit)
    assert axes.shape == (2, 3)
    diagnosis = fit.diagnose()
    assert words(axes[0, 0].figure.get_suptitle()) == words(diagnosis.verdict)
    assert len(axes[0, 0].lines) == 4
    moving = int(diagnosis.table["r_hat"].notna().sum() + diagnosis.components["r_hat"].notna().sum())
    assert len(axes[1, 0].collections[0].get_offsets()) == moving
    excess = np.asarray(axes[1, 0].collections[0].get_offsets())[:, 0]
    assert excess.max() == pytest.approx(max(diagnosis.table["r_hat"].max(), diagnosis.components["r_hat"].max()) - 1)
    vertical = [[line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1] for ax in axes[1, :2]]
    assert vertical[0] == [pytest.approx(R_HAT_MAX - 1)]
    assert vertical[1] == [ESS_MIN]
    assert axes[1, 0].get_title(loc="left") == "R-hat: all of (a) below 1.01"
    assert "not recorded" in axes[1, 2].texts[0].get_text()  # the synthetic tree has no ambiguities
    assert "no energies" in axes[0, 2].texts[0].get_text()


def test_diagnostics_count_what_fails() -> None:
    fit = as_fit(two_modes())
    axes = plot_diagnostics(fit)
    gate = fit.diagnose().table.dropna(subset="r_hat")
    high = int((gate["r_hat"] >= R_HAT_MAX).sum())
    assert high > 0
    assert axes[1, 0].get_title(loc="left") == f"R-hat: {high} of {len(gate)} of (a) too high"


def test_diagnostics_use_the_sampler_statistics() -> None:
    rng = np.random.default_rng(0)
    diverging = np.zeros((4, 500), dtype=bool)
    diverging[0, :3] = True
    ambiguity = np.zeros((4, 500))
    ambiguity[:, :50] = 0.3
    stats = {"energy": rng.normal(size=(4, 500)), "diverging": diverging, "relabel_ambiguity": ambiguity}
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    axes = plot_diagnostics(as_fit(make_tree(rows_around(), draws, stats=stats)))
    assert axes[0, 0].get_xlabel() == "draw (red ticks: 3 divergent)"
    assert axes[1, 2].get_title(loc="left") == "Doubtful labels: 10 % of draws"
    energy = stats["energy"]
    bfmi = np.min(np.mean(np.diff(energy, axis=1) ** 2, axis=1) / energy.var(axis=1, ddof=1))
    assert axes[0, 2].get_title(loc="left") == f"Energy (E-BFMI {bfmi:.2f})"


def test_ranks_show_which_chain_disagrees() -> None:
    axes = plot_diagnostics(as_fit(two_modes()))
    log_likelihood = two_modes()["posterior"]["log_likelihood_total"].values
    assert log_likelihood[2].max() < log_likelihood[[0, 1, 3]].mean()
    steps = [p for p in axes[0, 1].patches if p.get_fill()]
    assert len(steps) == 4
    values, edges, base = steps[2].get_data()
    assert values[0] - base > 3 * (values[-1] - base + 0.1)  # chain 2 holds the low ranks
    assert edges[0] == 0.0
    assert edges[-1] == 1.0


def test_a_handful_of_draws_is_still_drawn() -> None:
    tree = make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES, n_draws=3))
    fit = as_fit(tree)
    assert "Too few draws" in words(plot_clusters(fit).figure.get_suptitle())
    assert "Too few draws" in words(plot_diagnostics(fit)[0, 0].figure.get_suptitle())


# --- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": ["nowhere"]}, "no column 'nowhere'; the columns are x0, x1"),
        ({"features": []}, "at least one column"),
        ({"features": ["x0", "x0"]}, "none of them twice"),
        ({"levels": 1.0}, "levels=1.0 must lie between 0 and 1"),
        ({"levels": []}, "levels"),
        ({"ci_prob": 0.0}, "ci_prob=0.0"),
        ({"n_draws": -1}, "n_draws=-1"),
        ({"n_draws": 2.5}, "n_draws=2.5"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_clusters(as_fit(converged()), **options)


@pytest.mark.parametrize("plot", [plot_clusters, plot_diagnostics])
def test_only_fitted_mixtures_are_drawn(plot: Any) -> None:
    from bayesgmm.estimator import BayesianGMM

    with pytest.raises(InputError, match="not fitted yet"):
        plot(BayesianGMM(2))
    with pytest.raises(InputError, match="not a list"):
        plot([1.0])


def test_every_component_looks_different() -> None:
    n = len(COMPONENT_COLOURS) * len(MARKERS)
    assert len({component_style(k) for k in range(n)}) == n


def test_long_names_are_cut_to_three_lines() -> None:
    text = axis_label("word " * 60, width=20)
    assert len(text.splitlines()) == 3
    assert max(map(len, text.splitlines())) <= 20
    assert text.endswith("…")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_figures_show_in_a_notebook() -> None:
    """Each plotting cell of a real kernel displays its figure, also when pyplot was not imported before."""
    import nbformat
    from nbclient import NotebookClient

    first = """
    import warnings; warnings.simplefilter("ignore")
    import bayesgmm as bg
    fit = bg.BayesianGMM(2, draws=60, tune=60, chains=2, random_seed=1, progressbar=False)
    fit.fit(bg.datasets.load_faithful());
    """
    cells = [textwrap.dedent(first), "bg.plot_clusters(fit);", "bg.plot_diagnostics(fit);"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell in notebook.cells[1:]:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs)
