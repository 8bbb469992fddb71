"""A table in the coordinates in which EM works, and the runs and questions a search puts to it.

In those coordinates the covariance of all rows is the identity (full, tied), or every column has standard
deviation one (diag, or cells are missing), or one scale is common to all columns (spherical). Maximum likelihood does
not depend on that choice, and what is small, or a spike, is so whatever the units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayesgmm.data.checks import mean_and_sd, row_blocks
from bayesgmm.em.far_rows import far_rows, neighbour_distance
from bayesgmm.em.spikes import WIDE_ENOUGH, SpikeRule, smallest_sd
from bayesgmm.em.state import State
from bayesgmm.em.steps import Run, em
from bayesgmm.kernels.rows import Rows, take_rows
from bayesgmm.model.params import MixtureParams, head_in_order
from bayesgmm.model.structure import Structure

__all__ = ["Coordinates", "EMProblem"]

Array = NDArray[np.float64]

# A sample leaves the log-likelihood uncertain by more than this: half a nat for each parameter.
_ROUGH_TOL, _ROUGH_ITERATIONS, _ROUGH_PATIENCE = 0.5, 100, 5
# Below this eigenvalue of their correlations the columns count as linearly dependent.
_DEPENDENT = 1e-10


@dataclass(frozen=True, eq=False)
class Coordinates:
    """x = center + matrix z, between the units of the table and the features z.

    Parameters
    ----------
    features : array (D, N)
        NaN where a cell is missing.
    cell_weight : array (D,)
        Sum of the weights of the rows in which a column is observed.
    center : array (D,)
    matrix : array (D, D)
        Lower triangular.
    to_columns : array (D, D)
        From the features to columns of standard deviation one.
    column_sd : array (D,)
        With divisor sum of weights.
    dependent : bool
        The columns are linearly dependent, and their covariance was raised to be invertible.
    ordered : bool
        Components have numbers that mean something, and keep them.
    """

    features: Array
    cell_weight: Array
    center: Array
    matrix: Array
    to_columns: Array
    column_sd: Array  # (D,)
    dependent: bool
    ordered: bool

    @classmethod
    def of(
        cls, values: Array, weights: Array, structure: Structure, scale: Array, *, ordered: bool = False
    ) -> Coordinates:
        center, sd = mean_and_sd(values, weights)
        features = np.empty(values.shape[::-1])  # columns of sd one; each branch turns them into the features in place
        for j, column in enumerate(features):
            np.subtract(values[:, j], center[j], out=column)
            column /= sd[j]
        dependent, complete, cell_weight = False, True, np.full(len(sd), weights.sum())
        for j, column in enumerate(features):
            missing = np.isnan(column)
            if missing.any():
                complete, cell_weight[j] = False, weights[~missing].sum()
        if structure.correlated and not complete:  # columns cannot be turned into others
            to_columns = np.eye(len(sd))
        elif structure.correlated:
            correlation = np.zeros((len(sd), len(sd)))
            for rows in row_blocks(len(values)):
                correlation += (features[:, rows] * weights[rows]) @ features[:, rows].T
            correlation /= weights.sum()
            shares, axes = np.linalg.eigh(correlation)
            dependent = bool(shares[0] < _DEPENDENT)
            if dependent:
                correlation = (axes * np.maximum(shares, _DEPENDENT)) @ axes.T
            to_columns = np.linalg.cholesky(correlation)
            for rows in row_blocks(len(values)):
                features[:, rows] = solve_triangular(to_columns, features[:, rows], lower=True)
        elif structure.n_standard_deviations(len(sd)) > 1 or len(sd) == 1:
            to_columns = np.eye(len(sd))
        else:
            # One standard deviation for all columns, in the units given by `scale`.
            common = scale * np.sqrt(np.mean((sd / scale) ** 2))
            to_columns = np.diag(common / sd)
            features *= (sd / common)[:, None]
        matrix = sd[:, None] * to_columns
        return cls(features, cell_weight, center, matrix, to_columns, sd, dependent, ordered)

    def log_likelihood(self, value: float | Array) -> float | Array:
        """Log-likelihood of the table, from that of the features."""
        return value - self.cell_weight @ np.log(np.diag(self.matrix))

    def min_sd_relative(self, run: Run, total_weight: float) -> float:
        """Smallest standard deviation in any direction, columns in units of theirs with divisor N - 1."""
        sd = smallest_sd(self.to_columns @ run.state.covariances @ self.to_columns.T)
        return float(sd.min() * np.sqrt(max(total_weight - 1.0, 1.0) / max(total_weight, 2.0)))

    def params(self, run: Run, structure: Structure) -> MixtureParams:
        """In the units of the table, largest weight first, unless the components of some rows are known."""
        head, k = run.state.weights, len(run.state.means)
        order = np.arange(k) if self.ordered else np.argsort(-head[:k], kind="stable")
        cholesky = self.matrix @ run.state.cholesky[order]
        means = self.center + run.state.means[order] @ self.matrix.T
        covariances = cholesky @ np.swapaxes(cholesky, 1, 2)
        return MixtureParams.of_head(head_in_order(head, order, structure.row_model), means, covariances, structure)


@dataclass(frozen=True, eq=False)
class EMProblem:
    """A table to fit, in coordinates in which its covariance (or the diagonal of it) is the identity.

    Parameters
    ----------
    rows : Rows
    features : array (D, N)
        Without gaps: those of `rows`, missing cells filled in. Starts are cut from them.
    row_weights : array (N,)
        Positive.
    structure : Structure
    n_components : int
    is_spike : SpikeRule
    tol, max_iter, floor, patience
        As in `em`.
    """

    rows: Rows
    features: Array
    row_weights: Array
    structure: Structure
    n_components: int
    is_spike: SpikeRule
    tol: float
    max_iter: int
    floor: float
    patience: int = 10

    @cached_property
    def points(self) -> tuple[Array, Array]:
        """(N, D) twice: columns of standard deviation one, and the features themselves."""
        columns = np.ascontiguousarray((self.is_spike.to_columns @ self.features).T)
        return columns, np.ascontiguousarray(self.features.T)

    def far_rows(self, share: float) -> NDArray[np.bool_]:
        """(N,) rows that starts leave out."""
        if share == 0.0:
            return np.zeros(len(self.row_weights), dtype=bool)
        return far_rows(self._neighbour_distance, self.row_weights, share)

    @cached_property
    def _neighbour_distance(self) -> Array:
        return neighbour_distance(self.points[0])

    @property
    def is_rough(self) -> bool:
        """A short run that converged is as good as a long one."""
        return self.tol >= _ROUGH_TOL

    def sample(self, n_rows: int, rng: np.random.Generator) -> EMProblem:
        """The same problem on some of its rows, to a rough tolerance."""
        rows = np.sort(rng.choice(len(self.row_weights), n_rows, replace=False))
        weights = self.row_weights[rows]
        scale = self.is_spike.rows_per_weight * self.row_weights.sum() / weights.sum()
        return replace(
            self, rows=take_rows(self.rows, rows),
            features=np.ascontiguousarray(self.features[:, rows]), row_weights=weights,
            is_spike=replace(self.is_spike, rows_per_weight=scale), tol=_ROUGH_TOL,
            max_iter=min(self.max_iter, _ROUGH_ITERATIONS), patience=_ROUGH_PATIENCE,
        )  # fmt: skip

    def long_run(self, state: State, floor: float | None = None, target: float = -np.inf) -> Run:
        return em(
            self.rows, self.row_weights, state, self.structure,
            tol=self.tol, max_iter=self.max_iter, floor=self.floor if floor is None else floor, target=target,
            patience=self.patience,
        )  # fmt: skip

    def short_run(self, state: State, max_iter: int, target: float = -np.inf) -> Run:
        return em(
            self.rows, self.row_weights, state, self.structure,
            tol=_ROUGH_TOL, max_iter=max_iter, floor=self.floor, accelerate=False,
            target=target, patience=self.patience,
        )  # fmt: skip

    def spikes(self, run: Run) -> NDArray[np.int64]:
        """Components on which the likelihood runs away; all of them where a covariance was kept from doing so."""
        spiked = self.is_spike(run.counts, run.state.covariances)
        if run.floored and self.floor < WIDE_ENOUGH**2 and not spiked.any():
            spiked[:] = True
        return np.flatnonzero(spiked)
