"""The profile of each component: its mean along every column, in original units, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import check_probability
from bayesgmm.reporting.numbers import significant
from bayesgmm.reporting.plots.legend import add_component_legend, add_legend_below
from bayesgmm.reporting.plots.scene import Scene, check_axes, check_fitted
from bayesgmm.reporting.plots.style import INK, MUTED, STYLE, axis_label, component_style, quiet_axes, write_verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = ["PROFILE_CAPTION", "draw_profile", "plot_profile", "profile_size"]

PROFILE_CAPTION = (
    "Posterior mean of each component along every variable, with its interval; pale bars reach one standard deviation "
    "of the component (one scale, of t components) to either side. Each line is the range of a variable in its own "
    "units, from the smallest to the largest value, both written at its ends; the tick is the median."
)
_ROOM = 0.56  # of the height between variables, for the components


def plot_profile(fit: Fit, *, ci_prob: float = 0.95, ax: Axes | None = None) -> Any:
    """The means of the components along every column, each column on a line of its own, in original units.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    ci_prob : float
        Probability of the intervals.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If `fit` is not fitted, or an option is out of range.

    Notes
    -----
    A line goes from the smallest to the largest value of its column. Means outside that range, of components that hold
    next to no rows, are drawn at its end.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_profile(fit).figure.savefig("profile.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_probability(ci_prob)
    check_axes(ax)
    scene = Scene.of(fit)
    own = ax is None
    if own:
        figure = plt.figure(figsize=profile_size(scene), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        draw_profile(target, scene, ci_prob)
        if own:
            add_component_legend(figure, list(range(scene.n_components)))
        else:
            add_legend_below(target, list(range(scene.n_components)))
        write_verdict(target.figure if own else target, scene.diagnosis)
    return target


def profile_size(scene: Scene) -> tuple[float, float]:
    """Width and height in inches: a line for each column, of several components."""
    each = 0.26 + 0.055 * min(scene.n_components, 8)
    return 7.2, 1.3 + each * max(len(scene.feature_names), 2)


def draw_profile(ax: Axes, scene: Scene, ci_prob: float, columns: Sequence[int] | None = None) -> None:
    """Draw on axes; by default all columns."""
    some = np.arange(len(scene.feature_names)) if columns is None else np.array(columns)
    rows = scene.rows[:, some]
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    reach = np.where(high > low, high - low, 1.0)
    middle = (np.nanmedian(rows, axis=0) - low) / reach
    means = (scene.means[..., some] - low) / reach  # (S, K, D)
    sds = np.sqrt(np.diagonal(scene.covariances, axis1=2, axis2=3)).mean(axis=0)[:, some] / reach  # (K, D)
    bounds = np.quantile(means, [0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob], axis=0)
    centre, k = means.mean(axis=0), scene.n_components
    place = np.arange(len(low), dtype=float)
    ax.hlines(place, 0.0, 1.0, color="#d9d9d9", linewidth=1.0, zorder=1)
    ax.plot(middle, place, "|", color=MUTED, markersize=7.0, zorder=2)
    size = 5.5 if k < 7 else 4.0
    for c in range(k):
        colour, marker = component_style(c)
        y = place + _ROOM * ((c + 0.5) / k - 0.5)
        x, left, right = (np.clip(v, -0.03, 1.03) for v in (centre[c], *bounds[:, c]))
        wide = [np.clip(centre[c] + side * sds[c], -0.03, 1.03) for side in (-1.0, 1.0)]
        ax.hlines(y, *wide, color=colour, alpha=0.22, linewidth=5.0, zorder=2, gid="sd")
        ax.hlines(y, left, right, color=colour, linewidth=1.4, zorder=4, gid="interval")
        ax.plot(x, y, color=colour, linewidth=0.8, alpha=0.55, zorder=3)
        ax.plot(x, y, marker, color=colour, markersize=size, zorder=5, gid="mean")
    ax.set_ylim(len(low) - 0.45, -0.55)
    ax.set_xlim(-0.2, 1.2)
    for j, (a, b) in enumerate(zip(low, high, strict=True)):
        for x, value, side in ((-0.05, a, "right"), (1.05, b, "left")):
            ax.text(x, j, significant(value, 5), ha=side, va="center", fontsize=7.5, color=MUTED)
    ax.set_yticks(place, [axis_label(name, 28, 2) for name in np.array(scene.feature_names)[some]], parse_math=False)
    ax.set_xticks([])
    quiet_axes(ax)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
