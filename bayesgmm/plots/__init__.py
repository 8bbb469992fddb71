"""Figures that a paper could print; each returns its axes and none calls ``plt.show()``."""

from __future__ import annotations

from bayesgmm.plots.clusters import plot_clusters
from bayesgmm.plots.diagnostics import plot_diagnostics

__all__ = ["plot_clusters", "plot_diagnostics"]
