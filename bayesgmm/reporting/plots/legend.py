"""The words around a figure of clusters: its legend, and the caption that says what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.reporting.numbers import class_name
from bayesgmm.reporting.plots.scene import Scene
from bayesgmm.reporting.plots.style import INK, MUTED, component_style, verdict_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["add_component_legend", "add_legend", "add_legend_below", "add_legend_inside", "clusters_caption"]


def add_legend(
    figure: Figure | None,
    ax: Axes, scene: Scene, columns: Sequence[int], levels: Sequence[float], n_draws: int,
    ci_prob: float,
) -> None:  # fmt: skip
    """Outside the data: below a single panel, in the empty corner of a triangle, beside axes with a layout.

    In somebody else's figure without a layout there is no room to count on: then the components alone, inside.
    """
    d = len(columns)
    handles = _handles(scene, d, levels, n_draws, ci_prob)
    title = "; ".join(_omissions(scene, columns)) or None
    options: dict[str, Any] = {"handles": handles, "title": title, "title_fontsize": 8.0, "handlelength": 1.6}
    if d > 2:
        ax.legend(loc="upper right", borderaxespad=0.0, **options).set_in_layout(False)
    elif figure is not None:
        figure.legend(loc="outside lower center", ncols=2, **options)
    elif ax.figure.get_figure(root=True).get_layout_engine() is None:
        options["handles"] = handles[: len(scene.classes)]
        place = "lower right" if verdict_note(scene.diagnosis) else "best"
        ax.legend(loc=place, frameon=True, framealpha=0.85, edgecolor="none", **options)
    else:
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, **options)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _handles(scene: Scene, d: int, levels: Sequence[float], n_draws: int, ci_prob: float) -> list[Any]:
    from matplotlib.colors import to_rgba
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def marker(colour: str, shape: str, label: str, face: float) -> Line2D:
        return Line2D(
            [], [], color=colour, marker=shape, linestyle="none", markersize=5.0, label=label,
            markerfacecolor=to_rgba(colour, face) if face else "white", markeredgecolor=colour, markeredgewidth=0.8,
        )  # fmt: skip

    low, high = np.quantile(scene.weights, [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob], axis=0)
    weight = scene.weights.mean(axis=0)
    handles: list[Any] = [
        marker(
            *component_style(k),
            f"{class_name(k)}: proportion {weight[i]:.2f} [{low[i]:.2f}, {high[i]:.2f}]", 0.6,
        )
        for i, k in enumerate(scene.classes)
    ]  # fmt: skip
    shown = min(n_draws, len(scene.heads))
    if d != 2:
        handles.append(Line2D([], [], color=INK, linewidth=2.4, label="posterior predictive density"))
        handles.append(Patch(color=MUTED, alpha=0.35, linewidth=0, label=f"{_percent(ci_prob)} band of the density"))
    if d > 1:
        shares = f"{', '.join(f'{100 * v:g}' for v in levels)} %"
        handles.append(Line2D([], [], color=MUTED, linewidth=1.6, label=f"{shares} ellipse at the posterior mean"))
    if shown:
        what = "components" if d == 1 else "ellipses"
        handles.append(Line2D([], [], color=MUTED, linewidth=0.6, label=f"{what} of {shown} posterior draws"))
    if len(scene.classes) > 1:
        handles.append(marker(MUTED, "o", "hollow: assignment uncertain", 0.0))
    return handles


def _omissions(scene: Scene, columns: Sequence[int]) -> list[str]:
    """What the figure leaves out."""
    out = []
    if len(scene.rows) < scene.n_rows:
        out.append(f"{len(scene.rows):,} of {scene.n_rows:,} observations, drawn at random")
    if 2 < len(columns) < len(scene.feature_names):
        out.append(f"{len(columns)} of {len(scene.feature_names)} columns")
    return out


def clusters_caption(
    scene: Scene, columns: Sequence[int], *, levels: Sequence[float], n_draws: int, ci_prob: float
) -> str:
    """What the figure shows, in the sentences a caption needs."""
    shares, shown = " and ".join(_percent(v) for v in levels), min(n_draws, len(scene.weights))
    omitted = _omissions(scene, columns)
    rows = "Markers are observations, coloured by their most probable component"
    rows += ", or crosses where that is noise" if scene.box is not None else ""
    rows += "; the fill fades as the assignment becomes uncertain. " if len(scene.classes) > 1 else ". "
    ellipses = (
        f"Thick ellipses hold {shares} of each component at the posterior mean of its parameters; thin ones are "
        f"{shown} posterior draws. "
    )
    densities = (
        f"Histogram of the observations, the posterior predictive density (black) with its {_percent(ci_prob)} "
        "credible band, and the weighted density of each component "
        f"(coloured{'; of noise grey' if scene.box is not None else ''})"
    )
    if len(columns) == 1:
        text = f"{densities}; thin lines are {shown} posterior draws. Below the axis, {rows[0].lower()}{rows[1:]}"
    else:
        text = rows + ellipses + (f"Diagonal: {densities[0].lower()}{densities[1:]}." if len(columns) > 2 else "")
    return text.strip() + (f" Shown: {'; '.join(omitted)}." if omitted else "")


def component_handles(classes: Sequence[int], what: str = "component") -> list[Any]:
    """Colours of the components, and of noise, -1."""
    from matplotlib.patches import Patch

    return [Patch(color=component_style(k)[0], linewidth=0, label=class_name(k, what)) for k in classes]


def add_legend_inside(ax: Axes, classes: Sequence[int], what: str = "component") -> None:
    """`component_handles` in axes of somebody else's figure, below where a warning would stand."""
    options: dict[str, Any] = {"frameon": True, "framealpha": 0.85, "edgecolor": "none", "handlelength": 1.2}
    ax.legend(handles=component_handles(classes, what), loc="lower right", fontsize=7.5, **options)


def add_legend_below(ax: Axes, classes: Sequence[int], what: str = "component") -> None:
    """`component_handles` below axes of somebody else's figure, under the label of their x axis."""
    handles, columns = component_handles(classes, what), min(len(classes), 3)
    options: dict[str, Any] = {"ncols": columns, "handlelength": 1.2, "frameon": False, "fontsize": 7.5}
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), **options)


def add_component_legend(figure: Figure, classes: Sequence[int], what: str = "component") -> None:
    """`component_handles` below a figure."""
    handles = component_handles(classes, what)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), handlelength=1.2)
