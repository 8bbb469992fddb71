"""Synthetic fits on the scale of their data, and responsibilities by the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from _trees import CENTRES, independent_draws, make_tree, oracle_components, rows_around

from bayesgmm.posterior.tree import read_draws


def scaled_tree(
    n_rows: int = 40, *, spread: float = 0.3, n_draws: int = 60, distance: float = 0.6, **options: Any
) -> xr.DataTree:
    """Three overlapping components, four chains; a tree with everything that a real one has."""
    centres = distance * CENTRES
    rows = rows_around(centres, n_rows)
    weights = np.array([0.2, 0.3, 0.5])
    tree = make_tree(rows, independent_draws(weights, centres, n_draws=n_draws, spread=spread), **options)
    tree["constant_data"] = xr.DataTree(
        tree["constant_data"].to_dataset().assign(
            center=("feature", [0.3, -0.2]), scale=("feature", [2.0, 0.7]), resolution=("feature", np.zeros(2))
        )
    )  # fmt: skip
    return tree


def oracle_responsibilities(tree: xr.DataTree, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, N, K) responsibilities and (S, N) log densities, by SciPy."""
    draws = read_draws(tree)
    k, d = draws.means.shape[2:]
    parts = np.stack(
        [
            oracle_components(rows, w, m, c)
            for w, m, c in zip(
                draws.weights.reshape(-1, k), draws.means.reshape(-1, k, d), draws.covariances.reshape(-1, k, d, d),
                strict=True,
            )
        ]
    )  # fmt: skip
    return parts / parts.sum(axis=2, keepdims=True), np.log(parts.sum(axis=2))
