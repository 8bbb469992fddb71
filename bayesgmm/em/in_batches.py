"""`fit_em` of a table in batches: starts on a sample of its rows, then EM over all of them, an iteration a pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data.batches import Batches, ScaledBatches
from bayesgmm.data.read_batches import ReadBatches, evenly_weighted, read_batches
from bayesgmm.em import criteria
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.em.of_blocks import em_of_blocks, log_likelihood_and_doubt, mixture_of
from bayesgmm.em.result import EMResult
from bayesgmm.em.spikes import SpikeRule, smallest_sd
from bayesgmm.em.steps import Run, is_hopeless
from bayesgmm.errors import InputError
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.structure import Structure

__all__ = ["em_in_batches", "fit_em_in_batches", "refuse_in_batches"]

Array = NDArray[np.float64]

# Optima of the sample that get a look at all rows, its iterations, and how many get a long run.
_CANDIDATES, _LOOK, _LONG_RUNS = 3, 3, 2


def refuse_in_batches(
    *, sample_weight: Any = None, y: Any = None, component: str = "normal", noise: bool = False
) -> None:
    """Refuse what a table in batches cannot be fitted with, in one line that says what to do."""
    if sample_weight is not None:
        raise InputError("sample_weight: batches have their own weights; name their column: Batches(X, weights=...).")
    if y is not None:
        raise InputError("y: known labels take a table in memory; leave y out, or fit a sample of the rows.")
    if noise or component != "normal":
        raise InputError(
            "a table in batches is fitted with normal components and no noise: take component='normal' and "
            "noise=False, or fit a sample of the rows in memory."
        )


def em_in_batches(
    batches: Batches, n_components: int, structure: Structure, *, sample_weight: Any, component: str, noise: bool,
    standardize: bool, random_seed: int | None, **options: Any,
) -> EMResult:  # fmt: skip
    """`fit_em` of a table in batches."""
    refuse_in_batches(sample_weight=sample_weight, component=component, noise=noise)
    read = read_batches(batches, n_components=n_components, standardize=standardize, random_seed=random_seed)
    return fit_em_in_batches(batches, read, n_components, structure, random_seed=random_seed, **options)


def fit_em_in_batches(
    batches: Batches, read: ReadBatches, n_components: int, structure: Structure, *, n_init: int, tol: float = 1e-6,
    max_iter: int = 1000, reg_covar: float = 1e-12, random_seed: int | None = None, cores: int | None = None,
) -> EMResult:  # fmt: skip
    """Maximum likelihood over all batches, from the best of the optima of a sample.

    `read` is what `read_batches` found; other parameters are those of `fit_em`.
    """
    sample = evenly_weighted(read.sample)
    result, optima = fit_em_candidates(
        sample, n_components, structure=structure, n_init=n_init, max_iter=max_iter, reg_covar=reg_covar,
        random_seed=random_seed, look_further=False,
    )  # fmt: skip
    # Columns of one standard deviation each, or, where they share it, in units common to all.
    scale = read.sd
    if structure.one_sd:
        scale = sample.scale * np.sqrt(np.mean((read.sd / sample.scale) ** 2))
    blocks = ScaledBatches(batches, read.mean, scale)
    starts = [o.rescale(sample.center, sample.scale).rescale(-read.mean / scale, 1.0 / scale) for o in optima]
    options: dict[str, Any] = {"floor": reg_covar, "cores": cores}
    looks = [em_of_blocks(blocks, start, structure, max_iter=_LOOK, **options) for start in starts[:_CANDIDATES]]
    looks.sort(key=lambda run: -run.log_likelihood)
    runs, target = list[Run](), -math.inf
    for look in looks[:_LONG_RUNS]:
        if not is_hopeless(look.trace, target, _LOOK - 1):
            at = mixture_of(look, structure)
            runs.append(em_of_blocks(blocks, at, structure, tol=tol, max_iter=max_iter, target=target, **options))
            target = max(target, runs[-1].log_likelihood)
    is_spike = SpikeRule(structure, np.eye(len(scale)), lambda: sample.resolution / scale, 1.0)
    run = max(runs, key=lambda run: (not is_spike(run.counts, run.state.covariances).any(), run.log_likelihood))
    mixture = mixture_of(run, structure)
    _, doubt = log_likelihood_and_doubt(blocks, mixture, structure, cores)
    params = _largest_first(mixture).rescale(read.mean, scale)
    jacobian = read.weight * float(np.log(scale).sum())
    unit = scale / read.sd
    value, n = run.log_likelihood - jacobian, params.n_parameters
    said = f"{'Converged' if run.converged else 'Not converged'} after {len(run.trace)} iterations over all rows, from "
    said += (
        f"the best optimum of a random sample of {sample.n_rows:,} of {read.n_rows:,} observations. Of the sample: "
        f"{result.message}"
    )
    return EMResult(
        params=params, log_likelihood=value, aic=criteria.aic(value, n), bic=criteria.bic(value, n, read.weight),
        icl=criteria.bic(value, n, read.weight) - 2.0 * doubt, converged=run.converged, n_iter=len(run.trace),
        log_likelihood_trace=run.trace - jacobian, starts=_with_all_rows(result.starts, value, run.n_passes),
        n_reached_best=1, min_sd_relative=float(smallest_sd(mixture.covariances * np.outer(unit, unit)).min()),
        message=said, feature_names=sample.feature_names,
    )  # fmt: skip


def _largest_first(params: MixtureParams) -> MixtureParams:
    return params.permute(np.argsort(-params.weights, kind="stable"))


def _with_all_rows(starts: pd.DataFrame, value: float, n_passes: int) -> pd.DataFrame:
    """The starts, which ended on the sample, and the run over all rows."""
    last = {
        "method": "all rows, from the best of the sample", "log_likelihood": value, "n_iter": n_passes,
        "status": "converged", "min_sd_relative": np.nan, "reached_best": True,
    }  # fmt: skip
    return pd.concat([starts.assign(reached_best=False, status="short run"), pd.DataFrame([last])], ignore_index=True)
