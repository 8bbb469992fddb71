"""Gibbs sampling by data augmentation (Diebolt and Robert 1994), of the same posterior that NUTS samples.

Allocations let components empty and fill freely, where NUTS meets a funnel: this is the sampler for more components
than the data hold. Between modes that sweeps cannot leave it jumps (`bayesgmm.augmentation.jumps`): scouts find the
modes, proposals are fitted to their draws, and rounds of chains, each longer than the last and each with
proposals fitted to the draws before it, go on until the gate passes or the work allowed is done. Within a round
proposals are fixed, and only the last round is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayesgmm.augmentation.proposals import Sample, fit_proposals
from bayesgmm.augmentation.sweeps import ChainState
from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.inference.chains import ChainDraws, GibbsProblem, run_chains, start_state
from bayesgmm.inference.exploration import in_one_order, samples_by_mode, scout_starts
from bayesgmm.inference.modes import Mode, find_modes, modes_table
from bayesgmm.inference.nuts import available_cores
from bayesgmm.params import MixtureParams
from bayesgmm.prior import ResolvedPrior
from bayesgmm.progress import sampling_progress
from bayesgmm.structure import Structure

__all__ = ["MAX_WORK", "Judgement", "sample_gibbs"]

Array = NDArray[np.float64]

MAX_WORK = 2.5e11  # multiply-adds of all chains in the last round: about a minute and a half on two cores
_LONGEST_STEP = 4.0  # times, from one round to the next
_MODES = 10  # groups of draws that proposals are fitted to
_MAX_PROPOSALS = 16
_REFRESH = (1.0, 0.25, 0.1, 0.04, 0.015)
_TRIAL = 60  # sweeps
_ACCEPTED = 0.2
_NEGLIGIBLE = 25.0  # nats below the best, with room for the error of the approximation
_USEFUL = 3  # jumps that an older proposal must have made to be kept


class Judgement(Protocol):
    """What a round is judged by: label-invariant quantities (chains, draws), whether they pass the gate, and if not
    how many times as long a run would, as far as that can be told."""

    @property
    def ok(self) -> bool: ...

    @property
    def shortfall(self) -> float: ...

    @property
    def values(self) -> Mapping[str, Array]: ...


def sample_gibbs(
    table: Table,
    structure: Structure,
    prior: ResolvedPrior,
    candidates: Sequence[MixtureParams],
    *,
    judge: Callable[[Draws], Judgement],
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    max_work: float = MAX_WORK,
    progressbar: bool = True,
) -> Draws:
    """Draw from the posterior by Gibbs sweeps and jumps, in rounds, until `judge` is content.

    Parameters
    ----------
    table, structure, prior, candidates
        As in `bayesgmm.inference.nuts.sample_nuts`.
    judge : callable
        Takes the draws of a round; gives a `Judgement`.
    draws, chains : int
        Draws kept of each chain, thinned as they are made, and number of chains.
    tune : int
        Sweeps of each scout, and sweeps of each chain before the first round.
    cores : int or None
        Chains that run at once; None uses every processor. Draws do not depend on it.
    max_work : float
        Work of the longest round, in multiply-adds; the thinning follows from it.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before any draw was made.
    """
    began = time.perf_counter()
    problem = GibbsProblem.build(table, structure, prior)
    modes = find_modes(table, structure, prior, candidates)
    cores = min(cores or available_cores(), chains)
    root = np.random.SeedSequence(random_seed)
    scouts, evidence = scout_starts(problem, modes, int(root.generate_state(1)[0]))
    starts = [start_state(problem, start) for start in scouts]
    refresh = _refresh(problem, starts[0], root.spawn(1))
    found, interrupted = run_chains(
        problem, starts, root.spawn(len(starts)), draws=2 * tune, thin=1, cores=cores, refresh=refresh
    )
    if interrupted:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    # All of them teach the proposals; chains start where the posterior is, as far as Laplace's approximation can tell.
    near = np.flatnonzero(~(evidence < np.fmax.reduce(evidence) - _NEGLIGIBLE))
    chosen = near[np.linspace(0, len(near) - 1, chains).round().astype(np.int64)]
    states = [found[i].state for i in chosen]
    library = [in_one_order(problem, Sample(*(a[tune:] for a in c.sample))) for c in found]
    k = scouts[0].n_components
    thin, n_round, share_whole = 1, 1, 0.5
    while True:
        with sampling_progress(progressbar, chains, draws, f"Gibbs, {thin} sweeps a draw") as report:
            done, interrupted = run_chains(
                problem, states, root.spawn(chains), draws=draws, thin=thin, cores=cores, refresh=refresh,
                proposals=fit_proposals(library, problem.packed) if k > 1 else None, share_whole=share_whole,
                report=report,
            )  # fmt: skip
        result = _collect(done, modes, chosen, time.perf_counter() - began, interrupted, thin, n_round)
        judgement = judge(result)
        longer = int(np.ceil(thin * np.clip(judgement.shortfall, 1.5, _LONGEST_STEP)))
        if interrupted or judgement.ok or longer * draws * chains * problem.sweep_work(k) > max_work:
            return result
        if k > 1:
            library = _renewed(problem, library, done, judgement.values)
            share_whole = _share_of_whole_mixtures(done)
        states = [c.state for c in done]
        thin, n_round = longer, n_round + 1


def _refresh(problem: GibbsProblem, start: ChainState, seeds: Sequence[np.random.SeedSequence]) -> float:
    """The largest share of a covariance's rows to replace at a time that is accepted often enough, by short trials."""
    if not problem.structure.correlated:
        return 1.0
    for share in _REFRESH:
        (trial,), _ = run_chains(problem, [start], seeds, draws=_TRIAL, thin=1, cores=1, refresh=share)
        if trial.tally[1] > _ACCEPTED * trial.tally[0]:
            break
    return share


def _renewed(
    problem: GibbsProblem, library: Sequence[Sample], done: Sequence[ChainDraws], values: Mapping[str, Array]
) -> list[Sample]:
    """The draws of the last round, by mode, and what older proposals have proved useful; of too few draws, the old."""
    used = np.sum([c.used for c in done], axis=0)
    older = [library[i] for i in np.argsort(-used, kind="stable") if used[i] >= _USEFUL]
    fresh = samples_by_mode(problem, done, values, _MODES)
    return fresh + older[: _MAX_PROPOSALS - len(fresh)] or list(library)


def _share_of_whole_mixtures(done: Sequence[ChainDraws]) -> float:
    """How often to propose a whole mixture rather than one component: by how often each was accepted."""
    tally = np.sum([c.tally for c in done], axis=0)
    single, whole = (tally[[4, 6]] + 1.0) / (tally[[3, 5]] + 2.0)
    return float(np.clip(whole / (whole + single), 0.05, 0.7))


def _collect(done: Sequence[ChainDraws], modes: Sequence[Mode], chosen: NDArray[np.int64], seconds: float,
             partial: bool, thin: int, n_round: int) -> Draws:  # fmt: skip
    weights, means, latent, cholesky = (np.stack(parts) for parts in zip(*(c.sample for c in done), strict=True))
    if weights.shape[1] == 0:
        raise KeyboardInterrupt("interrupted before a single draw was kept; there is nothing to return")
    c, s, k, d = means.shape
    latent, cholesky = (np.broadcast_to(a, (c, s, k, d, d)).copy() for a in (latent, cholesky))
    flat = (a.reshape(c * s, *a.shape[2:]) for a in (weights, means, latent))
    log_prior = modes[0].density.log_prior(*flat).reshape(c, s)
    tally = np.sum([chain.tally for chain in done], axis=0)
    share = tally[[4, 6]] / np.maximum(tally[[3, 5]], 1.0)
    method = (
        f"Gibbs sampling with {thin} sweeps a draw, round {n_round}; {tally[1] / max(tally[0], 1.0):.0%} of the "
        f"proposed covariances accepted"
    )
    if k > 1 and tally[3] > 0:
        method += f"; jumps between modes: {share[1]:.2%} of whole mixtures and {share[0]:.2%} of components accepted"
    return Draws(weights, means, cholesky, log_prior, {}, chosen[:c], modes_table(modes), seconds, partial, method)
