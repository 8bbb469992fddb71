"""Gibbs sweeps with t components and a background against their own prior (Geweke 2004)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from _gibbs import D, K, N, prior_draws, problem

import bayesgmm as bg
from bayesgmm.inference.gibbs.chains import GibbsProblem, no_library, start_state
from bayesgmm.inference.gibbs.sweeps import TALLY, sweep_many
from bayesgmm.kernels.rows import rows_of
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import Structure

Array = np.ndarray
TAILS, LIGHT, NOISE = (3.0, 0.8), (12.0, 1.2), (2.0, 6.0)  # of the first a fifth lies below 2, where it is cut off
HALF = 8.0  # of the box, outside of which are hardly any rows of components


def heads(structure: Structure, df: tuple[float, float], n_draws: int, rng: np.random.Generator) -> Array:
    """(S, H) from the prior."""
    parts = [rng.dirichlet(np.full(K, 1.4), size=n_draws)]
    if structure.has_background:
        noise = rng.beta(*NOISE, size=(n_draws, 1))
        parts = [parts[0] * (1.0 - noise), noise]
    drawn = rng.gamma(df[0], 1.0 / df[1], size=4 * n_draws * structure.n_df(K))
    parts.append(drawn[drawn > 2.0][: n_draws * structure.n_df(K)].reshape(n_draws, -1))
    return np.concatenate(parts, axis=1)


def statistics_of(sample: Sample, structure: Structure) -> Array:
    """(S, Q) functions of the parameters."""
    classes, covariances, m = structure.n_classes(K), sample.cholesky @ sample.cholesky.mT, sample.means
    first, log_over = covariances[:, 0], np.log(sample.weights[:, classes:] - 2.0)
    correlation = first[:, 0, 1] / np.sqrt(first[:, 0, 0] * first[:, 1, 1])
    latent = np.log(np.linalg.norm(sample.latent, axis=3)).mean(axis=(1, 2))
    weights, log_det = sample.weights[:, :classes], np.linalg.slogdet(covariances)[1].mean(axis=1)
    return np.column_stack([
        weights, weights**2, m[:, 0, 0], m[:, 0, 0] ** 2, m[:, 0, 0] * m[:, 1, 0], latent, latent**2, correlation**2,
        log_det, np.tanh(log_det), log_over, np.tanh(log_over), log_over * latent[:, None],
    ])  # fmt: skip


def simulate(rng: np.random.Generator, state, structure: Structure, out: Array) -> None:
    """Rows given the parameters into out (D, N)."""
    n, classes = out.shape[1], structure.n_classes(K)
    z = (rng.random(n)[:, None] > np.cumsum(state.weights[:classes])[None, :-1]).sum(axis=1)
    k = np.minimum(z, K - 1)
    factor = state.cholesky[k] if len(state.cholesky) > 1 else np.broadcast_to(state.cholesky[0], (n, D, D))
    rows = np.einsum("nij,nj->ni", factor, rng.standard_normal((n, D)))
    if structure.n_df(K):
        df = np.broadcast_to(state.weights[classes:], K)[k]
        rows *= np.sqrt(0.5 * df / rng.standard_gamma(0.5 * df))[:, None]
    out[:] = np.where(z[:, None] < K, state.means[k] + rows, rng.uniform(-HALF, HALF, (n, D))).T


@pytest.mark.parametrize(
    ("kind", "component", "noise", "gaps"),
    [
        ("full", "t", False, 0.3), ("tied", "t_each", False, 0.3), ("full", "normal", True, 0.0),
        ("diag", "t", True, 0.3),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("EEI", "t", False, 0.0), ("diag", "t_each", False, 0.0), ("spherical", "normal", True, 0.3),
                ("full", "t", True, 0.0), ("full", "t_each", True, 0.3),
            )
        ),
    ],
)  # fmt: skip
def test_sweeps_keep_the_joint_distribution(kind: str, component: str, noise: bool, gaps: float) -> None:
    """z scores: parameters of (data given parameters, sweep given data) alternated, against the prior."""
    n_iter, rng = 10_000, np.random.default_rng(len(kind + component) + noise)
    table, structure, prior = problem(kind, "lognormal", 0.4)
    structure = structure.of(component, np.full(D, math.log(2.0 * HALF)) if noise else ())
    df = LIGHT if noise else TAILS
    given = GibbsProblem.build(Problem(table, structure, replace(prior, df=df, noise=NOISE)))
    independent = prior_draws(given.packed, structure, n_iter, rng)
    independent = independent._replace(weights=heads(structure, df, n_iter, rng))
    covariances = np.broadcast_to(np.eye(D), (K, D, D))
    state = start_state(
        given, MixtureParams.of_head(independent.weights[0], independent.means[0], covariances, structure)
    )
    features, rounds = np.zeros((D, N)), Sample(*(np.empty((n_iter, *a.shape[1:])) for a in independent))
    missing = np.random.default_rng(6).random((D, N)) < gaps
    features[missing] = np.nan
    target, allocation = given.target._replace(rows=rows_of(features)), given.new_allocation(K)
    for s in range(n_iter):
        simulate(rng, state, structure, features)
        features[missing] = np.nan
        one = Sample(*(a[s : s + 1] for a in rounds))
        sweep_many(rng, 0, 1, target, no_library(K, D), 1.0, state, allocation, one, np.zeros(TALLY),
                   np.zeros(0, dtype=np.int64))  # fmt: skip
    ours, theirs = (statistics_of(x, structure) for x in (rounds, independent))
    batches = ours.reshape(40, n_iter // 40, -1).mean(axis=1)
    error = np.hypot(batches.std(axis=0, ddof=1), theirs.std(axis=0) / math.sqrt(n_iter / 40)) / math.sqrt(40)
    z = (ours.mean(axis=0) - theirs.mean(axis=0)) / np.maximum(error, 1e-12)
    assert np.abs(z).max() < 4.5, z.round(1)


def test_fractions_of_t_rows_are_refused() -> None:
    rows = bg.datasets.load_faithful()
    fit = bg.BayesianGMM(2, component="t", inference="gibbs", progressbar=False)
    with pytest.raises(bg.InputError, match="takes whole weights of rows under t components"):
        fit.fit(rows, sample_weight=np.linspace(0.5, 1.5, len(rows)))
