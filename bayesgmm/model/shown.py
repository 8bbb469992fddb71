"""What records of `bayesgmm.model` show of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.frames import default_names
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.record import numbers, sentences, tables
from bayesgmm.wording import plural

__all__ = ["components"]


@numbers.register
def _(params: MixtureParams) -> dict[str, Any]:
    shares = np.round(params.weights, 3).tolist()
    return {"weights": shares, "n_features": params.n_features, "covariance_type": params.covariance_type}


@sentences.register
def _(params: MixtureParams) -> str:
    shares = ", ".join(f"{w:.3f}" for w in params.weights)
    noise = "" if params.noise_weight is None else f", noise {params.noise_weight:.3f}"
    return (
        f"{params.kind.counted(params.n_components)} ({params.covariance_type} covariance) in {params.n_features} "
        f"{plural(params.n_features, 'column')}, mixing proportions {shares}{noise}."
    )


@tables.register
def _(params: MixtureParams) -> dict[str, pd.DataFrame]:
    return {"Components": components(params)}


def components(params: MixtureParams, names: Sequence[str] | None = None) -> pd.DataFrame:
    """A row a component: its mixing proportion, and its mean and standard deviation along each column, by its name."""
    columns = {"proportion": params.weights}
    for j, name in enumerate(default_names(params.n_features) if names is None else names):
        columns |= {f"{name}, mean": params.means[:, j], f"{name}, SD": params.standard_deviations[:, j]}
    return pd.DataFrame(columns)


@numbers.register
def _(prior: ResolvedPrior) -> dict[str, Any]:
    family = {"features": prior.feature_names, "sd": type(prior.family).__name__}
    return {**family, "lkj_eta": prior.lkj_eta, "concentration": prior.concentration}


@sentences.register
def _(prior: MixturePrior) -> str:
    stated = repr(prior).removeprefix("MixturePrior")[1:-1]
    return f"Prior of a mixture: {f'{stated}; the rest' if stated else 'everything'} by default."
