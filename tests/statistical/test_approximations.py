"""Approximations against exact answers for eleven rows and against NUTS.

The mean importance weight of a proposal estimates the evidence, which `oracle` gives exactly. A mean is sensitive to
everything: normalising constants, Jacobians, the prior's and the proposal's density, the orders of the components.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats as st
from oracle import exact_posterior, log_marginals

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.approximate.advi import sample_advi
from bayesgmm.inference.approximate.at_modes import laplace_proposal
from bayesgmm.inference.approximate.laplace import sample_laplace, weigh
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts.sample import sample_nuts
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.at_modes import LocalProposal
from bayesgmm.model.proposals.importance import smooth_weights
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.build import build_tree

FULL = get_structure("full")


def problem_of(data, k: int):
    table = bg.prepare_table(data)
    _, candidates = fit_em_candidates(table, k, structure=FULL, n_init=20, random_seed=1)
    # One start: approximations weigh modes by their evidence, chains do not.
    given = Problem(table, FULL, bg.MixturePrior().resolve(table))
    return given, find_modes(given, candidates[:1])


@pytest.mark.parametrize(
    ("k", "rounded"),
    [(1, True), (2, True), *(pytest.param(k, False, marks=pytest.mark.slow) for k in (1, 2))],
)
def test_mean_importance_weight_is_the_exact_evidence(k: int, rounded: bool) -> None:
    rng = np.random.default_rng(3)
    rows = 100.0 + 7.0 * np.r_[rng.normal(-6, 0.7, 5), rng.normal(6, 1, 6)]  # so far apart that none is empty
    if rounded:
        rows = 7.0 * np.round(rows / 7.0)
    problem = problem_of(rows[:, None], k)
    (table, _, prior), _ = problem
    assert prior.floor.any() == rounded
    mu, sigma = prior.sd_parameters[:, 0]
    scale = table.scale[0]
    log_m = log_marginals(
        rows, st.lognorm(sigma, scale=math.exp(mu) * scale).logpdf, table.center[0] + scale * prior.mean_loc[0],
        scale * prior.mean_scale[0], scale * prior.step[0],
    )  # fmt: skip
    exact = exact_posterior(log_m, k).log_evidence + len(rows) * math.log(scale)
    laplace = laplace_proposal(problem[1], 10.0, rng, None)
    # Eleven rows are few for Laplace itself; wider parts bound the weights.
    scales = (1.0, 2.5, 6.0)
    wide = [replace(part, factor=scale * part.factor, df=3.0) for scale in scales for part in laplace.parts]
    proposal = LocalProposal.build(wide, np.tile(laplace.weights, len(scales)), rng)
    x, log_likelihood, log_q = weigh(proposal, 30_000, rng)
    log_ratio = log_likelihood - log_q
    # Draws of copies that do not exchange see one of them.
    ratio = np.exp(log_ratio - exact) * math.factorial(k) / len(proposal.orders)
    error = ratio.std() / np.sqrt(len(ratio))
    assert smooth_weights(log_ratio).pareto_k < 0.7
    assert ratio.mean() == pytest.approx(1.0, abs=4 * error)
    assert error < 0.05


def values_of(draws, problem, inference: str) -> np.ndarray:
    tree = build_tree(draws, problem[0], inference=inference, random_seed=1, standardize=True, log_likelihood=False)
    posterior = tree["posterior"]
    return np.concatenate(
        [posterior[name].values.reshape(4000, -1) for name in ("weights", "means", "covariances")], axis=1
    )


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 3])
def test_iris_beside_nuts(k: int) -> None:
    """Means within 0.1 sd and sds within 10 %, and two standard errors of 4000 draws, wherever the Pareto k passes."""
    problem = problem_of(bg.datasets.load_iris()[0], k)
    exact = values_of(sample_nuts(*problem, random_seed=1, progressbar=False), problem, "nuts")
    for inference, draws in (
        ("laplace", sample_laplace(*problem, random_seed=1, progressbar=False)),
        ("fullrank_advi", sample_advi(*problem, method="fullrank_advi", random_seed=1, progressbar=False)),
    ):
        assert draws.extra["pareto_k"] < 0.7
        values = values_of(draws, problem, inference)
        assert (np.abs(values.mean(axis=0) - exact.mean(axis=0)) < 0.15 * exact.std(axis=0)).all()
        assert (np.abs(np.log(values.std(axis=0) / exact.std(axis=0))) < 0.15).all()
