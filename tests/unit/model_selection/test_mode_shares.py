"""Shares of modes that chains do not leave, against those that a sampler which does exchange finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arviz_stats.base import array_stats

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.empty_modes import empty_modes
from bayesgmm.inference.gibbs.sample import sample_gibbs
from bayesgmm.inference.modes import find_modes
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.model_selection.evidence.mode_shares import weigh_modes
from bayesgmm.posterior.build import build_tree
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.posterior.diagnostics.gate import Judge


def chains_that_stay(draws: Draws, empty: np.ndarray, n: int) -> Draws:
    """Two chains of draws with a component nearly empty, two of draws without."""
    order = np.concatenate([np.flatnonzero(part)[: 2 * n] for part in (~empty, empty)])

    def pick(a: np.ndarray) -> np.ndarray:
        return a.reshape(-1, *a.shape[2:])[order].reshape(4, n, *a.shape[2:])

    arrays = {name: pick(getattr(draws, name)) for name in ("weights", "means", "cholesky", "log_prior")}
    return replace(draws, **arrays)


def test_shares_of_modes() -> None:
    """Iris, K = 3: one mode has three clusters, the other a component that is nearly empty."""
    table, structure = bg.prepare_table(bg.datasets.load_iris()[0]), get_structure("full")
    given = Problem(table, structure, bg.MixturePrior().resolve(table))
    candidates = fit_em_candidates(table, 3, structure=structure, n_init=10, random_seed=1)[1]
    draws = sample_gibbs(
        given, find_modes(given, candidates), empty=empty_modes(given, 3, random_seed=1), judge=Judge(table, structure),
        draws=3000, random_seed=2, progressbar=False,
    )  # fmt: skip
    visits = draws.weights.min(axis=-1) < 0.1
    empty, share = visits.ravel(), visits.mean()
    visited = float(np.sqrt(share * (1.0 - share) / array_stats.ess(visits.astype(float), method="mean")))
    n = int(min(empty.sum(), (~empty).sum(), 800)) // 2
    assert n > 100
    stuck = chains_that_stay(draws, empty, n)
    tree = build_tree(stuck, given, inference="gibbs", random_seed=1, standardize=True)
    diagnosis = weigh_modes(diagnose(tree), tree, given)
    assert diagnosis.status == "several_modes"
    assert diagnosis.modes is not None
    assert diagnosis.modes["share"].sum() == pytest.approx(1.0)
    smaller = diagnosis.modes.loc[diagnosis.modes["share"].idxmin()]
    error = np.hypot(visited, smaller["share_se"])
    assert error < 0.02 and abs(smaller["share"] - share) < 4.0 * error, (smaller["share"], share, error)
    assert "Posterior probabilities of the modes" in diagnosis.advice[-1]
