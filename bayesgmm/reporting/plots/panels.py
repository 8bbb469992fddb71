"""The two panels every figure of clusters is made of: a pair of columns, and the density along one column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.model.standard_rows import marginal_density, radius
from bayesgmm.reporting.plots.scene import Scene
from bayesgmm.reporting.plots.style import INK, MUTED, component_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bin_edges", "density_panel", "ellipse_outlines", "marker_area", "pair_panel"]

Array = NDArray[np.float64]

_RASTER_ROWS = 800  # more markers than this are stored as pixels inside a vector figure
_BAND_DRAWS = 400
_CLOUD_POINTS = 37  # of the outline of a draw
_MAX_BINS = 60
_RUG = 0.045  # height of one line of the rug, as a share of the density's height


def ellipse_outlines(
    means: Array, covariances: Array, share: float, df: Array | None = None, n_points: int = 61
) -> Array:
    """Outlines of the ellipses that hold `share` of each bivariate normal, or t, distribution.

    Parameters
    ----------
    means, covariances : arrays (M, 2), (M, 2, 2)
    share : float
        Probability inside.
    df : array (M,), optional
        Degrees of freedom, of t distributions; `covariances` are then scale matrices.

    Returns
    -------
    array (M, n_points, 2)
        Closed polygons, in the units of the means.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.reporting.plots.panels import ellipse_outlines
    >>> outline = ellipse_outlines(np.zeros((1, 2)), np.eye(2)[None], 0.95)
    >>> np.linalg.norm(outline, axis=2).round(3).max()
    np.float64(2.448)
    """
    angle = np.linspace(0.0, 2.0 * np.pi, n_points)
    circle = np.stack([np.cos(angle), np.sin(angle)])  # (2, T)
    offsets = np.swapaxes(np.linalg.cholesky(covariances) @ circle, 1, 2)
    return np.asarray(means[:, None, :] + np.reshape(radius(share, 2, df), (-1, 1, 1)) * offsets, dtype=np.float64)


def bin_edges(values: Array, step: float = 0.0) -> Array:
    """Edges of histogram bins; for a rounded column each bin holds the same number of recording steps.

    >>> bin_edges(np.array([1.0, 1.0, 2.0, 3.0]), step=1.0)
    array([0.5, 1.5, 2.5, 3.5])
    """
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    # Freedman and Diaconis (1981), too coarse for several clusters: hence at least 2 sqrt(N) bins up to 30.
    quartiles = np.quantile(values, [0.25, 0.75])
    bell = (high - low) * np.cbrt(len(values)) / max(2.0 * np.ptp(quartiles), 1e-6 * (high - low))
    n_bins = int(min(_MAX_BINS, max(bell, min(30.0, 2.0 * np.sqrt(len(values))))))
    if step <= 0.0:
        return np.asarray(np.linspace(low, high, n_bins + 1), dtype=np.float64)
    width = step * max(1, round((high - low) / n_bins / step))
    n_edges = int(np.ceil((high - low + step) / width - 1e-9)) + 1
    return np.asarray(low - 0.5 * step + width * np.arange(n_edges), dtype=np.float64)


def _scatter(ax: Axes, x: Array, y: Array, scene: Scene, *, size: float, **options: Any) -> None:
    """Rows as markers of their component: filled when the assignment is certain, hollow when it is not; noise crosses,
    which fade instead."""
    from matplotlib.colors import to_rgb

    k = len(scene.classes)
    surety = np.clip((scene.certainty - 1.0 / k) / (1.0 - 1.0 / k), 0.0, 1.0) if k > 1 else scene.certainty
    area = size * np.clip(scene.sizes, 0.3, 6.0)
    one_size = bool(np.ptp(area) == 0.0)
    for component in scene.classes:
        own = scene.labels == component
        colour, marker = component_style(component)
        alpha = 0.6 * surety**2 if component >= 0 else 0.4 + 0.6 * surety
        edges = {"edgecolors": colour, "linewidths": 0.5} if component >= 0 else {"linewidths": 0.8}
        for level in np.unique(np.round(alpha[own], 1)):  # one artist each: then a file has the marker once
            mine = np.flatnonzero(own & (np.round(alpha, 1) == level))
            ax.scatter(
                x[mine], y[mine], s=area[:1] if one_size else area[mine], marker=marker, c=[(*to_rgb(colour), level)],
                rasterized=len(scene.rows) > _RASTER_ROWS, gid="rows", label=f"_{component}", **edges, **options,
            )  # fmt: skip


def marker_area(n_rows: int, panels: int = 1) -> float:
    """Area of a marker in square points: smaller where there are many."""
    return float(np.clip(5000.0 / max(n_rows, 1), 4.0, 24.0)) / (1.0 if panels == 1 else 1.8)


def pair_panel(
    ax: Axes, scene: Scene, columns: tuple[int, int], *, levels: Sequence[float], n_draws: int, size: float
) -> None:
    """Rows, ellipses at the posterior mean and ellipses of single draws along two columns."""
    from matplotlib import patheffects
    from matplotlib.collections import LineCollection

    pick = np.array(columns)
    rows = scene.rows[:, pick]
    mean = scene.means.mean(axis=0)[:, pick]  # (K, 2)
    covariance = scene.covariances.mean(axis=0)[:, pick[:, None], pick]  # (K, 2, 2)
    chosen = scene.thin(n_draws) if n_draws else np.empty(0, dtype=np.int64)
    df = scene.df
    low, high = floor, ceiling = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    _scatter(ax, rows[:, 0], rows[:, 1], scene, size=size, zorder=2)
    halo = [patheffects.withStroke(linewidth=2.2, foreground="white")]
    for k in range(scene.n_components):
        colour, _ = component_style(k)
        for share in levels:
            lines = ellipse_outlines(
                scene.means[chosen, k][:, pick], scene.covariances[chosen, k][:, pick[:, None], pick], share,
                None if df is None else df[chosen, k], n_points=_CLOUD_POINTS,
            )  # fmt: skip
            cloud = LineCollection(list(lines), colors=colour, linewidths=0.5, alpha=0.28, zorder=3, gid="draws")
            ax.add_collection(cloud, autolim=False)
            tails = None if df is None else df.mean(axis=0)[[k]]
            outline = ellipse_outlines(mean[[k]], covariance[[k]], share, tails)[0]
            ax.plot(*outline.T, color=colour, linewidth=1.6, path_effects=halo, zorder=4, gid="mean")
            for seen in (lines, outline[None]):  # (M, T, 2)
                if len(seen):
                    low = np.minimum(low, np.quantile(seen.min(axis=1), 0.05, axis=0))
                    high = np.maximum(high, np.quantile(seen.max(axis=1), 0.95, axis=0))
        ax.annotate(
            str(k), mean[k], color=colour, ha="center", va="center", fontsize=8.0, fontweight="bold",
            bbox={"boxstyle": "circle,pad=0.22", "facecolor": "white", "edgecolor": colour},
            zorder=6, annotation_clip=True,
        )  # fmt: skip
    # A component without rows spreads as widely as its prior: it must not squeeze the data into a corner.
    reach = ceiling - floor
    low = np.maximum(low, floor - 0.3 * reach) - 0.04 * reach
    high = np.minimum(high, ceiling + 0.3 * reach) + 0.04 * reach
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])


def density_panel(ax: Axes, scene: Scene, column: int, *, n_draws: int, ci_prob: float, rug: bool, size: float) -> None:
    """Histogram, posterior predictive density with its band, and the components, along one column."""
    values = scene.rows[:, column]
    known = ~np.isnan(values)
    low, high = float(values[known].min()), float(values[known].max())
    reach = high - low
    margin, n_points = (0.12 * reach, 400) if rug else (0.35 * reach, 250)
    grid = np.linspace(low - margin, high + margin, n_points)
    chosen = scene.thin(_BAND_DRAWS)
    mean = scene.means[chosen, :, column, None]
    sd = np.sqrt(scene.covariances[chosen, :, column, column])[..., None]
    parts = marginal_density((grid - mean) / sd, None if scene.df is None else scene.df[chosen][..., None]) / sd
    if scene.box is not None:
        flat = np.broadcast_to(scene.noise_along(column, grid), (len(chosen), 1, n_points))
        parts = np.concatenate([parts, flat], axis=1)
    parts *= scene.weights[chosen][..., None]  # (S, R, grid)
    total = parts.sum(axis=1)
    band = np.quantile(total, [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob], axis=0)

    edges = bin_edges(values[known], float(scene.resolution[column]))
    heights, _, _ = ax.hist(
        values[known], bins=list(edges), weights=scene.sizes[known], density=True, color="#e4e4e4", edgecolor="white",
        linewidth=0.4, zorder=1,
    )  # fmt: skip
    ax.fill_between(grid, *band, color=MUTED, alpha=0.35, linewidth=0, zorder=2, gid="band")
    # Wide and below the components, so that both are seen where one component is the whole density.
    ax.plot(grid, total.mean(axis=0), color=INK, linewidth=2.6 if rug else 2.0, zorder=3.5, gid="predictive")
    few = evenly_spaced(len(chosen), n_draws if rug else 0)
    for part, k in enumerate(scene.classes):
        colour, _ = component_style(k)
        for s in few:
            ax.plot(grid, parts[s, part], color=colour, linewidth=0.5, alpha=0.2, zorder=3, gid="draws")
        ax.plot(grid, parts[:, part].mean(axis=0), color=colour, linewidth=1.2 if rug else 1.0, zorder=4, gid="mean")
    top = 1.06 * max(float(np.max(heights)), float(band[1].max()))
    ax.set_xlim(grid[0], grid[-1])
    if rug:
        line = np.where(scene.labels < 0, scene.n_components, scene.labels) + 1.0  # noise below the components
        depth: Array = -_RUG * top * line
        _scatter(ax, values, depth, scene, size=size, zorder=3)
        ax.axhline(0.0, color=MUTED, linewidth=0.7, zorder=1)
        ax.set_ylim(-_RUG * top * (len(scene.classes) + 0.8), top)
        ax.set_yticks([t for t in ax.get_yticks() if 0.0 <= t <= top])
    else:
        ax.set_ylim(0.0, top)
