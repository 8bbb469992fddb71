"""Who belongs where, in pictures: responsibilities of all rows, and of the most uncertain with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import check_count, check_instance
from bayesgmm.clustering.assignment import Assignment, assignment
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.legend import add_component_legend, add_legend_inside
from bayesgmm.reporting.plots.scene import check_fitted
from bayesgmm.reporting.plots.style import STYLE, axis_label, component_style, instead, quiet_axes, title, write_verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["plot_assignment"]


def plot_assignment(fit: Fit, *, result: Assignment | None = None, n_rows: int = 25, axes: Any = None) -> Any:
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
    axes : array of Axes (2,), optional
        Where to draw; a new figure by default.

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
    given = given_axes(axes, (2,), "all observations, and the most uncertain")
    if result is not None:
        check_instance(result, "result", Assignment, "None, or what fit.assignment() returns")
    result = assignment(fit.posterior_) if result is None else result
    shown = min(n_rows, len(result.table))
    if given is None:
        figure = plt.figure(figsize=(9.6, max(3.6, 1.3 + 0.22 * shown)), layout="constrained")
    with mpl.rc_context(STYLE):
        target = figure.subplots(1, 2, width_ratios=(1.15, 1.0)) if given is None else given
        _stacked(target[0], result)
        _uncertain(target[1], result, shown)
        if given is None:
            add_component_legend(figure, result.classes, result.level)
        else:
            add_legend_inside(target[0], result.classes, result.level)
        write_verdict(figure if given is None else target[0], fit.diagnose())
    return target


def _stacked(ax: Axes, result: Assignment) -> None:
    """A column a row; the row's own component at the bottom, so that its probability can be read."""
    p, classes = result.probabilities.to_numpy(), result.classes
    place, k = p.argmax(axis=1), len(classes)
    order = np.lexsort((-result.table["probability"].to_numpy(), place))
    order = order[result.weights.to_numpy()[order] > 0.0]
    p, place, copies = p[order], place[order], result.weights.to_numpy()[order]
    ends, total = np.concatenate([[0.0], np.cumsum(copies)]), float(copies.sum())
    for own in range(k):
        mine = np.flatnonzero(place == own)
        if not len(mine):
            continue
        edges = ends[mine[0] : mine[-1] + 2]
        base = np.zeros(len(mine))
        for component in [own, *(c for c in range(k) if c != own)]:
            top = base + p[mine, component]
            ax.stairs(
                top,
                edges,
                baseline=base,
                fill=True,
                color=component_style(classes[component])[0],
                alpha=0.85,
                linewidth=0,
            )
            base = top
        if edges[-1] < total:
            ax.axvline(edges[-1], color="white", linewidth=1.2)
    ax.set_xlim(0, total)
    ax.set_ylim(0, 1)
    ax.set_xlabel(f"{result.n_rows:,.10g} observations by {result.level}, from certain to uncertain")
    ax.set_ylabel("probability")
    quiet_axes(ax)
    ambiguous = result.n_ambiguous
    title(
        ax, f"{ambiguous:,.10g} of {result.n_rows:,.10g} observations are ambiguous ({100 * ambiguous / total:.0f} %)"
    )


def _uncertain(ax: Axes, result: Assignment, n_rows: int) -> None:
    """Points and intervals of the rows of largest entropy, the most uncertain on top."""
    entropy = result.table["entropy"].to_numpy()
    chosen = np.argsort(-entropy, kind="stable")[:n_rows]
    chosen = chosen[entropy[chosen] > 1e-6]
    if not len(chosen):
        title(ax, "The most uncertain observations")
        instead(ax, "no observation is uncertain")
        return
    p, low, high = (x.to_numpy()[chosen] for x in (result.probabilities, result.lower, result.upper))
    for line in range(len(chosen)):
        matter = np.flatnonzero(high[line] > 0.02)
        offsets = np.linspace(-0.22, 0.22, len(matter)) if len(matter) > 1 else np.zeros(1)
        for component, offset in zip(matter, offsets, strict=True):
            colour, marker = component_style(result.classes[component])
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
    ax.set_xlabel(f"probability, with {100 * result.ci_prob:g} % credible interval")
    quiet_axes(ax)
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    title(ax, f"The {len(chosen)} most uncertain observations")
