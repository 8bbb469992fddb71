"""A fit of a table in batches: what `BayesianGMM.fit` and `compare_components` do with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.batches import Batches, ScaledBatches
from bayesgmm.data.read_batches import ReadBatches, evenly_weighted, read_batches
from bayesgmm.data.table import Table
from bayesgmm.data.table_blocks import some_of_table
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.em.in_batches import fit_em_in_batches, refuse_in_batches
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.model.prior import MixturePrior, ResolvedPrior
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.diagnostics.approximation import approximation_fault
from bayesgmm.priors import LogNormal
from bayesgmm.progress import stage

__all__ = ["PreparedBatches", "prepare_batches", "prior_of_saved", "start_in_batches"]

Array = NDArray[np.float64]

_ROWS = 10_000  # that NUTS gets where Laplace's approximation cannot be trusted


@dataclass(frozen=True, eq=False)
class PreparedBatches:
    """Batches that were read once: all rows checked, scaled and sampled, and the prior's numbers for them."""

    batches: Batches
    read: ReadBatches
    prior: ResolvedPrior

    @property
    def table(self) -> Table:
        """The sample."""
        return self.read.sample


def prepare_batches(
    batches: Batches, *, n_components: int, prior: MixturePrior | None, standardize: bool, random_seed: int | None,
    inference: str,
) -> PreparedBatches:  # fmt: skip
    """One pass over all rows; `n_components` are those that there have to be rows enough for.

    Raises
    ------
    InputError
        If the rows or an option cannot be used.
    """
    if inference not in ("laplace", "auto"):
        why = "takes thousands of passes over the rows" if "advi" in inference else "takes rows in memory"
        raise InputError(
            f"inference={inference!r} {why}: take inference='laplace' for a table in batches, or fit a sample of the "
            "rows."
        )
    prior = prior or MixturePrior()
    with stage("reading"):
        read = read_batches(
            batches, n_components=n_components, standardize=standardize, resolution=prior.stated_steps,
            random_seed=random_seed,
        )  # fmt: skip
    return PreparedBatches(batches, read, _resolved(prior, read.sample, read.low, read.high, read.sd))


def start_in_batches(fit: Any, given: Batches | PreparedBatches, y: Any, sample_weight: Any) -> None:
    """Check, scale and sample the rows, fit EM, and hand over to the fit's own way with a table: the sample."""
    refuse_in_batches(y=y, sample_weight=sample_weight, component=fit.component, noise=fit.noise)
    prepared = given if isinstance(given, PreparedBatches) else prepare_batches(
        given, n_components=fit.n_components, prior=fit.prior, standardize=fit.standardize,
        random_seed=fit.random_seed, inference=fit.inference,
    )  # fmt: skip
    batches, read, table = prepared.batches, prepared.read, prepared.table
    structure = get_structure(fit.covariance_type)
    fit._name_features(table.feature_names)
    with stage("EM"):
        em = fit_em_in_batches(
            batches, read, fit.n_components, structure, n_init=fit.n_init, random_seed=fit.random_seed, cores=fit.cores
        )
    optimum = em.params.rescale(-table.center / table.scale, 1.0 / table.scale)
    blocks = ScaledBatches(batches, table.center, table.scale)
    of_all = {"prior_from": json.dumps({name: getattr(read, name).tolist() for name in ("low", "high", "sd")})}
    attributes = of_all | {"rows_in_batches": read.n_rows}
    fit._finish(table, structure, prepared.prior, em, [optimum], blocks, attributes)
    fault = approximation_fault(fit.posterior_.attrs)
    if fit.inference == "auto" and fault:
        said = f"With all {read.n_rows:,} observations {fault}."
        _fit_some(fit, prepared, em, of_all | {"sample_of_rows": read.n_rows, "why_a_sample": said})


def _fit_some(fit: Any, prepared: PreparedBatches, em: EMResult, attributes: dict[str, Any]) -> None:
    """The posterior given a random sample of the rows, as of a table in memory; EM stays that of all rows."""
    structure = get_structure(fit.covariance_type)
    some = evenly_weighted(some_of_table(prepared.table, _ROWS, np.random.default_rng(fit.random_seed)))
    with stage("EM"):
        _, optima = fit_em_candidates(
            some, fit.n_components, structure=structure, n_init=fit.n_init, random_seed=fit.random_seed
        )
    fit._finish(some, structure, prepared.prior, em, optima, None, attributes | {"sample_rows": some.n_rows})


def prior_of_saved(prior: MixturePrior | None, table: Table, attributes: Mapping[Any, Any]) -> ResolvedPrior:
    """The prior's numbers of a fit that was saved: those of all rows, of which its table may be a sample."""
    prior = prior or MixturePrior()
    if "prior_from" not in attributes:
        return prior.resolve(table)
    found = json.loads(attributes["prior_from"])
    return _resolved(prior, table, *(np.array(found[name]) for name in ("low", "high", "sd")))


def _resolved(prior: MixturePrior, table: Table, lowest: Array, highest: Array, sd: Array) -> ResolvedPrior:
    """The prior's numbers, by the middle, range and spread of all rows where it takes those of the data."""
    low, high = ((edge - table.center) / table.scale for edge in (lowest, highest))
    from_data = prior.mean_loc is None and prior.mean_scale is None
    given = replace(
        prior,
        mean_loc=0.5 * (low + high) if prior.mean_loc is None else prior.mean_loc,
        mean_scale=high - low if prior.mean_scale is None else prior.mean_scale,
        sd=LogNormal(np.log(0.5 * sd / table.scale), 0.7) if prior.sd is None else prior.sd,
    )
    return replace(given.resolve(table), from_data=from_data)
