"""Which components merge to clusters, and at which separation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesgmm.clustering.merging import Merging
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.scene import check_fitted
from bayesgmm.reporting.plots.style import (
    INK,
    MUTED,
    STYLE,
    component_style,
    instead,
    quiet_axes,
    title,
    write_note,
    write_verdict,
)
from bayesgmm.wording import probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["MERGING_CAPTION", "MERGING_SIZE", "draw_merging", "plot_merging"]

MERGING_SIZE = (7.4, 3.4)
MERGING_CAPTION = (
    "Left: at which separation groups of components become one cluster, in standard deviations of two equal normal "
    "groups as far apart; posterior medians, bars from the 5th to the 95th percentile. Right: posterior probability of "
    "each number of clusters by the separation that clusters must have. A number is stated where it holds over the "
    "shaded range."
)
_FURTHEST = 6.0


def plot_merging(fit: Fit, *, axes: Sequence[Axes] | None = None) -> Any:
    """The tree of merges, and the posterior of the number of clusters by the separation asked for.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    axes : pair of Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    array of Axes (2,)

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_merging(fit)[0].figure.savefig("merging.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    given = given_axes(axes, (2,), "the tree of merges, and the number of clusters")
    with mpl.rc_context(STYLE):
        if given is None:
            figure = plt.figure(figsize=MERGING_SIZE, layout="constrained")
            drawn = draw_merging(figure, fit.merging())
            write_verdict(figure, fit.diagnose())
        else:
            drawn = given
            _tree(drawn[0], fit.merging())
            _numbers(drawn[1], fit.merging())
            write_verdict(drawn[1], fit.diagnose())
    return drawn


def draw_merging(figure: Any, merging: Merging) -> Any:
    """Both panels in a figure, with what they say above."""
    axes = figure.subplots(1, 2)
    _tree(axes[0], merging)
    _numbers(axes[1], merging)
    write_note(figure, str(merging).split(":")[0].rstrip(".") + ".", INK)
    return axes


def _range(ax: Axes, merging: Merging) -> None:
    low, high = merging.in_question.index[[0, -1]]
    ax.axvspan(float(low), float(high), color=MUTED, alpha=0.15, linewidth=0, zorder=0)


def _tree(ax: Axes, merging: Merging) -> None:
    tree = merging.tree
    title(ax, "Merges of components")
    if not len(tree):
        instead(ax, "one component")
        return
    _range(ax, merging)
    order = [*tree.iloc[-1]["group"], *tree.iloc[-1]["other"]]
    for row in tree.iloc[::-1].to_dict("records"):  # members of a group beside each other
        both = sorted(order.index(i) for i in (*row["group"], *row["other"]))
        order[both[0] : both[-1] + 1] = [*row["group"], *row["other"]]
    height = {(i,): float(place) for place, i in enumerate(order)}
    begins = dict.fromkeys(height, 0.0)
    for row in tree.to_dict("records"):
        a, b, at = row["group"], row["other"], min(row["separation"], _FURTHEST)
        for group in (a, b):
            ax.plot([min(begins[group], at), at], [height[group]] * 2, color=INK, linewidth=1.1)
        ax.plot([at, at], [height[a], height[b]], color=INK, linewidth=1.1)
        middle = 0.5 * (height[a] + height[b])
        if row["separation"] < _FURTHEST:
            ax.plot([row["low"], min(row["high"], _FURTHEST)], [middle] * 2, color=component_style(1)[0], linewidth=2.2,
                    alpha=0.7, solid_capstyle="butt")  # fmt: skip
        height[tuple(sorted(a + b))], begins[tuple(sorted(a + b))] = middle, at
    for place, i in enumerate(order):
        colour, marker = component_style(i)
        ax.plot(0.0, place, marker=marker, color=colour, markersize=6, clip_on=False, zorder=5)
    ax.set_yticks(range(len(order)), [f"component {i}" for i in order])
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlim(0.0, _FURTHEST)
    ax.set_xticks(range(7), [*map(str, range(6)), "≥ 6"])
    ax.set_xlabel("separation (SDs)")
    quiet_axes(ax)


def _numbers(ax: Axes, merging: Merging) -> None:
    table = merging.by_separation
    title(ax, "Number of clusters")
    _range(ax, merging)
    for place, number in enumerate(table.columns):
        if table[number].max() < 0.05:
            continue
        colour, _ = component_style(place)
        ax.plot(table.index, table[number], color=colour, linewidth=1.6)
        top = table[number].idxmax()
        spread = table.index[table[number] >= table[number].max() - 1e-9]
        where = float(spread[len(spread) // 2]) if len(spread) else float(str(top))
        ax.annotate(
            f"{number}", (where, float(table[number].max())), xytext=(0, 3), textcoords="offset points", ha="center",
            color=colour, fontsize=9, fontweight="bold",
        )  # fmt: skip
    ax.set_ylim(0.0, 1.1)
    ax.set_xlim(float(table.index[0]), float(table.index[-1]))
    ax.set_xlabel("clusters are further apart than (SDs)")
    ax.set_ylabel("posterior probability")
    at = probability(merging.best_probability)
    ax.annotate(
        f"{merging.best} at {merging.shown:g}: {at}", (0.98, 0.5), xycoords="axes fraction", ha="right",
        color=MUTED, fontsize=8,
    )  # fmt: skip
    quiet_axes(ax)
