"""PyMC's own NUTS on `build_model`: slower, kept as a second opinion on the compiled density."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from bayesgmm.inference.modes import Mode, modes_table
from bayesgmm.inference.nuts.sample import MODE_WINDOW, starting_modes
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model.density.density import Density
from bayesgmm.model.draws import Draws
from bayesgmm.model.params import MixtureParams, latent_cholesky
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.pymc_face.build_model import model_from_numbers
from bayesgmm.model.structure import Structure

__all__ = ["initial_values", "sample_pymc"]

# PyMC's name of a statistic -> nutpie's.
_STATS = {"lp": "logp", "tree_depth": "depth", "reached_max_treedepth": "maxdepth_reached"}


def sample_pymc(
    problem: Problem,
    modes: Sequence[Mode],
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    mode_window: float = MODE_WINDOW,
    progressbar: bool = True,
) -> Draws:
    """Draw from the posterior by PyMC's NUTS, started at the posterior modes; arguments as in `sample_nuts`."""
    table, structure, prior = problem
    chosen = starting_modes(modes, chains, mode_window)
    model = model_from_numbers(table, structure, prior, modes[0].params.n_components)
    began = time.perf_counter()
    with model:
        tree = pm.sample(
            draws=draws, tune=tune, chains=chains, cores=min(cores or available_cores(), chains),
            random_seed=random_seed, target_accept=target_accept, progressbar=progressbar, nuts_sampler="pymc",
            init="adapt_diag", initvals=[initial_values(model, modes[m].params, prior, structure) for m in chosen],
            compute_convergence_checks=False,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    posterior = tree["posterior"]
    heads, means = _heads(posterior), posterior["means"].values
    cholesky = np.linalg.cholesky(posterior["covariances"].values)
    n_chains, n_draws = means.shape[:2]
    density = Density.build(problem, modes[0].params)
    parts = (heads, means, _before_rounding(posterior, means.shape))
    flat = (np.ascontiguousarray(a.reshape(-1, *a.shape[2:])) for a in parts)
    stats = {
        _STATS.get(name, name): values.values
        for name, values in tree["sample_stats"].data_vars.items()
        if values.ndim == 2 and values.dtype.kind in "fiub"
    }
    return Draws(
        heads, means, cholesky, density.log_prior(*flat).reshape(n_chains, n_draws), stats,
        chosen[:n_chains], modes_table(modes), seconds, n_draws < draws or n_chains < chains,
        "NUTS (PyMC) on build_model",
    )  # fmt: skip


def _heads(posterior: Any) -> NDArray[np.float64]:
    """(C, S, H) heads, see `kernels.row_model`."""
    parts = [posterior[name].values for name in ("weights", "noise_weight", "df") if name in posterior]
    return np.concatenate([p if p.ndim == 3 else p[..., None] for p in parts], axis=2)


def _before_rounding(posterior: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(C, S, K, D, D) lower Cholesky factors of the covariances before rounding, from the model's free variables."""
    n_chains, n_draws, k, d = shape
    name = next(n for n in ("sds_true", "variances_true", "sds") if n in posterior)
    sds = posterior[name]
    sds = np.sqrt(sds.values) if name.startswith("variances") else sds.values
    if posterior[name].dims[2:] == ("component",):
        sds = sds[..., None]
    if posterior[name].dims[2:] == ("feature",):
        sds = sds[:, :, None]
    correlation = np.eye(d)
    if "correlation_cholesky" in posterior:
        correlation = posterior["correlation_cholesky"].values
        if correlation.ndim == 4:
            correlation = correlation[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(sds[..., None] * correlation, (n_chains, n_draws, k, d, d)))


def initial_values(
    model: pm.Model, params: MixtureParams, prior: ResolvedPrior, structure: Structure
) -> dict[str, Any]:
    """Values of the model's free variables at a mixture on the model's scale."""
    latent = latent_cholesky(params.covariances, prior.rounding(structure))
    sds = np.linalg.norm(latent, axis=2)  # (K, D), before rounding
    correlation = latent / sds[:, :, None]
    sds, correlation = structure.distinct_sds(sds), structure.distinct(correlation)
    df = params.df if params.df is None or structure.component == "t_each" else params.df[0]
    values = {
        "weights": params.weights, "shares": params.weights / params.weights.sum(),
        "noise_weight": params.noise_weight, "df": df, "means": params.means, "sds": sds, "sds_true": sds,
        "variances": sds**2, "variances_true": sds**2, "correlation_cholesky": correlation,
    }  # fmt: skip
    return {rv.name: values[rv.name] for rv in model.free_RVs}
