"""Figures that a paper could print; each returns its axes and none calls ``plt.show()``.

May import what reporting may.
"""

from __future__ import annotations

from bayesgmm.reporting.plots.assignment import plot_assignment
from bayesgmm.reporting.plots.bic import plot_bic
from bayesgmm.reporting.plots.clusters import plot_clusters
from bayesgmm.reporting.plots.comparison import plot_comparison
from bayesgmm.reporting.plots.diagnostics import plot_diagnostics
from bayesgmm.reporting.plots.elbo import plot_elbo
from bayesgmm.reporting.plots.entropy import plot_entropy_split
from bayesgmm.reporting.plots.merging import plot_merging
from bayesgmm.reporting.plots.partition import plot_coclustering, plot_credible_ball
from bayesgmm.reporting.plots.predictive_check import plot_posterior_predictive
from bayesgmm.reporting.plots.profile import plot_profile
from bayesgmm.reporting.plots.uncertainty_map import plot_uncertainty_map

__all__ = [
    "plot_assignment", "plot_bic", "plot_clusters", "plot_coclustering", "plot_comparison", "plot_credible_ball",
    "plot_diagnostics", "plot_elbo", "plot_entropy_split", "plot_merging", "plot_posterior_predictive", "plot_profile",
    "plot_uncertainty_map",
]  # fmt: skip
