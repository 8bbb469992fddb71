"""Whether a DataTree is that of a fit: groups, attributes, shapes, and numbers that a mixture can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.posterior.tree import read_draws, structure_of

if TYPE_CHECKING:
    import xarray

__all__ = ["check_tree"]

_DRAWS = ("chain", "draw")
_VARIABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "posterior": {
        "weights": (*_DRAWS, "component"), "means": (*_DRAWS, "component", "feature"),
        "covariances": (*_DRAWS, "component", "feature", "feature_bis"), "log_likelihood_total": _DRAWS,
    },
    "sample_stats": {"logp": _DRAWS, "log_prior": _DRAWS, "mode": ("chain",)},
    "observed_data": {"obs": ("obs_id", "feature")},
    "constant_data": {
        "center": ("feature",), "scale": ("feature",), "resolution": ("feature",), "row_weight": ("obs_id",),
    },
    "log_likelihood": {"obs": (*_DRAWS, "obs_id")},
}  # fmt: skip
_ATTRIBUTES = (
    "bayesgmm_version", "covariance_type", "format_version", "inference", "log_likelihood_stored", "method", "modes",
    "n_components", "notes", "partial", "prior", "random_seed", "relabelling", "relabelling_converged", "sampling_time",
    "standardize", "versions",
)  # fmt: skip


def check_tree(tree: xarray.DataTree) -> None:
    """Refuse a tree that `build_tree` cannot have made.

    Raises
    ------
    InputError
        That says what is missing or impossible.
    """
    for name in _ATTRIBUTES:
        if name not in tree.attrs:
            raise InputError(f"the attribute {name!r} of the draws is missing")
    structure = structure_of(tree)
    stored = tree.attrs["log_likelihood_stored"] == "yes"
    groups = {name: variables for name, variables in _VARIABLES.items() if stored or name != "log_likelihood"}
    for name in groups:
        if name not in tree.children:
            raise InputError(f"the group {name!r} is missing")
    sizes = {"obs_id": tree["observed_data"].sizes.get("obs_id", 0)} | dict(tree["posterior"].sizes)
    for group, variables in groups.items():
        _check_group(group, tree[group].to_dataset(), variables, sizes)
    k = tree.attrs["n_components"]
    if not isinstance(k, (int, np.integer)) or k != sizes["component"]:
        raise InputError(f"the draws are of {sizes['component']} components, and said to be of {k!r}")
    draws = read_draws(tree)
    _, scale, resolution, row_weight = (
        tree["constant_data"].to_dataset()[n].values for n in _VARIABLES["constant_data"]
    )
    covariances, variances = draws.covariances, np.diagonal(draws.covariances, axis1=-2, axis2=-1)
    shares = draws.heads[..., : structure.n_classes(int(k))]
    possible = {
        "weights": (shares >= 0.0).all() and _close(shares.sum(axis=-1), np.ones(())),
        "covariances": (variances > 0.0).all()
        and _close(covariances, covariances.mT)
        and (structure.correlated or np.count_nonzero(covariances) == variances.size)
        and (not structure.shared or _close(covariances, covariances[:, :, :1])),
        "scale": (scale > 0.0).all(),
        "resolution": (resolution >= 0.0).all(),
        "row_weight": (row_weight >= 0.0).all() and row_weight.any(),
    }
    for name, fine in possible.items():
        if not fine:
            raise InputError(f"the {name} are not those of a mixture of structure {structure.name!r}")


def _close(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool(np.allclose(a, b, rtol=1e-8, atol=0.0))


def _check_group(
    group: str, dataset: xarray.Dataset, variables: dict[str, tuple[str, ...]], sizes: dict[object, int]
) -> None:
    for name, dims in variables.items():
        if name not in dataset:
            raise InputError(f"{group}/{name} is missing")
        values = dataset[name]
        expected = tuple(sizes.get(dim, 0) for dim in dims)
        if set(values.dims) != set(dims) or values.transpose(*dims).shape != expected or 0 in expected:
            raise InputError(f"{group}/{name} has the shape {dict(values.sizes)}, not {expected}")
        gaps = group == "observed_data"  # missing cells
        if values.dtype.kind not in "iuf" or not (np.isfinite(values.values) | (gaps & np.isnan(values.values))).all():
            raise InputError(f"{group}/{name} holds what is not a finite number")
    for dim in _DRAWS:
        if dim in dataset.sizes and dataset.sizes[dim] != sizes[dim]:
            raise InputError(f"{group} has {dataset.sizes[dim]} of {dim}, not {sizes[dim]}")
