"""Clusters as a picture: the rows, the components at the posterior mean, and a cloud of posterior draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import as_numbers, check_count, check_probability, shown
from bayesgmm.errors import InputError
from bayesgmm.reporting.plots.legend import add_legend
from bayesgmm.reporting.plots.panels import density_panel, marker_area, pair_panel
from bayesgmm.reporting.plots.scene import Scene, check_features, check_fitted, choose_features
from bayesgmm.reporting.plots.style import STYLE, axis_label, quiet_axes, write_verdict

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = ["clusters_size", "draw_clusters", "plot_clusters"]


def plot_clusters(
    fit: Fit,
    *,
    features: Sequence[str] | str | None = None,
    levels: float | Sequence[float] = 0.95,
    n_draws: int = 50,
    ax: Any = None,
    ci_prob: float = 0.95,
) -> Any:
    """Rows by component, ellipses at the posterior mean, and a cloud of posterior draws.

    One column gives a histogram with the posterior predictive density; two a scatter plot; more a triangle of
    pairs with the densities on its diagonal. Markers are filled when the assignment is certain and hollow when
    it is not. A fit that has not converged says so on the figure.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    features : sequence of str, optional
        Columns to show; by default all, or, of more than five, the five along which components differ most.
    levels : float or sequence of float
        Shares of a component that its ellipses hold.
    n_draws : int
        Posterior draws shown of each component, evenly spaced over all chains; 0 shows none.
    ax : Axes, or array of Axes (D, D) for more than two columns, optional
        Where to draw; a new figure by default.
    ci_prob : float
        Probability of the band around a density, and of the intervals of the weights.

    Returns
    -------
    Axes, or array of Axes (D, D)
        The array when more than two columns are shown; its upper triangle is empty.

    Raises
    ------
    InputError
        If `fit` is not fitted, a column is unknown, or an option is out of range.

    Notes
    -----
    Above 5,000 rows a random 5,000 are drawn and the legend says so. An ellipse of level p is that of the
    component's normal or t distribution along the two columns shown, with the posterior means of its parameters. Rows
    of noise are grey crosses.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_clusters(fit, features=["eruptions", "waiting"]).figure.savefig("clusters.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    given = np.atleast_1d(as_numbers(levels, "levels", "lie between 0 and 1"))
    if given.ndim > 1 or not given.size:
        raise InputError(f"levels={shown(levels)} must be one number between 0 and 1, or a sequence of them.")
    shares = [check_probability(float(v), "levels") for v in given]
    check_probability(ci_prob)
    check_count(n_draws, "n_draws", least=0)
    check_fitted(fit)
    _check_target(ax, check_features(fit, features))
    scene = Scene.of(fit)
    columns = choose_features(scene, features)
    options: dict[str, Any] = {"levels": shares, "n_draws": int(n_draws), "ci_prob": ci_prob}
    target = ax
    if ax is None:
        # Outside the context: the first figure settles whether figures show by themselves, and a context undoes it.
        target = plt.figure(figsize=clusters_size(columns, len(scene.classes)), layout="constrained")
    with mpl.rc_context(STYLE):
        return draw_clusters(target, scene, columns, **options)


def clusters_size(columns: Sequence[int], n_classes: int) -> tuple[float, float]:
    """Width and height of the figure in inches: a legend of many components asks for more height."""
    if len(columns) < 3:
        return 5.6, 4.7 + 0.09 * n_classes
    side = 1.2 + (2.3 if len(columns) == 3 else 1.9) * len(columns)
    return side, side


def draw_clusters(
    target: Any, scene: Scene, columns: Sequence[int], *, levels: Sequence[float], n_draws: int, ci_prob: float
) -> Any:
    """Draw a scene on an empty figure, or on axes that somebody else made."""
    from matplotlib.figure import Figure

    own, d = isinstance(target, Figure), len(columns)
    size = marker_area(len(scene.rows), panels=1 if d < 3 else d)
    if d > 2:
        axes = target.subplots(d, d, sharex="col", squeeze=False) if own else np.asarray(target, dtype=object)
        _pairs(axes, scene, columns, levels=levels, n_draws=n_draws, ci_prob=ci_prob, size=size)
        legend_at = axes[0, -1]
    else:
        legend_at = axes = target.subplots() if own else target
        if d == 1:
            density_panel(axes, scene, columns[0], n_draws=n_draws, ci_prob=ci_prob, rug=True, size=size)
            axes.set_ylabel(axis_label(f"density per unit of {scene.feature_names[columns[0]]}"), parse_math=False)
        else:
            pair_panel(axes, scene, (columns[0], columns[1]), levels=levels, n_draws=n_draws, size=size)
            axes.set_ylabel(axis_label(scene.feature_names[columns[1]]), parse_math=False)
        axes.set_xlabel(axis_label(scene.feature_names[columns[0]], 50), parse_math=False)
        quiet_axes(axes)
    add_legend(target if own else None, legend_at, scene, columns, levels, n_draws, ci_prob)
    write_verdict(target if own else np.ravel(axes)[0], scene.diagnosis)
    return axes


def _check_target(ax: Any, d: int) -> None:
    """Refuse what is not one Axes, or an array (D, D) of them for three columns or more."""
    if ax is None:
        return
    if d < 3:
        if not hasattr(ax, "get_xlim"):
            raise InputError(f"ax must be one Axes for {d} column{'s' * (d > 1)}.")
        return
    axes = ax if isinstance(ax, np.ndarray) else np.empty(0)
    if axes.shape != (d, d) or not all(hasattr(cell, "get_xlim") for cell in axes.flat):
        raise InputError(f"ax must be an array of {d} x {d} Axes for {d} columns.")


def _pairs(
    axes: Any, scene: Scene, columns: Sequence[int], *, levels: Sequence[float], n_draws: int, ci_prob: float,
    size: float,
) -> None:  # fmt: skip
    """The lower triangle of pairs, densities on the diagonal; only the outer axes are labelled."""
    from matplotlib.ticker import MaxNLocator

    last = len(columns) - 1
    for i, row in enumerate(columns):
        for j, column in enumerate(columns):
            ax = axes[i, j]
            if j > i:
                ax.set_axis_off()
                continue
            quiet_axes(ax)
            if i == j:
                density_panel(ax, scene, row, n_draws=n_draws, ci_prob=ci_prob, rug=False, size=size)
                ax.set_yticks([])
                ax.spines["left"].set_visible(False)
            else:
                pair_panel(ax, scene, (column, row), levels=levels, n_draws=n_draws, size=size)
                ax.yaxis.set_major_locator(MaxNLocator(4))
                ax.tick_params(labelleft=j == 0)
                if j == 0:
                    ax.set_ylabel(axis_label(scene.feature_names[row], 20), parse_math=False)
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.tick_params(labelbottom=i == last)
            if i == last:
                ax.set_xlabel(axis_label(scene.feature_names[column], 20), parse_math=False)
    for j in range(last):  # panels of a column share limits, and so do panels of a row, to the last digit
        axes[j, j].set_xlim(axes[j + 1, j].get_xlim())
        for ax in axes[j + 1, 1 : j + 1]:
            ax.set_ylim(axes[j + 1, 0].get_ylim())
    axes[last, last].set_xlim(axes[last, 0].get_ylim())
