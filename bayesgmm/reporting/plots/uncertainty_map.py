"""Where rows are uncertain, in pictures: a map over the plane of two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import check_count
from bayesgmm.clustering.assignment import Assignment, assignment
from bayesgmm.kernels.draw_blocks import blocks_of_draws
from bayesgmm.kernels.row_model import RowModel
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.reporting.plots.legend import add_component_legend, add_legend_inside
from bayesgmm.reporting.plots.panels import marker_area
from bayesgmm.reporting.plots.scene import Scene, check_axes, check_features, check_fitted, check_result, two_columns
from bayesgmm.reporting.plots.style import STYLE, axis_label, quiet_axes, row_style, title, write_verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["plot_uncertainty_map"]

_MAP_DRAWS = 200
_RASTER_ROWS = 800


def plot_uncertainty_map(
    fit: Fit,
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
    check_count(n_grid, "n_grid", least=2, most=10_000)
    check_axes(ax)
    check_features(fit, features)
    check_result(result, Assignment, fit)
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
            add_component_legend(figure, scene.classes)
        else:
            add_legend_inside(target, scene.classes)
        write_verdict(target.figure if own else target, fit.diagnose())
    return target


def _map(ax: Axes, scene: Scene, columns: list[int], n_grid: int) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    pick = np.array(columns)
    rows = scene.rows[:, pick]
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    reach = high - low
    low, high = low - 0.07 * reach, high + 0.07 * reach
    x, y = (np.linspace(low[j], high[j], n_grid) for j in range(2))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    chosen = scene.thin(_MAP_DRAWS)
    covariances = scene.covariances[chosen][..., pick[:, None], pick]
    scaling = inverse_cholesky(np.linalg.cholesky(covariances))
    p = np.zeros((len(grid), len(scene.classes)))
    background = np.array(scene.structure.background)
    of_two = RowModel(background=background[pick] if len(background) else background)
    for _, r in blocks_of_draws(grid, scene.heads[chosen], scene.means[chosen][..., pick], scaling, row_model=of_two):
        p += r.sum(axis=0)
    p /= len(chosen)
    most = np.log(max(len(scene.classes), 2))
    share = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).reshape(n_grid, n_grid) / most
    shades = LinearSegmentedColormap.from_list("uncertainty", ["#ffffff", "#f3d9a8", "#c98a2b", "#7a4a00"])
    image = ax.imshow(
        share, origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto", cmap=shades, vmin=0.0,
        vmax=1.0, interpolation="bilinear", zorder=0,
    )  # fmt: skip
    size = marker_area(len(rows))
    for k in scene.classes:
        mine = scene.labels == k
        doubt, least = 1.0 - scene.certainty[mine], 0.35 if k >= 0 else 0.8
        ax.scatter(
            rows[mine, 0], rows[mine, 1], s=size * (0.5 + 2.5 * doubt), **row_style(k, "white"),
            alpha=np.clip(least + 1.2 * doubt, 0.0, 1.0), zorder=3, rasterized=len(rows) > _RASTER_ROWS,
        )  # fmt: skip
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_xlabel(axis_label(scene.feature_names[columns[0]], 50), parse_math=False)
    ax.set_ylabel(axis_label(scene.feature_names[columns[1]]), parse_math=False)
    quiet_axes(ax)
    shown = f" ({len(rows):,} of {scene.n_rows:,} observations, drawn at random)" if len(rows) < scene.n_rows else ""
    title(ax, f"Where the component is uncertain{shown}")
    return image
