"""Plain arrays out of a fit's DataTree, whatever the order of its dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.arguments import as_numbers, shown
from bayesgmm.data.frames import row_index
from bayesgmm.data.table import log_jacobian
from bayesgmm.errors import InputError
from bayesgmm.kernels.row_model import RowModel, n_classes
from bayesgmm.kernels.rows import Rows, as_rows
from bayesgmm.model.draws import Draws
from bayesgmm.model.params import head_in_order, in_order, inverse_cholesky
from bayesgmm.model.structure import Structure, get_structure

if TYPE_CHECKING:
    import xarray

__all__ = [
    "MixtureDraws", "PosteriorArrays", "approximation_log_ratio", "check_reach", "equal_draws", "known_of",
    "model_rows", "named_rows", "observed_rows", "posterior_arrays", "reach", "read_draws", "read_sample_stats",
    "structure_of", "tree_of",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixtureDraws:
    """Draws of the mixture: C chains of S draws.

    Attributes
    ----------
    heads : array (C, S, H)
        Weights, weight of the noise and degrees of freedom, see `kernels.row_model`.
    means, covariances : arrays (C, S, K, D), (C, S, K, D, D)
    log_likelihood : array (C, S)
    feature_names : tuple of D strings
    structure : Structure
        Of the components, in the units of the data.
    """

    heads: Array
    means: Array
    covariances: Array
    log_likelihood: Array
    feature_names: tuple[str, ...]
    structure: Structure

    @property
    def weights(self) -> Array:
        """(C, S, K) of the components."""
        return self.heads[..., : self.means.shape[2]]

    @property
    def noise_weight(self) -> Array | None:
        """(C, S) of the noise component, if there is one."""
        return self.heads[..., self.means.shape[2]] if self.structure.has_background else None

    @property
    def df(self) -> Array | None:
        """(C, S, 1 or K) degrees of freedom of t components."""
        df = self.heads[..., self.structure.n_classes(self.means.shape[2]) :]
        return df if df.shape[-1] else None

    def reorder(self, index: NDArray[np.integer[Any]]) -> tuple[Array, Array, Array]:
        """Heads, means and covariances with component ``index[c, s, k]`` in place k."""
        heads = head_in_order(self.heads, index, self.structure.row_model)
        return heads, in_order(self.means, index), in_order(self.covariances, index)


def tree_of(fit: Any) -> xarray.DataTree:
    """The ``posterior_`` of a fit, or the tree itself."""
    tree = getattr(fit, "posterior_", fit)
    if "posterior" not in getattr(tree, "children", ()):
        raise InputError(f"fit={shown(fit)} must be a fitted BayesianGMM, or its posterior_.")
    return tree


def read_draws(tree: xarray.DataTree) -> MixtureDraws:
    """The draws of a fit's ``posterior_``."""
    dims = ("chain", "draw", "component", "feature", "feature_bis")
    posterior = tree["posterior"].to_dataset()
    parts = [posterior["weights"].transpose(*dims[:3]).values]
    if "noise_weight" in posterior:
        parts.append(posterior["noise_weight"].transpose(*dims[:2]).values[..., None])
    if "df" in posterior:
        df = posterior["df"]
        parts.append(
            df.transpose(*dims[:3]).values if "component" in df.dims else df.transpose(*dims[:2]).values[..., None]
        )
    return MixtureDraws(
        heads=np.concatenate(parts, axis=-1),
        means=posterior["means"].transpose(*dims[:4]).values,
        covariances=posterior["covariances"].transpose(*dims).values,
        log_likelihood=posterior["log_likelihood_total"].transpose(*dims[:2]).values,
        feature_names=tuple(str(f) for f in posterior["feature"].values),
        structure=structure_of(tree),
    )


def structure_of(tree: xarray.DataTree) -> Structure:
    """Of the components of a fit, in the units of its data."""
    structure = get_structure(str(tree.attrs.get("covariance_type", "full")))
    constant = tree["constant_data"].to_dataset() if "constant_data" in tree.children else {}
    background = constant["background_log_width"].values if "background_log_width" in constant else ()
    return structure.of(str(tree.attrs.get("component", "normal")), background)


def read_sample_stats(tree: xarray.DataTree) -> dict[str, NDArray[Any]]:
    """Sampler statistics with one value, or more, a draw; empty if there are none."""
    if "sample_stats" not in tree.children:
        return {}
    stats = tree["sample_stats"].to_dataset()
    per_draw = (str(name) for name, x in stats.data_vars.items() if {"chain", "draw"} <= set(x.dims))
    return {name: stats[name].transpose("chain", "draw", ...).values for name in per_draw}


def observed_rows(tree: xarray.DataTree) -> tuple[Array, Array | None, NDArray[Any]]:
    """The data (N, D), the weight of each row (N,) if recorded, and the names of the rows."""
    observed = tree["observed_data"].to_dataset()["obs"].transpose("obs_id", "feature")
    weight = None
    if "constant_data" in tree.children and "row_weight" in tree["constant_data"].data_vars:
        weight = tree["constant_data"].to_dataset()["row_weight"].values
    return observed.values, weight, observed["obs_id"].values


def known_of(tree: xarray.DataTree) -> NDArray[np.int64] | None:
    """Component of each fitted row where it is known, else -1; None where none is."""
    constant = tree["constant_data"].to_dataset() if "constant_data" in tree.children else {}
    return constant["known_component"].values if "known_component" in constant else None


@dataclass(frozen=True, eq=False)
class PosteriorArrays:
    """The relabelled draws of a tree as plain arrays, chains pooled, on the model's scale."""

    weights: Array  # (S, H) heads, see `kernels.row_model`
    means: Array  # (S, K, D)
    cholesky: Array  # (S, K, D, D)
    scaling: Array  # (S, K, D, D) inverses of cholesky
    center: Array  # (D,)
    scale: Array  # (D,)
    row_model: RowModel

    @property
    def n_components(self) -> int:
        return self.means.shape[1]

    @property
    def n_classes(self) -> int:
        """Components, and the background if there is one."""
        return int(n_classes(self.row_model, self.n_components))

    @property
    def shares(self) -> Array:
        """(S, K) weights of the components."""
        return np.ascontiguousarray(self.weights[:, : self.n_components])

    @property
    def df(self) -> Array | None:
        """(S, K) degrees of freedom of t components."""
        df = self.weights[:, self.n_classes :]
        return np.broadcast_to(df, self.means.shape[:2]) if df.shape[1] else None

    @cached_property
    def _reach(self) -> float:
        return reach(self.scaling)

    def log_jacobian(self, rows: Array) -> Array:
        """(N,) log density of rows (N, D) in original units = log density on the model's scale minus this."""
        return log_jacobian(rows, self.scale)

    def to_model(self, rows: Array) -> Array:
        """Rows (N, D) in original units on the model's scale; an `InputError` where squares there overflow."""
        with np.errstate(over="ignore"):
            out = np.ascontiguousarray((rows - self.center) / self.scale)
        check_reach(out, self._reach, rows)
        return out


def model_rows(tree: xarray.DataTree, a: PosteriorArrays, rows: Any = None, some: Any = slice(None)) -> Rows:
    """Some of the fitted rows (N, D), their known components included, or of new ones, on the model's scale."""
    values = observed_rows(tree)[0] if rows is None else rows
    known = known_of(tree) if rows is None else None
    return as_rows(a.to_model(values[some]), None if known is None else known[some])


def reach(scaling: Array) -> float:
    """Largest coordinate whose squared distance to any component float64 holds, of inverse factors (..., D, D)."""
    row_sums = float(np.abs(scaling).sum(axis=-1).max())
    return math.sqrt(np.finfo(np.float64).max / (8.0 * scaling.shape[-1])) / max(row_sums, 1.0)


def check_reach(coordinates: Array, largest: float, rows: Array) -> None:
    """Refuse rows (N, D) of which a coordinate is beyond what squares can hold."""
    beyond = np.abs(coordinates) > largest
    if not beyond.any():
        return
    i, j = np.argwhere(beyond)[0]
    raise InputError(
        f"The value {rows[i, j]:g} in row {i}, column {j + 1} lies so far from the fitted rows that the square of its "
        "distance is no floating-point number: check its units, or leave the row out."
    )


def posterior_arrays(tree: xarray.DataTree) -> PosteriorArrays:
    """The draws of a tree as arrays on the model's scale."""
    draws, constants = read_draws(tree), tree["constant_data"].to_dataset()
    center, scale = constants["center"].values, constants["scale"].values
    k, d = draws.means.shape[2:]
    cholesky = _factors(draws.covariances.reshape(-1, k, d, d) / np.outer(scale, scale))
    return PosteriorArrays(
        weights=np.ascontiguousarray(draws.heads.reshape(-1, draws.heads.shape[-1])),
        means=np.ascontiguousarray((draws.means.reshape(-1, k, d) - center) / scale),
        cholesky=cholesky,
        scaling=inverse_cholesky(cholesky),
        center=center,
        scale=scale,
        row_model=draws.structure.moved(np.log(scale)).row_model,
    )


def _factors(covariances: Array) -> Array:
    """Lower Cholesky factors (..., D, D); a draw that rounding left singular gets 1e-12 of its variances added."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        variances = np.diagonal(covariances, axis1=-2, axis2=-1)
        return np.linalg.cholesky(covariances + 1e-12 * variances[..., None] * np.eye(covariances.shape[-1]))


def approximation_log_ratio(tree: xarray.DataTree) -> Array | None:
    """(C, S) log posterior density less that of the approximation that the draws are from; None for exact draws."""
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else {}
    if "log_p" not in stats or "log_q" not in stats:
        return None
    ratio = stats["log_p"].values - stats["log_q"].values
    return np.asarray(ratio - logsumexp(ratio), dtype=np.float64)


def equal_draws(tree: xarray.DataTree) -> Draws:
    """The draws of a fit's ``posterior_`` on the model's scale; of an approximation, resampled by their weights."""
    a, sizes = posterior_arrays(tree), tree["posterior"].sizes
    shape = (sizes["chain"], sizes["draw"])
    index, log_ratio = np.arange(shape[0] * shape[1]), approximation_log_ratio(tree)
    if log_ratio is not None:
        up_to = np.cumsum(softmax(log_ratio.ravel()))
        index = np.minimum(np.searchsorted(up_to, (index + 0.5) / len(index)), len(index) - 1)
    weights, means, cholesky = (x[index].reshape(*shape, *x.shape[1:]) for x in (a.weights, a.means, a.cholesky))
    unknown, start = np.full(shape, math.nan), np.zeros(shape[0], dtype=np.int64)
    stats = {name: values for name, values in read_sample_stats(tree).items() if name == "n_steps"}
    extra = {"sweeps": tree.attrs["sweeps"]} if "sweeps" in tree.attrs else {}
    method = str(tree.attrs["method"])
    return Draws(weights, means, cholesky, unknown, stats, start, pd.DataFrame(), 0.0, False, method, extra=extra)


def named_rows(
    tree: xarray.DataTree, rows: Any = None, row_names: Sequence[Any] | pd.Index[Any] | None = None
) -> tuple[Array, pd.Index[Any], Array]:
    """Rows (N, D) in original units, their names, and their weights: the fitted rows, or new ones of weight 1."""
    if rows is None:
        dataset = tree["observed_data"].to_dataset()
        values, weight, _ = observed_rows(tree)
        names: pd.Index[Any] = pd.Index(dataset["obs_id"].values)
    else:
        values = np.ascontiguousarray(as_numbers(rows, "rows", "be finite numbers, the fitted columns in order"))
        d = tree["posterior"].sizes["feature"]
        if values.ndim != 2 or values.shape[1] != d or not len(values) or np.isinf(values).any():
            raise InputError(f"rows must be finite numbers of shape (N, {d}), the fitted columns in order.")
        weight, names = None, rows.index if isinstance(rows, pd.DataFrame) else pd.RangeIndex(len(values))
    if row_names is not None:
        names = row_index(row_names, len(values))
    return values, names, np.ones(len(values)) if weight is None else weight
