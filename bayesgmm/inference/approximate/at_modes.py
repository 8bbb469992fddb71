"""Laplace's approximation at each posterior mode: a t density with the Hessian there, in decoupled coordinates.

The Hessian of n parameters takes 2 n gradients and its factor n^3 / 3 multiply-adds, so it is taken as seldom as may
be: where n is large a quasi-Newton search goes to the mode first. What would take minutes all the same is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from bayesgmm.errors import InputError
from bayesgmm.inference.modes import Mode, score_of
from bayesgmm.model.density.decoupled import value_and_gradient
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.hessian import hessian
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import LocalProposal, Part
from bayesgmm.model.structure import get_structure

__all__ = ["check_affordable", "laplace_part", "laplace_proposal"]

Array = NDArray[np.float64]

# Tails: t adds about 0.55 (n / df)^2 to the variance of the log weights of n parameters, here 0.03.
_DF_PER_DIMENSION = 4.0
_MAX_NEWTON = 6
_NEWTON_TOLERANCE = 0.1  # posterior sds, about
_LEAST_CURVATURE = 0.05  # a flatter direction is taken for one of sd 4.5
_LEAST_MODE_WEIGHT = 0.01
_FEW = 500  # parameters from which on Hessians are spared
_MOST = 5000  # parameters: matrices of 200 MB
_MOST_WORK = 1e12  # multiply-adds of one Hessian: two minutes on two cores


def check_affordable(problem: Problem, n_components: int, inference: str = "laplace") -> None:
    """Refuse what has too many parameters for a dense matrix of them, before any of it is made.

    Raises
    ------
    InputError
        Names a structure that can be afforded, or what else to use.
    """
    table, structure, _ = problem
    n = structure.n_parameters(n_components, table.n_features)
    work = _work(problem, n_components, n)
    if n <= _MOST and work <= _MOST_WORK:
        return
    fewer = []
    for name in ("tied", "diag"):
        other = get_structure(name)
        m = other.n_parameters(n_components, table.n_features)
        if m < min(n, _MOST) and _work(Problem(table, other, problem.prior), n_components, m) <= _MOST_WORK:
            fewer.append(f"covariance_type={name!r} ({m} parameters)")
    others = " or ".join(fewer)
    raise InputError(
        f"inference={inference!r} takes the covariance of all {n} parameters of K = {n_components} components in "
        f"{table.n_features} columns, which for {table.n_rows} rows would take very long or more memory than there is: "
        f"take {others + ', ' if others else ''}fewer columns, or inference='nuts'."
    )


def _work(problem: Problem, n_components: int, n: int) -> float:
    """Multiply-adds of a Hessian of n parameters, roughly."""
    table, structure, _ = problem
    d = table.n_features
    pass_over_rows = table.n_rows * structure.row_work(d)
    return 2.0 * n * n_components * (pass_over_rows + 4.0 * d * structure.row_work(d)) + n**3 / 3.0


def laplace_proposal(
    modes: Sequence[Mode], window: float, rng: np.random.Generator, cores: int | None
) -> LocalProposal:
    """t densities at the modes within `window` nats of the best, weighted by Laplace evidence.

    Raises
    ------
    InputError
        Where the posterior is not finite at any mode, or has no maximum.
    """
    score = score_of(modes)
    if not np.isfinite(score.max()):
        raise InputError("the posterior is not finite at any mode; check mean_loc, mean_scale and sd of the prior.")
    near = [mode for mode, value in zip(modes, score, strict=True) if value > score.max() - window]
    fitted = [laplace_part(mode.density, cores, at_maximum=mode.converged) for mode in near]
    log_evidence = np.array([evidence for _, evidence in fitted])
    weights = np.maximum(np.exp(log_evidence - log_evidence.max()), _LEAST_MODE_WEIGHT)
    return LocalProposal.build([part for part, _ in fitted], weights, rng)


type Target = Callable[[Array], tuple[float, Array]]  # of a decoupled vector: log posterior and gradient


def laplace_part(
    density: Density, cores: int | None = None, *, at_maximum: bool = True, target: Target | None = None
) -> tuple[Part, float]:
    """The Laplace approximation in decoupled coordinates near the origin, and its log evidence (of one copy).

    Of `target`, or of the posterior of the density's own rows.

    Raises
    ------
    InputError
        If the origin is no maximum, as far as the search for it went (`at_maximum` False), and none is near.
    """
    at: Target = (lambda u: value_and_gradient(density, u)) if target is None else target
    u = np.zeros(density.n_dim) if density.n_dim <= _FEW else _climbed(at, density.n_dim)
    value, gradient = at(u)
    for _ in range(_MAX_NEWTON):
        negative = -hessian(lambda v: at(v)[1], u, cores=cores)
        factor, log_det, curved = _inverse_factor(negative, at_maximum, density)
        step = factor @ (factor.T @ gradient)
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        while np.abs(step).max() > 1e-6:
            new_value, new_gradient = at(u + step)
            if new_value >= value:
                u, value, gradient = u + step, new_value, new_gradient
                break
            step *= 0.5
        if np.abs(step).max() < _NEWTON_TOLERANCE or (density.n_dim > _FEW and not curved):
            break
    evidence = value + 0.5 * density.n_dim * math.log(2.0 * math.pi) - 0.5 * log_det
    return Part(density, u, factor, _DF_PER_DIMENSION * density.n_dim), evidence


def _climbed(at: Target, n_dim: int) -> Array:
    """The maximum in decoupled coordinates, by a search that takes gradients alone."""

    def negative(u: Array) -> tuple[float, Array]:
        value, gradient = at(u)
        return (-value, -gradient) if np.isfinite(value) else (1e300, np.zeros_like(u))

    options = {"maxiter": 300, "maxcor": 20, "gtol": 1e-4, "ftol": 1e-13}
    found = minimize(negative, np.zeros(n_dim), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x)


def _inverse_factor(negative: Array, at_maximum: bool, density: Density) -> tuple[Array, float, bool]:
    """Lower Cholesky factor of the inverse of a negative Hessian (n, n) with flat directions lifted; its log det; and
    whether none had to be."""
    n = len(negative)
    try:
        np.linalg.cholesky(negative - _LEAST_CURVATURE * np.eye(n))
    except np.linalg.LinAlgError:
        curvature, axes = np.linalg.eigh(negative)
        if not at_maximum and curvature[0] < -_LEAST_CURVATURE:
            raise _no_maximum(density) from None
        curvature = np.maximum(curvature, _LEAST_CURVATURE)
        return np.linalg.cholesky((axes / curvature) @ axes.T), float(np.log(curvature).sum()), False
    # Of the matrix backwards: its inverse's factor comes out lower.
    backwards = np.linalg.cholesky(negative[::-1, ::-1])[::-1, ::-1]
    factor = solve_triangular(backwards, np.eye(n), lower=False).T
    return np.ascontiguousarray(factor), 2.0 * float(np.log(np.diag(backwards)).sum()), True


def _no_maximum(density: Density) -> InputError:
    (d, n_rows), k = density.packed.rows.features.shape, density.reference.n_components
    return InputError(
        f"no maximum of the posterior was reached from any start, so there is none to approximate (inference="
        f"'laplace'): with {n_rows} rows for K = {k} components in {d} columns a covariance can close in on a plane "
        "through its rows. Take covariance_type='diag', fewer components or fewer columns."
    )
