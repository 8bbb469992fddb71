"""A fit of a table in batches: what `BayesianGMM.fit` does with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayesgmm.data.batches import Batches, ScaledBatches
from bayesgmm.data.read_batches import ReadBatches, read_batches
from bayesgmm.em.in_batches import fit_em_in_batches, refuse_in_batches
from bayesgmm.errors import InputError
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.model.structure import get_structure
from bayesgmm.priors import LogNormal
from bayesgmm.progress import stage

__all__ = ["start_in_batches"]


def start_in_batches(fit: Any, batches: Batches, y: Any, sample_weight: Any) -> None:
    """Check, scale and sample the rows, fit EM, and hand over to the fit's own way with a table: the sample."""
    refuse_in_batches(y=y, sample_weight=sample_weight, component=fit.component, noise=fit.noise)
    if fit.inference not in ("laplace", "auto"):
        raise InputError(
            f"inference={fit.inference!r} takes rows in memory: take inference='laplace' for a table in batches, or "
            "fit a sample of the rows."
        )
    prior = fit.prior or MixturePrior()
    with stage("reading"):
        read = read_batches(
            batches, n_components=fit.n_components, standardize=fit.standardize, resolution=prior.stated_steps,
            random_seed=fit.random_seed,
        )  # fmt: skip
    table, structure = read.sample, get_structure(fit.covariance_type)
    resolved = _resolved(prior, read)
    fit._name_features(table.feature_names)
    with stage("EM"):
        em = fit_em_in_batches(
            batches, read, fit.n_components, structure, n_init=fit.n_init, random_seed=fit.random_seed, cores=fit.cores
        )
    optimum = em.params.rescale(-table.center / table.scale, 1.0 / table.scale)
    blocks = ScaledBatches(batches, table.center, table.scale)
    fit._finish(table, structure, resolved, em, [optimum], blocks)
    fit.posterior_.attrs["rows_in_batches"] = read.n_rows


def _resolved(prior: MixturePrior, read: ReadBatches) -> ResolvedPrior:
    """The prior's numbers, by the middle, range and spread of all rows where it takes those of the data."""
    table = read.sample
    low, high = ((edge - table.center) / table.scale for edge in (read.low, read.high))
    from_data = prior.mean_loc is None and prior.mean_scale is None
    given = replace(
        prior,
        mean_loc=0.5 * (low + high) if prior.mean_loc is None else prior.mean_loc,
        mean_scale=high - low if prior.mean_scale is None else prior.mean_scale,
        sd=LogNormal(np.log(0.5 * read.sd / table.scale), 0.7) if prior.sd is None else prior.sd,
    )
    return replace(given.resolve(table), from_data=from_data)
