"""BIC of maximum-likelihood fits by the number of components, a line for each structure of the covariances.

The figure of mclust (Scrucca, Fop, Murphy and Raftery 2016, The R Journal 8, 289-317), whose BIC has the other sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError
from bayesgmm.reporting.plots.scene import check_axes
from bayesgmm.reporting.plots.style import ALARM, INK, STYLE, component_style, quiet_axes, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bic"]


def plot_bic(fits: Any, *, ax: Axes | None = None) -> Axes:
    """BIC against the number of components, a line for each structure; the smallest is ringed.

    Parameters
    ----------
    fits : Comparison, or sequence or mapping of EMResult
        From `compare_components`, or of `fit_em` for several numbers of components and structures, of one table. Of two
        fits of one structure and number the one of smaller BIC is shown.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If `fits` holds something else, or nothing.

    Notes
    -----
    Lower is better; mclust reports its negative. A cross is a fit that did not converge, or in which variances had to
    be kept from shrinking, so that its BIC is not that of a maximum.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> fits = [bg.fit_em(X, k, covariance_type=s) for s in ("full", "diag") for k in range(1, 6)]  # doctest: +SKIP
    >>> bg.plot_bic(fits).figure.savefig("bic.pdf")  # doctest: +SKIP
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    results = _results(fits)
    check_axes(ax)
    own = ax is None
    if own:
        figure = plt.figure(figsize=(5.6, 3.9), layout="constrained")
    with mpl.rc_context(STYLE):
        target: Any = figure.subplots() if own else ax
        _draw(target, results)
        if own:
            figure.legend(loc="outside lower center", ncols=4)
        else:
            target.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none")
    return target


def _results(fits: Any) -> list[Any]:
    """Results of EM, of whatever holds them."""
    held = getattr(fits, "fits", fits)
    many = list(held.values()) if isinstance(held, Mapping) else held
    if isinstance(many, Sequence) and not isinstance(many, (str, bytes)) and len(many):
        found = [getattr(each, "em_", each) for each in many]
        if all(hasattr(each, "params") and hasattr(each, "bic") for each in found):
            return found
    raise InputError(
        f"fits={shown(fits)} must be what compare_components returns, or results of fit_em, in a list or a dictionary."
    )


def _draw(ax: Axes, results: Sequence[Any]) -> None:
    best: dict[tuple[str, int], Any] = {}
    for result in sorted(results, key=lambda result: float(result.bic)):
        best.setdefault((str(result.params.kind), result.params.n_components), result)
    for j, kind in enumerate(dict.fromkeys(str(result.params.kind) for result in results)):
        mine = sorted(((k, r) for (name, k), r in best.items() if name == kind), key=lambda pair: pair[0])
        number = np.array([k for k, _ in mine])
        bic = np.array([r.bic if np.isfinite(r.bic) else np.nan for _, r in mine])
        colour, marker = component_style(j)
        ax.plot(number, bic, marker=marker, color=colour, markersize=5, linewidth=1.1, label=kind)
        failed = np.array([not r.converged for _, r in mine])
        ax.plot(number[failed], bic[failed], "x", color=ALARM, markersize=9, gid="not converged")
    first = next(iter(best.values()))
    k = first.params.n_components
    ax.plot(k, first.bic, "o", markersize=12, fillstyle="none", color=INK, gid="smallest")
    ax.set_xticks(sorted({number for _, number in best}))
    ax.set_xlabel("components K")
    ax.set_ylabel("BIC (lower is better)")
    quiet_axes(ax)
    title(ax, f"Smallest BIC: K = {k}, {first.params.kind}")
