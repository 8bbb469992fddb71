"""Modes in which components are empty: how much of the posterior they hold, before any sampling.

With K components the posterior has, besides the modes that EM finds, one for every fit with fewer components and the
rest empty. NUTS does not get there from a mode with K occupied components, and chains that all start at those agree
with each other all the same. Given that m named components are empty, the posterior of the others is that of K - m
components, so the mode's evidence is

    log p(y | K - m) + log (K choose m) + log P(n_1 = ... = n_m = 0 | K),

the last the prior probability under the Dirichlet weights; p(y | K - m) is taken by Laplace's approximation.
"""

from __future__ import annotations

import math

import pandas as pd

from bayesgmm.data import Table
from bayesgmm.em import fit_em_candidates
from bayesgmm.inference.modes import find_modes
from bayesgmm.prior import ResolvedPrior, log_probability_empty
from bayesgmm.structure import Structure

__all__ = ["SHARE_THAT_MATTERS", "empty_modes"]

SHARE_THAT_MATTERS = 0.01  # of the posterior
_STARTS = 4
_CANDIDATES = 2


def empty_modes(
    table: Table,
    structure: Structure,
    prior: ResolvedPrior,
    n_components: int,
    log_evidence: float,
    *,
    random_seed: int | None = None,
) -> pd.DataFrame:
    """One row for each number of empty components: ``n_empty``, ``laplace_log_evidence``, ``share``.

    Parameters
    ----------
    log_evidence : float
        Laplace evidence of the modes with all K components occupied, to which the share relates.
    """
    rows = []
    for occupied in range(n_components - 1, 0, -1):
        _, candidates = fit_em_candidates(table, occupied, structure=structure, n_init=_STARTS, random_seed=random_seed)
        best = find_modes(table, structure, prior, candidates[:_CANDIDATES])[0].log_evidence
        m = n_components - occupied
        chance = log_probability_empty(float(table.weights.sum()), n_components, m, prior.concentration)
        rows.append({"n_empty": m, "laplace_log_evidence": best + math.log(math.comb(n_components, m)) + chance})
    out = pd.DataFrame(rows, columns=["n_empty", "laplace_log_evidence"])
    out["share"] = 1.0 / (1.0 + (log_evidence - out["laplace_log_evidence"]).clip(-700, 700).map(math.exp))
    return out
