"""Gibbs sampling by data augmentation (Diebolt and Robert 1994), of the same posterior that NUTS samples.

Allocations let components empty and fill freely, where NUTS meets a funnel: this is the sampler for more components
than the data hold. Between modes that sweeps cannot leave it moves (`inference.gibbs.moves`): pilot chains find
the modes, proposals are fitted to their draws, and rounds of chains (`inference.gibbs.rounds`) go on until the
convergence criteria are met or the work allowed is done. Moves propose mixtures of normal components: of t components,
or with a background, chains make sweeps alone, from the modes that are known.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.empty_modes import EmptyMode
from bayesgmm.inference.gibbs.chains import GibbsProblem, Sweeps, no_library, run_chains, start_state
from bayesgmm.inference.gibbs.pilots import in_order_by_rows, likeliest, pilot_starts, unlike
from bayesgmm.inference.gibbs.restarts import Places
from bayesgmm.inference.gibbs.rounds import Round, choose_refresh, sample_in_rounds
from bayesgmm.inference.gibbs.sweeps import COUNTED, KINDS
from bayesgmm.inference.judging import Judge
from bayesgmm.inference.modes import Mode, modes_table
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model.draws import Draws, Sample
from bayesgmm.model.problem import Problem

__all__ = ["MAX_WORK", "sample_gibbs"]

MAX_WORK = 1e12  # multiply-adds of all chains in the last round: less than two minutes on two cores
# Of the first: half a second on two cores. A shorter run can agree on a part of the posterior, since a component of a
# few rows in many columns takes thousands of sweeps to find the modes where it fits them closely.
_LEAST_WORK = 5e9
_PILOT_WORK, _LEAST_TUNE = 2e10, 100  # of half of the sweeps of all pilot chains
_NEGLIGIBLE = 25.0  # nats below the best, with room for the error of the approximation


def sample_gibbs(
    problem: Problem,
    modes: Sequence[Mode],
    *,
    empty: Sequence[EmptyMode],
    judge: Judge,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    max_work: float = MAX_WORK,
    rough: bool = False,
    progressbar: bool = True,
) -> Draws:
    """Draw from the posterior by Gibbs sweeps and moves between modes, in rounds, until `judge` is content.

    Parameters
    ----------
    problem, modes
        As in `inference.nuts.sample.sample_nuts`.
    empty : sequence of EmptyMode
        Modes with components empty, where pilot chains start besides (`inference.empty_modes`).
    judge : Judge
        Of the draws of a round.
    draws, chains : int
        Draws kept of each chain, thinned as they are made, and number of chains.
    tune : int
        Half of the sweeps of each pilot chain, fewer in tables of many rows, and so of each chain before the first
        round.
    cores : int or None
        Chains that run at once; None uses every processor. Draws do not depend on it.
    max_work : float
        Work of the longest round, in multiply-adds; the thinning follows from it.
    rough : bool
        End as soon as chains roughly agree (`posterior.diagnostics.gate.Gate.rough`).

    Raises
    ------
    KeyboardInterrupt
        If interrupted before any draw was made.
    """
    began = time.perf_counter()
    given = GibbsProblem.build(problem)
    cores = min(cores or available_cores(), chains)
    root = np.random.SeedSequence(random_seed)
    pilots, evidence = pilot_starts(given, modes, empty, int(root.generate_state(1)[0]))
    starts = [start_state(given, start) for start in pilots]
    refresh = choose_refresh(given, starts[0], root.spawn(1)[0])
    alone = Sweeps(given, refresh, no_library(*starts[0].means.shape))
    work = len(starts) * given.sweep_work(starts[0].means.shape[0])
    tune = int(np.clip(_PILOT_WORK / work, min(tune, _LEAST_TUNE), tune))
    found, interrupted = run_chains(alone, starts, root.spawn(len(starts)), draws=2 * tune, thin=1, cores=cores)
    if interrupted:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    # All of them teach the proposals; chains start where the posterior is, as far as Laplace's approximation can tell.
    near = np.flatnonzero(~(evidence < np.fmax.reduce(evidence) - _NEGLIGIBLE))
    chosen = near[np.linspace(0, len(near) - 1, chains).round().astype(np.int64)]
    halves = [Sample(*(a[tune:] for a in c.sample)) for c in found]
    jumps = problem.structure.is_normal
    modes_found = unlike(given, halves, likeliest(given, halves, evidence)) if jumps else []
    samples = [in_order_by_rows(given, halves[i]) for i in modes_found]
    return sample_in_rounds(
        alone, [found[i].state for i in chosen], samples, root,
        collect=lambda done: _collect(done, modes, chosen, time.perf_counter() - began), judge=judge, draws=draws,
        cores=cores, max_work=max_work, rough=rough, least_work=_LEAST_WORK, progressbar=progressbar, name="Gibbs",
        places=Places(given, samples, [found[i].state for i in modes_found]) if jumps else None,
    )  # fmt: skip


def _collect(done: Round, modes: Sequence[Mode], chosen: NDArray[np.int64], seconds: float) -> Draws:
    weights, means, latent, cholesky = (np.stack(parts) for parts in zip(*(c.sample for c in done.chains), strict=True))
    if weights.shape[1] == 0:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    c, s, k, d = means.shape
    latent, cholesky = (np.broadcast_to(a, (c, s, k, d, d)).copy() for a in (latent, cholesky))
    flat = (a.reshape(c * s, *a.shape[2:]) for a in (weights, means, latent))
    log_prior = modes[0].density.log_prior(*flat).reshape(c, s)
    tally = np.sum([chain.tally for chain in done.chains], axis=0)
    method = (
        f"Gibbs sampling with {done.thin} sweeps per draw, round {done.number}; "
        f"{tally[1] / max(tally[0], 1.0):.0%} of the proposed covariances accepted"
    )
    tried = tally[KINDS::2]
    share = tally[KINDS + 1 :: 2] / np.maximum(tried, 1.0)
    made = [f"{share[i]:.2%} of {words}" for i, words in enumerate(COUNTED) if tried[i] > 0]
    if made:
        method += f"; accepted moves between modes: {', '.join(made)}"
    start, table = chosen[:c], modes_table(modes)
    draws = Draws(weights, means, cholesky, log_prior, {}, start, table, seconds, done.interrupted, method,
                  extra={"sweeps": c * s * done.thin})  # fmt: skip
    if not done.restarted:
        return draws
    said = (
        f"{done.restarted} {'chain was' if done.restarted == 1 else 'chains were'} restarted from the best mode known, "
        "out of modes whose posterior probability is below e^-12 by their evidence."
    )
    return replace(draws, notes=(said,))
