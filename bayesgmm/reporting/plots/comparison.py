"""How many components: predictive density, evidence, occupied components and classical criteria side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.model_selection.ranking import NEGLIGIBLE_ELPD
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.style import (
    ALARM,
    INK,
    MUTED,
    STYLE,
    component_style,
    instead,
    quiet_axes,
    title,
    write_note,
)
from bayesgmm.wording import probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesgmm.model_selection.comparison import ComparedFits

__all__ = ["COMPARISON_CAPTION", "COMPARISON_SIZE", "draw_comparison", "plot_comparison"]

COMPARISON_SIZE = (9.6, 6.2)
COMPARISON_CAPTION = (
    "Top left: how far each fit falls below the best in expected log predictive density, with one standard error of "
    "the paired difference; fits in the grey band or whose bar reaches zero predict about as well, and the ring marks "
    "the simplest of them. Top right: posterior probability of each K with the prior SD of the means halved, as it "
    "is, and doubled. Bottom left: posterior probability of the number of occupied components (grey), and the most "
    "probable number of clusters (ring). Bottom right: criteria of the maximum-likelihood fit, less the smallest of "
    "each. Crosses: fits that did not converge."
)
_SHOWN = 12.0  # the scale is linear up to here, then logarithmic
_ABREAST, _LETTERS = 7, 40  # fits side by side, and letters of their names, that need not stand upright


def plot_comparison(comparison: ComparedFits, *, axes: Any = None) -> Any:
    """elpd with its standard error, p(K | y), occupied components and criteria of every fit.

    Parameters
    ----------
    comparison : Comparison
        From `compare_components`.
    axes : array of Axes (2, 2), optional
        Where to draw; a new figure by default.

    Returns
    -------
    array of Axes (2, 2)

    Raises
    ------
    InputError
        If `comparison` or `axes` is something else.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_comparison(cmp)[0, 0].figure.savefig("comparison.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    if not hasattr(comparison, "candidates"):
        raise InputError("plot_comparison needs what compare_components returns.")
    given = given_axes(axes, (2, 2), "predictive density, evidence, occupied components and criteria")
    target = plt.figure(figsize=COMPARISON_SIZE, layout="constrained") if given is None else given
    with mpl.rc_context(STYLE):
        return draw_comparison(target, comparison)


def draw_comparison(target: Figure | NDArray[Any], comparison: ComparedFits) -> Any:
    """Draw the panels on an empty figure, with the recommendation above, or on axes (2, 2)."""
    from matplotlib.figure import Figure

    axes = target.subplots(2, 2) if isinstance(target, Figure) else target
    table = comparison.details.copy()
    table["kind"] = [str(comparison.candidates[label].kind) for label in table.index]
    structures = list(dict.fromkeys(table["kind"]))
    for ax in axes.flat:
        quiet_axes(ax)
    _elpd(axes[0, 0], comparison, table, structures)
    _probability(axes[0, 1], comparison)
    _occupied(axes[1, 0], comparison)
    _criteria(axes[1, 1], table, structures)
    if isinstance(target, Figure):
        colour = INK if table["status"].isin(["converged", "rough"]).any() else ALARM
        write_note(target, comparison.recommendation.headline, colour, size=10.5)
    return axes


def _positions(table: pd.DataFrame, structure: str, structures: Sequence[str]) -> Any:
    """K of a structure's fits, structures side by side."""
    shift = 0.12 * (structures.index(structure) - 0.5 * (len(structures) - 1))
    return table["n_components"].to_numpy(dtype=float) + shift


def _elpd(ax: Axes, comparison: ComparedFits, table: pd.DataFrame, structures: Sequence[str]) -> None:
    if table["elpd_diff"].isna().all():
        instead(ax, "No fit has LOO.")
        return
    ax.axhspan(-NEGLIGIBLE_ELPD, 0.0, color=MUTED, alpha=0.15, linewidth=0, gid="band")
    for j, structure in enumerate(structures):
        part = table[table["kind"] == structure]
        colour, marker = component_style(j)
        x = _positions(part, structure, structures)
        y, se = (part[name].to_numpy(dtype=float) for name in ("elpd_diff", "diff_se"))
        ax.errorbar(x, y, yerr=se, fmt=marker, color=colour, markersize=4, elinewidth=1.0, capsize=2, label=structure)
        failed, rough = ((part["status"] == status).to_numpy() for status in ("not converged", "rough"))
        ax.plot(x[failed], y[failed], "x", color=ALARM, markersize=9)
        for at, height in zip(x[rough], y[rough], strict=True):
            ax.annotate(
                "rough", (at, height), (0, -11), textcoords="offset points", ha="center", fontsize=7, color=MUTED
            )
        if comparison.recommendation.label in part.index:
            at = part.index.get_loc(comparison.recommendation.label)
            ax.plot(x[at], y[at], "o", markersize=11, fillstyle="none", color=INK, gid="recommended")
    _long_scale(ax)
    ax.set_ylabel("Δelpd (difference from the best), nats")
    _components_axis(ax, table)
    title(ax, "Predictive density ± 1 SE of the difference")
    if len(structures) > 1:
        ax.legend(loc="lower right")


def _probability(ax: Axes, comparison: ComparedFits) -> None:
    p = comparison.sensitivity
    if p.isna().all(axis=None):
        instead(ax, "No fit has a log evidence that may be used.")
        return
    names = {0.5: "SD × ½", 1.0: "SD × 1", 2.0: "SD × 2"}
    place = np.arange(len(p))
    for j, scale in enumerate(p.columns):
        colour, _ = component_style((5, 0, 1)[j % 3])
        known = p[scale].notna().any()
        label = names[float(scale)] + ("" if known else ": not known")
        ax.bar(place + 0.26 * (j - 1), p[scale].fillna(0.0), width=0.24, color=colour, label=label)
    evidence, many = comparison.details["log_evidence"], len(p) > _ABREAST
    for i, value in enumerate(evidence):
        words = "—" if np.isnan(value) else f"{value:.1f}"
        turned = 90 if many and not np.isnan(value) else 0
        ax.text(i, 1.02, words, ha="center", va="bottom", fontsize=7, color=MUTED, rotation=turned)
    _fits_axis(ax, p.index)
    ax.set_ylim(0.0, 1.3 if many else 1.12)
    ax.set_yticks(np.linspace(0.0, 1.0, 6))
    ax.set_ylabel("p(K | y)")
    title(ax, "Evidence (log evidence above the bars)")
    ax.legend(
        title="prior of the means",
        loc="center left" if p[1.0].fillna(0.0).to_numpy()[: len(p) // 2].max(initial=0.0) < 0.4 else "center right",
    )


def _occupied(ax: Axes, comparison: ComparedFits) -> None:
    occupied = comparison.occupied
    low, high = int(occupied.columns.min()), int(occupied.columns.max())
    grid = occupied.reindex(columns=range(low, high + 1), fill_value=0.0).to_numpy(dtype=float)
    place = np.arange(len(occupied))
    ax.imshow(grid.T, origin="lower", cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest",
              extent=(-0.5, len(place) - 0.5, low - 0.5, high + 0.5))  # fmt: skip
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            if value >= 0.05:
                colour = "white" if value > 0.5 else INK
                ax.text(i, low + j, probability(value), ha="center", va="center", fontsize=7, color=colour)
    clusters = comparison.details["n_clusters"].to_numpy(dtype=float)
    size = 7.0 * min(1.0, _ABREAST / len(place))
    ax.plot(place - 0.36, clusters, "o", markersize=size, fillstyle="none", color=component_style(1)[0],
            markeredgewidth=0.23 * size)  # fmt: skip
    ax.set_ylim(min(low, clusters.min()) - 0.5, max(high, clusters.max()) + 0.5)
    ax.set_yticks(range(int(min(low, clusters.min())), int(max(high, clusters.max())) + 1))
    _fits_axis(ax, occupied.index)
    ax.set_ylabel("number")
    title(ax, "Occupied components (grey), clusters (ring)")


def _criteria(ax: Axes, table: pd.DataFrame, structures: Sequence[str]) -> None:
    for j, (name, words) in enumerate((("bic", "BIC"), ("icl", "ICL"), ("aicc", "AICc"))):
        values = table[name].replace(np.inf, np.nan)
        colour, _ = component_style(j)
        for i, structure in enumerate(structures):
            part = table[table["kind"] == structure]
            ax.plot(part["n_components"], values[part.index] - values.min(), marker=component_style(i)[1], color=colour,
                    markersize=4, linewidth=1.0, linestyle=("-", "--", ":", "-.")[i % 4],
                    label=words if i == 0 else None)  # fmt: skip
    _long_scale(ax)
    ax.set_ylim(bottom=-1.0)
    ax.set_ylabel("above the smallest")
    _components_axis(ax, table)
    title(ax, "Criteria of the maximum-likelihood fit")
    ax.legend(loc="upper center", ncols=3)


def _long_scale(ax: Axes) -> None:
    """Linear up to `_SHOWN`, then logarithmic, with plain numbers."""
    from matplotlib.ticker import ScalarFormatter, SymmetricalLogLocator

    ax.set_yscale("symlog", linthresh=_SHOWN)
    ax.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=_SHOWN, subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())


def _fits_axis(ax: Axes, labels: pd.Index[Any]) -> None:
    """A place for each fit; many names, or long ones, stand upright."""
    names = [str(label) for label in labels]
    upright = len("".join(names)) > _LETTERS
    ax.set_xticks(range(len(names)), names, rotation=90 if upright else 0, fontsize=7.0 if upright else 8.0)
    ax.set_xlabel("components K")


def _components_axis(ax: Axes, table: pd.DataFrame) -> None:
    ax.set_xticks(sorted(set(table["n_components"])))
    ax.set_xlabel("components K")
