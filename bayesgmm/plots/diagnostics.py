"""Six panels on one question: can these draws be believed? The title answers it in words.

Rank histograms and the R-hat and ESS thresholds follow Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021);
the comparison of energies follows Betancourt (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from bayesgmm.convergence import ESS_MIN, R_HAT_MAX
from bayesgmm.diagnostics import AMBIGUOUS, Diagnosis
from bayesgmm.plots.scene import check_fitted
from bayesgmm.plots.style import ALARM, CHAIN_COLOURS, INK, MUTED, STYLE, quiet_axes, verdict_note, write_note
from bayesgmm.tree import read_sample_stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesgmm.estimator import BayesianGMM

__all__ = ["DIAGNOSTICS_CAPTION", "DIAGNOSTICS_SIZE", "draw_diagnostics", "plot_diagnostics"]

Array = NDArray[np.float64]

DIAGNOSTICS_SIZE = (10.4, 6.6)
DIAGNOSTICS_CAPTION = (
    "Log-likelihood of the draws of each chain; their ranks among all draws, which are uniform when chains agree "
    "(grey: range expected by chance); energy of the draws against its change between draws, which should spread "
    "as widely. Below: R-hat and effective sample size of every quantity (table (a), and the component parameters "
    "of table (b)), failures in red, thresholds dashed; and the share of draws whose component labels are doubtful."
)
_TRACE_POINTS = 2000
_BFMI_MIN = 0.3
_LEAST_EXCESS = 3e-4  # R-hat - 1 below this is drawn here
_FAMILIES = {
    "log_likelihood": "log-likelihood",
    "log_posterior": "log posterior",
    "sorted_weights": "weights, sorted",
    "sum_squared_weights": "sum of squared weights",
    "mixture_mean": "mixture mean",
    "mixture_log_det_covariance": "mixture log det covariance",
    "log_density": "log density at rows",
    "classification_entropy": "classification entropy",
    "co_clustering": "co-clustering of pairs",
    "weights": "component weights",
    "means": "component means",
    "sd": "component sds",
    "corr": "component correlations",
}


def plot_diagnostics(fit: BayesianGMM) -> Any:
    """Traces, ranks, energy, R-hat, effective sample sizes and label ambiguity, under the verdict in words.

    Parameters
    ----------
    fit : BayesianGMM
        Fitted.

    Returns
    -------
    array of Axes (2, 3)

    Raises
    ------
    InputError
        If `fit` is not a fitted `BayesianGMM`.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.plot_diagnostics(fit)[0, 0].figure.savefig("diagnostics.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl

    check_fitted(fit)
    with mpl.rc_context(STYLE):
        import matplotlib.pyplot as plt

        return draw_diagnostics(plt.figure(figsize=DIAGNOSTICS_SIZE, layout="constrained"), fit)


def draw_diagnostics(figure: Figure, fit: BayesianGMM) -> Any:
    """Draw the panels on an empty figure."""
    diagnosis, stats = fit.diagnose(), read_sample_stats(fit.posterior_)
    log_likelihood = fit.posterior_["posterior"]["log_likelihood_total"].transpose("chain", "draw").values
    axes = figure.subplots(2, 3)
    for ax in axes.flat:
        quiet_axes(ax)
    _trace(axes[0, 0], log_likelihood, stats.get("diverging"))
    _ranks(axes[0, 1], log_likelihood)
    _energy(axes[0, 2], stats.get("energy"))
    _quantities(axes[1, 0], axes[1, 1], diagnosis)
    _ambiguity(axes[1, 2], stats.get("relabel_ambiguity"))
    write_note(figure, *(verdict_note(diagnosis) or (diagnosis.verdict, INK)), size=10.5)
    return axes


def _colour(chain: int) -> str:
    return CHAIN_COLOURS[chain % len(CHAIN_COLOURS)]


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left")


def _instead(ax: Axes, text: str) -> None:
    """A sentence in place of a panel that has nothing to show."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=ax.transAxes, wrap=True)


def _trace(ax: Axes, x: Array, diverging: NDArray[Any] | None) -> None:
    n_draws = x.shape[1]
    draw = np.arange(0, n_draws, max(1, n_draws // _TRACE_POINTS))
    for chain, values in enumerate(x):
        ax.plot(draw, values[draw], color=_colour(chain), linewidth=0.5, alpha=0.75)
    ax.set_xlabel("draw")
    if diverging is not None and diverging.any():
        where = np.nonzero(diverging)[1]
        ax.plot(
            where, np.full(len(where), 0.015), "|", color=ALARM, markersize=6.0, transform=ax.get_xaxis_transform()
        )
        ax.set_xlabel(f"draw (red ticks: {len(where)} divergent)")
    _title(ax, "Log-likelihood")


def _ranks(ax: Axes, x: Array) -> None:
    """One row of bars a chain; heights relative to what agreement gives."""
    from arviz_stats.base import array_stats

    n_chains, n_draws = x.shape
    _title(ax, "Ranks of the log-likelihood")
    if n_draws < 20 or not np.isfinite(x).all():
        _instead(ax, "too few draws to rank")
        return
    n_bins = int(np.clip(n_draws // 25, 5, 20))
    ranks = (rankdata(x).reshape(x.shape) - 0.5) / x.size
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    inside = (ranks[None] >= edges[:-1, None, None]) & (ranks[None] < edges[1:, None, None])  # (bins, C, S)
    relative = inside.mean(axis=2).T * n_bins  # (C, bins)
    with np.errstate(all="ignore"):  # within chains, so that disagreement between them does not widen the band
        ess = array_stats.ess(inside.reshape(-1, 1, n_draws).astype(float), method="mean")
    chance = 2.0 * np.sqrt((n_bins - 1) / np.clip(np.nanmedian(ess), 1.0, n_draws))
    spacing = max(1.15 + chance, 1.1 * float(np.max(relative)))
    for chain, height in enumerate(relative):
        base = (n_chains - 1 - chain) * spacing
        band = base + max(0.0, 1.0 - chance), base + 1.0 + chance
        ax.fill_between([0.0, 1.0], *band, color=MUTED, alpha=0.22, linewidth=0, zorder=1)
        ax.plot([0.0, 1.0], [base + 1.0] * 2, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=2)
        ax.stairs(base + height, edges, baseline=base, fill=True, color=_colour(chain), alpha=0.35, zorder=3)
        ax.stairs(base + height, edges, baseline=base, color=_colour(chain), linewidth=1.1, zorder=4)
    chains = range(n_chains)
    ax.set_yticks([(n_chains - 1 - c) * spacing + 0.5 for c in chains], [f"chain {c}" for c in chains])
    for chain, label in enumerate(ax.get_yticklabels()):
        label.set_color(_colour(chain))
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, n_chains * spacing)
    ax.set_xlabel("rank among all draws, as a share")


def _energy(ax: Axes, energy: NDArray[Any] | None) -> None:
    if energy is None or energy.shape[1] < 20 or not np.isfinite(energy).all():
        _title(ax, "Energy")
        _instead(ax, "no energies: not a Hamiltonian sampler,\nor too few draws")
        return
    change = np.diff(energy, axis=1)
    spread = energy.var(axis=1, ddof=1)
    bfmi = float(np.min(np.square(change).mean(axis=1) / np.where(spread > 0, spread, np.nan)))
    centred = energy - energy.mean(axis=1, keepdims=True)
    bins = np.linspace(*np.quantile(np.concatenate([centred.ravel(), change.ravel()]), [0.001, 0.999]), 41)
    ax.hist(centred.ravel(), list(bins), density=True, color=MUTED, alpha=0.4, label="energy, centred")
    ax.hist(
        change.ravel(), list(bins), density=True, histtype="step", color=INK, linewidth=1.1, label="change of energy"
    )
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(top=1.3 * ax.get_ylim()[1])
    ax.legend(loc="upper left", ncols=2, handlelength=1.2, columnspacing=1.0, borderaxespad=0.1)
    ax.set_xlabel("energy")
    _title(ax, f"Energy (E-BFMI {bfmi:.2f}{f', below {_BFMI_MIN}' if bfmi < _BFMI_MIN else ''})")


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
    left.scatter(excess[known], y[known], s=16, c=colour[known], alpha=0.55, linewidths=0, zorder=3)
    right.scatter(both["ess_bulk"][known], y[known] - 0.13, s=15, c=colour[known], alpha=0.55, linewidths=0, zorder=3)
    right.scatter(
        both["ess_tail"][known], y[known] + 0.13, s=13, facecolors="none", edgecolors=colour[known], linewidths=0.8,
        alpha=0.7, zorder=3,
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
    failed = int((~diagnosis.table["ok"]).sum())
    n_gate = len(diagnosis.table)
    _title(left, f"R-hat: {failed} of {n_gate} of table (a) fail" if failed else "R-hat: all of table (a) pass")
    _title(right, "Effective sample size")
    left.set_xlabel(f"R-hat (must be below {R_HAT_MAX:g})")
    right.set_xlabel(f"ESS (above {ESS_MIN:g}; filled: bulk, hollow: tail)")


def _ambiguity(ax: Axes, ambiguity: NDArray[Any] | None) -> None:
    """Share of draws whose relabelling is wrong with more than a given probability."""
    if ambiguity is None or not np.isfinite(ambiguity).any():
        _title(ax, "Doubtful labels")
        _instead(ax, "not recorded")
        return
    values = np.sort(ambiguity[np.isfinite(ambiguity)])
    share = float(np.mean(values > AMBIGUOUS))
    if values[-1] < 0.5 * AMBIGUOUS:
        _title(ax, "Doubtful labels: none")
        _instead(ax, f"in every draw, the labels are wrong\nwith probability below {max(values[-1], 0.001):.1g}")
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
    _title(ax, f"Doubtful labels: {100 * share:.2g} % of draws")
