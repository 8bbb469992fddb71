"""bayesgmm: how many clusters, what each looks like, who belongs where, and how sure we are.

Names are imported on first use, so that ``import bayesgmm`` stays cheap.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # `typing` itself takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    from bayesgmm import datasets, priors
    from bayesgmm.clustering.other_methods import compare_clusterings
    from bayesgmm.clustering.partition.estimate import partition_from_labels
    from bayesgmm.compare import compare_components
    from bayesgmm.comparison import Comparison
    from bayesgmm.data.batches import Batches
    from bayesgmm.data.read_csv import read_csv
    from bayesgmm.data.table import Table, prepare_table
    from bayesgmm.em.fit import fit_em
    from bayesgmm.em.mini_batch import MiniBatchEM
    from bayesgmm.em.result import EMResult
    from bayesgmm.errors import InputError, NotConvergedWarning
    from bayesgmm.estimator import BayesianGMM, load
    from bayesgmm.model.params import MixtureParams
    from bayesgmm.model.prior import MixturePrior
    from bayesgmm.model.pymc_face.build_model import build_model
    from bayesgmm.posterior.diagnostics.diagnose import Diagnosis
    from bayesgmm.posterior.highest_density import highest_density_region
    from bayesgmm.reporting.parts import report_figures, report_tables
    from bayesgmm.reporting.plots import (
        plot_assignment,
        plot_bic,
        plot_clusters,
        plot_coclustering,
        plot_comparison,
        plot_credible_ball,
        plot_diagnostics,
        plot_elbo,
        plot_entropy_split,
        plot_merging,
        plot_posterior_predictive,
        plot_profile,
        plot_uncertainty_map,
    )
    from bayesgmm.reporting.report import report

__version__ = "0.1.0"

_HOME = {
    "Batches": "data.batches",
    "BayesianGMM": "estimator",
    "Comparison": "comparison",
    "Diagnosis": "posterior.diagnostics.diagnose",
    "EMResult": "em.result",
    "InputError": "errors",
    "MiniBatchEM": "em.mini_batch",
    "MixtureParams": "model.params",
    "MixturePrior": "model.prior",
    "NotConvergedWarning": "errors",
    "Table": "data.table",
    "build_model": "model.pymc_face.build_model",
    "compare_clusterings": "clustering.other_methods",
    "compare_components": "compare",
    "fit_em": "em.fit",
    "highest_density_region": "posterior.highest_density",
    "load": "estimator",
    "partition_from_labels": "clustering.partition.estimate",
    "plot_assignment": "reporting.plots",
    "plot_bic": "reporting.plots",
    "plot_clusters": "reporting.plots",
    "plot_coclustering": "reporting.plots",
    "plot_comparison": "reporting.plots",
    "plot_credible_ball": "reporting.plots",
    "plot_diagnostics": "reporting.plots",
    "plot_elbo": "reporting.plots",
    "plot_entropy_split": "reporting.plots",
    "plot_merging": "reporting.plots",
    "plot_posterior_predictive": "reporting.plots",
    "plot_profile": "reporting.plots",
    "plot_uncertainty_map": "reporting.plots",
    "prepare_table": "data.table",
    "read_csv": "data.read_csv",
    "report": "reporting.report",
    "report_figures": "reporting.parts",
    "report_tables": "reporting.parts",
}
_SUBMODULES = ("datasets", "priors")

__all__ = [
    "Batches", "BayesianGMM", "Comparison", "Diagnosis", "EMResult", "InputError", "MiniBatchEM", "MixtureParams",
    "MixturePrior", "NotConvergedWarning", "Table", "build_model", "compare_clusterings", "compare_components",
    "datasets", "fit_em", "highest_density_region", "load", "partition_from_labels", "plot_assignment", "plot_bic",
    "plot_clusters", "plot_coclustering", "plot_comparison", "plot_credible_ball", "plot_diagnostics", "plot_elbo",
    "plot_entropy_split", "plot_merging", "plot_posterior_predictive", "plot_profile", "plot_uncertainty_map",
    "prepare_table", "priors", "read_csv", "report", "report_figures", "report_tables",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"bayesgmm.{_HOME[name]}"), name)
        globals()[name] = value  # also wins over a submodule of the same name
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"bayesgmm.{name}")
    raise AttributeError(f"module 'bayesgmm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
