"""Why rows are uncertain, in pictures: overlap of the components, and not knowing their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bayesgmm.arguments import check_instance
from bayesgmm.clustering.assignment import Assignment, assignment
from bayesgmm.reporting.numbers import class_name
from bayesgmm.reporting.plots.legend import add_component_legend
from bayesgmm.reporting.plots.panels import marker_area
from bayesgmm.reporting.plots.scene import check_axes, check_fitted
from bayesgmm.reporting.plots.style import (
    INK,
    MUTED,
    STYLE,
    axis_label,
    quiet_axes,
    row_style,
    title,
    write_verdict,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["plot_entropy_split"]

Array = NDArray[np.float64]

_RASTER_ROWS = 800
_NAMED = 6  # rows named


def plot_entropy_split(fit: Fit, *, result: Assignment | None = None, ax: Axes | None = None) -> Any:
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
    check_axes(ax)
    if result is not None:
        check_instance(result, "result", Assignment, "None, or what fit.assignment() returns")
    result = assignment(fit.posterior_) if result is None else result
    own = ax is None
    if own:
        figure = plt.figure(figsize=(5.6, 4.7), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        _split(target, result)
        if own:
            add_component_legend(figure, result.classes, result.level)
        else:
            target.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", handletextpad=0.2)
        write_verdict(target.figure if own else target, fit.diagnose())
    return target


def _name(ax: Axes, names: list[str], x: Array, y: Array) -> None:
    """Names beside their points, moved up or down until none stands on another; a line leads from what was moved."""
    left = x > 0.8 * ax.get_xlim()[1]
    height, high = 0.032, ax.get_ylim()[1]  # of a line of text, as a share of the axes, and the axes
    for side in (True, False):
        mine = np.flatnonzero(left == side)
        place = apart(y[mine] / high, height)
        for i, at in zip(mine.tolist(), place, strict=True):
            moved = abs(at - y[i] / high) > 0.6 * height
            ax.annotate(
                axis_label(names[i], 18, 1), (x[i], y[i]), xytext=(-14.0 if side else 14.0, at), fontsize=7.5,
                color=INK, textcoords=("offset points", "axes fraction"), ha="right" if side else "left", va="center",
                zorder=5, parse_math=False, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2} if moved
                else None,
            )  # fmt: skip


def apart(at: Array, least: float) -> Array:
    """Places nearest to those wanted, in their order, that are at least so far apart and within 0 and 1.

    >>> apart(np.array([0.5, 0.5, 0.1]), 0.2).round(2)
    array([0.4, 0.6, 0.1])
    """
    order = np.argsort(at, kind="stable")
    step = least * np.arange(len(at))
    # Least squares under an order is isotonic regression of what is wanted, less the steps.
    out = np.empty(len(at))
    if len(at):
        highest = max(0.0, 1.0 - least * (len(at) - 1))
        out[order] = np.clip(isotonic_regression(at[order] - step).x, 0.0, highest) + step
    return out


def _split(ax: Axes, result: Assignment) -> None:
    table = result.table
    overlap, parameter = table["overlap"].to_numpy(), table["parameter"].to_numpy()
    label = table["label"].to_numpy()
    n = len(table)
    reach = 1.06 * max(float(overlap.max(initial=0.0)), float(parameter.max(initial=0.0)), 1e-3)
    size = 1.3 * marker_area(n)
    for k in result.classes:
        mine = label == k
        ax.scatter(
            overlap[mine], parameter[mine], s=size, **row_style(k), alpha=0.55, zorder=3,
            label=class_name(k, result.level), rasterized=n > _RASTER_ROWS, clip_on=False,
        )  # fmt: skip
    ax.plot([0.0, reach], [0.0, reach], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    top = 1.12 * max(float(parameter.max(initial=0.0)), 0.06 * reach)
    at = 0.94 * min(top, reach)
    ax.annotate("equal parts", (at, at), xytext=(5, -3), textcoords="offset points", color=MUTED, fontsize=7.5)
    ax.set_xlim(0.0, reach)
    ax.set_ylim(0.0, top)
    named = [i for i in np.argsort(-parameter, kind="stable")[:_NAMED] if parameter[i] > 0.05 * reach]
    _name(ax, [str(table.index[i]) for i in named], overlap[named], parameter[named])
    ax.set_xlabel("overlap of the components (nats)")
    ax.set_ylabel("parameter uncertainty (nats)")
    quiet_axes(ax)
    title(ax, f"{100 * result.parameter_share:.0f} % of the classification entropy is parameter uncertainty")
