"""The cheapest inference that can be trusted: Laplace where its Pareto k allows it, else NUTS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bayesgmm.data import Table
from bayesgmm.draws import Draws
from bayesgmm.inference.laplace import sample_laplace
from bayesgmm.inference.nuts import sample_nuts
from bayesgmm.params import MixtureParams
from bayesgmm.prior import ResolvedPrior
from bayesgmm.structure import Structure

__all__ = ["AUTO_K_MAX", "sample_auto"]

AUTO_K_MAX = 0.5
_LEAST_ESS = 400.0


def sample_auto(
    table: Table,
    structure: Structure,
    prior: ResolvedPrior,
    candidates: Sequence[MixtureParams],
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    target_accept: float = 0.8,
    progressbar: bool = True,
) -> Draws:
    """Laplace draws if their Pareto k is below 0.5 and they are worth 400 independent ones, else NUTS draws.

    Arguments are those of `bayesgmm.inference.nuts.sample_nuts`. ``extra["inference"]`` is what was kept, and the first
    of ``notes`` says why.
    """
    first = sample_laplace(
        table, structure, prior, candidates, draws=draws, chains=chains, cores=cores, random_seed=random_seed,
        progressbar=progressbar,
    )  # fmt: skip
    k, ess = first.extra["pareto_k"], first.extra["importance_ess"]
    judged = f"its Pareto k is {k:.2f} and its {first.extra['n_proposals']} proposals are worth {ess:.0f} draws"
    if k < AUTO_K_MAX and ess >= _LEAST_ESS:
        note = f"Inference 'auto' kept the Laplace approximation with importance resampling: {judged}."
        return replace(first, notes=(note, *first.notes), extra={**first.extra, "inference": "laplace"})
    exact = sample_nuts(
        table, structure, prior, candidates, draws=draws, tune=tune, chains=chains, cores=cores,
        random_seed=random_seed, target_accept=target_accept, progressbar=progressbar,
    )  # fmt: skip
    note = (
        f"Inference 'auto' sampled by NUTS, because the Laplace approximation cannot be relied on: {judged} "
        f"(wanted: below {AUTO_K_MAX:g}, and {_LEAST_ESS:.0f} draws)."
    )
    return replace(exact, notes=(note, *exact.notes), extra={**exact.extra, "inference": "nuts"})
