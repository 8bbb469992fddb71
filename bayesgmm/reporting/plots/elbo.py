"""The ELBO over the iterations of a variational fit: whether it had settled, and what its noise hides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.posterior.tree import tree_of
from bayesgmm.reporting.plots.scene import check_axes
from bayesgmm.reporting.plots.style import ALARM, INK, MUTED, STYLE, quiet_axes, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_elbo"]

Array = NDArray[np.float64]

_POINTS = 4000
_WINDOWS = 100


def plot_elbo(fit: Any, *, ax: Axes | None = None) -> Axes:
    """The ELBO at each iteration of ADVI, and its running mean with two standard errors.

    Parameters
    ----------
    fit : BayesianGMM or xarray.DataTree
        Fitted with ``inference="advi"`` or ``"fullrank_advi"``, or its ``posterior_``.
    ax : matplotlib axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the fit kept no ELBO.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    check_axes(ax)
    tree = tree_of(fit)
    if "approximation" not in tree.children or "elbo" not in tree["approximation"].data_vars:
        raise InputError("this fit kept no ELBO: plot_elbo is for inference='advi' or 'fullrank_advi'.")
    elbo = np.asarray(tree["approximation"]["elbo"].values, dtype=float)
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    with mpl.rc_context(STYLE):
        _draw(ax, elbo, bool(tree.attrs.get("elbo_converged", 0)), float(tree.attrs.get("pareto_k", np.nan)))
    return ax


def _draw(ax: Axes, elbo: Array, converged: bool, pareto_k: float) -> None:
    quiet_axes(ax)
    iteration = np.arange(1, len(elbo) + 1)
    shown = slice(None, None, max(1, len(elbo) // _POINTS))
    ax.plot(iteration[shown], elbo[shown], ".", color=MUTED, markersize=1.5, alpha=0.5, gid="iterations")
    centre, mean, error = running_mean(elbo)
    ax.fill_between(centre, mean - 2.0 * error, mean + 2.0 * error, color=INK, alpha=0.25, linewidth=0, gid="error")
    ax.plot(centre, mean, color=INK, linewidth=1.2, gid="mean")
    # The first iterations lie far below: they must not flatten what is judged.
    late = elbo[len(elbo) // 5 :]
    low, high = np.quantile(late[np.isfinite(late)], [0.005, 0.995])
    ax.set_ylim(low - 0.5 * (high - low) - 1e-9, high + 0.3 * (high - low) + 1e-9)
    ax.set_xlim(1, len(elbo))
    ax.set_xlabel("iteration")
    ax.set_ylabel("ELBO, nats")
    title(ax, f"ELBO, {'settled' if converged else 'not settled'} (Pareto k {pareto_k:.2f})")
    if not converged:
        ax.set_title(ax.get_title(loc="left"), loc="left", color=ALARM)


def running_mean(elbo: Array) -> tuple[Array, Array, Array]:
    """Centre (iteration), mean and standard error of successive windows of a trace."""
    size = max(1, len(elbo) // _WINDOWS)
    count = len(elbo) // size
    windows = elbo[: count * size].reshape(count, size)
    centre: Array = size * np.arange(count, dtype=float) + 0.5 * (size + 1)
    with np.errstate(invalid="ignore"):
        return centre, np.asarray(windows.mean(axis=1)), np.asarray(windows.std(axis=1) / np.sqrt(size))
