"""The parameters of a Gaussian mixture, as one frozen, validated record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.arguments import as_numbers, check_number, shown
from bayesgmm.errors import InputError
from bayesgmm.kernels.row_model import RowModel, head_order, n_classes
from bayesgmm.kernels.triangular import invert_lower
from bayesgmm.model.structure import Kind, Structure, get_structure
from bayesgmm.record import Record

__all__ = ["MixtureParams", "head_in_order", "in_order", "inverse_cholesky", "latent_cholesky"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class MixtureParams(Record):
    """Weights, means and covariances of a mixture of Gaussians.

    Parameters
    ----------
    weights : array (K,)
        Positive, summing to one.
    means : array (K, D)
        In the units of the data.
    covariances : array (K, D, D)
        Symmetric positive definite.
    covariance_type : str
        The structure the covariances obey: ``"full"``, ``"tied"``, ``"diag"``, ``"spherical"`` or ``"EEI"``.
    df : array (1,) or (K,), optional
        Degrees of freedom above 2 of t components, one for all or one each; `covariances` are then their scale
        matrices, and the covariance of a component is df / (df - 2) times its own. None: components are normal.
    noise_weight : float, optional
        Weight of a noise component, uniform over the box of the data; the others sum to what it leaves. None: there is
        none.

    Raises
    ------
    InputError
        If shapes disagree, weights are not a simplex, or a covariance is not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.model.params import MixtureParams
    >>> p = MixtureParams(np.array([0.4, 0.6]), np.array([[0.0], [3.0]]), np.ones((2, 1, 1)))
    >>> p.permute([1, 0]).weights
    array([0.6, 0.4])
    """

    weights: Array
    means: Array
    covariances: Array
    covariance_type: str = "full"
    df: Array | None = None
    noise_weight: float | None = None

    def __post_init__(self) -> None:
        get_structure(self.covariance_type)
        for name in ("weights", "means", "covariances", *(["df"] if self.df is not None else [])):
            value = as_numbers(getattr(self, name), name).copy()
            if not np.isfinite(value).all():
                raise InputError(f"{name} must be finite.")
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.weights.ndim != 1 or self.means.ndim != 2:
            raise InputError("weights must have shape (K,) and means (K, D).")
        k, d = self.means.shape
        if self.weights.shape != (k,) or self.covariances.shape != (k, d, d):
            raise InputError(
                f"shapes disagree: weights {self.weights.shape}, means {self.means.shape}, "
                f"covariances {self.covariances.shape}; expected (K,), (K, D), (K, D, D)."
            )
        if self.noise_weight is not None:
            check_number(self.noise_weight, "noise_weight", "be a share", least=0.0, below=1.0)
        if (self.weights < 0).any() or abs(self.weights.sum() + (self.noise_weight or 0.0) - 1.0) > 1e-8:
            raise InputError("weights must be non-negative and sum to one, with that of the noise if there is any.")
        if self.df is not None and (self.df.shape not in ((1,), (k,)) or not (self.df > 2.0).all()):
            raise InputError(f"df must be one number above 2, or one for each of the {k} components.")
        try:
            self.cholesky  # noqa: B018
        except np.linalg.LinAlgError:
            raise InputError("every covariance must be symmetric and positive definite.") from None

    @property
    def n_components(self) -> int:
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    @classmethod
    def of_head(cls, head: Array, means: Array, covariances: Array, structure: Structure) -> MixtureParams:
        """From a head (H,), see `kernels.row_model`, whose weights need not sum to one."""
        k, classes = len(means), structure.n_classes(len(means))
        weights, df = head[:classes] / head[:classes].sum(), head[classes:]
        noise = float(weights[k]) if structure.has_background else None
        return cls(weights[:k], means, covariances, structure.name, df if len(df) else None, noise)

    @property
    def kind(self) -> Kind:
        """What it is a mixture of."""
        each = self.df is not None and len(self.df) > 1
        component = "normal" if self.df is None else "t_each" if each else "t"
        return Kind(self.covariance_type, component, self.noise_weight is not None)

    @cached_property
    def head(self) -> Array:
        """(H,) weights, that of the noise, degrees of freedom, as the kernels take them."""
        noise = [] if self.noise_weight is None else [self.noise_weight]
        return np.concatenate([self.weights, noise, [] if self.df is None else self.df])

    @property
    def n_parameters(self) -> int:
        """Free parameters: weights, means, covariances and degrees of freedom."""
        own = get_structure(self.covariance_type).n_parameters(self.n_components, self.n_features)
        return own + len(self.head) - self.n_components

    @cached_property
    def cholesky(self) -> Array:
        """(K, D, D) lower Cholesky factors of the covariances."""
        return np.linalg.cholesky(self.covariances)

    @cached_property
    def scaling(self) -> Array:
        """(K, D, D) inverses of the Cholesky factors, as the kernels take them."""
        return inverse_cholesky(self.cholesky)

    @cached_property
    def standard_deviations(self) -> Array:
        """(K, D) standard deviation of each component along each feature."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    def permute(self, order: NDArray[np.intp] | list[int]) -> MixtureParams:
        """The same mixture with component ``order[k]`` in place k."""
        must = f"be a permutation of 0..{self.n_components - 1}"
        given = as_numbers(order, "order", must)
        if given.ndim != 1 or sorted(given.tolist()) != list(range(self.n_components)):
            raise InputError(f"order={shown(order)} must {must}.")
        index = given.astype(np.intp)
        df = self.df if self.df is None or len(self.df) < 2 else self.df[index]
        return replace(
            self, weights=self.weights[index], means=self.means[index], covariances=self.covariances[index], df=df
        )

    def rescale(self, center: Array, scale: Array) -> MixtureParams:
        """The mixture of x = center + scale * z, when this is the mixture of z."""
        center, scale = (as_numbers(v, name) for v, name in ((center, "center"), (scale, "scale")))
        if not center.shape == scale.shape == (self.n_features,) or not (scale > 0).all():
            raise InputError(f"center and scale must be numbers of shape ({self.n_features},), the scale positive.")
        with np.errstate(over="ignore"):  # what overflows is refused
            means, covariances = center + scale * self.means, self.covariances * scale[:, None] * scale[None, :]
        return replace(self, means=means, covariances=covariances)


def inverse_cholesky(cholesky: Array) -> Array:
    """Inverses of lower-triangular factors (..., D, D), by forward substitution."""
    d = cholesky.shape[-1]
    flat = np.ascontiguousarray(cholesky, dtype=np.float64).reshape(-1, d, d)
    out = np.empty_like(flat)
    invert_lower(flat, out)
    return out.reshape(cholesky.shape)


def latent_cholesky(covariances: Array, floor: Array, least: float = 1e-10) -> Array:
    """Lower factors of covariances (G, D, D) less the variance of rounding (D,), kept positive definite.

    `least` bounds the eigenvalues of what is left, relative to the variances of the component.
    """
    if not floor.any():
        return np.linalg.cholesky(covariances)
    sds = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))  # (G, D)
    scale = sds[:, :, None] * sds[:, None, :]
    values, vectors = np.linalg.eigh((covariances - np.diag(floor)) / scale)
    clipped = (vectors * np.maximum(values, least)[:, None, :]) @ vectors.mT
    exact = values.min(axis=1) > least
    return np.linalg.cholesky(np.where(exact[:, None, None], covariances - np.diag(floor), clipped * scale))


def head_in_order(head: Array, order: NDArray[np.integer[Any]], row_model: RowModel) -> Array:
    """Heads (..., H) with component ``order[..., k]`` in place k, order (..., K) or one (K,) for all."""
    places = head_order(order, head.shape[-1], n_classes(row_model, order.shape[-1]))
    return head[..., places] if order.ndim == 1 else in_order(head, places)


def in_order(values: NDArray[Any], order: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Values (..., K, *rest) with component ``order[..., k]`` in place k, order (..., K)."""
    return np.take_along_axis(values, order.reshape(order.shape + (1,) * (values.ndim - order.ndim)), order.ndim - 1)
