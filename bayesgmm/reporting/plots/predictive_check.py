"""Posterior predictive check in pictures: each variable, and the correlation of each pair, in data and replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import check_count, check_probability, check_seed
from bayesgmm.model.background import table_box
from bayesgmm.posterior.predictive_check import PredictiveCheck, predictive_check
from bayesgmm.posterior.tree import structure_of
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.scene import Scene, check_features, check_fitted, choose_features
from bayesgmm.reporting.plots.style import (
    ALARM,
    INK,
    MUTED,
    STYLE,
    axis_label,
    instead,
    quiet_axes,
    title,
    write_verdict,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesgmm.model_selection.fit import Fit

__all__ = [
    "PREDICTIVE_CAPTION", "check_of", "draw_predictive_check", "plot_posterior_predictive", "predictive_axes",
    "predictive_size",
]  # fmt: skip

PREDICTIVE_CAPTION = (
    "Grey bars: share of the observations in each bin; blue bands: interval of that share in tables replicated from "
    "the posterior predictive distribution. Last panel: correlation of each pair of variables in the data (dot, red "
    "outside) and its interval in the replicated tables."
)
_BAND = "#56B4E9"
_MOST_PAIRS = 28


def plot_posterior_predictive(
    fit: Fit,
    features: Sequence[str] | str | None = None,
    *,
    n_draws: int = 200,
    ci_prob: float = 0.95,
    axes: Any = None,
    random_seed: int = 0,
) -> Any:
    """The data beside tables replicated from the posterior predictive distribution: variables, and their pairs.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    features : sequence of str, optional
        Columns to show; by default all, or, of more than five, the five along which components differ most.
    n_draws : int
        Replicated tables, at most 10,000.
    ci_prob : float
        Probability of the bands and intervals.
    axes : array of Axes (D + 1,), or (1,) for one column, optional
        Where to draw: a panel a column shown, and one of pairs; a new figure by default.
    random_seed : int

    Returns
    -------
    array of Axes (D + 1,), or (1,)

    Raises
    ------
    InputError
        If `fit` is not fitted, a column is unknown, or an option is out of range.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_posterior_predictive(fit)[0].figure.savefig("predictive.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    check_count(n_draws, "n_draws", most=10_000)
    check_probability(ci_prob)
    check_seed(random_seed)
    n_panels = _n_panels(check_features(fit, features))
    given = given_axes(axes, (n_panels,), "one for each column shown, and one of pairs")
    scene = Scene.of(fit)
    columns = choose_features(scene, features)
    check = check_of(fit, n_sets=n_draws, ci_prob=ci_prob, random_seed=0 if random_seed is None else random_seed)
    if given is None:
        figure = plt.figure(figsize=predictive_size(len(columns)), layout="constrained")
    with mpl.rc_context(STYLE):
        target = predictive_axes(figure, len(columns)) if given is None else given
        draw_predictive_check(target, check, columns)
        write_verdict(figure if given is None else target[0], scene.diagnosis)
    return target


def check_of(fit: Fit, **options: Any) -> PredictiveCheck:
    """`predictive_check` of a fit."""
    box = table_box(fit.table_) if structure_of(fit.posterior_).has_background else None
    return predictive_check(fit.posterior_, box, **options)


def _n_panels(n_columns: int) -> int:
    return n_columns + (n_columns > 1)


def predictive_size(n_columns: int) -> tuple[float, float]:
    """Width and height in inches."""
    across = min(_n_panels(n_columns), 3)
    return (4.6 if across == 1 else 3.2 * across), 2.5 * -(-_n_panels(n_columns) // across) + 0.2


def predictive_axes(figure: Any, n_columns: int) -> Any:
    """As many panels as there are columns, and one of pairs, on an empty figure."""
    n = _n_panels(n_columns)
    across = min(n, 3)
    axes = figure.subplots(-(-n // across), across, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.set_axis_off()
    return axes[:n]


def draw_predictive_check(axes: Any, check: PredictiveCheck, columns: Sequence[int]) -> None:
    """Draw on a panel a column, and one of pairs."""
    names = list(dict.fromkeys(check.marginals["column"]))
    for ax, j in zip(axes, columns, strict=False):
        _marginal(ax, check, j)
        ax.set_xlabel(axis_label(names[j], 34), parse_math=False)
        quiet_axes(ax)
    if len(columns) > 1:
        _pairs(axes[-1], check, [names[j] for j in columns])


def _marginal(ax: Axes, check: PredictiveCheck, column: int) -> None:
    edges = check.edges[column]
    observed, low, high = check.heights[column][:, : len(edges) - 1]
    ax.stairs(observed, edges, fill=True, color="#dddddd", gid="observed")
    ax.bar(edges[:-1], high - low, np.diff(edges), low, align="edge", color=_BAND, alpha=0.45, linewidth=0, gid="band")
    ax.stairs(observed, edges, color=INK, linewidth=0.9, baseline=None)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(0.0, 1.08 * max(observed.max(), high.max()))


def _pairs(ax: Axes, check: PredictiveCheck, names: Sequence[str]) -> None:
    """Correlations of the columns shown, those furthest out first where there are many."""
    both = check.pairs[check.pairs["first"].isin(names) & check.pairs["second"].isin(names)]
    shown = both.loc[(both["p"] - 0.5).abs().sort_values(ascending=False, kind="stable").index[:_MOST_PAIRS]]
    shown = shown.sort_index()
    if not len(shown):
        instead(ax, "no pairs")
        return
    place = np.arange(len(shown))
    outside = ((shown["observed"] < shown["lower"]) | (shown["observed"] > shown["upper"])).to_numpy()
    ax.hlines(place, shown["lower"], shown["upper"], color=_BAND, linewidth=4.0, alpha=0.7)
    ax.scatter(shown["observed"], place, s=18, color=np.where(outside, ALARM, INK), zorder=3)
    number = {name: str(j + 1) for j, name in enumerate(names)}
    labels = [f"{number[a]} and {number[b]}" for a, b in zip(shown["first"], shown["second"], strict=True)]
    ax.set_yticks(place, labels, fontsize=7.5 if len(shown) <= 12 else 6.0)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.axvline(0.0, color=MUTED, linewidth=0.6, zorder=0)
    ax.set_xlabel("correlation")
    quiet_axes(ax)
    title(ax, "Pairs, by number of panel")
