"""Acceleration of EM, in coordinates in which EM is nearly a Newton step.

Relative to an anchor (the parameters where acceleration began) a mixture has the coordinates

    sqrt(n_k) log weight,   sqrt(n_k) L_k^-1 (mean - mean_k),   sqrt(n_k) L_k^-1 L  (log on the diagonal),

and logarithms of what else its head has (`kernels.row_model`), in which the information of the complete data is close
to the identity. There one EM step f nearly equals the gradient of the log-likelihood, and its Jacobian is -A with A
the negative Hessian. From the last few steps A is known on the plane they span; the quasi-Newton step goes to the x on
that plane where A x = f, takes an EM step from there, and promises a gain of f' x / 2: Aitken's rule in several
dimensions. Where A is not positive definite EM is leaving a saddle, slowly; the absolute values of its eigenvalues
then turn the step away from the saddle (Dauphin et al. 2014).

Related: Anderson acceleration (Walker and Ni 2011), and quasi-Newton EM (Jamshidian and Jennrich 1997).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.state import State
from bayesgmm.em.tails import LARGEST_DF, SMALLEST_DF
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.triangular import invert_lower
from bayesgmm.model.structure import Structure

__all__ = ["Accelerator"]

Array = NDArray[np.float64]

_MEMORY = 5
# No log weight, log sd or whitened mean may move further in one step.
_LONGEST_STEP = 1.0
_NOTHING_TO_GAIN = 1e-14


@compiled
def _pack(weights, means, cholesky, centre, scaling, roots, head_roots, cells, factors, out):
    """Coordinates of a mixture relative to the anchor, into out."""
    n_components, n_features = means.shape
    position = 0
    for k in range(n_components):
        out[position] = roots[k] * math.log(weights[k])
        position += 1
        for i in range(n_features):
            total = 0.0
            for j in range(i + 1):
                total += scaling[k, i, j] * (means[k, j] - centre[k, j])
            out[position] = roots[k] * total
            position += 1
    for k in range(len(factors)):
        for i in range(n_features):
            for j in range(i + 1):
                if cells[i, j] < 0:
                    continue
                total = 0.0
                for m in range(j, i + 1):
                    total += scaling[k, i, m] * cholesky[k, m, j]
                if i == j:
                    total = math.log(total)
                out[position + cells[i, j]] = factors[k, i, j] * total
        position += cells.max() + 1
    for i in range(len(head_roots)):
        out[position + i] = head_roots[i] * math.log(weights[n_components + i])


@compiled
def _unpack(vector, centre, anchor, roots, head_roots, classes, cells, factors, weights, means, cholesky):
    """The mixture at these coordinates; the inverse of `_pack`."""
    n_components, n_features = means.shape
    position = 0
    for k in range(n_components):
        weights[k] = math.exp(vector[position] / roots[k])
        position += 1
        for i in range(n_features):
            shift = 0.0
            for j in range(i + 1):
                shift += anchor[k, i, j] * vector[position + j]
            means[k, i] = centre[k, i] + shift / roots[k]
        position += n_features
    for i in range(len(head_roots)):
        weights[n_components + i] = math.exp(vector[len(vector) - len(head_roots) + i] / head_roots[i])
    weights[:classes] /= weights[:classes].sum()
    for i in range(classes, len(weights)):
        weights[i] = min(max(weights[i], SMALLEST_DF), LARGEST_DF)
    relative = np.zeros((n_features, n_features))
    for k in range(n_components):
        if k >= len(factors):
            put(cholesky[k], cholesky[0])
            continue
        for i in range(n_features):
            for j in range(i + 1):
                if cells[i, j] >= 0:
                    value = vector[position + cells[i, j]] / factors[k, i, j]
                    relative[i, j] = math.exp(value) if i == j else value
        position += cells.max() + 1
        for i in range(n_features):
            for j in range(n_features):
                value = 0.0
                for m in range(j, i + 1):
                    value += anchor[k, i, m] * relative[m, j]
                cholesky[k, i, j] = value


@compiled
def _newton_step(here, steps, moves, changes, direction):
    """Quasi-Newton step from past points and EM steps (m + 1, P), oldest first, into direction (P,).

    Leaves their normalised differences in moves and changes (m, P). Returns the gain that the step promises, or NaN
    (and no direction) where the negative Hessian is not positive definite on the plane of the moves.
    """
    n_moves, size = moves.shape
    step = steps[n_moves]
    hessian = np.empty((n_moves, n_moves))  # negative, in the oblique basis of the moves
    factor = np.empty((n_moves, n_moves))
    solution = np.empty(n_moves)
    for i in range(n_moves):
        norm = 0.0
        for p in range(size):
            moves[i, p] = here[i + 1, p] - here[i, p]
            changes[i, p] = steps[i + 1, p] - steps[i, p]
            norm += moves[i, p] * moves[i, p]
        norm = 1.0 / math.sqrt(norm)
        solution[i] = 0.0
        for p in range(size):
            moves[i, p] *= norm
            changes[i, p] *= norm
            solution[i] += moves[i, p] * step[p]
    for i in range(n_moves):
        for j in range(n_moves):
            hessian[i, j] = 0.0
            for p in range(size):
                hessian[i, j] -= moves[i, p] * changes[j, p]
    for j in range(n_moves):
        for i in range(j, n_moves):
            total = hessian[i, j] + hessian[j, i]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            if i == j and not total > 0.0:
                return np.nan
            factor[i, j] = math.sqrt(total) if i == j else total / factor[j, j]
    # A matrix with positive definite symmetric part needs no pivoting.
    for j in range(n_moves):
        for i in range(j + 1, n_moves):
            ratio = hessian[i, j] / hessian[j, j]
            for m in range(j, n_moves):
                hessian[i, m] -= ratio * hessian[j, m]
            solution[i] -= ratio * solution[j]
    for j in range(n_moves - 1, -1, -1):
        for m in range(j + 1, n_moves):
            solution[j] -= hessian[j, m] * solution[m]
        solution[j] /= hessian[j, j]
    gain = 0.0
    for p in range(size):
        direction[p] = step[p]
        for i in range(n_moves):
            direction[p] += solution[i] * (moves[i, p] + changes[i, p])
        gain += 0.5 * step[p] * direction[p]
    return gain


def _away_from_saddle(step: Array, moves: Array, changes: Array) -> Array:
    """The quasi-Newton step with the absolute values of the eigenvalues of the negative Hessian."""
    values, vectors = np.linalg.eigh(moves @ moves.T)
    keep = values > 1e-10 * values[-1]
    mix = (vectors[:, keep] / np.sqrt(values[keep])).T
    plane = mix @ moves  # (r, P), orthonormal rows
    negative_hessian = -plane @ (mix @ changes).T
    rates, axes = np.linalg.eigh(0.5 * (negative_hessian + negative_hessian.T))
    along = plane @ step
    return step + (axes @ ((along @ axes) / np.maximum(np.abs(rates), 1e-6)) - along) @ plane


class Accelerator:
    """Proposes the next parameters from the last few EM steps; the caller keeps or rejects them."""

    def __init__(self, structure: Structure) -> None:
        self._structure = structure
        self.restart()

    def restart(self) -> None:
        """Forget the past, after a rejected proposal."""
        self._anchored = False
        self._here: list[Array] = []
        self._steps: list[Array] = []

    def propose(self, current: State, image: State, counts: Array) -> tuple[State, bool, float]:
        """Where to go next, given the EM image of the current parameters.

        Returns the next parameters, whether they differ from `image` (and may be worse than `current`), and the
        gain still to come.
        """
        if not self._anchored:
            self._set_anchor(current, counts)
        here = self._coordinates(current)
        step = self._coordinates(image) - here
        least = 0.5 * float(step @ step)
        if least < _NOTHING_TO_GAIN:
            self.restart()
            return image, False, least
        self._here = [*self._here[-_MEMORY:], here]
        self._steps = [*self._steps[-_MEMORY:], step]
        if len(self._steps) == 1:
            return image, False, math.inf
        moves, changes = np.empty((2, len(self._steps) - 1, len(step)))
        direction = np.empty_like(step)
        gain = float(_newton_step(np.array(self._here), np.array(self._steps), moves, changes, direction))
        if not np.isfinite(moves).all():
            self.restart()
            return image, False, math.inf
        if not gain >= 0.0:
            direction, gain = _away_from_saddle(step, moves, changes), math.inf
        longest = float(np.max(np.abs(direction) / self._units))
        if not math.isfinite(longest):
            self.restart()
            return image, False, math.inf
        if longest > _LONGEST_STEP:
            direction *= _LONGEST_STEP / longest
            gain = math.inf
        return self._state(here + direction), True, gain

    def _set_anchor(self, anchor: State, counts: Array) -> None:
        self._anchored, self._anchor = True, anchor
        n_features = anchor.means.shape[1]
        self._cells = self._structure.cells(n_features)
        free = self._cells >= 0
        self._roots = np.sqrt(np.maximum(counts, 1e-10))
        rows = self._structure.matrix_rows(self._roots**2)
        # A log sd that stands in m places of the diagonal has information 2 m n, any other cell n.
        places = np.where(np.eye(n_features) > 0, 2.0, 1.0)
        by_cell = np.sqrt(rows[:, None] * np.bincount(self._cells[free], weights=places[free]))  # (matrices, cells)
        self._factors = np.ascontiguousarray(by_cell[:, np.maximum(self._cells, 0)])  # (matrices, D, D)
        k, classes = len(anchor.means), self._structure.n_classes(len(anchor.means))
        total = float(counts.sum())
        noise = np.sqrt(np.maximum(total * anchor.weights[k:classes], 1e-10))
        df = np.full(len(anchor.weights) - classes, np.sqrt(0.1 * total))  # the information is at most about that
        self._head_roots, self._classes = np.concatenate([noise, df]), classes
        self._units = np.concatenate([np.repeat(self._roots, 1 + n_features), by_cell.ravel(), self._head_roots])

    def _coordinates(self, state: State) -> Array:
        out = np.empty_like(self._units)
        _pack(
            state.weights, state.means, state.cholesky, self._anchor.means, self._anchor.scaling,
            self._roots, self._head_roots, self._cells, self._factors, out,
        )  # fmt: skip
        return out

    def _state(self, vector: Array) -> State:
        anchor = self._anchor
        state = State(*(np.empty_like(part) for part in anchor))
        _unpack(
            vector, anchor.means, anchor.cholesky, self._roots, self._head_roots, self._classes, self._cells,
            self._factors,
            state.weights, state.means, state.cholesky,
        )  # fmt: skip
        invert_lower(state.cholesky, state.scaling)
        return state
