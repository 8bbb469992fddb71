"""Covariance structures: what each lets vary, and everything that follows from it.

A structure is a pattern: whether columns may be correlated, whether they have one standard deviation, and whether the
components share one covariance. Its M-step, unconstrained map, prior, Gibbs update, PyMC variables and number of
parameters follow from that pattern, here, and compiled code reads the pattern as numbers (`Pattern`), so that a new
structure is one more record in `STRUCTURES` and no caller changes. One whose parts are not a pattern of free cells (a
shared orientation, say) is a subclass that overrides what is different.

=========== ======= ================================ =======
name        mclust  free cells of a Cholesky factor  shared
=========== ======= ================================ =======
full        VVV     lower triangle                   no
tied        EEE     lower triangle                   yes
diag        VVI     diagonal                         no
spherical   VII     one number on the diagonal       no
EEI         EEI     diagonal                         yes
=========== ======= ================================ =======

The names are scikit-learn's where it has one, else mclust's (Fraley and Raftery 2002); both are understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayesgmm.arguments import shown
from bayesgmm.errors import InputError
from bayesgmm.kernels.row_model import RowModel

__all__ = ["COMPONENTS", "COVARIANCE_TYPES", "STRUCTURES", "Kind", "Pattern", "Structure", "get_structure"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

COMPONENTS = ("normal", "t", "t_each")  # t: one number of degrees of freedom for all, or one each


class Kind(NamedTuple):
    """A kind of mixture, but for the number of components.

    >>> str(Kind("full")), str(Kind("diag", "t", True))
    ('full', 'diag, t, noise')
    """

    covariance_type: str
    component: str = "normal"
    noise: bool = False

    def __str__(self) -> str:
        heavy = {"normal": "", "t": ", t", "t_each": ", t each"}[self.component]
        return f"{self.covariance_type}{heavy}{', noise' * self.noise}"


class Pattern(NamedTuple):
    """A structure in D columns, as compiled code takes it."""

    own: int  # 1; 0 where components share a covariance: that of component k is number own * k
    correlated: bool  # covariances are matrices, with an LKJ prior; else they are variances
    first: IntArray  # (D,) column from which each row of a Cholesky factor is free
    variance: IntArray  # (D,) which of the distinct sds each column has


@dataclass(frozen=True)
class Structure:
    """A covariance structure of a Gaussian mixture.

    Parameters
    ----------
    name : str
        ``covariance_type``.
    mclust : str
        Its name in mclust.
    words : str
        What it says of the components, for a report.
    correlated : bool
        Cells off the diagonal are free.
    one_sd : bool
        All columns have one standard deviation.
    shared : bool
        One covariance for all components.
    component : str
        Of `COMPONENTS`: the density of a component.
    background : tuple of float
        Log widths (D,) of the box of the background, in the coordinates of the rows; empty: there is none.
    """

    name: str
    mclust: str
    words: str
    correlated: bool = False
    one_sd: bool = False
    shared: bool = False
    component: str = "normal"
    background: tuple[float, ...] = ()

    def of(self, component: str = "normal", background: Array | Sequence[float] = ()) -> Structure:
        """The same structure of covariances, of components of this kind and with or without a background."""
        return replace(self, component=component, background=tuple(float(v) for v in background))

    def moved(self, log_scale: Array) -> Structure:
        """The same for rows whose coordinates have been divided by exp(log_scale) (D,)."""
        return self.of(self.component, np.array(self.background) - log_scale) if self.background else self

    # What varies

    def cells(self, n_features: int) -> IntArray:
        """(D, D) index of the free parameter behind each cell of one Cholesky factor; -1 is a fixed zero."""
        cells = np.full((n_features, n_features), -1, dtype=np.int64)
        if self.correlated:
            rows, columns = np.tril_indices(n_features)
            cells[rows, columns] = np.arange(len(rows))
        else:
            np.fill_diagonal(cells, self.variance_of(n_features))
        return cells

    def variance_of(self, n_features: int) -> IntArray:
        """(D,) which of the distinct standard deviations each column has."""
        return np.zeros(n_features, dtype=np.int64) if self.one_sd else np.arange(n_features)

    def pattern(self, n_features: int) -> Pattern:
        """The structure in so many columns, for compiled code."""
        first = np.zeros(n_features, dtype=np.int64) if self.correlated else np.arange(n_features)
        return Pattern(int(not self.shared), self.correlated, first, self.variance_of(n_features))

    def n_matrices(self, n_components: int) -> int:
        """Number of distinct covariance matrices."""
        return 1 if self.shared else n_components

    def n_cells(self, n_features: int) -> int:
        """Free parameters of one covariance matrix."""
        return int(self.cells(n_features).max()) + 1

    def n_standard_deviations(self, n_features: int) -> int:
        """Distinct standard deviations of one covariance matrix."""
        return 1 if self.one_sd else n_features

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the mixture: weights, means, covariances and degrees of freedom."""
        covariance = self.n_matrices(n_components) * self.n_cells(n_features)
        return self.n_head(n_components) - 1 + n_components * n_features + covariance

    # The head of a mixture, see `kernels.row_model`: weights, that of the background, degrees of freedom

    @property
    def has_background(self) -> bool:
        return bool(self.background)

    @property
    def is_normal(self) -> bool:
        """Normal components and nothing else."""
        return self.component == "normal" and not self.background

    def n_classes(self, n_components: int) -> int:
        """Components, and the background if there is one."""
        return n_components + self.has_background

    def n_df(self, n_components: int) -> int:
        """Numbers of degrees of freedom."""
        return {"normal": 0, "t": 1, "t_each": n_components}[self.component]

    def n_counts(self, n_components: int) -> int:
        """Counts that a pass over the rows gives, see `kernels.row_pass.mixture_pass`."""
        return self.n_classes(n_components) + 2 * n_components * (self.component != "normal")

    def n_head(self, n_components: int) -> int:
        """Numbers in a head."""
        return self.n_classes(n_components) + self.n_df(n_components)

    @property
    def alone(self) -> tuple[bool, bool]:
        """Equal for structures that are the same model of one component."""
        return self.correlated, self.one_sd

    # Rows

    @property
    def row_model(self) -> RowModel:
        """The density of a row given its component, as passes over the rows take it."""
        return RowModel(not self.correlated, np.array(self.background))

    def row_work(self, n_features: int) -> float:
        """Multiply-adds, roughly, of one row and component in a pass over the rows."""
        squares = float(n_features**2) if self.correlated else 2.0 * n_features
        return squares + 2.0 * n_features + 20.0

    def matrix_rows(self, counts: Array) -> Array:
        """(G,) rows behind each distinct covariance, from those of each component (K,)."""
        return np.array([counts.sum()]) if self.shared else counts

    # Maximum likelihood

    def project(self, scatter: Array, counts: Array) -> Array:
        """Maximum-likelihood covariances (K, D, D) from scatter matrices (K, D, D), sums over `counts` rows (K,)."""
        k, d, _ = scatter.shape
        if self.shared:
            scatter, counts = scatter.sum(axis=0, keepdims=True), self.matrix_rows(counts)
        out = scatter / counts[:, None, None]
        if not self.correlated:
            variances = np.diagonal(out, axis1=1, axis2=2)
            if self.one_sd:
                variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), variances.shape)
            out = np.zeros_like(out)
            out.reshape(len(out), -1)[:, :: d + 1] = variances
        return np.broadcast_to(out, (k, d, d)).copy() if self.shared else out

    # Prior, in terms of sds and correlations

    def log_prior_constant(self, n_features: int, eta: float) -> float:
        """Log normaliser of the density of one matrix's correlations, LKJ(eta) (Lewandowski, Kurowicka, Joe 2009)."""
        if not self.correlated:
            return 0.0
        k, d = np.arange(1, n_features), n_features
        each = 0.5 * k * np.log(np.pi) + gammaln(eta + 0.5 * (d - 1 - k))
        return float((d - 1) * gammaln(eta + 0.5 * (d - 1)) - np.sum(each))

    def log_jacobian_powers(self, n_features: int) -> Array:
        """(D,) powers p of the diagonal of M in the determinant of the derivatives of the sds and correlation cells by
        the free cells, those of the diagonal on the log scale, at M = M0 T, T = 1; see `model.density.density`."""
        if self.correlated:
            return np.arange(1.0, n_features + 1.0)
        return (np.arange(n_features) < self.n_standard_deviations(n_features)).astype(float)

    # What the PyMC model says

    @property
    def sd_dims(self) -> tuple[str, ...]:
        """Dimensions of the standard deviations."""
        return ("component",) * (not self.shared) + ("feature",) * (not self.one_sd)

    @property
    def correlation_dims(self) -> tuple[str, ...]:
        """Dimensions of the correlation factors; none where columns are not correlated."""
        return (*("component",) * (not self.shared), "feature", "feature_bis") if self.correlated else ()

    def distinct(self, values: Array) -> Array:
        """Of values (K, ...) those of the distinct covariances, as the PyMC model has them."""
        return values[0] if self.shared else values

    def distinct_sds(self, sds: Array) -> Array:
        """Of standard deviations (K, D) the distinct ones, of dimensions `sd_dims`."""
        return self.distinct(sds[:, 0] if self.one_sd else sds)


STRUCTURES = (
    Structure("full", "VVV", "every component has a covariance of its own: any volume, shape and orientation",
              correlated=True),
    Structure("tied", "EEE", "all components share one covariance: the same volume, shape and orientation",
              correlated=True, shared=True),
    Structure("diag", "VVI", "every component has variances of its own and no correlations: ellipses along the axes"),
    Structure("spherical", "VII",
              "every component has one variance of its own, the same in all columns of the model's scale", one_sd=True),
    Structure("EEI", "EEI", "all components share their variances and have no correlations: the same ellipse along the "
              "axes", shared=True),
)  # fmt: skip
COVARIANCE_TYPES = tuple(s.name for s in STRUCTURES)
_BY_NAME = {name: s for s in STRUCTURES for name in (s.name, s.mclust)}


def get_structure(covariance_type: str | Structure) -> Structure:
    """The structure of that name, scikit-learn's or mclust's; an `InputError` lists the known ones.

    >>> get_structure("VVI").name
    'diag'
    """
    if isinstance(covariance_type, Structure):
        return covariance_type
    try:
        return _BY_NAME[covariance_type]
    except (KeyError, TypeError):
        known = ", ".join(repr(name) for name in COVARIANCE_TYPES)
        others = ", ".join(s.mclust for s in STRUCTURES if s.mclust != s.name)
        raise InputError(
            f"covariance_type={shown(covariance_type)} is unknown; use one of {known}, or mclust's {others}."
        ) from None
