"""Covariance structures: what each lets vary, and how a sum of squares becomes a covariance.

A structure is stated once, as a pattern of free cells of the lower Cholesky factor and whether the
components share it; its M-step, number of parameters, unconstrained map and prior all follow from that
pattern. A new structure is a new subclass with a new pattern; no caller changes.

=========== ================================ =======
name        free cells of a Cholesky factor  shared
=========== ================================ =======
full        lower triangle                   no
tied        lower triangle                   yes
diag        diagonal                         no
spherical   one number on the diagonal       no
=========== ================================ =======

Fraley and Raftery (2002) call these VVV, EEE, VVI and VII.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError

__all__ = ["COVARIANCE_TYPES", "Structure", "get_structure"]

Array = NDArray[np.float64]


class Structure(ABC):
    """A covariance structure of a Gaussian mixture."""

    name: ClassVar[str]
    shared: ClassVar[bool] = False  # one covariance for all components
    correlated: ClassVar[bool] = False  # off-diagonal cells are free

    @abstractmethod
    def cells(self, n_features: int) -> NDArray[np.int64]:
        """(D, D) index of the free parameter behind each cell of one Cholesky factor; -1 is a fixed zero."""

    @abstractmethod
    def project(self, scatter: Array, counts: Array) -> Array:
        """Maximum-likelihood covariances (K, D, D) from scatter matrices (K, D, D), sums over `counts` rows (K,)."""

    @property
    def diagonal(self) -> bool:
        """True when every covariance is diagonal, so that the kernel reads diagonals alone."""
        return not self.correlated

    @property
    def one_sd(self) -> bool:
        """True when a component has one standard deviation for all features."""
        return self.n_standard_deviations(2) == 1

    def row_work(self, n_features: int) -> float:
        """Multiply-adds, roughly, of one row and component in a pass over the rows."""
        squares = 2.0 * n_features if self.diagonal else float(n_features**2)
        return squares + 2.0 * n_features + 20.0

    def n_matrices(self, n_components: int) -> int:
        """Number of distinct covariance matrices."""
        return 1 if self.shared else n_components

    def n_cells(self, n_features: int) -> int:
        """Free parameters of one covariance matrix."""
        return int(self.cells(n_features).max()) + 1

    def n_standard_deviations(self, n_features: int) -> int:
        """Distinct standard deviations of one covariance matrix."""
        return len(np.unique(np.diag(self.cells(n_features))))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the mixture: weights, means and covariances."""
        covariance = self.n_matrices(n_components) * self.n_cells(n_features)
        return n_components - 1 + n_components * n_features + covariance


class Full(Structure):
    name = "full"
    correlated = True

    def cells(self, n_features: int) -> NDArray[np.int64]:
        cells = np.full((n_features, n_features), -1, dtype=np.int64)
        rows, columns = np.tril_indices(n_features)
        cells[rows, columns] = np.arange(len(rows))
        return cells

    def project(self, scatter: Array, counts: Array) -> Array:
        return scatter / counts[:, None, None]


class Tied(Full):
    name = "tied"
    shared = True

    def project(self, scatter: Array, counts: Array) -> Array:
        pooled = scatter.sum(axis=0) / counts.sum()
        return np.broadcast_to(pooled, scatter.shape).copy()


class Diagonal(Structure):
    name = "diag"

    def cells(self, n_features: int) -> NDArray[np.int64]:
        cells = np.full((n_features, n_features), -1, dtype=np.int64)
        np.fill_diagonal(cells, np.arange(n_features))
        return cells

    def project(self, scatter: Array, counts: Array) -> Array:
        return _with_diagonal(np.diagonal(scatter, axis1=1, axis2=2) / counts[:, None])


class Spherical(Structure):
    name = "spherical"

    def cells(self, n_features: int) -> NDArray[np.int64]:
        cells = np.full((n_features, n_features), -1, dtype=np.int64)
        np.fill_diagonal(cells, 0)
        return cells

    def project(self, scatter: Array, counts: Array) -> Array:
        variances = np.trace(scatter, axis1=1, axis2=2) / (counts * scatter.shape[1])
        return _with_diagonal(np.broadcast_to(variances[:, None], scatter.shape[:2]))


def _with_diagonal(variances: Array) -> Array:
    """Covariances (K, D, D) with these variances (K, D) and nothing beside the diagonal."""
    k, d = variances.shape
    out = np.zeros((k, d, d))
    out.reshape(k, -1)[:, :: d + 1] = variances
    return out


_STRUCTURES = {s.name: s for s in (Full(), Tied(), Diagonal(), Spherical())}
COVARIANCE_TYPES = tuple(_STRUCTURES)


def get_structure(covariance_type: str | Structure) -> Structure:
    """The structure of that name; an `InputError` lists the known ones."""
    if isinstance(covariance_type, Structure):
        return covariance_type
    try:
        return _STRUCTURES[covariance_type]
    except (KeyError, TypeError):
        known = ", ".join(repr(name) for name in COVARIANCE_TYPES)
        raise InputError(f"covariance_type={covariance_type!r} is unknown; use one of {known}.") from None
