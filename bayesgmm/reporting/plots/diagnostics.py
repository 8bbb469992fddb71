"""Six panels on one question: can these draws be believed? The title answers it in words.

Rank histograms and the R-hat and ESS thresholds follow Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021);
the comparison of energies follows Betancourt (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.posterior.diagnostics.convergence import ESS_MIN, R_HAT_MAX
from bayesgmm.posterior.diagnostics.diagnose import AMBIGUOUS, Diagnosis
from bayesgmm.posterior.tree import read_sample_stats
from bayesgmm.reporting.plots.chains import energy_panel, ranks_panel, trace_panel
from bayesgmm.reporting.plots.given_axes import given_axes
from bayesgmm.reporting.plots.scene import check_fitted
from bayesgmm.reporting.plots.style import (
    ALARM,
    INK,
    MUTED,
    STYLE,
    instead,
    quiet_axes,
    title,
    verdict_note,
    write_note,
    write_verdict,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesgmm.model_selection.fit import Fit

__all__ = ["DIAGNOSTICS_CAPTION", "DIAGNOSTICS_SIZE", "draw_diagnostics", "plot_diagnostics"]

DIAGNOSTICS_SIZE = (10.4, 6.6)
DIAGNOSTICS_CAPTION = (
    "Log-likelihood of the draws of each chain; their ranks among all draws, which are uniform when chains agree "
    "(grey: range expected by chance); energy of the draws against its change between draws, which should spread "
    "as widely. Below: R-hat and effective sample size of every quantity (table (a), and the component parameters "
    "of table (b)), failures in red, thresholds dashed; and the share of draws whose component labels are doubtful."
)
_RASTER_MARKS = 800  # more are stored as pixels within a vector figure
_LEAST_EXCESS = 3e-4  # R-hat - 1 below this is drawn here
_FAMILIES = {
    "log_likelihood": "log-likelihood",
    "log_posterior": "log posterior",
    "sorted_weights": "weights, sorted",
    "sum_squared_weights": "sum of squared weights",
    "noise_weight": "share of noise",
    "log_df": "log degrees of freedom",
    "df": "degrees of freedom",
    "mixture_mean": "mixture mean",
    "mixture_log_det_covariance": "mixture log det covariance",
    "log_density": "log density at observations",
    "log_det_covariance": "log det covariance at observations",
    "classification_entropy": "classification entropy",
    "co_clustering": "co-clustering of pairs",
    "weights": "component weights",
    "means": "component means",
    "sd": "component sds",
    "corr": "component correlations",
}


def plot_diagnostics(fit: Fit, *, axes: Any = None) -> Any:
    """Traces, ranks, energy, R-hat, effective sample sizes and label ambiguity, under the verdict in words.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.
    axes : array of Axes (2, 3), optional
        Where to draw; a new figure by default.

    Returns
    -------
    array of Axes (2, 3)

    Raises
    ------
    InputError
        If `fit` is not a fitted `BayesianGMM`, or `axes` are not six Axes.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_diagnostics(fit)[0, 0].figure.savefig("diagnostics.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_fitted(fit)
    given = given_axes(axes, (2, 3), "trace, ranks, energy, R-hat, ESS and labels")
    # Outside the context: the first figure settles whether figures show by themselves, and a context undoes it.
    target = plt.figure(figsize=DIAGNOSTICS_SIZE, layout="constrained") if given is None else given
    with mpl.rc_context(STYLE):
        return draw_diagnostics(target, fit)


def draw_diagnostics(target: Figure | NDArray[Any], fit: Fit) -> Any:
    """Draw the panels on an empty figure, with the verdict above, or on axes (2, 3), with a warning in the first."""
    from matplotlib.figure import Figure

    diagnosis, stats = fit.diagnose(), read_sample_stats(fit.posterior_)
    log_likelihood = fit.posterior_["posterior"]["log_likelihood_total"].transpose("chain", "draw").values
    axes = target.subplots(2, 3) if isinstance(target, Figure) else target
    for ax in axes.flat:
        quiet_axes(ax)
    trace_panel(axes[0, 0], log_likelihood, stats.get("diverging"))
    ranks_panel(axes[0, 1], log_likelihood)
    energy_panel(axes[0, 2], stats.get("energy"))
    _quantities(axes[1, 0], axes[1, 1], diagnosis)
    _ambiguity(axes[1, 2], stats.get("relabel_ambiguity"))
    if isinstance(target, Figure):
        write_note(target, *(verdict_note(diagnosis) or (diagnosis.verdict, INK)), size=10.5)
    else:
        write_verdict(axes[0, 0], diagnosis)
    return axes


def _quantities(left: Axes, right: Axes, diagnosis: Diagnosis) -> None:
    """R-hat and ESS of every quantity, one line a family."""
    from matplotlib.ticker import NullLocator

    both = pd.concat([diagnosis.table, diagnosis.components])
    family = [name.split("[")[0] for name in both.index]
    lines = [name for name in dict.fromkeys(family)]
    y = np.array([lines.index(name) for name in family], dtype=float)
    colour = np.where(both["ok"].to_numpy(dtype=bool), "#0072B2", ALARM)
    known = both["r_hat"].notna().to_numpy()
    divider = len({name.split("[")[0] for name in diagnosis.table.index}) - 0.5
    excess = np.maximum(both["r_hat"].to_numpy() - 1.0, _LEAST_EXCESS)
    full: dict[str, Any] = {
        "c": colour[known], "alpha": 0.55, "linewidths": 0, "zorder": 3, "rasterized": len(both) > _RASTER_MARKS
    }  # fmt: skip
    left.scatter(excess[known], y[known], s=16, **full)
    right.scatter(both["ess_bulk"][known], y[known] - 0.13, s=15, **full)
    right.scatter(
        both["ess_tail"][known], y[known] + 0.13, s=13, facecolors="none", edgecolors=colour[known], linewidths=0.8,
        alpha=0.7, zorder=3, rasterized=full["rasterized"],
    )  # fmt: skip
    for ax, threshold in ((left, R_HAT_MAX - 1.0), (right, ESS_MIN)):
        ax.set_xscale("log")
        ax.axvline(threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
        ax.axhline(divider, color=MUTED, linewidth=0.6, zorder=1)
        for line in range(len(lines)):
            ax.axhline(line, color="#ececec", linewidth=0.7, zorder=0)
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.xaxis.set_minor_locator(NullLocator())
    high = float(np.max(excess[known], initial=0.03))
    ticks = [t for t in (1e-3, 1e-2, 1e-1, 1.0, 10.0) if t <= 2.0 * high]
    left.set_xlim(0.7 * _LEAST_EXCESS, max(0.03, 1.5 * high))
    left.set_xticks(ticks, [f"{1.0 + t:g}" for t in ticks])
    left.set_yticks(range(len(lines)), [_FAMILIES.get(name, name) for name in lines])
    right.set_yticks(range(len(lines)), [""] * len(lines))
    low = float(np.min(both[["ess_bulk", "ess_tail"]].to_numpy()[known], initial=ESS_MIN))
    high = float(np.max(both[["ess_bulk", "ess_tail"]].to_numpy()[known], initial=2.0 * ESS_MIN))
    right.set_xlim(0.6 * low, 1.5 * high)
    ticks = [t for t in (1, 10, 40, 100, 400, 1000, 4000, 10_000, 100_000) if 0.6 * low <= t <= 1.5 * high]
    right.set_xticks(ticks, [f"{t:,}" for t in ticks])
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    gate = diagnosis.table[diagnosis.table["r_hat"].notna()]
    too_high = int((gate["r_hat"] >= R_HAT_MAX).sum())
    too_low = int((gate[["ess_bulk", "ess_tail"]].min(axis=1) <= ESS_MIN).sum())
    title(
        left,
        f"R-hat: {too_high} of {len(gate)} of (a) too high" if too_high else f"R-hat: all of (a) below {R_HAT_MAX:g}",
    )
    title(right, f"ESS: {too_low} of {len(gate)} of (a) too low" if too_low else f"ESS: all of (a) above {ESS_MIN:g}")
    left.set_xlabel(f"R-hat (must be below {R_HAT_MAX:g})")
    right.set_xlabel(f"effective sample size (above {ESS_MIN:g}; hollow: tail)")


def _ambiguity(ax: Axes, ambiguity: NDArray[Any] | None) -> None:
    """Share of draws whose relabelling is wrong with more than a given probability."""
    if ambiguity is None or not np.isfinite(ambiguity).any():
        title(ax, "Doubtful labels")
        instead(ax, "not recorded")
        return
    values = np.sort(ambiguity[np.isfinite(ambiguity)])
    share = float(np.mean(values > AMBIGUOUS))
    if values[-1] < 0.5 * AMBIGUOUS:
        title(ax, "Doubtful labels: none")
        instead(ax, f"in every draw, the labels are wrong\nwith probability below {max(values[-1], 0.001):.1g}")
        return
    grid = np.linspace(0.0, 1.0, 501)
    above = 1.0 - np.searchsorted(values, grid, side="right") / len(values)
    ax.fill_between(grid, above, step="post", color=MUTED, alpha=0.35, linewidth=0)
    ax.plot(grid, above, drawstyle="steps-post", color=INK, linewidth=1.1)
    ax.axvline(AMBIGUOUS, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, max(0.05, 1.3 * float(above[5])))
    ax.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    ax.set_xlabel("probability that the labels are wrong")
    ax.set_ylabel("draws above")
    title(ax, f"Doubtful labels: {100 * share:.2g} % of draws")
