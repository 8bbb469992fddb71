"""NUTS from the posterior modes, in EM-affine coordinates (Hoffman and Gelman 2014; nutpie).

Chains start at distinct modes when several lie within `MODE_WINDOW` nats of the best, so that a posterior
with several modes shows as disagreement between chains rather than passing unseen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.inference.modes import Mode, modes_table, score_of
from bayesgmm.inference.nuts.nutpie import Chain, ChainResult, run_chains
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model.density.density import Density
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.progress import sampling_progress

__all__ = [
    "MODE_WINDOW",
    "NEGLIGIBLE",
    "collect_draws",
    "negligible_starts",
    "sample_nuts",
    "starting_modes",
]

Array = NDArray[np.float64]

MODE_WINDOW = 10.0
# Below the best mode by more than this, a mode holds under a thousandth of its weight.
NEGLIGIBLE = float(np.log(1000.0))


def sample_nuts(
    problem: Problem,
    modes: Sequence[Mode],
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    adaptation: str = "diag",
    mode_window: float = MODE_WINDOW,
    max_steps: float = math.inf,
    progressbar: bool = True,
) -> Draws:
    """Draw from the posterior by NUTS on the compiled density.

    Parameters
    ----------
    problem : Problem
        The data, the covariance structure and the prior's numbers.
    modes : sequence of Mode
        Of the posterior, best first (`inference.modes.find_modes`).
    draws, tune, chains : int
        Draws kept and warm-up (tuning) iterations of each chain, and number of chains.
    cores : int or None
        Chains that run at once; None uses every processor. Draws do not depend on it.
    target_accept : float
        Mean acceptance statistic that the step size aims at.
    adaptation : str
        nutpie's mass matrix: ``"diag"`` or ``"low_rank"``.
    mode_window : float
        Chains start, in turn, at the modes within so many nats of the best.
    max_steps : float
        Gradients of all chains, after which the run ends with the draws there are.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before any chain made a draw after tuning.
    """
    seeds = np.random.SeedSequence(random_seed).spawn(chains)
    chosen = starting_modes(modes, chains, mode_window)
    jobs = [
        Chain(modes[m].density, jittered_start(modes[m].density, seed), int(seed.generate_state(2)[1]))
        for m, seed in zip(chosen, seeds, strict=True)
    ]
    began = time.perf_counter()
    with sampling_progress(progressbar, chains, tune + draws, "NUTS") as report:
        results, interrupted = run_chains(
            jobs, draws=draws, tune=tune, cores=min(cores or available_cores(), chains),
            target_accept=target_accept, adaptation=adaptation, report=report, max_steps=max_steps,
        )  # fmt: skip
    done = [i for i, result in enumerate(results) if result is not None]
    if not done:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    seconds = time.perf_counter() - began
    found = [r for r in results if r is not None]
    return collect_draws([jobs[i] for i in done], found, chosen[done], modes, seconds, interrupted)


def starting_modes(modes: Sequence[Mode], chains: int, window: float = MODE_WINDOW) -> NDArray[np.int64]:
    """(C,) index of the mode at which each chain starts: those within the window of the best, in turn."""
    score = score_of(modes)
    near = [i for i in range(len(modes)) if score[i] > score.max() - window]
    if not near:
        raise InputError("the posterior is not finite at any mode; check mean_loc, mean_scale and sd of the prior.")
    return np.array([near[c % len(near)] for c in range(chains)])


def negligible_starts(draws: Draws) -> str | None:
    """A sentence if chains started at modes whose Laplace weight is below a thousandth of the best one's."""
    below = draws.modes["below_best"].to_numpy()
    if draws.modes["laplace_log_evidence"].isna().any():
        return None
    started = sorted({float(below[m]) for m in draws.chain_mode if below[m] > NEGLIGIBLE})
    if not started:
        return None
    gaps = ", ".join(f"{gap:.1f}" for gap in started)
    return (
        f"Chains that started {gaps} nats below the best posterior mode (log evidence by Laplace; at most "
        f"{np.exp(-started[0]):.1g} of its probability) did not leave their modes, so all chains were run again from "
        "modes with at least 0.1 % of its probability."
    )


def jittered_start(density: Density, seed: np.random.SeedSequence) -> Array:
    """A point about one posterior sd from the mode in each coordinate; nearer where that leaves the support."""
    direction = np.random.default_rng(seed).standard_normal(density.n_dim)
    mode_value = density.value_and_gradient(np.zeros(density.n_dim))[0]
    size = 1.0
    while size > 1e-6:
        value, gradient = density.value_and_gradient(size * direction)
        if np.isfinite(gradient).all() and value > mode_value - 3.0 * density.n_dim - 50.0:
            return size * direction
        size *= 0.5
    raise InputError("the posterior is not finite around its mode; check the prior against the data.")


def collect_draws(
    jobs: list[Chain], results: list[ChainResult], chosen: NDArray[np.int64], modes: Sequence[Mode], seconds: float,
    interrupted: bool,
) -> Draws:  # fmt: skip
    """The draws of all chains, as many as the shortest has, with their statistics."""
    length = min(len(r.draws) for r in results)
    unpacked = [job.density.unpack(r.draws[:length]) for job, r in zip(jobs, results, strict=True)]
    weights, means, cholesky = (np.stack(parts) for parts in zip(*unpacked, strict=True))
    names = set.intersection(*(set(r.stats) for r in results))
    stats = {name: np.stack([r.stats[name][:length] for r in results]) for name in sorted(names)}
    log_prior = np.stack([j.density.log_prior_of(r.draws[:length]) for j, r in zip(jobs, results, strict=True)])
    return Draws(weights, means, cholesky, log_prior, stats, chosen, modes_table(modes), seconds,
                 interrupted, "NUTS (nutpie) in EM-affine coordinates")  # fmt: skip
