"""Panels that look at the chains themselves: the trace, the ranks and the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bayesgmm.reporting.plots.style import ALARM, CHAIN_COLOURS, INK, MUTED, instead, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["energy_panel", "ranks_panel", "trace_panel"]

Array = NDArray[np.float64]

_TRACE_POINTS = 2000
_BFMI_MIN = 0.3


def _colour(chain: int) -> str:
    return CHAIN_COLOURS[chain % len(CHAIN_COLOURS)]


def trace_panel(ax: Axes, x: Array, diverging: NDArray[Any] | None) -> None:
    n_draws = x.shape[1]
    draw = np.arange(0, n_draws, max(1, n_draws // _TRACE_POINTS))
    for chain, values in enumerate(x):
        ax.plot(draw, values[draw], color=_colour(chain), linewidth=0.5, alpha=0.75)
    ax.set_xlabel("draw")
    if diverging is not None and diverging.any():
        where = np.nonzero(diverging)[1]
        ax.plot(where, np.full(len(where), 0.015), "|", color=ALARM, markersize=6.0, transform=ax.get_xaxis_transform())
        ax.set_xlabel(f"draw (red ticks: {len(where)} divergent)")
    title(ax, "Log-likelihood")


def ranks_panel(ax: Axes, x: Array) -> None:
    """One row of bars a chain; heights relative to what agreement gives."""
    from arviz_stats.base import array_stats

    n_chains, n_draws = x.shape
    title(ax, "Ranks of the log-likelihood")
    if n_draws < 20 or not np.isfinite(x).all():
        instead(ax, "too few draws to rank")
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


def energy_panel(ax: Axes, energy: NDArray[Any] | None) -> None:
    if energy is None or energy.shape[1] < 20 or not np.isfinite(energy).all():
        title(ax, "Energy")
        instead(ax, "no energies: not a Hamiltonian sampler,\nor too few draws")
        return
    change = np.diff(energy, axis=1)
    spread = energy.var(axis=1, ddof=1)
    bfmi = float(np.min(np.square(change).mean(axis=1) / np.where(spread > 0, spread, np.nan)))
    centred = energy - energy.mean(axis=1, keepdims=True)
    low, high = np.quantile(np.concatenate([centred.ravel(), change.ravel()]), [0.001, 0.999])
    bins = np.linspace(float(low), float(high), 41)
    ax.hist(centred.ravel(), list(bins), density=True, color=MUTED, alpha=0.4, label="energy, centred")
    ax.hist(
        change.ravel(), list(bins), density=True, histtype="step", color=INK, linewidth=1.1, label="change of energy"
    )
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(top=1.3 * ax.get_ylim()[1])
    ax.legend(loc="upper left", ncols=2, handlelength=1.2, columnspacing=1.0, borderaxespad=0.1)
    ax.set_xlabel("energy")
    title(ax, f"Energy (E-BFMI {bfmi:.2f}{f', below {_BFMI_MIN}' if bfmi < _BFMI_MIN else ''})")
