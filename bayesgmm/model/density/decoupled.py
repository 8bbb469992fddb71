"""Decoupled coordinates: EM-affine ones (`model.density.density`) in which means and covariances hardly correlate.

Given the allocations, the precision of a component is close to Wishart and its mean to normal around the data's with
covariance Sigma / n. With mu_k = mu0_k + L0_k m_k and M_k = M0_k T_k take, instead of m and T,

    B = T^-1    and    z = T^-1 m = B m.

By Bartlett's decomposition the cells of B are then independent (normal off the diagonal, log-chi on it, whose
logarithm is what the vector holds), and z is standard normal whatever B. Sticks stay as they are. A Gaussian at the
mode is so a good deal closer to the posterior than in the EM-affine coordinates: on iris, K = 2, the variance of its
log importance weights falls from 2.2 to 0.08.

Bartlett, M. S. (1933). On the theory of statistical regression. Proc. R. Soc. Edinburgh 53, 260-283.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.compiled import compiled, plain
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.triangular import invert_lower
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.layout import split, with_rows
from bayesgmm.model.density.log_posterior import log_posterior_given

__all__ = [
    "from_affine", "log_posterior_decoupled", "log_posterior_decoupled_given", "log_prior_of_decoupled", "to_affine",
    "value_and_gradient",
]  # fmt: skip

Array = NDArray[np.float64]


def value_and_gradient(density: Density, u: Array) -> tuple[float, Array]:
    """Log posterior density of the decoupled vector u (n_dim,), Jacobian included, and its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesgmm as bg
    >>> from bayesgmm.model.density.decoupled import value_and_gradient
    >>> from bayesgmm.model.density.density import Density
    >>> from bayesgmm.model.problem import Problem
    >>> from bayesgmm.model.structure import get_structure
    >>> table = bg.prepare_table([[0.0], [1.0], [2.0], [4.0]])
    >>> reference = bg.MixtureParams(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    >>> problem = Problem(table, get_structure("full"), bg.MixturePrior().resolve(table))
    >>> density = Density.build(problem, reference)
    >>> value, gradient = value_and_gradient(density, np.zeros(2))
    >>> value == density.value_and_gradient(np.zeros(2))[0]  # the reference is the origin of both
    True
    """
    gradient = np.empty(density.n_dim)
    value = log_posterior_decoupled(*plain(u), gradient, density.ints, density.floats)
    return float(value), gradient


def to_affine(density: Density, u: Array) -> Array:
    """Decoupled vectors (S, n_dim) to EM-affine ones (S, n_dim)."""
    u = np.ascontiguousarray(u, dtype=float)
    out = np.empty_like(u)
    _to_affine_draws(u, out, density.ints, density.floats)
    return out


def from_affine(density: Density, x: Array) -> Array:
    """EM-affine vectors (S, n_dim) to decoupled ones (S, n_dim); inverse of `to_affine`."""
    x = np.ascontiguousarray(x, dtype=float)
    out = np.empty_like(x)
    _from_affine_draws(x, out, density.ints, density.floats)
    return out


def log_prior_of_decoupled(density: Density, u: Array) -> Array:
    """(S,) log prior density of decoupled vectors (S, n_dim): the posterior of the same problem without its rows."""
    ints = with_rows(density.ints, rows_of(np.empty((density.reference.n_features, 0))))
    out = np.empty(len(u))
    begin = density.packed.rows.features.size + density.packed.row_weights.size
    _values(*plain(u), ints, density.floats[begin:], out)
    return out


@compiled
def _cells_to_matrices(vector, cells, cell_step, out):
    """Free cells from the end of a vector -> lower factors (G, D, D), the diagonal exponentiated."""
    n_matrices, n_cells = cell_step.shape
    d = cells.shape[0]
    o = vector.shape[0] - n_matrices * n_cells
    for g in range(n_matrices):
        for i in range(d):
            for j in range(d):
                c = cells[i, j]
                if j > i or c < 0:
                    out[g, i, j] = 0.0
                    continue
                value = cell_step[g, c] * vector[o + c]
                out[g, i, j] = math.exp(value) if i == j else value
        o += n_cells


@compiled
def _exchange(source, target, cells, mean_step, cell_step, matrix, inverse):
    """One way or back: factor F -> F^-1 and vectors v -> F^-1 v; returns log |F^-1| summed over what it multiplies."""
    n_components, d = mean_step.shape
    n_matrices, n_cells = cell_step.shape
    _cells_to_matrices(source, cells, cell_step, matrix)
    invert_lower(matrix, inverse)
    o = len(source) - mean_step.size - cell_step.size  # the head stays as it is
    for i in range(o):
        target[i] = source[i]
    for k in range(n_components):
        g = k if n_matrices > 1 else 0
        for i in range(d):
            total = 0.0
            for j in range(i + 1):
                total += inverse[g, i, j] * (mean_step[k, j] * source[o + j])
            target[o + i] = total / mean_step[k, i]
        o += d
    log_det = 0.0
    shared_by = n_components if n_matrices == 1 else 1
    for g in range(n_matrices):
        for i in range(d):
            for j in range(i + 1):
                c = cells[i, j]
                if c >= 0:
                    target[o + c] = -source[o + c] if i == j else inverse[g, i, j] / cell_step[g, c]
            log_det += math.log(inverse[g, i, i])
        o += n_cells
    return shared_by * log_det, log_det


@compiled
def log_posterior_decoupled(u, grad, ints, floats):
    """`log_posterior_gradient` of decoupled vectors: value with the Jacobian of u -> x, and its gradient."""
    return log_posterior_decoupled_given(u, grad, ints, floats, 0.0, np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0)))


@compiled
def log_posterior_decoupled_given(u, grad, ints, floats, log_likelihood, counts, sums, outers):
    """`log_posterior_given` of decoupled vectors."""
    packed = split(ints, floats)
    cells, mean_step, cell_step = packed.cells, packed.mean_step, packed.cell_step
    n_components, d = mean_step.shape
    n_matrices, n_cells = cell_step.shape
    work = np.zeros((4, n_matrices, d, d))
    b, t, slopes, turned = work[0], work[1], work[2], work[3]
    x, slope_x = np.empty(u.shape[0]), np.empty(u.shape[0])
    of_means, of_cells = _exchange(u, x, cells, mean_step, cell_step, b, t)
    powers = d - 1.0 if packed.correlated else 0.0
    value = log_posterior_given(x, slope_x, ints, floats, log_likelihood, counts, sums, outers)
    value += of_means + powers * of_cells

    o = len(u) - mean_step.size - cell_step.size
    for i in range(o):
        grad[i] = slope_x[i]
    for k in range(n_components):
        g = k if n_matrices > 1 else 0
        for j in range(d):
            total = 0.0
            for i in range(j, d):
                slope = slope_x[o + i] / mean_step[k, i]
                total += t[g, i, j] * slope
                slopes[g, i, j] += slope * mean_step[k, j] * u[o + j]
            grad[o + j] = mean_step[k, j] * total
        o += d
    jacobian = powers + (n_components if n_matrices == 1 else 1)
    for g in range(n_matrices):
        for i in range(d):
            slopes[g, i, i] += jacobian / t[g, i, i]
            for j in range(i + 1):
                c = cells[i, j]
                if c < 0:
                    continue
                if i != j:
                    slopes[g, i, j] += slope_x[o + c] / cell_step[g, c]
                elif n_cells > 1 or i == 0:  # a shared diagonal is one coordinate
                    slopes[g, i, i] += slope_x[o + c] / (cell_step[g, c] * t[g, i, i])
        for c in range(n_cells):
            grad[o + c] = 0.0
        # dT = -T dB T, so the gradient by B is -T' G T'.
        for i in range(d):
            for j in range(d):
                total = 0.0
                for m in range(min(i, j) + 1):
                    total += slopes[g, i, m] * t[g, j, m]
                turned[g, i, j] = total
        for i in range(d):
            for j in range(i + 1):
                c = cells[i, j]
                if c < 0:
                    continue
                total = 0.0
                for m in range(i, d):
                    total -= t[g, m, i] * turned[g, m, j]
                grad[o + c] += cell_step[g, c] * total * (b[g, i, i] if i == j else 1.0)
        o += n_cells
    return value


@compiled
def _values(draws, ints, floats, out):
    gradient = np.empty(draws.shape[1])
    for s in range(draws.shape[0]):
        out[s] = log_posterior_decoupled(draws[s], gradient, ints, floats)


@compiled
def _to_affine_draws(draws, out, ints, floats):
    packed = split(ints, floats)
    cells, mean_step, cell_step = packed.cells, packed.mean_step, packed.cell_step
    work = np.zeros((2, cell_step.shape[0], cells.shape[0], cells.shape[0]))
    for s in range(draws.shape[0]):
        _exchange(draws[s], out[s], cells, mean_step, cell_step, work[0], work[1])


# The map is its own inverse: B = T^-1 and z = B m, T = B^-1 and m = T z.
_from_affine_draws = _to_affine_draws
