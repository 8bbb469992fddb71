"""bayesgmm: how many clusters, what each looks like, who belongs where, and how sure we are.

Names are imported on first use, so that ``import bayesgmm`` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesgmm import datasets, priors
    from bayesgmm.clusterings import compare_clusterings
    from bayesgmm.compare import compare_components
    from bayesgmm.comparison import Comparison
    from bayesgmm.data import Table, prepare_table
    from bayesgmm.diagnostics import Diagnosis
    from bayesgmm.em import EMResult, fit_em
    from bayesgmm.errors import InputError, NotConvergedWarning
    from bayesgmm.estimator import BayesianGMM
    from bayesgmm.highest_density import highest_density_region
    from bayesgmm.model import build_model
    from bayesgmm.params import MixtureParams
    from bayesgmm.partition import partition_from_labels
    from bayesgmm.plots import (
        plot_assignment,
        plot_clusters,
        plot_coclustering,
        plot_comparison,
        plot_credible_ball,
        plot_diagnostics,
        plot_elbo,
        plot_entropy_split,
        plot_uncertainty_map,
    )
    from bayesgmm.prior import MixturePrior
    from bayesgmm.read import read_csv
    from bayesgmm.reporting import report
    from bayesgmm.storage import load

__version__ = "0.1.0"

_HOME = {
    "BayesianGMM": "estimator",
    "Comparison": "comparison",
    "Diagnosis": "diagnostics",
    "EMResult": "em",
    "InputError": "errors",
    "MixtureParams": "params",
    "MixturePrior": "prior",
    "NotConvergedWarning": "errors",
    "Table": "data",
    "build_model": "model",
    "compare_clusterings": "clusterings",
    "compare_components": "compare",
    "fit_em": "em",
    "highest_density_region": "highest_density",
    "load": "storage",
    "partition_from_labels": "partition",
    "plot_assignment": "plots",
    "plot_clusters": "plots",
    "plot_coclustering": "plots",
    "plot_comparison": "plots",
    "plot_credible_ball": "plots",
    "plot_diagnostics": "plots",
    "plot_elbo": "plots",
    "plot_entropy_split": "plots",
    "plot_uncertainty_map": "plots",
    "prepare_table": "data",
    "read_csv": "read",
    "report": "reporting",
}
_SUBMODULES = ("datasets", "priors")

__all__ = [
    "BayesianGMM", "Comparison", "Diagnosis", "EMResult", "InputError", "MixtureParams", "MixturePrior",
    "NotConvergedWarning", "Table", "build_model", "compare_clusterings", "compare_components", "datasets",
    "fit_em", "highest_density_region", "load", "partition_from_labels", "plot_assignment", "plot_clusters",
    "plot_coclustering", "plot_comparison", "plot_credible_ball", "plot_diagnostics", "plot_elbo",
    "plot_entropy_split", "plot_uncertainty_map", "prepare_table", "priors", "read_csv", "report",
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
