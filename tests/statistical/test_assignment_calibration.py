"""Calibration of assignments: parameters from the prior, rows and labels from them, everything else from the fit.

When the model is right, pairs of rows whose co-clustering probability is p share a component with frequency p, with no
matching of labels; and the interval of a responsibility holds the responsibility under the true parameters as often as
it says. Rows of one data set depend on each other, so bands come from resampling whole data sets, and coverage is
counted on one row a data set.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.clustering.assignment import assignment
from bayesgmm.clustering.coclustering import coclustering

K, D, N = 2, 2, 60
SIMULATIONS = 200
BINS = np.array([0.0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 1.0])
PRIOR = bg.MixturePrior(
    mean_loc=0.0, mean_scale=2.0, sd=bg.priors.LogNormal(0.0, 0.3), lkj_eta=2.0, concentration=3.0, resolution=None
)
LEVELS = (0.5, 0.8, 0.95)


@dataclass
class Simulated:
    """One data set: pairs of rows, and whether each row's interval held the truth, at every level."""

    probability: np.ndarray  # (pairs,)
    together: np.ndarray  # (pairs,)
    covered: np.ndarray  # (levels, N)


def true_responsibilities(rows: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray):
    parts = [w * multivariate_normal(m, c).pdf(rows) for w, m, c in zip(weights, means, covariances, strict=True)]
    density = np.column_stack(parts)
    return density / density.sum(axis=1, keepdims=True)


def simulate(seed: int) -> Simulated:
    rng = np.random.default_rng([11, seed])
    weights = rng.dirichlet(np.full(K, 3.0))
    means = 2.0 * rng.normal(size=(K, D))
    sds = np.exp(0.3 * rng.normal(size=(K, D)))
    covariances = sds[:, :, None] * sds[:, None, :]
    correlation = 2.0 * rng.beta(2.0, 2.0, size=K) - 1.0  # LKJ(2) for two columns
    covariances[:, 0, 1] *= correlation
    covariances[:, 1, 0] *= correlation
    label = rng.choice(K, size=N, p=weights)
    noise = rng.normal(size=(N, D))
    rows = means[label] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[label], noise)
    fit = bg.BayesianGMM(
        K, prior=PRIOR, standardize=False, n_init=4, draws=400, tune=300, target_accept=0.9, random_seed=seed,
        progressbar=False, log_likelihood=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged counts like any other
        fit.fit(rows)
    pairs = np.triu_indices(N, 1)
    truth = true_responsibilities(rows, weights, means, covariances)
    results = [assignment(fit.posterior_, ci_prob=level) for level in LEVELS]
    # The truth is relabelled as a draw is: by Stephens' criterion against the mean responsibilities.
    mean = np.log(np.maximum(results[0].probabilities.to_numpy(), 1e-300))
    truth = max((truth[:, list(nu)] for nu in permutations(range(K))), key=lambda r: float((r * mean).sum()))
    covered = [(truth[:, 0] >= r.lower[0].to_numpy()) & (truth[:, 0] <= r.upper[0].to_numpy()) for r in results]
    return Simulated(
        probability=coclustering(fit.posterior_)[pairs],
        together=(label[pairs[0]] == label[pairs[1]]).astype(float),
        covered=np.array(covered),
    )


@pytest.fixture(scope="module")
def simulated() -> list[Simulated]:
    return [simulate(seed) for seed in range(SIMULATIONS)]


def departures(probability: list[np.ndarray], together: list[np.ndarray]) -> np.ndarray:
    """Frequency minus probability in each bin, in standard errors from resampling data sets."""
    excess, count = np.zeros((len(probability), len(BINS) - 1)), np.zeros((len(probability), len(BINS) - 1))
    for s, (p, t) in enumerate(zip(probability, together, strict=True)):
        where = np.clip(np.searchsorted(BINS, p, side="right") - 1, 0, len(BINS) - 2)
        np.add.at(excess[s], where, t - p)
        np.add.at(count[s], where, 1.0)
    rng = np.random.default_rng(0)
    picks = rng.integers(len(excess), size=(2000, len(excess)))
    resampled = excess[picks].sum(axis=1) / np.maximum(count[picks].sum(axis=1), 1.0)
    return excess.sum(axis=0) / count.sum(axis=0) / resampled.std(axis=0)


@pytest.mark.slow
def test_pairs_are_together_as_often_as_said(simulated: list[Simulated]) -> None:
    z = departures([s.probability for s in simulated], [s.together for s in simulated])
    assert np.abs(z).max() < 3.2, z  # 1 % over twelve bins


@pytest.mark.slow
def test_probabilities_that_are_too_sure_are_caught(simulated: list[Simulated]) -> None:
    sharpened = [s.probability**2 / (s.probability**2 + (1 - s.probability) ** 2) for s in simulated]
    z = departures(sharpened, [s.together for s in simulated])
    assert np.abs(z).max() > 5.0, z


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_intervals_cover_true_responsibilities_at_their_rate(simulated: list[Simulated], level: float) -> None:
    at = LEVELS.index(level)
    rng = np.random.default_rng(1)
    one = np.array([s.covered[at, rng.integers(N)] for s in simulated])  # independent of each other
    assert abs(one.mean() - level) < 2.0 * np.sqrt(level * (1 - level) / len(one)), one.mean()
    every = np.array([s.covered[at].mean() for s in simulated])
    assert abs(every.mean() - level) < 3.0 * every.std(ddof=1) / np.sqrt(len(every)), every.mean()
