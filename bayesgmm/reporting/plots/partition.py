"""Partitions in pictures: who is together with whom, and how far the posterior strays from the estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.arguments import check_count
from bayesgmm.clustering.coclustering import coclustering, display_order
from bayesgmm.clustering.partition.estimate import Partition
from bayesgmm.clustering.partition.of_posterior import partition as partition_of
from bayesgmm.clustering.partition.result import distances_from_estimate
from bayesgmm.data.copies import copied_rows
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.legend import add_component_legend, add_legend_below
from bayesgmm.reporting.plots.panels import marker_area
from bayesgmm.reporting.plots.scene import Scene, check_axes, check_features, check_fitted, check_result, two_columns
from bayesgmm.reporting.plots.style import (
    INK,
    MUTED,
    STYLE,
    axis_label,
    component_style,
    quiet_axes,
    row_style,
    title,
    write_verdict,
)
from bayesgmm.wording import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["plot_coclustering", "plot_credible_ball"]

IntArray = NDArray[np.int64]

_RASTER_ROWS = 800


def plot_coclustering(fit: Fit, *, max_rows: int = 1000, ax: Axes | None = None) -> Any:
    """Probability that two rows belong together, rows ordered so that similar ones stand together.

    The strips along the sides are coloured by the most probable component of each row.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    max_rows : int
        Above, so many rows are drawn at random, and the figure says so.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If `fit` is not fitted or `max_rows` is out of range.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_coclustering(fit).figure.savefig("together.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_count(max_rows, "max_rows", least=2)
    check_axes(ax)
    scene = Scene.of(fit)
    shown, total = copied_rows(scene.copies, max_rows), float(scene.copies.sum()) * scene.n_rows / len(scene.rows)
    if shown is None:  # some of the copies, by the weights of their rows
        rng, share = np.random.default_rng(0), scene.copies / scene.copies.sum()
        again = bool((scene.copies > 1.0).any())
        shown = np.sort(
            rng.choice(len(share), max_rows if again else min(max_rows, len(share)), replace=again, p=share)
        )
    similarity = coclustering(fit.posterior_, X=scene.rows[shown])
    order = display_order(similarity)
    order = order[np.argsort(scene.labels[shown][order] < 0, kind="stable")]  # noise last
    own = ax is None
    if own:
        figure = plt.figure(figsize=(5.9, 5.2), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        image = target.imshow(
            similarity[np.ix_(order, order)], cmap="Greys", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal"
        )
        _strips(target, scene.labels[shown][order], scene.classes)
        bar = target.figure.colorbar(image, ax=target, shrink=0.8, pad=0.02)
        bar.set_label("probability of belonging together", fontsize=8.0)
        bar.ax.tick_params(labelsize=8.0, width=0.7, length=3.0)
        bar.outline.set_visible(False)
        target.set_yticks([])
        target.set_xticks([])
        n = len(shown)
        text = f"{n:,} observations" if n == total else f"{n:,} of {total:,.0f} observations, drawn at random"
        target.set_xlabel(f"{text}; strips: most probable component")
        off = similarity[np.triu_indices(n, 1)]
        title(target, f"{100 * float(np.mean((off > 0.05) & (off < 0.95))):.0f} % of the pairs are uncertain")
        if own:
            add_component_legend(figure, scene.classes)
        else:
            add_legend_below(target, scene.classes)
        write_verdict(target.figure if own else target, scene.diagnosis)
    return target


def plot_credible_ball(
    fit: Fit, features: Sequence[str] | None = None, *, result: Partition | None = None, axes: Any = None
) -> Any:
    """The estimated partition and the bounds of its credible ball, in the plane of two columns.

    Rows that a bound puts elsewhere than the estimate does are ringed, or black where there are more than 800. Bounds
    that are one partition share a panel.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    features : sequence of two str, optional
        The columns; by default the two along which components differ most.
    result : Partition, optional
        Of the fitted rows; by default the one of least expected variation of information is found.
    axes : array of Axes (4,) or (2, 2), optional
        Where to draw; those that are not needed stay empty. A new figure by default.

    Returns
    -------
    array of Axes
        The estimate, then the bounds that differ: of fewest clusters, of most clusters, and furthest.

    Raises
    ------
    InputError
        If `fit` is not fitted, has one column, or `result` has other rows.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_credible_ball(fit, ["eruptions", "waiting"])  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_features(fit, features)
    check_result(result, Partition, fit)
    given = given_axes(axes, (2, 2), "the estimate, and up to three bounds")
    scene = Scene.of(fit)
    columns = two_columns(scene, features)
    found = partition_of(fit.posterior_) if result is None else result
    values = fit.posterior_["observed_data"]["obs"].transpose("obs_id", "feature").values[:, columns]
    estimate = found.labels.to_numpy()
    ball, unit = found.ball, " nats" if found.loss == "vi" else ""
    panels = _panels(estimate, found)
    if given is None:
        figure = plt.figure(figsize=(8.2, 7.0 if len(panels) > 2 else 3.9), layout="constrained")
    with mpl.rc_context(STYLE):
        rows = 2 if len(panels) > 2 else 1
        target: Any = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False) if given is None else given
        for ax, (name, labels) in zip(target.flat, panels, strict=False):
            distance = distances_from_estimate(found, labels, found.loss)[1]
            clusters = _matched(labels, estimate)
            _scatter(ax, values, clusters, clusters != estimate)
            n = len(np.unique(clusters[clusters >= 0]))
            text = f"{n} {plural(n, 'group')}"
            title(ax, f"{name}: {text}" if labels is estimate else f"{name}: {text}, {distance:.2g}{unit} away")
            quiet_axes(ax)
        for ax in target.flat[len(panels) :]:
            ax.set_axis_off()
        for ax in target[-1] if given is None else target.flat[: len(panels)]:
            ax.set_xlabel(axis_label(scene.feature_names[columns[0]], 40), parse_math=False)
        for ax in target[:, 0]:
            ax.set_ylabel(axis_label(scene.feature_names[columns[1]], 30), parse_math=False)
        text = (
            f"{100 * ball.probability:.0f} % of the posterior lies within {ball.radius:.2g}{unit} of the estimate; "
            f"{'black' if len(values) > _RASTER_ROWS else 'ringed'} observations are elsewhere"
        )
        if given is None:
            figure.supxlabel(text, fontsize=8.5, color=MUTED)
        write_verdict(figure if given is None else target[0, 0], scene.diagnosis)
    return target.ravel()[: len(panels)]


def _panels(estimate: NDArray[Any], found: Partition) -> list[tuple[str, NDArray[Any]]]:
    """Titles and labels: the estimate, and each distinct bound under all the names that it has."""
    bounds: dict[bytes, tuple[list[str], NDArray[Any]]] = {}
    ball = found.ball
    for name, bound in (("fewest groups", ball.upper), ("most groups", ball.lower), ("furthest", ball.horizontal)):
        bounds.setdefault(bound[0].tobytes(), ([], bound[0]))[0].append(name)
    panels = [(", ".join(names).capitalize(), labels) for names, labels in bounds.values()]
    if len(panels) == 1:
        panels = [("Furthest", panels[0][1])]
    return [("Estimate", estimate), *panels]


def _strips(ax: Axes, labels: IntArray, classes: Sequence[int]) -> None:
    """Components of the rows as a strip along the left and the upper side."""
    from matplotlib.colors import ListedColormap

    n = len(classes)
    colours = ListedColormap([component_style(k)[0] for k in classes])
    options: dict[str, Any] = {"cmap": colours, "vmin": -0.5, "vmax": n - 0.5, "interpolation": "nearest"}
    place = labels % n  # noise, -1, is the last
    for box, image in (((-0.035, 0.0, 0.025, 1.0), place[:, None]), ((0.0, 1.01, 1.0, 0.025), place[None])):
        strip = ax.inset_axes(box)
        strip.imshow(image, aspect="auto", **options)
        strip.set_axis_off()


def _matched(labels: NDArray[Any], estimate: NDArray[Any]) -> IntArray:
    """Labels under the numbers of the clusters of the estimate that they share most rows with; others come after.

    What the estimate leaves to noise, -1, stays noise.
    """
    noise = estimate < 0
    if noise.any():
        out = np.full(len(estimate), -1)
        out[~noise] = _matched(labels[~noise], estimate[~noise])
        return out
    names, codes = np.unique(labels, return_inverse=True)
    ours = int(estimate.max()) + 1
    shared = np.zeros((len(names), ours))
    np.add.at(shared, (codes, estimate), 1.0)
    rows, columns = linear_sum_assignment(-shared)
    number = np.full(len(names), -1)
    number[rows] = columns
    number[number < 0] = ours + np.arange((number < 0).sum())
    return number[codes]


def _scatter(ax: Axes, values: NDArray[Any], clusters: IntArray, moved: NDArray[np.bool_]) -> None:
    size, many = marker_area(len(values)), len(values) > _RASTER_ROWS
    for k in np.unique(clusters):
        mine = clusters == k
        ax.scatter(values[mine, 0], values[mine, 1], s=size, alpha=0.5, rasterized=many, zorder=2, **row_style(int(k)))
    # Rings of thousands of rows would run into one grey cloud.
    ax.scatter(
        values[moved, 0], values[moved, 1], s=size if many else 2.2 * size, marker="o", linewidths=0.0 if many else 0.7,
        facecolors=INK if many else "none", edgecolors=INK, rasterized=many, zorder=3, gid="moved",
    )  # fmt: skip
