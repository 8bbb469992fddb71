"""Scale families for the prior of a component's standard deviation (or variance).

Each family carries an integer code and two numbers per column for the compiled density; the formulas of
the density and its derivative stand in `model.density.prior_density`, in one place.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import as_numbers, check_count, shown
from bayesgmm.errors import InputError

__all__ = [
    "Exponential", "HalfCauchy", "HalfNormal", "InverseGamma", "LogNormal", "ScaleFamily", "frozen_value",
    "per_column", "stated",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ScaleFamily(ABC):
    """A prior on the standard deviation of a component along one feature."""

    code: ClassVar[int]
    positive_at_zero: ClassVar[bool]  # such a prior is improper with tied rows and no resolution
    on_variance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value in self.hyperparameters().items():
            object.__setattr__(self, name, frozen_value(value, name, positive=name != "mu"))

    @abstractmethod
    def hyperparameters(self) -> dict[str, ArrayLike]:
        """Name and value of each hyperparameter."""

    def columns(self, n_features: int) -> Array:
        """(2, D) hyperparameters of each column; the second row is zero when there is only one."""
        check_count(n_features, "n_features", most=10**6)
        out = np.zeros((2, n_features))
        for row, (name, value) in enumerate(self.hyperparameters().items()):
            out[row] = per_column(value, n_features, name)
        return out

    def _log_sd(self, parameters: Array) -> tuple[Array, Array]:
        """(D,) centre and spread of the log sd under hyperparameters (2, D), roughly."""
        return np.log(parameters[0]), np.ones(parameters.shape[1])

    def _stated(self, values: Array, scale: float) -> str:
        what, unit = ("variance", scale**2) if self.on_variance else ("sd", scale)
        return f"{_over(what, unit)} ~ {self.describe(values)}"

    def describe(self, values: Array) -> str:
        """Family name with the given hyperparameters (2,)."""
        names = list(self.hyperparameters())
        values = as_numbers(values, "values")
        if values.shape != (2,) or not np.isfinite(values).all():
            raise InputError(f"values={shown(values)} must be two finite numbers, the second 0 if there is but one.")
        inside = ", ".join(f"{name}={value:.4g}" for name, value in zip(names, values, strict=False))
        return f"{type(self).__name__}({inside})"


def _over(what: str, unit: float) -> str:
    """
    >>> _over("sd", 5.452), _over("sd", 1.0)
    ('sd / 5.45', 'sd')
    """
    return what if unit == 1.0 else f"{what} / {unit:.3g}"


@dataclass(frozen=True)
class HalfNormal(ScaleFamily):
    """Half-normal on the sd: density proportional to exp(-sd^2 / (2 scale^2))."""

    scale: ArrayLike = 1.0
    code = 0
    positive_at_zero = True

    def hyperparameters(self) -> dict[str, ArrayLike]:
        return {"scale": self.scale}


@dataclass(frozen=True)
class HalfCauchy(ScaleFamily):
    """Half-Cauchy on the sd: density proportional to 1 / (1 + (sd / scale)^2)."""

    scale: ArrayLike = 1.0
    code = 1
    positive_at_zero = True

    def hyperparameters(self) -> dict[str, ArrayLike]:
        return {"scale": self.scale}


@dataclass(frozen=True)
class Exponential(ScaleFamily):
    """Exponential on the sd: density rate * exp(-rate * sd); ``rate`` is in one over the sd's units."""

    rate: ArrayLike = 1.0
    code = 2
    positive_at_zero = True

    def hyperparameters(self) -> dict[str, ArrayLike]:
        return {"rate": self.rate}

    def _log_sd(self, parameters: Array) -> tuple[Array, Array]:
        return -np.log(parameters[0]), np.ones(parameters.shape[1])


@dataclass(frozen=True)
class LogNormal(ScaleFamily):
    """Lognormal on the sd: log sd is normal with mean ``mu`` and standard deviation ``sigma``."""

    mu: ArrayLike = float(np.log(0.5))
    sigma: ArrayLike = 0.7
    code = 3
    positive_at_zero = False

    def hyperparameters(self) -> dict[str, ArrayLike]:
        return {"mu": self.mu, "sigma": self.sigma}

    def _stated(self, values: Array, scale: float) -> str:
        mu, sigma = values
        return f"log({_over('sd', scale)}) ~ Normal(log {math.exp(mu):.3g}, {sigma:.3g}²)"

    def _log_sd(self, parameters: Array) -> tuple[Array, Array]:
        return parameters[0], parameters[1]


@dataclass(frozen=True)
class InverseGamma(ScaleFamily):
    """Inverse-gamma(a, b) on the *variance*: density proportional to v^(-a-1) exp(-b / v)."""

    a: ArrayLike = 3.0
    b: ArrayLike = 1.0
    code = 4
    positive_at_zero = False
    on_variance = True

    def hyperparameters(self) -> dict[str, ArrayLike]:
        return {"a": self.a, "b": self.b}

    def _log_sd(self, parameters: Array) -> tuple[Array, Array]:
        a, b = parameters
        return 0.5 * (np.log(b) - np.log(a)), 0.5 / np.minimum(a, np.sqrt(a))


def stated(family: ScaleFamily, values: Array, scale: float) -> str:
    """The prior of a component's sd, or variance, by hyperparameters (2,), in the units of a column of this scale.

    >>> stated(LogNormal(), np.array([np.log(0.5), 0.7]), 5.452)
    'log(sd / 5.45) ~ Normal(log 0.5, 0.7²)'
    >>> stated(HalfNormal(), np.array([1.0, 0.0]), 5.452)
    'sd / 5.45 ~ HalfNormal(scale=1)'
    """
    return family._stated(values, scale)


def frozen_value(
    value: ArrayLike, name: str, *, positive: bool = False, least: float = -np.inf
) -> float | tuple[float, ...]:
    """A number, or a tuple with one number a column, so that records compare and cannot change."""
    kind = "positive and finite" if positive else "finite" if least < 0 else "finite and not negative"
    array = as_numbers(value, f"prior {name}", f"be one number, or one for each column, {kind}")
    fits = array.ndim < 2 and array.size and np.isfinite(array).all() and (array >= least).all()
    if not fits or (positive and (array <= 0).any()):
        raise InputError(f"prior {name}={shown(value)} must be {kind}: one number, or one for each column.")
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def per_column(value: ArrayLike, n_features: int, name: str) -> Array:
    """Broadcast a scalar or one number per column to (D,)."""
    try:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (n_features,)).copy()
    except (ValueError, TypeError):
        raise InputError(
            f"prior {name}={shown(value)} must be a number, or one number for each of {n_features} columns."
        ) from None
