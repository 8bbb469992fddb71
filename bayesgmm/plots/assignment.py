"""Who belongs where, in pictures: responsibilities with their intervals, where rows are uncertain, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.assignment import Assignment, assignment
from bayesgmm.draw_blocks import blocks_of_draws
from bayesgmm.errors import InputError
from bayesgmm.option_checks import check_count
from bayesgmm.params import inverse_cholesky
from bayesgmm.plots.panels import marker_area
from bayesgmm.plots.scene import Scene, check_fitted, choose_features
from bayesgmm.plots.style import (
    INK,
    MUTED,
    STYLE,
    axis_label,
    component_style,
    instead,
    quiet_axes,
    title,
    verdict_note,
    write_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesgmm.estimator import BayesianGMM

__all__ = ["add_component_legend", "plot_assignment", "plot_entropy_split", "plot_uncertainty_map", "two_columns"]

Array = NDArray[np.float64]

_MAP_DRAWS = 200
_RASTER_ROWS = 800
_NAMED = 6  # rows named in the entropy figure


def plot_assignment(fit: BayesianGMM, *, result: Assignment | None = None, n_rows: int = 25) -> Any:
    """Responsibilities of all rows, and those of the most uncertain rows with their intervals.

    Left, a column a row, the components stacked; rows are ordered by component and, within it, from the surest to the
    most uncertain. Right, the rows of largest entropy by name: the probability of each component that matters, with
    its interval over the draws.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    result : Assignment, optional
        Of the fit; by default that of the fitted rows is computed.
    n_rows : int
        Rows shown by name.

    Returns
    -------
    array of Axes (2,)

    Raises
    ------
    InputError
        If `fit` is not fitted, or an option is out of range.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_assignment(fit)[0].figure.savefig("assignment.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_count(n_rows, "n_rows")
    result = assignment(fit.posterior_) if result is None else result
    shown = min(n_rows, len(result.table))
    figure = plt.figure(figsize=(9.6, max(3.6, 1.3 + 0.22 * shown)), layout="constrained")
    with mpl.rc_context(STYLE):
        axes = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        _stacked(axes[0], result)
        _uncertain(axes[1], result, shown)
        add_component_legend(figure, result.probabilities.shape[1], result.level)
        _note(figure, fit)
    return axes


def plot_entropy_split(fit: BayesianGMM, *, result: Assignment | None = None, ax: Axes | None = None) -> Any:
    """Each row's uncertainty in two parts: overlap of the components, and not knowing their parameters.

    Parameters
    ----------
    fit, result
        As in `plot_assignment`.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_entropy_split(fit).figure.savefig("entropy.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    result = assignment(fit.posterior_) if result is None else result
    own = ax is None
    if own:
        figure = plt.figure(figsize=(5.6, 4.7), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        _split(target, result)
        if own:
            add_component_legend(figure, result.probabilities.shape[1], result.level)
        else:
            target.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", handletextpad=0.2)
        _note(target.figure if own else target, fit)
    return target


def plot_uncertainty_map(
    fit: BayesianGMM,
    features: Sequence[str] | None = None,
    *,
    result: Assignment | None = None,
    ax: Axes | None = None,
    n_grid: int = 120,
) -> Any:
    """How uncertain a row would be anywhere in the plane of two columns, and the rows.

    The background is the entropy of the probabilities of the components given these two columns alone, as a share of
    its largest possible value; the rows are those of the fit, larger and darker the more uncertain they are given
    all their columns.

    Parameters
    ----------
    fit, result, ax
        As in `plot_entropy_split`; `result` must be that of the fitted rows.
    features : sequence of two str, optional
        The columns; by default the two along which components differ most.
    n_grid : int
        Points along each side.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If the fit has one column, or `features` does not name two.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_uncertainty_map(fit, ["eruptions", "waiting"])  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_count(n_grid, "n_grid", least=2)
    result = assignment(fit.posterior_) if result is None else result
    scene = Scene.of(fit, result.probabilities.to_numpy())
    columns = two_columns(scene, features)
    own = ax is None
    if own:
        figure = plt.figure(figsize=(6.2, 4.9), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        image = _map(target, scene, columns, n_grid)
        bar = target.figure.colorbar(image, ax=target, shrink=0.85, pad=0.02)
        bar.set_label("uncertainty given these two columns", fontsize=8.0)
        bar.ax.tick_params(labelsize=8.0, width=0.7, length=3.0)
        bar.outline.set_visible(False)
        if own:
            add_component_legend(figure, scene.n_components)
        _note(target.figure if own else target, fit)
    return target


def two_columns(scene: Scene, features: Sequence[str] | None) -> list[int]:
    """Two columns to show: those named, or the two along which components differ most."""
    if len(scene.feature_names) < 2:
        raise InputError("a plane takes two columns, and the fit has one; use plot_clusters for its density.")
    if features is not None:
        columns = choose_features(scene, features)
        if len(columns) != 2:
            raise InputError(f"features must name two columns, got {len(columns)}.")
        return columns
    weights, means = scene.weights.mean(axis=0), scene.means.mean(axis=0)
    between = weights @ (means - weights @ means) ** 2
    within = weights @ scene.covariances.mean(axis=0).diagonal(axis1=1, axis2=2)
    return sorted(np.argsort(-between / within, kind="stable")[:2].tolist())


def _note(target: Any, fit: BayesianGMM) -> None:
    note = verdict_note(fit.diagnose())
    if note:
        write_note(target, *note)


def add_component_legend(figure: Figure, n: int, what: str = "component") -> None:
    """Colours of the components, below a figure."""
    from matplotlib.patches import Patch

    handles = [Patch(color=component_style(k)[0], linewidth=0, label=f"{what} {k}") for k in range(n)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(n, 6), handlelength=1.2)


def _stacked(ax: Axes, result: Assignment) -> None:
    """A column a row; the row's own component at the bottom, so that its probability can be read."""
    p, label = result.probabilities.to_numpy(), result.table["label"].to_numpy()
    n, k = p.shape
    order = np.lexsort((-result.table["probability"].to_numpy(), label))
    p, label = p[order], label[order]
    for own in range(k):
        mine = np.flatnonzero(label == own)
        if not len(mine):
            continue
        edges = np.arange(mine[0], mine[-1] + 2, dtype=np.float64)
        base = np.zeros(len(mine))
        for component in [own, *(c for c in range(k) if c != own)]:
            top = base + p[mine, component]
            ax.stairs(
                top, edges, baseline=base, fill=True, color=component_style(component)[0], alpha=0.85, linewidth=0
            )
            base = top
        if mine[-1] + 1 < n:
            ax.axvline(mine[-1] + 1, color="white", linewidth=1.2)
    ax.set_xlim(0, n)
    ax.set_ylim(0, 1)
    ax.set_xlabel(f"{n:,} rows by {result.level}, from sure to uncertain")
    ax.set_ylabel("probability")
    quiet_axes(ax)
    ambiguous = result.n_ambiguous
    title(ax, f"{ambiguous:,} of {n:,} rows are ambiguous ({100 * ambiguous / n:.0f} %)")


def _uncertain(ax: Axes, result: Assignment, n_rows: int) -> None:
    """Points and intervals of the rows of largest entropy, the most uncertain on top."""
    entropy = result.table["entropy"].to_numpy()
    chosen = np.argsort(-entropy, kind="stable")[:n_rows]
    chosen = chosen[entropy[chosen] > 1e-6]
    if not len(chosen):
        title(ax, "The most uncertain rows")
        instead(ax, "no row is uncertain")
        return
    p, low, high = (x.to_numpy()[chosen] for x in (result.probabilities, result.lower, result.upper))
    for line in range(len(chosen)):
        matter = np.flatnonzero(high[line] > 0.02)
        offsets = np.linspace(-0.22, 0.22, len(matter)) if len(matter) > 1 else np.zeros(1)
        for component, offset in zip(matter, offsets, strict=True):
            colour, marker = component_style(int(component))
            y = line + offset
            ax.plot([low[line, component], high[line, component]], [y, y], color=colour, linewidth=1.6, alpha=0.55,
                    solid_capstyle="butt", zorder=2)  # fmt: skip
            ax.plot(p[line, component], y, marker=marker, color=colour, markersize=4.0, linestyle="none", zorder=3)
        if line % 2:
            ax.axhspan(line - 0.5, line + 0.5, color="#f4f4f4", linewidth=0, zorder=0)
    names = [axis_label(str(result.table.index[i]), 22, 1) for i in chosen]
    ax.set_yticks(range(len(chosen)), names, parse_math=False)
    ax.set_ylim(len(chosen) - 0.5, -0.5)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel(f"probability, with {100 * result.ci_prob:g} % interval")
    quiet_axes(ax)
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    title(ax, f"The {len(chosen)} most uncertain rows")


def _split(ax: Axes, result: Assignment) -> None:
    table = result.table
    overlap, parameter = table["overlap"].to_numpy(), table["parameter"].to_numpy()
    label = table["label"].to_numpy()
    n = len(table)
    reach = 1.06 * max(float(overlap.max(initial=0.0)), float(parameter.max(initial=0.0)), 1e-3)
    size = 1.3 * marker_area(n)
    for k in range(result.probabilities.shape[1]):
        mine = label == k
        colour, marker = component_style(k)
        ax.scatter(
            overlap[mine], parameter[mine], s=size, marker=marker, color=colour, alpha=0.55, linewidths=0, zorder=3,
            label=f"{result.level} {k}", rasterized=n > _RASTER_ROWS, clip_on=False,
        )  # fmt: skip
    ax.plot([0.0, reach], [0.0, reach], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    top = 1.12 * max(float(parameter.max(initial=0.0)), 0.06 * reach)
    at = 0.94 * min(top, reach)
    ax.annotate("equal parts", (at, at), xytext=(5, -3), textcoords="offset points", color=MUTED, fontsize=7.5)
    for i in np.argsort(-parameter, kind="stable")[: min(_NAMED, n)]:
        if parameter[i] > 0.05 * reach:
            left = overlap[i] > 0.8 * reach
            ax.annotate(
                axis_label(str(table.index[i]), 18, 1), (overlap[i], parameter[i]), xytext=(-4 if left else 4, 3),
                textcoords="offset points", fontsize=7.5, color=INK, zorder=5, parse_math=False,
                ha="right" if left else "left",
            )  # fmt: skip
    ax.set_xlim(0.0, reach)
    ax.set_ylim(0.0, top)
    ax.set_xlabel("overlap of the components (nats)")
    ax.set_ylabel("parameter uncertainty (nats)")
    quiet_axes(ax)
    title(ax, f"{100 * result.parameter_share:.0f} % of the uncertainty would shrink with more data")


def _map(ax: Axes, scene: Scene, columns: list[int], n_grid: int) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    pick = np.array(columns)
    rows = scene.rows[:, pick]
    reach = np.ptp(rows, axis=0)
    low, high = rows.min(axis=0) - 0.07 * reach, rows.max(axis=0) + 0.07 * reach
    x, y = (np.linspace(low[j], high[j], n_grid) for j in range(2))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    chosen = scene.thin(_MAP_DRAWS)
    covariances = scene.covariances[chosen][..., pick[:, None], pick]
    scaling = inverse_cholesky(np.linalg.cholesky(covariances))
    p = np.zeros((len(grid), scene.n_components))
    for _, r in blocks_of_draws(grid, scene.weights[chosen], scene.means[chosen][..., pick], scaling, diagonal=False):
        p += r.sum(axis=0)
    p /= len(chosen)
    most = np.log(max(scene.n_components, 2))
    share = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).reshape(n_grid, n_grid) / most
    shades = LinearSegmentedColormap.from_list("uncertainty", ["#ffffff", "#f3d9a8", "#c98a2b", "#7a4a00"])
    image = ax.imshow(
        share, origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto", cmap=shades, vmin=0.0,
        vmax=1.0, interpolation="bilinear", zorder=0,
    )  # fmt: skip
    size = marker_area(len(rows))
    for k in range(scene.n_components):
        mine = scene.labels == k
        colour, marker = component_style(k)
        doubt = 1.0 - scene.certainty[mine]
        ax.scatter(
            rows[mine, 0], rows[mine, 1], s=size * (0.5 + 2.5 * doubt), marker=marker, facecolors=colour,
            edgecolors="white", linewidths=0.3, alpha=np.clip(0.35 + 1.2 * doubt, 0.0, 1.0), zorder=3,
            rasterized=len(rows) > _RASTER_ROWS,
        )  # fmt: skip
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_xlabel(axis_label(scene.feature_names[columns[0]], 50), parse_math=False)
    ax.set_ylabel(axis_label(scene.feature_names[columns[1]]), parse_math=False)
    quiet_axes(ax)
    shown = f" ({len(rows):,} of {scene.n_rows:,} rows, drawn at random)" if len(rows) < scene.n_rows else ""
    title(ax, f"Where the component is uncertain{shown}")
    return image
