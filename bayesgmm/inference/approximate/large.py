"""Laplace's approximation of many rows in a bounded number of passes over them, whatever the number of draws.

From the maximum of the likelihood one pass gives the log-likelihood to second order, exact observed information
included (`model.density.expansion`). On that function the mode of the posterior is found, and proposals are drawn,
without any row; a mode more than a posterior sd away is expanded around anew. Two passes draw rows, from which the
log-likelihood of every proposal is corrected, with a standard error (`model.density.remainder`): if it exceeds a
twentieth of a nat, more rows are drawn. So the importance weights of all draws, and everything that is judged by them,
take five to ten passes. Where the posterior is not normal (surplus components) the weights say so as they do for few
rows: by their Pareto k.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayesgmm.data.table import Table
from bayesgmm.em.of_blocks import Block, em_of_blocks, mixture_of
from bayesgmm.inference.approximate.at_modes import laplace_part
from bayesgmm.inference.approximate.laplace import Proposed, drawn_from, propose
from bayesgmm.inference.modes import Mode, admissible
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.density.decoupled import to_affine
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.expansion import expand
from bayesgmm.model.density.remainder import RowSample, sample_rows
from bayesgmm.model.density.surrogate import Surrogate
from bayesgmm.model.draws import Draws, Sample
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import log_probability_empty
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import LocalProposal, Part
from bayesgmm.progress import sampling_progress

__all__ = ["is_large", "sample_laplace_large"]

Array = NDArray[np.float64]

_EXPANSIONS = 4
_NEAR = 1.0  # posterior sds between the mode and where the log-likelihood was expanded
_SAMPLE, _SE = 2000, 0.05  # rows drawn, and the standard error aimed at, in nats
_PILOT, _ROUNDS, _MOST_NUMBERS = 50, 4, 2e7
_MOST_REMAINDERS = 1e9  # rows x components x draws: half a minute on two cores
_SHARE = 0.01  # of the posterior


def is_large(table: Table, component: str) -> bool:
    """Whether the posterior of a table is approximated in a bounded number of passes: long ones of complete rows whose
    components are normal and not known."""
    return component == "normal" and table.known is None and table.is_long and table.is_complete


def sample_laplace_large(
    problem: Problem,
    blocks: Iterable[Block],
    start: MixtureParams,
    *,
    draws: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    progressbar: bool = True,
    fewer: Callable[[], MixtureParams | None] = lambda: None,
) -> Draws:
    """Draws as of `sample_laplace`, of rows in blocks.

    Parameters
    ----------
    problem : Problem
        Its prior and structure; its table may be some of the rows.
    blocks : iterable of (features (D, n), row weights (n,))
        All rows, complete, on the model's scale; gone through several times.
    start : MixtureParams
        Maximum of the likelihood, on the model's scale.
    fewer : callable
        A start for EM with one component less, on the model's scale, if one component may be empty: whether it is is
        then told from the evidence of both.

    Returns
    -------
    Draws
        ``extra`` holds ``log_weight_se`` and ``n_remainder_rows`` besides what `sample_laplace` tells, and
        ``log_evidence`` on the model's scale with its standard error ``log_evidence_se``.
    """
    began, rng = time.perf_counter(), np.random.default_rng(random_seed)
    with one_blas_thread():
        with sampling_progress(progressbar, 1, 1, "Laplace, curvature at the mode"):
            surrogate, part, evidence = _expanded(problem, blocks, start, cores)
            proposal, mode = LocalProposal.build([part], np.ones(1), rng), _mode(surrogate, part, evidence)
        with sampling_progress(progressbar, 1, 1, "Laplace, one component less"):
            with_fewer = fewer()
            empty = "" if with_fewer is None else (
                _empty(problem, blocks, with_fewer, mode, surrogate.expansion.weight, cores)
            )  # fmt: skip
        with sampling_progress(progressbar, 1, 1, "Laplace, rows for the remainder"):
            rows = _enough_rows(blocks, surrogate, proposal, 0 if empty else draws * chains, rng, cores)
        errors: list[Array] = []

        def log_likelihood(x: Sample) -> Array:
            rest, se = rows.remainders(x.weights, x.means, x.cholesky, cores)
            errors.append(se)
            return surrogate.expansion.log_likelihoods(x.weights, x.means, x.cholesky) + rest

        k, d = part.density.reference.means.shape
        one = len(rows.weights) * k * draws * chains
        rounds = int(min(_ROUNDS, _MOST_NUMBERS / (draws * chains * k * d * d), _MOST_REMAINDERS / max(one, 1)))
        rounds = 0 if empty else rounds  # no better proposals: the posterior is not near the mode
        done = propose(proposal, draws * chains, rng, cores, progressbar, rounds=rounds, likelihood=log_likelihood)
        se = float(np.median(np.concatenate(errors)))
        said = (
            f"The log-likelihood of each draw is that to second order around the mode, with a remainder estimated from "
            f"{len(rows.weights):,} of {surrogate.expansion.n_rows:,} observations (standard error {se:.2g} nats)."
        )
        total, error = _evidence(done)
        extra: dict[str, Any] = {
            "log_weight_se": se, "n_remainder_rows": len(rows.weights), "log_evidence": total,
            "log_evidence_se": math.hypot(error, se), "n_orders": len(proposal.orders),
        }  # fmt: skip
        out = drawn_from(done, draws * chains, rng, [mode], chains=chains, began=began, extra=extra, notes=(said,))
    if not empty:
        return out
    advice = (
        "The posterior of surplus components is not normal, and no approximation of it in few passes is: take fewer "
        "components, or a sample of the rows with inference='nuts'."
    )
    return replace(out, notes=(*out.notes, advice), extra=out.extra | {"surplus": empty})


def _expanded(
    problem: Problem, blocks: Iterable[Block], start: MixtureParams, cores: int | None
) -> tuple[Surrogate, Part, float]:
    """Around the mode: the log posterior to second order, its t density, and its log evidence (of one copy)."""
    reference, structure = admissible(start, problem.prior, problem.structure), problem.structure
    for remaining in reversed(range(_EXPANSIONS)):
        density = Density.build(problem, reference, rowless=True)
        surrogate = Surrogate(density, expand(blocks, reference, structure.row_model, cores))
        part, evidence = laplace_part(density, cores, target=surrogate.value_and_gradient)
        moved = solve_triangular(part.factor, part.mean, lower=True)
        if not np.abs(moved).max() > _NEAR or not remaining:
            break
        reference = density.params(to_affine(density, part.mean[None])[0])
    return surrogate, part, evidence


def _enough_rows(
    blocks: Iterable[Block], surrogate: Surrogate, proposal: LocalProposal, n_draws: int, rng: np.random.Generator,
    cores: int | None,
) -> RowSample:  # fmt: skip
    """A sample of rows from which the log-likelihoods of so many draws are known to a twentieth of a nat, if so few can
    tell; 0: as near as a first sample tells."""
    size = _SAMPLE
    rows = sample_rows(blocks, surrogate.expansion, size, rng, cores)
    if not n_draws:
        return rows
    x = proposal.sample(_PILOT, rng)
    se = float(np.median(rows.remainders(x.weights, x.means, x.cholesky, cores)[1]))
    if se > _SE:
        most = _MOST_REMAINDERS / (n_draws * surrogate.density.reference.n_components)
        size = int(max(size, min(most, 1.2 * size * (se / _SE) ** 2)))
        rows = sample_rows(blocks, surrogate.expansion, size, rng, cores)
    return rows


def _evidence(done: Proposed) -> tuple[float, float]:
    """Log evidence from the mean importance weight, all K! orders of the components counted, and its standard error."""
    log_weights = np.nan_to_num(done.log_likelihood - done.log_q, nan=-np.inf)
    n, k = len(log_weights), done.mixtures.means.shape[1]
    highest = float(log_weights.max())
    relative = np.exp(log_weights - highest)
    mean = float(relative.mean())
    copies = math.lgamma(k + 1) - math.log(len(done.proposal.orders))
    return highest + math.log(mean) + copies, float(relative.std(ddof=1)) / mean / math.sqrt(n)


def _mode(surrogate: Surrogate, part: Part, evidence: float) -> Mode:
    density, copies = part.density, math.lgamma(part.density.reference.n_components + 1)
    params = density.params(to_affine(density, part.mean[None])[0])
    value = surrogate.value_and_gradient(part.mean)[0]
    return Mode(params, density, value, evidence + copies, 1, True)


def _empty(
    problem: Problem, blocks: Iterable[Block], start: MixtureParams, mode: Mode, weight: float, cores: int | None
) -> str:
    """A sentence if the mode with one component empty holds more than a hundredth of the posterior; see
    `inference.empty_modes`."""
    run = em_of_blocks(blocks, start, problem.structure, tol=1e-2, max_iter=200, cores=cores)
    surrogate, part, evidence = _expanded(problem, blocks, mixture_of(run, problem.structure), cores)
    k = mode.params.n_components
    rows = weight * (1.0 - (mode.params.noise_weight or 0.0))
    evidence += math.lgamma(k) + math.log(k)
    evidence += log_probability_empty(rows, k, 1, problem.prior.concentration)
    share = 1.0 / (1.0 + math.exp(min(max(mode.log_evidence - evidence, -700.0), 700.0)))
    if not share > _SHARE:
        return ""
    much = f"about {100.0 * share:.0f} %" if share < 0.99 else "more than 99 %"
    return (
        f"{much} of the posterior probability (Laplace approximation) lies where one of the {k} components is empty, "
        "which this approximation leaves out"
    )
