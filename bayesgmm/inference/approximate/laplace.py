"""Laplace approximation at the posterior modes, corrected by importance resampling.

Around each mode the posterior is taken as normal in decoupled coordinates (`model.density.decoupled`), with the Hessian
there, and given t tails. Modes within ten nats of the best are mixed, with their Laplace evidences as weights. Draws
get Pareto-smoothed importance weights; where the first ones are worth little, half of the next come from t densities
with the weighted moments of the first. Where the Pareto k is below 0.7 the proposals are resampled, and are then draws
of the posterior; where it is not they stay draws of the approximation, and say so.

Tierney, L., Kadane, J. B. (1986). JASA 81, 82-86. Vehtari et al. (2024), see `model.proposals.importance`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.approximate.at_modes import check_affordable, laplace_proposal
from bayesgmm.inference.modes import Mode, modes_table
from bayesgmm.inference.nuts.sample import MODE_WINDOW
from bayesgmm.kernels.threads import one_blas_thread
from bayesgmm.model.density.density import Density
from bayesgmm.model.draws import Draws, Sample
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import LocalProposal
from bayesgmm.model.proposals.importance import ImportanceWeights, log_likelihoods, resample, smooth_weights
from bayesgmm.progress import sampling_progress

__all__ = [
    "LogLikelihood", "Proposed", "affordable_batches", "as_draws", "corrected", "drawn_from", "propose",
    "sample_laplace", "weigh",
]  # fmt: skip

Array = NDArray[np.float64]

type LogLikelihood = Callable[[Sample], Array]  # (S,) of each draw

_BLOCKS = 20  # of one batch, between which progress is shown
_BATCHES = 4  # of proposals, each as many as draws are wanted, before and after the proposal is adapted to them
_SAFE_K = 0.5  # far enough below 0.7 not to cross it by chance
_HOPELESS = 1.0  # Pareto k of the first batch above which more of them will not help
_MAX_WORK = 1e11  # multiply-adds of all batches but the first: half a minute on two cores
_MAX_NUMBERS = 2e7  # numbers of all proposals kept at once


def sample_laplace(
    problem: Problem,
    modes: Sequence[Mode],
    *,
    draws: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    mode_window: float = MODE_WINDOW,
    progressbar: bool = True,
) -> Draws:
    """Draw from the posterior by Laplace approximation and importance resampling.

    Parameters
    ----------
    problem, modes
        As in `inference.nuts.sample.sample_nuts`.
    draws, chains : int
        ``chains`` times ``draws`` draws, as many proposals at least; chains only divide them.
    cores : int or None
        Threads; None uses every processor. Draws do not depend on it.
    random_seed : int or None
        The same seed gives the same draws.
    mode_window : float
        Modes within so many nats of the best are approximated.

    Returns
    -------
    Draws
        With ``extra["pareto_k"]``. Copies of one proposal stand side by side. ``stats`` holds ``log_p`` and ``log_q``:
        log posterior density (constants aside) and log density of what the draws are a sample of, each with respect to
        weights, means, sds and correlations.

    Raises
    ------
    InputError
        When there are too many parameters, the posterior is not finite at any mode or has none, or there are fewer
        than 25 draws in all.
    """
    check_affordable(problem, modes[0].params.n_components)
    began = time.perf_counter()
    rng = np.random.default_rng(random_seed)
    with one_blas_thread():
        with sampling_progress(progressbar, 1, 1, "Laplace, curvature at the modes"):
            proposal = laplace_proposal(modes, mode_window, rng, cores)
        rounds = affordable_batches(proposal.parts[0].density, draws * chains)
        done = propose(proposal, draws * chains, rng, cores, progressbar, rounds=rounds)
    return drawn_from(done, draws * chains, rng, modes, chains=chains, began=began)


def drawn_from(
    done: Proposed, n: int, rng: np.random.Generator, modes: Sequence[Mode], *, chains: int, began: float,
    extra: dict[str, Any] | None = None, notes: tuple[str, ...] = (),
) -> Draws:  # fmt: skip
    """n draws of the posterior from proposals, resampled where their weights allow it."""
    x, log_likelihood, weights = done.mixtures, done.log_likelihood, done.weights
    index, log_q, outcome = corrected(done.log_q, weights, n, rng)
    found: dict[str, Any] = {
        "pareto_k": weights.pareto_k, "importance_ess": weights.ess, "n_proposals": len(log_q),
        "n_distinct": len(np.unique(index)),
    }  # fmt: skip
    return as_draws(
        x, index, log_likelihood, log_q, modes, chains=chains, began=began,
        method=f"Laplace approximation ({done.proposal.describe()}), {outcome}", extra=found | (extra or {}),
        notes=notes,
    )  # fmt: skip


def corrected(
    log_q: Array, weights: ImportanceWeights, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Array, str]:
    """Which draws of an approximation to keep, resampled where that corrects it; the density they follow; in words."""
    if not weights.ok:
        return np.arange(n), log_q, "not resampled, because importance weights cannot correct it"
    said = f"resampled from {len(log_q)} proposals worth {weights.ess:.0f} independent draws"
    # What is left to correct is the difference between raw and smoothed weights.
    return resample(weights.log_weights, n, rng), log_q + weights.log_weights, said


def as_draws(
    x: Sample, index: NDArray[np.int64], log_likelihood: Array, log_q: Array, modes: Sequence[Mode], *, chains: int,
    began: float, method: str, extra: dict[str, Any], partial: bool = False, notes: tuple[str, ...] = (),
) -> Draws:  # fmt: skip
    """Those of S independent draws that `index` names, laid out as chains.

    `log_q` (S,) is relative to the prior, as `LocalProposal` gives it.
    """
    log_prior = modes[0].density.log_prior(x.weights, x.means, x.latent)

    def by_chain(a: Array) -> Array:
        a = a[index]
        return a.reshape(chains, -1, *a.shape[1:])

    stats: dict[str, NDArray[Any]] = {
        "log_p": by_chain(log_likelihood + log_prior), "log_q": by_chain(log_q + log_prior),
        "log_likelihood": by_chain(log_likelihood),
    }  # fmt: skip
    return Draws(
        by_chain(x.weights), by_chain(x.means), by_chain(x.cholesky), by_chain(log_prior), stats,
        np.zeros(chains, dtype=np.int64), modes_table(modes), time.perf_counter() - began, partial, method, notes,
        extra,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Proposed:
    """Mixtures drawn from a proposal, with what their weights are made of."""

    proposal: LocalProposal
    mixtures: Sample
    log_likelihood: Array  # (S,)
    log_q: Array  # (S,) of q / prior
    weights: ImportanceWeights


def propose(
    proposal: LocalProposal, n: int, rng: np.random.Generator, cores: int | None, progressbar: bool, *,
    rounds: int, likelihood: LogLikelihood | None = None,
) -> Proposed:  # fmt: skip
    """Batches of n proposals until they settle, `rounds` at most before and after they are adapted once: the last ones,
    from one proposal. Their log-likelihoods are those of the density's rows, or of `likelihood`."""
    label = "Laplace, importance weights"
    with sampling_progress(progressbar, 1, n * (1 + max(0, 2 * rounds)), label) as report:
        made = 0

        def report_from(before: int, done: int) -> None:
            report(0, before + done, 0)

        def batches(proposal: LocalProposal, n_batches: int) -> Proposed:
            nonlocal made
            drawn: list[tuple[Sample, Array, Array]] = []
            for _ in range(n_batches):
                drawn.append(weigh(proposal, n, rng, cores, partial(report_from, made), likelihood))
                made += n
                x = Sample.pooled([part[0] for part in drawn])
                log_likelihood, log_q = (np.concatenate([part[i] for part in drawn]) for i in (1, 2))
                weights = smooth_weights(log_likelihood - log_q)
                if _settled(weights, n):
                    break
            return Proposed(proposal, x, log_likelihood, log_q, weights)

        first = batches(proposal, 1)
        if _settled(first.weights, n) or first.weights.pareto_k > _HOPELESS or rounds < 2:
            return first
        more = batches(proposal, rounds)
        if _settled(more.weights, n):
            return more
        return batches(proposal.adapted(more.mixtures, np.exp(more.weights.log_weights)), rounds)


def affordable_batches(density: Density, n: int) -> int:
    """How many batches of n proposals, four at most, time and memory allow besides the first; may be 0."""
    k, d = density.reference.means.shape
    work = float(len(density.packed.row_weights)) * k * (d * d + 10) * n
    return int(min(_BATCHES, _MAX_WORK / work, _MAX_NUMBERS / (n * k * d * d)))


def _settled(weights: ImportanceWeights, n: int) -> bool:
    """Whether more or better proposals would change little."""
    return weights.ess >= 0.5 * n and weights.pareto_k < _SAFE_K


def weigh(
    proposal: LocalProposal, n: int, rng: np.random.Generator, cores: int | None = None,
    report: Callable[[int], None] = lambda done: None, likelihood: LogLikelihood | None = None,
) -> tuple[Sample, Array, Array]:  # fmt: skip
    """n proposals, with their log-likelihoods (n,) and log q / prior (n,); the difference is the log weight."""
    x = proposal.sample(n, rng)
    log_q = proposal.log_ratio(x, cores)
    density, parts = proposal.parts[0].density, []
    size = -(-n // _BLOCKS)
    for start in range(0, n, size):
        some = x.take(slice(start, start + size))
        if likelihood is None:
            parts.append(log_likelihoods(density, some.weights, some.means, some.cholesky, cores=cores))
        else:
            parts.append(likelihood(some))
        report(min(start + size, n))
    return x, np.concatenate(parts), log_q
