"""Parameters under changed priors, in pictures: mixing proportions, and means of some columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.posterior.changed_prior import CHANGES, PriorChange
from bayesgmm.reporting.plots.style import INK, axis_label, quiet_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PRIOR_CAPTION", "draw_changed_prior", "prior_size"]

PRIOR_CAPTION = (
    "Posterior mean and interval of the mixing proportions, and of the means along variables, as fitted (black) and "
    "with the SD of the prior of the means, the scale of the prior of the standard deviations, or the Dirichlet "
    "concentration halved (hollow) and doubled (filled). A prior that the draws do not reach is left out."
)
_COLOURS = {"means": "#0072B2", "sds": "#D55E00", "concentration": "#009E73"}
_WORDS = {"means": "SD of the means", "sds": "scale of the sds", "concentration": "concentration"}


def prior_size(n_columns: int, n_components: int) -> tuple[float, float]:
    """Width and height in inches."""
    across = min(1 + n_columns, 3)
    width = max(3.2, min(0.55 * n_components + 1.0, 9.0))
    return min(width * across, 10.4), 2.5 * -(-(1 + n_columns) // across) + 0.5


def draw_changed_prior(figure: Figure, change: PriorChange, names: Sequence[str], n_components: int) -> Any:
    """Draw on an empty figure: a panel of the weights, and one of the means along each of the columns named."""
    from matplotlib.lines import Line2D

    across = min(1 + len(names), 3)
    axes = figure.subplots(-(-(1 + len(names)) // across), across, squeeze=False).ravel()
    families = ["weights[{}]", *(f"means[{{}}, {name.replace('{', '{{').replace('}', '}}')}]" for name in names)]
    labels = ["mixing proportion", *(f"mean of {name}" for name in names)]
    for ax, family, label in zip(axes, families, labels, strict=False):
        rows = [family.format(k) for k in range(n_components)]
        for j, scenario in enumerate(change.mean.columns):
            what, factor = CHANGES.get(scenario, ("", 1.0))
            mean, low, high = (t.loc[rows, scenario].to_numpy() for t in (change.mean, change.lower, change.upper))
            x = np.arange(n_components) + 0.1 * (j - 0.5 * (len(change.mean.columns) - 1))
            colour = _COLOURS.get(what, INK)
            ax.vlines(x, low, high, color=colour, linewidth=1.0, alpha=0.8)
            ax.plot(x, mean, "o", color=colour, markersize=3.6, markerfacecolor="white" if factor < 1.0 else colour)
        ax.set_xticks(range(n_components))
        ax.set_xlim(-0.6, n_components - 0.4)
        ax.set_xlabel("component")
        ax.set_ylabel(axis_label(label, 26, 2), parse_math=False)
        quiet_axes(ax)
    for ax in axes[len(families) :]:
        ax.set_axis_off()
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3.6, label=words)
        for words, colour in [("as fitted", INK), *((_WORDS[what], _COLOURS[what]) for what in _WORDS)]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return axes
