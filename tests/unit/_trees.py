"""Synthetic posteriors: DataTrees of draws whose convergence is known because we made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

Array = NDArray[np.float64]

CENTRES = np.array([[-3.0, 0.0], [0.0, 2.0], [3.0, 0.0]])


def rows_around(centres: Array = CENTRES, n_rows: int = 90, seed: int = 0) -> Array:
    """Rows (N, D), equally many around each centre, unit variance."""
    rng = np.random.default_rng(seed)
    return centres[np.arange(n_rows) % len(centres)] + rng.normal(size=(n_rows, centres.shape[1]))


def independent_draws(
    weights: Array, means: Array, *, n_chains: int = 4, n_draws: int = 500, spread: float = 0.1, seed: int = 1
) -> tuple[Array, Array, Array]:
    """Independent draws (C, S, ...) of weights, means and covariances around one mixture."""
    rng = np.random.default_rng(seed)
    k, d = means.shape
    draws_w = rng.dirichlet(200.0 * weights, size=(n_chains, n_draws))
    draws_m = means + spread * rng.normal(size=(n_chains, n_draws, k, d))
    factor = np.eye(d) + 0.5 * spread * np.tril(rng.normal(size=(n_chains, n_draws, k, d, d)))
    return draws_w, draws_m, factor @ np.swapaxes(factor, -1, -2)


def log_likelihood(rows: Array, weights: Array, means: Array, covariances: Array) -> Array:
    """Total log-likelihood of every draw, by the definition."""
    residual = rows[:, None, :] - means[..., None, :, :]  # (C, S, N, K, D)
    precision = np.linalg.inv(covariances)
    quadratic = np.einsum("csnkd,cskde,csnke->csnk", residual, precision, residual)
    constant = np.log(weights) - 0.5 * np.linalg.slogdet(2.0 * np.pi * covariances)[1]
    return logsumexp(constant[..., None, :] - 0.5 * quadratic, axis=-1).sum(axis=-1)


def oracle_components(rows: Array, weights: Array, means: Array, covariances: Array) -> Array:
    """(N, K) weighted component densities of one mixture, by SciPy."""
    return np.column_stack(
        [
            w * np.atleast_1d(multivariate_normal(m, c).pdf(rows))
            for w, m, c in zip(weights, means, covariances, strict=True)
        ]
    )


def make_tree(
    rows: Array,
    draws: tuple[Array, Array, Array],
    *,
    permutation: NDArray[np.int64] | None = None,
    stats: dict[str, Array] | None = None,
    row_weights: Array | None = None,
    **attrs: Any,
) -> xr.DataTree:
    """A tree after the package's contract, from relabelled draws in original units."""
    weights, means, covariances = draws
    n_chains, n_draws, k, d = means.shape
    names = [f"x{j}" for j in range(d)]
    lead = ("chain", "draw")
    posterior = xr.Dataset(
        {
            "weights": ((*lead, "component"), weights),
            "means": ((*lead, "component", "feature"), means),
            "covariances": ((*lead, "component", "feature", "feature_bis"), covariances),
            "log_likelihood_total": (lead, log_likelihood(rows, *draws)),
        },
        coords={"component": np.arange(k), "feature": names, "feature_bis": names},
    )
    if permutation is None:
        permutation = np.broadcast_to(np.arange(k), (n_chains, n_draws, k))
    recorded = {"diverging": np.zeros((n_chains, n_draws), dtype=bool), **(stats or {})}
    sample_stats = xr.Dataset({name: (lead, values) for name, values in recorded.items()})
    sample_stats["permutation"] = ((*lead, "component"), permutation)
    row_names = [f"r{i}" for i in range(len(rows))]
    weight = np.ones(len(rows)) if row_weights is None else row_weights
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": sample_stats,
            "observed_data": xr.Dataset({"obs": (("obs_id", "feature"), rows)}, coords={"obs_id": row_names}),
            "constant_data": xr.Dataset({"row_weight": ("obs_id", weight)}),
        }
    )
    tree.attrs = {"covariance_type": "full", "inference": "nuts", "partial": 0, **attrs}
    return tree


def converged(**attrs: Any) -> xr.DataTree:
    """Independent draws around one mixture of three."""
    return make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES), **attrs)


def label_switched() -> xr.DataTree:
    """The same; the sampler had called the components differently in two of four chains."""
    permutation = np.tile(np.arange(3), (4, 500, 1))
    permutation[2:] = [2, 0, 1]
    return make_tree(rows_around(), independent_draws(np.full(3, 1 / 3), CENTRES), permutation=permutation)


def not_identified() -> xr.DataTree:
    """The density is the same in all chains, yet components come in another order in two of them."""
    draws = independent_draws(np.full(3, 1 / 3), CENTRES)
    for a in draws:
        a[2:] = a[2:][:, :, [2, 0, 1]]
    return make_tree(rows_around(), draws)


def two_modes() -> xr.DataTree:
    """Chain 2 spends two components on one cluster and one on the other two."""
    usual = independent_draws(np.full(3, 1 / 3), CENTRES)
    other = independent_draws(np.array([0.17, 0.17, 0.66]), np.array([[-3.4, 0.0], [-2.6, 0.0], [1.5, 1.0]]), seed=2)
    other[2][:, :, 2] *= 3.0
    for a, b in zip(usual, other, strict=True):
        a[2] = b[2]
    return make_tree(rows_around(), usual)


def wandering() -> xr.DataTree:
    """Means follow a random walk: no chain is stationary."""
    weights, means, covariances = independent_draws(np.full(3, 1 / 3), CENTRES, spread=0.02)
    rng = np.random.default_rng(5)
    means = means + 0.06 * np.cumsum(rng.normal(size=means.shape), axis=1)
    return make_tree(rows_around(), (weights, means, covariances))
