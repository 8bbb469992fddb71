"""Posterior modes: from each EM optimum to the maximum of the posterior, duplicates dropped, ranked.

Every mode carries the density in its own EM-affine coordinates (`Density`), so that a sampler started there
meets a roughly standard normal. The Laplace evidence ranks modes found in different coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, minimize

from bayesgmm.data.table import Table
from bayesgmm.errors import InputError
from bayesgmm.inference.level_starts import level_starts
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.density.coordinates import LEAST_DF
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.hessian import hessian
from bayesgmm.model.params import MixtureParams, latent_cholesky
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure

__all__ = ["Mode", "admissible", "find_modes", "modes_per_original_unit", "modes_table", "score_of"]

Array = NDArray[np.float64]

# Flops up to which a dense Hessian by differences is taken; above it modes are ranked by log posterior.
_HESSIAN_BUDGET = 5e9
_LEAST_CANDIDATES, _CANDIDATE_NUMBERS = 6, 5000
_MOST_DF = 100.0  # with which a search begins: more are as good as normal, and the prior has its say
_SAME_HEAD = 0.1  # of logs of degrees of freedom and of the weight of a background
_SINGULAR = 1e-12  # smallest eigenvalue of a correlation matrix
# Nats, besides one a parameter, that a candidate may start below the best mode.
_FAR_BELOW = 60.0


@dataclass(frozen=True, eq=False)
class Mode:
    """One posterior mode on the model's scale, at the origin of its own coordinates."""

    params: MixtureParams
    density: Density
    log_posterior: float  # in the coordinates of the best mode, so that modes compare
    log_evidence: float  # Laplace, all K! relabellings counted; NaN when not computed
    n_starts: int
    converged: bool


def find_modes(problem: Problem, candidates: Sequence[MixtureParams], *, max_rounds: int = 8) -> list[Mode]:
    """Distinct posterior modes reached from the candidates (model's scale) and from `level_starts`, best first.

    Candidates that start too far below the best mode to end near it are left out. So are those from which the search
    runs into singular covariances: the density of a component has no upper bound where it closes in on a plane through
    about as many rows as there are columns, though hardly any probability is there. If no other is left, the start of
    the first is returned, as a mode that was not reached and has no evidence. The matrices are small: one thread beats
    the several that BLAS would start.
    """
    with one_blas_thread():
        return _find_modes(problem, candidates, max_rounds)


def _find_modes(problem: Problem, candidates: Sequence[MixtureParams], max_rounds: int) -> list[Mode]:
    # Candidates come the best first; in many dimensions each takes a second.
    table, structure, prior = problem
    numbered = table.known is not None  # the numbers of the components mean something
    n_numbers = candidates[0].n_components * candidates[0].n_features ** 2
    candidates = candidates[: max(_LEAST_CANDIDATES, int(_CANDIDATE_NUMBERS // n_numbers))]
    candidates = [*level_starts(problem, candidates[0].n_components), *candidates]
    found: list[tuple[MixtureParams, Density, bool, int]] = []
    singular = list[MixtureParams]()
    best = -math.inf
    for candidate in candidates:
        start = admissible(candidate, prior, structure)
        if found:
            common = found[0][1]
            if common.value_and_gradient(common.pack(start))[0] < best - _FAR_BELOW - common.n_dim:
                continue
        try:
            params, converged, last = _maximise(problem, start, max_rounds)
        except InputError:
            singular.append(start)
            continue
        if not converged and _nearly_singular(params):  # on the way there
            singular.append(start)
            continue
        params = params if numbered else params.permute(np.argsort(-params.weights, kind="stable"))
        for index, (other, density, was_converged, count) in enumerate(found):
            if _same(params, other, numbered):
                found[index] = (other, density, was_converged or converged, count + 1)
                break
        else:
            found.append((params, Density.build(problem, params, memory=last), converged, 1))
            common = found[0][1]
            best = max(best, common.value_and_gradient(common.pack(params))[0])
    if not found:
        start = singular[0] if numbered else singular[0].permute(np.argsort(-singular[0].weights, kind="stable"))
        density = Density.build(problem, start)
        value = density.value_and_gradient(np.zeros(density.n_dim))[0]
        return [Mode(start, density, value, math.nan, len(singular), False)]
    common = found[0][1]
    modes = [
        Mode(params, density, common.value_and_gradient(common.pack(params))[0], _laplace(density), count, ok)
        for params, density, ok, count in found
    ]
    return [modes[i] for i in np.argsort(-score_of(modes), kind="stable")]


def modes_table(modes: Sequence[Mode]) -> pd.DataFrame:
    """One row a mode: log posterior, Laplace evidence, distance to the best, how many starts led there."""
    rows = [
        {
            "mode": index,
            "log_posterior": mode.log_posterior,
            "laplace_log_evidence": mode.log_evidence,
            "n_starts": mode.n_starts,
            "converged": mode.converged,
            "smallest_weight": float(mode.params.weights.min()),
        }
        for index, mode in enumerate(modes)
    ]
    table = pd.DataFrame(rows)
    score = score_of(modes)
    table.insert(3, "below_best", score.max() - score)
    return table


def modes_per_original_unit(modes: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The table of modes with densities of the data in their original units, as evidence by bridge sampling has them.

    Parameters
    ----------
    modes : DataFrame
        Of `modes_table`, on the model's scale.
    table : Table
    """
    jacobian = float(table.log_jacobian @ table.weights)
    return modes.assign(
        log_posterior=modes["log_posterior"] - jacobian, laplace_log_evidence=modes["laplace_log_evidence"] - jacobian
    )


def score_of(modes: Sequence[Mode]) -> Array:
    """What ranks the modes: Laplace evidence; one that has none is placed by its log posterior beside the best."""
    evidence = np.array([m.log_evidence for m in modes])
    posterior = np.array([m.log_posterior for m in modes])
    if not np.isfinite(evidence).any():
        return posterior
    best = int(np.nanargmax(evidence))
    return np.where(np.isfinite(evidence), evidence, evidence[best] + posterior - posterior[best])


def admissible(params: MixtureParams, prior: ResolvedPrior, structure: Structure) -> MixtureParams:
    """Keep clear of the rounding floor and of empty components, so that the search starts inside."""
    floor = prior.rounding(structure)
    latent = latent_cholesky(params.covariances, floor, least=0.05)
    head, k = params.head.copy(), params.n_components
    classes = structure.n_classes(k)
    head[:classes] = np.maximum(head[:classes], 1e-6)
    head[classes:] = np.clip(head[classes:], LEAST_DF + 0.1, _MOST_DF)
    covariances = latent @ latent.mT + np.diag(floor)
    return MixtureParams.of_head(head, params.means, covariances, structure)


def _maximise(problem: Problem, start: MixtureParams, max_rounds: int) -> tuple[MixtureParams, bool, Density | None]:
    """Maximum of the posterior near `start`, and a density whose memory is free.

    Each round takes the coordinates of where the last one ended. `InputError` where a covariance becomes singular.
    """
    params, density = start, None
    for _ in range(max_rounds):
        density = Density.build(problem, params, memory=density)
        result = minimize(
            lambda x, density=density: tuple(-v for v in density.value_and_gradient(x)),
            np.zeros(density.n_dim), jac=True, method="L-BFGS-B",
            options={"maxiter": 60, "maxcor": 20, "gtol": 1e-5, "ftol": 1e-13},
        )  # fmt: skip
        params = density.params(result.x)
        if result.success and result.nit <= 25:  # few steps: the coordinates fit, so this is the mode
            fixed = Density.build(problem, start, rowless=True)
            return _settled(density, result.x, fixed), True, density
    return params, False, density


def _settled(density: Density, x: Array, fixed: Density) -> MixtureParams:
    """The mode near x to five digits in coordinates that do not depend on the search.

    The search ends within its tolerance, not on the same bits in every process; Newton steps and rounding make the
    mode, and so the draws, a function of the data and the seed.
    """
    if _hessian_is_affordable(density):
        for _ in range(2):
            step = np.linalg.lstsq(-hessian(density.gradient, x), density.value_and_gradient(x)[1], rcond=1e-10)[0]
            if np.abs(step).max() < 0.1:
                x = x + step
    return fixed.params(np.round(fixed.pack(density.params(x)), 5))


def _nearly_singular(params: MixtureParams) -> bool:
    """Some component lies, to six digits of its standard deviations, in a plane."""
    sds = params.standard_deviations
    correlations = params.covariances / (sds[:, :, None] * sds[:, None, :])
    return bool(np.linalg.eigvalsh(correlations).min() < _SINGULAR)


def _same(a: MixtureParams, b: MixtureParams, numbered: bool) -> bool:
    """Equal up to a permutation, unless `numbered`: weights within 0.01, means within 0.05 sd, sds within 5 %."""
    sd = b.standard_deviations  # (K, D)
    distance = np.abs(a.means[:, None, :] - b.means[None, :, :]).max(axis=2) / sd.mean(axis=1)
    distance = distance + np.abs(a.weights[:, None] - b.weights[None, :])
    p, q = a, b if numbered else b.permute(linear_sum_assignment(distance)[1])
    return bool(
        np.abs(p.weights - q.weights).max() < 0.01
        and (np.abs(p.means - q.means) / q.standard_deviations).max() < 0.05
        and np.abs(np.log(p.standard_deviations / q.standard_deviations)).max() < 0.05
        and np.abs(np.log(p.head / q.head))[p.n_components :].max(initial=0.0) < _SAME_HEAD
    )


def _hessian_is_affordable(density: Density) -> bool:
    (d, n_rows), k = density.packed.rows.features.shape, density.reference.n_components
    return float(n_rows) * k * d * d * 2 * density.n_dim <= _HESSIAN_BUDGET


def _laplace(density: Density) -> float:
    """Laplace approximation of the log evidence around the origin, times K! for the relabelled copies."""
    if not _hessian_is_affordable(density):
        return math.nan
    origin = np.zeros(density.n_dim)
    try:
        factor = np.linalg.cholesky(-hessian(density.gradient, origin))
    except np.linalg.LinAlgError:  # a flat or saddle direction: no Laplace approximation
        return math.nan
    logdet = 2.0 * np.log(np.diag(factor)).sum()
    value = density.value_and_gradient(origin)[0]
    copies = math.lgamma(density.reference.n_components + 1)
    return float(value + 0.5 * density.n_dim * math.log(2 * math.pi) - 0.5 * logdet + copies)
