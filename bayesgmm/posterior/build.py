"""From draws to a DataTree: relabelled, in original units, with everything needed to redo or to doubt it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.table import Table
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.model.relabel import relabel
from bayesgmm.model.table_rows import table_rows
from bayesgmm.visible import visible

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT_VERSION", "build_tree"]

Array = NDArray[np.float64]

FORMAT_VERSION = 2  # of saved files; 1 had no checksum, and row names as text
# Numbers up to which the pointwise log-likelihood (draws x rows) is stored: 320 MB.
MAX_LOG_LIKELIHOOD = 40_000_000
_PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "xarray", "arviz", "pymc", "nutpie")


def build_tree(
    draws: Draws,
    problem: Problem,
    *,
    inference: str,
    random_seed: int | None,
    standardize: bool,
    log_likelihood: bool = True,
    total: Array | None = None,
) -> xr.DataTree:
    """Relabel the draws and put them into a DataTree, in original units.

    `total` holds the log-likelihood of each draw (C, S), where it is known already.

    Groups and dimensions: ``posterior`` (chain, draw, component, feature, feature_bis), ``sample_stats``,
    ``log_likelihood`` with variable ``obs`` (chain, draw, obs_id), ``observed_data``, ``constant_data``, and for
    approximations that keep a trace of their fit ``approximation`` (iteration).
    """
    import xarray as xr

    table, structure, prior = problem
    n_chains, n_draws, k, d = draws.shape
    weights, means, scaling = draws.flat()
    jacobian = table.log_jacobian
    n_values = len(weights) * table.n_rows
    stored = log_likelihood and n_values <= MAX_LOG_LIKELIHOOD
    if stored:
        pointwise = pointwise_log_density(table_rows(table), weights, means, scaling, row_model=structure.row_model)
        pointwise -= jacobian
        pointwise *= table.weights  # as in `build_model`: LOO and WAIC see each row with its weight
    total = (draws.log_likelihood(table, structure) if total is None else total).ravel()
    relabelling = relabel(
        table_rows(table), weights, means, scaling, row_model=structure.row_model, row_weights=table.weights,
        start=int(np.argmax(total)),
    )  # fmt: skip

    cholesky = relabelling.apply(draws.cholesky.reshape(-1, k, d, d)) * table.scale[:, None]
    heads, classes = relabelling.apply_head(weights, structure.row_model), structure.n_classes(k)
    posterior: dict[str, Any] = {
        "weights": (("component",), heads[:, :k]),
        "means": (("component", "feature"), table.center + table.scale * relabelling.apply(means)),
        "covariances": (("component", "feature", "feature_bis"), cholesky @ np.swapaxes(cholesky, 2, 3)),
        "log_likelihood_total": ((), total),
    }
    if structure.has_background:
        posterior["noise_weight"] = ((), heads[:, k])
    if structure.n_df(k):
        each = structure.component == "t_each"
        posterior["df"] = (("component",) if each else (), heads[:, classes:] if each else heads[:, classes])
    stats: dict[str, Any] = {
        name: ((), values.reshape(-1))
        for name, values in draws.stats.items()
        if values.dtype != object and name not in ("logp", "tuning", "log_likelihood")
    }
    log_prior = draws.log_prior.reshape(-1)
    stats["logp"] = ((), total + jacobian @ table.weights + log_prior)
    stats["log_prior"] = ((), log_prior)
    stats["permutation"] = (("component",), relabelling.permutations)
    stats["relabel_ambiguity"] = ((), relabelling.ambiguity)

    def dataset(variables: dict[str, Any]) -> xr.Dataset:
        # Contiguous, as they come back from a file: a sum over draws has the same last digit.
        return xr.Dataset({
            name: (("chain", "draw", *dims), np.ascontiguousarray(values.reshape(n_chains, n_draws, *values.shape[1:])))
            for name, (dims, values) in variables.items()
        })  # fmt: skip

    names = list(table.feature_names)
    coords = {
        "chain": np.arange(n_chains), "draw": np.arange(n_draws), "component": np.arange(k),
        "feature": names, "feature_bis": names,
    }  # fmt: skip
    groups = {
        "posterior": dataset(posterior).assign_coords(coords),
        "sample_stats": dataset(stats).assign_coords({c: coords[c] for c in ("chain", "draw", "component")}),
        "observed_data": xr.Dataset(
            {"obs": (("obs_id", "feature"), table.values)},
            coords={"obs_id": _row_coordinate(table), "feature": names},
        ),
        "constant_data": xr.Dataset(
            {
                "center": ("feature", table.center), "scale": ("feature", table.scale),
                "resolution": ("feature", table.resolution), "step": ("feature", prior.step * table.scale),
                "row_weight": ("obs_id", table.weights),
            },
            coords={"obs_id": _row_coordinate(table), "feature": names},
        ),
    }  # fmt: skip
    if structure.has_background:
        groups["constant_data"] = groups["constant_data"].assign(
            background_log_width=("feature", np.array(structure.background) + np.log(table.scale))
        )
    if table.known is not None:
        groups["constant_data"] = groups["constant_data"].assign(known_component=("obs_id", table.known))
    groups["sample_stats"] = groups["sample_stats"].assign(mode=("chain", draws.chain_mode))
    if stored:
        groups["log_likelihood"] = xr.Dataset(
            {"obs": (("chain", "draw", "obs_id"), np.ascontiguousarray(pointwise.reshape(n_chains, n_draws, -1)))},
            coords={"chain": coords["chain"], "draw": coords["draw"], "obs_id": _row_coordinate(table)},
        )
    arrays = {name: value for name, value in draws.extra.items() if isinstance(value, np.ndarray)}
    if arrays:
        groups["approximation"] = xr.Dataset({name: ("iteration", value) for name, value in arrays.items()})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "bayesgmm_version": version("bayesgmm"),
        "format_version": FORMAT_VERSION,
        "versions": json.dumps({"python": platform.python_version()} | {p: version(p) for p in _PACKAGES}),
        "random_seed": "none" if random_seed is None else int(random_seed),
        "n_components": k,
        "covariance_type": structure.name,
        "component": structure.component,
        "prior": "\n".join(prior.lines(structure)),
        "inference": inference,
        "method": draws.method,
        "notes": " ".join(draws.notes),
        "standardize": int(standardize),
        "weight_type": table.weight_type,
        "relabelling": relabelling.method,
        "relabelling_converged": int(relabelling.converged),
        "sampling_time": draws.seconds,
        "partial": int(draws.partial),
        "modes": json.dumps(draws.modes.to_dict("records")),
        "log_likelihood_stored": "yes" if stored else (
            "not asked for" if not log_likelihood
            else f"no: {n_values:,} numbers exceed {MAX_LOG_LIKELIHOOD:,}; fit with fewer draws for LOO"
        ),
        **{name: value for name, value in draws.extra.items() if name not in arrays},
    }  # fmt: skip
    if table.known is not None:
        tree.attrs["classes"] = json.dumps([getattr(name, "item", lambda name=name: name)() for name in table.classes])
    return tree


def _row_coordinate(table: Table) -> NDArray[Any]:
    """Row names that netCDF can hold: integers stay integers, everything else becomes text."""
    index = table.row_names
    whole = isinstance(index.dtype, np.dtype) and index.dtype.kind in "iu"
    return index.to_numpy() if whole else np.array([visible(name) for name in index], dtype=object)
