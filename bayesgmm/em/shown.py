"""What results of `bayesgmm.em` show of themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesgmm.em.result import EMResult
from bayesgmm.model import shown
from bayesgmm.record import numbers, reliable, tables


@numbers.register
def _(result: EMResult) -> dict[str, Any]:
    kind = {"n_components": result.params.n_components, "covariance_type": result.params.covariance_type}
    return {**kind, "log_likelihood": result.log_likelihood, "bic": result.bic, "converged": result.converged}


@reliable.register
def _(result: EMResult) -> tuple[str, bool]:
    return result.message, result.converged


@tables.register
def _(result: EMResult) -> dict[str, pd.DataFrame]:
    return {"Components": shown.components(result.params, result.feature_names)}
