"""What a figure of clusters shows, gathered once: rows, who they belong to and how surely, and the draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import as_names, check_instance, shown
from bayesgmm.errors import InputError
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.model.background import Box, table_box
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.diagnostics.diagnose import Diagnosis
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays, read_draws

if TYPE_CHECKING:
    from bayesgmm.model_selection.fit import Fit

__all__ = [
    "MAX_FEATURES", "MAX_ROWS", "Scene", "check_axes", "check_features", "check_fitted", "check_result",
    "choose_features", "row_probabilities", "two_columns",
]  # fmt: skip

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_FEATURES = 5
MAX_ROWS = 5000
# Component densities (rows x draws x components) beyond which draws are thinned for responsibilities.
_MAX_DENSITIES = 200_000_000


@dataclass(frozen=True, eq=False)
class Scene:
    """The rows shown and the draws, in original units.

    Attributes
    ----------
    rows, sizes, labels, certainty : arrays (n, D), (n,), (n,), (n,)
        The rows shown, their weights relative to the mean one, most probable component (-1: noise), and its
        probability.
    n_rows : int
        Rows of positive weight in the table, of which n are shown.
    heads, means, covariances : arrays (S, H), (S, K, D), (S, K, D, D)
        All draws, chains pooled; the first as `kernels.row_model` has them.
    structure : Structure
        Of the components, in original units.
    box : Box or None
        Of the noise, on the model's scale.
    center, scale : arrays (D,)
        Of the model's scale.
    feature_names : tuple of str
    resolution : array (D,)
        Recording step of each column, 0 for a continuous one.
    diagnosis : Diagnosis
    """

    rows: Array
    sizes: Array
    copies: Array
    labels: IntArray
    certainty: Array
    n_rows: int
    heads: Array
    means: Array
    covariances: Array
    structure: Structure
    box: Box | None
    center: Array
    scale: Array
    feature_names: tuple[str, ...]
    resolution: Array
    diagnosis: Diagnosis

    @classmethod
    def of(cls, fit: Fit, probabilities: Array | None = None) -> Scene:
        """The scene of a fit; `probabilities` (N, K) of all rows saves computing them."""
        check_fitted(fit)
        tree = fit.posterior_
        draws = read_draws(tree)
        k, d = draws.means.shape[2:]
        values, row_weights, _ = observed_rows(tree)
        weight = np.ones(len(values)) if row_weights is None else row_weights
        used = np.flatnonzero(weight > 0)
        shown = used
        if len(used) > MAX_ROWS:
            shown = np.sort(np.random.default_rng(0).choice(used, MAX_ROWS, replace=False))
        p = row_probabilities(fit, values[shown]) if probabilities is None else probabilities[shown]
        constants = tree["constant_data"].to_dataset()
        return cls(
            rows=values[shown],
            sizes=weight[shown] / weight[used].mean(),
            copies=weight[shown],
            labels=_labels(p, draws.structure),
            certainty=p.max(axis=1),
            n_rows=len(used),
            heads=draws.heads.reshape(-1, draws.heads.shape[-1]),
            means=draws.means.reshape(-1, k, d),
            covariances=draws.covariances.reshape(-1, k, d, d),
            structure=draws.structure,
            box=table_box(fit.table_) if draws.structure.has_background else None,
            center=constants["center"].values,
            scale=constants["scale"].values,
            feature_names=draws.feature_names,
            resolution=constants["resolution"].values if "resolution" in constants else np.zeros(d),
            diagnosis=fit.diagnose(),
        )

    @property
    def n_components(self) -> int:
        return self.means.shape[1]

    @property
    def classes(self) -> list[int]:
        """Numbers of the components, and -1 if there is noise."""
        return [*range(self.n_components), *[-1] * self.structure.has_background]

    @property
    def weights(self) -> Array:
        """(S, R) of the components, and of noise if there is any."""
        return self.heads[:, : len(self.classes)]

    @property
    def df(self) -> Array | None:
        """(S, K) degrees of freedom of t components."""
        df = self.heads[:, len(self.classes) :]
        return np.broadcast_to(df, self.means.shape[:2]) if df.shape[1] else None

    def noise_along(self, column: int, values: Array) -> Array:
        """Density of noise along a column at increasing values; there must be noise."""
        assert self.box is not None
        scale = self.scale[column]
        return self.box.density_along(column, (values - self.center[column]) / scale) / scale

    def thin(self, n_draws: int) -> IntArray:
        """Indices of at most `n_draws` draws, evenly spaced over all chains."""
        return evenly_spaced(len(self.heads), n_draws)


def _labels(p: Array, structure: Structure) -> IntArray:
    """(n,) most probable component, or cluster, of probabilities (n, R), of which the last is noise if there is any."""
    label = p.argmax(axis=1)
    return np.where(structure.has_background & (label == p.shape[1] - 1), -1, label)


def check_fitted(fit: object) -> None:
    """`InputError` unless this is a fitted `BayesianGMM`."""
    if all(hasattr(fit, name) for name in ("posterior_", "table_", "diagnose")):
        return
    if hasattr(fit, "diagnose") and hasattr(fit, "fit"):
        raise InputError(f"this {type(fit).__name__} is not fitted yet: call fit(X) first.")
    raise InputError(f"a fitted BayesianGMM is needed here, not a {type(fit).__name__}.")


def check_axes(ax: object) -> None:
    """`InputError` unless this is one Axes of matplotlib, or None."""
    if ax is not None and not hasattr(ax, "get_xlim"):
        raise InputError(f"ax={shown(ax)} must be None or one Axes of matplotlib.")


def check_result(result: Any, kind: type, fit: Fit) -> None:
    """`InputError` unless this is a result of that class for the rows of the fit, or None."""
    name = kind.__name__
    if result is None:
        return
    check_instance(result, "result", kind, f"None, or what fit.{name.lower()}() returns")
    given = len(result.table if hasattr(result, "table") else result.labels)
    n_rows = fit.posterior_["observed_data"].sizes["obs_id"]
    if given != n_rows:
        raise InputError(f"result has {given} rows, the fit {n_rows}: give that of the fitted rows.")


def check_features(fit: Fit, features: Any) -> int:
    """How many columns are shown; `InputError` unless `features` are names of columns of the fit, or None."""
    known = fit.posterior_["posterior"].to_dataset()["feature"].values.tolist()
    return min(len(known), MAX_FEATURES) if features is None else len(as_names(features, "features", known))


def row_probabilities(fit: Fit, rows: Array | None = None) -> Array:
    """(n, K) probability of each component, averaged over the draws, thinned evenly when the product is large; None
    takes the fitted rows, with what is known of their components."""
    a = posterior_arrays(fit.posterior_)
    given = model_rows(fit.posterior_, a, rows)
    n_rows = len(fit.posterior_["observed_data"]["obs_id"]) if rows is None else len(rows)
    step = max(1, -(-n_rows * a.weights.size // _MAX_DENSITIES))
    return mean_responsibilities(given, a.weights[::step], a.means[::step], a.scaling[::step], row_model=a.row_model)


def choose_features(scene: Scene, features: Sequence[str] | str | None) -> list[int]:
    """Columns to show: those asked for, or at most five, the ones along which the components differ most."""
    known = scene.feature_names
    if features is None:
        if len(known) <= MAX_FEATURES:
            return list(range(len(known)))
        return _most_different(scene, MAX_FEATURES)
    return [known.index(name) for name in as_names(features, "features", known)]


def two_columns(scene: Scene, features: Sequence[str] | None) -> list[int]:
    """Two columns to show: those named, or the two along which components differ most."""
    if len(scene.feature_names) < 2:
        raise InputError("a plane takes two columns, and the fit has one; use plot_clusters for its density.")
    if features is None:
        return _most_different(scene, 2)
    columns = choose_features(scene, features)
    if len(columns) != 2:
        raise InputError(f"features must name two columns, got {len(columns)}.")
    return columns


def _most_different(scene: Scene, n: int) -> list[int]:
    """The `n` columns along which the components differ most, in their order."""
    weights, means = scene.weights[:, : scene.n_components].mean(axis=0), scene.means.mean(axis=0)
    weights = weights / weights.sum()  # of noise there is no mean
    between = weights @ (means - weights @ means) ** 2  # (D,)
    within = weights @ scene.covariances.mean(axis=0).diagonal(axis1=1, axis2=2)
    return sorted(np.argsort(-between / within, kind="stable")[:n].tolist())
