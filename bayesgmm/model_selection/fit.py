"""`Fit`: what scoring, figures and reports ask of a fit, so that they need not know the estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.em.result import EMResult
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.structure import Kind

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.clustering.assignment import Assignment
    from bayesgmm.clustering.classification import Classification
    from bayesgmm.clustering.merging import Merging
    from bayesgmm.clustering.partition.estimate import Partition
    from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
    from bayesgmm.model_selection.loo.loo import LooResult
    from bayesgmm.model_selection.loo.waic import WaicResult
    from bayesgmm.posterior.diagnostics.diagnose import Diagnosis

__all__ = ["Fit", "kind_of"]


class Fit(Protocol):
    """A fitted mixture; `bayesgmm.BayesianGMM` is one."""

    n_components: int
    covariance_type: str
    component: str
    noise: bool
    standardize: bool
    n_init: int
    draws: int
    tune: int
    chains: int
    target_accept: float
    random_seed: int | None
    posterior_: xr.DataTree
    em_: EMResult
    table_: Table
    prior_: ResolvedPrior
    modes_: pd.DataFrame
    weights_: NDArray[np.float64]
    means_: NDArray[np.float64]
    covariances_: NDArray[np.float64]
    df_: NDArray[np.float64] | None
    noise_weight_: float | None

    @property
    def labels_(self) -> NDArray[np.int64]: ...

    def score_samples(self, X: Any) -> NDArray[np.float64]: ...

    def diagnose(self) -> Diagnosis: ...

    def summary(self, ci_prob: float = ...) -> pd.DataFrame: ...

    def assignment(self, X: Any = ..., ci_prob: float = ..., *, level: str = ...) -> Assignment: ...

    def partition(self, X: Any = ..., *, loss: str = ..., ci_prob: float = ..., level: str = ...) -> Partition: ...

    def merging(self) -> Merging: ...

    def classification(self) -> Classification: ...

    def loo(self, *, repair: bool = ..., force: bool = ...) -> LooResult: ...

    def waic(self) -> WaicResult: ...

    def log_evidence(self) -> Evidence: ...


def kind_of(fit: Fit) -> Kind:
    """What a fit is a mixture of."""
    return Kind(fit.covariance_type, fit.component, bool(fit.noise))
