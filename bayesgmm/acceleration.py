"""Anderson acceleration of EM in coordinates where EM is nearly a Newton step.

Relative to an anchor (the parameters where acceleration began) the coordinates are

    sqrt(n_k) L_k^-1 (mean - mean_k),   sqrt(n_k) L_k^-1 L (log on the diagonal),   sqrt(n_k) log weight,

in which the information of the complete data is close to the identity. One EM step f then equals the
gradient of the log-likelihood, and a quasi-Newton step d promises the gain f.d / 2: the generalisation of
Aitken's rule that the loop stops on.

Walker and Ni (2011), Anderson acceleration for fixed-point iterations; Henderson and Varadhan (2019) for EM.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bayesgmm.structure import Structure
from bayesgmm.triangular import invert_lower

if TYPE_CHECKING:
    from bayesgmm.em_steps import State, Statistics

__all__ = ["Accelerator"]

Array = NDArray[np.float64]

_MEMORY = 8
_LONGEST_STEP = 1.0
_NOTHING_TO_GAIN = 1e-14


@njit(cache=True, error_model="numpy")
def _pack(weights, means, cholesky, anchor_means, anchor_scaling, roots, cells, multiplicity, shared, out):
    """Coordinates of a mixture relative to the anchor, into out."""
    n_components, n_features = means.shape
    n_matrices = 1 if shared else n_components
    position = 0
    for k in range(n_components):
        out[position] = roots[k] * math.log(weights[k])
        position += 1
        for i in range(n_features):
            total = 0.0
            for j in range(i + 1):
                total += anchor_scaling[k, i, j] * (means[k, j] - anchor_means[k, j])
            out[position] = roots[k] * total
            position += 1
    for k in range(n_matrices):
        root = math.sqrt((roots * roots).sum()) if shared else roots[k]
        for i in range(n_features):
            for j in range(i + 1):
                if cells[i, j] < 0:
                    continue
                total = 0.0
                for m in range(j, i + 1):
                    total += anchor_scaling[k, i, m] * cholesky[k, m, j]
                if i == j:
                    total = math.sqrt(2.0 * multiplicity[cells[i, i]]) * math.log(total)
                out[position + cells[i, j]] = root * total
        position += multiplicity.shape[0]


@njit(cache=True, error_model="numpy")
def _unpack(
    vector, anchor_means, anchor_cholesky, roots, cells, multiplicity, shared, weights, means, cholesky
):  # fmt: skip
    """The mixture at these coordinates; the inverse of `_pack`."""
    n_components, n_features = means.shape
    position = 0
    total = 0.0
    for k in range(n_components):
        weights[k] = math.exp(vector[position] / roots[k])
        total += weights[k]
        position += 1
        for i in range(n_features):
            shift = 0.0
            for j in range(i + 1):
                shift += anchor_cholesky[k, i, j] * vector[position + j]
            means[k, i] = anchor_means[k, i] + shift / roots[k]
        position += n_features
    weights /= total
    relative = np.zeros((n_features, n_features))
    for k in range(n_components):
        if shared and k > 0:
            cholesky[k] = cholesky[0]
            continue
        root = math.sqrt((roots * roots).sum()) if shared else roots[k]
        for i in range(n_features):
            for j in range(i + 1):
                if cells[i, j] < 0:
                    continue
                value = vector[position + cells[i, j]] / root
                if i == j:
                    value = math.exp(value / math.sqrt(2.0 * multiplicity[cells[i, i]]))
                relative[i, j] = value
        position += multiplicity.shape[0]
        for i in range(n_features):
            for j in range(n_features):
                value = 0.0
                for m in range(j, i + 1):
                    value += anchor_cholesky[k, i, m] * relative[m, j]
                cholesky[k, i, j] = value


class Accelerator:
    """Proposes the next parameters from the last few EM steps; the caller keeps or rejects them."""

    def __init__(self, structure: Structure) -> None:
        self._structure = structure
        self.restart()

    def restart(self) -> None:
        """Forget the past, after a rejected proposal."""
        self.extrapolated = False
        self._anchor: State | None = None
        self._steps: list[Array] = []
        self._here: list[Array] = []

    def propose(self, statistics: Statistics, image: State) -> tuple[State, float]:
        """Next parameters, and the gain still to come, given the EM image of the current ones."""
        current = statistics.at
        if self._anchor is None:
            self._set_anchor(current, statistics.counts)
        here = self._coordinates(current)
        there = self._coordinates(image)
        step = there - here
        if float(step @ step) < _NOTHING_TO_GAIN:
            self.restart()
            return image, 0.5 * float(step @ step)
        self._steps.append(step)
        self._here.append(here)
        if len(self._steps) > _MEMORY + 1:
            del self._steps[0], self._here[0]
        if len(self._steps) < 2:
            self.extrapolated = False
            return image, math.inf
        direction, gain = self._newton_step(step)
        length = float(np.max(np.abs(direction) / self._lengths))
        if not math.isfinite(length):
            self.restart()
            return image, math.inf
        if length > _LONGEST_STEP:
            direction *= _LONGEST_STEP / length
            gain = math.inf
        self.extrapolated = True
        return self._state(here + direction), gain

    def _newton_step(self, step: Array) -> tuple[Array, float]:
        """Quasi-Newton step from the EM step, and the gain it promises."""
        changes = np.diff(np.array(self._steps), axis=0)  # (m, P), of the EM step
        moves = np.diff(np.array(self._here), axis=0)  # (m, P), of the coordinates
        size = np.sqrt(np.einsum("ij,ij->i", moves, moves))
        moves /= size[:, None]
        changes /= size[:, None]
        values, vectors = np.linalg.eigh(moves @ moves.T)
        keep = values > 1e-10 * values[-1]
        mix = vectors[:, keep] / np.sqrt(values[keep])
        basis = mix.T @ moves  # (r, P), orthonormal
        curvature = -basis @ (mix.T @ changes).T
        rates, axes = np.linalg.eigh(0.5 * (curvature + curvature.T))
        along = axes.T @ (basis @ step)
        scaled = along / np.maximum(np.abs(rates), 1e-6)
        direction = step + (axes @ (scaled - along)) @ basis
        gain = 0.5 * float(step @ direction) if rates[0] > 0.0 else math.inf
        return direction, gain

    def _set_anchor(self, state: State, counts: Array) -> None:
        n_components, n_features = state.means.shape
        self._anchor = state
        self._roots = np.sqrt(np.maximum(counts, 1e-10))
        self._cells = self._structure.cells(n_features)
        self._multiplicity = np.bincount(self._cells[self._cells >= 0]).astype(np.float64)
        n_cells = self._structure.n_matrices(n_components) * len(self._multiplicity)
        self._size = n_components * (1 + n_features) + n_cells
        per_mean = np.repeat(self._roots, 1 + n_features)
        per_cell = np.sqrt(counts.sum()) if self._structure.shared else np.repeat(self._roots, len(self._multiplicity))
        self._lengths = np.concatenate([per_mean, np.broadcast_to(per_cell, n_cells)])

    def _coordinates(self, state: State) -> Array:
        out = np.empty(self._size)
        _pack(state.weights, state.means, state.cholesky, self._anchor.means, self._anchor.scaling,
              self._roots, self._cells, self._multiplicity, self._structure.shared, out)
        return out

    def _state(self, vector: Array) -> State:
        weights, means = np.empty_like(self._anchor.weights), np.empty_like(self._anchor.means)
        cholesky, scaling = np.empty_like(self._anchor.cholesky), np.empty_like(self._anchor.cholesky)
        _unpack(vector, self._anchor.means, self._anchor.cholesky, self._roots, self._cells,
                self._multiplicity, self._structure.shared, weights, means, cholesky)
        invert_lower(cholesky, scaling)
        from bayesgmm.em_steps import State
        return State(weights, means, cholesky, scaling)
