"""Simulation-based calibration: ranks of prior draws among posterior draws are uniform.

Parameters come from the prior at fixed hyperparameters, data from the parameters, draws from the fit; every
quantity ranked is label-invariant and one of them involves the data (Modrak et al. 2023). Two mutations show
that the test can fail: a wrong Dirichlet parameter and data from elsewhere.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal

import bayesgmm as bg

K, D, N = 2, 2, 60
RANKS, BINS = 100, 20
PRIOR = dict(mean_loc=0.0, mean_scale=4.0, sd=bg.priors.LogNormal(0.0, 0.4), lkj_eta=2.0, resolution=None)


def simulate(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    weights = rng.dirichlet(np.full(K, 3.0))
    means = 4.0 * rng.normal(size=(K, D))
    sds = np.exp(0.4 * rng.normal(size=(K, D)))
    correlation = 2.0 * rng.beta(2.0, 2.0, size=K) - 1.0  # LKJ(2) for two columns
    covariances = sds[:, :, None] * sds[:, None, :]
    covariances[:, 0, 1] *= correlation
    covariances[:, 1, 0] *= correlation
    label = rng.choice(K, size=N, p=weights)
    noise = rng.normal(size=(N, D))
    rows = means[label] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[label], noise)
    return weights, means, covariances, rows


def invariants(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(S, Q) label-invariant quantities of draws (S, K), (S, K, D), (S, K, D, D)."""
    center = np.einsum("sk,skd->sd", weights, means)
    within = np.einsum("sk,skij->sij", weights, covariances)
    deviation = means - center[:, None]
    total = within + np.einsum("sk,ski,skj->sij", weights, deviation, deviation)
    parts = [
        [np.log(w) + multivariate_normal.logpdf(rows, m, c) for w, m, c in zip(*draw, strict=True)]
        for draw in zip(weights, means, covariances, strict=True)
    ]
    log_density = logsumexp(parts, axis=1)  # (S, N)
    columns = [log_density.sum(axis=1), (weights**2).sum(axis=1), center[:, 0], np.linalg.slogdet(total)[1],
               np.linalg.slogdet(covariances)[1].max(axis=1)]  # fmt: skip
    return np.column_stack(columns)


def p_values(simulations: int, *, concentration: float = 3.0, data_ignored: bool = False) -> np.ndarray:
    """Chi-squared p-value of uniform ranks, one a quantity."""
    ranks = []
    for simulation in range(simulations):
        rng = np.random.default_rng([7, simulation])
        weights, means, covariances, rows = simulate(rng)
        fitted = simulate(rng)[3] if data_ignored else rows
        fit = bg.BayesianGMM(
            K, prior=bg.MixturePrior(concentration=concentration, **PRIOR), standardize=False, n_init=4, draws=250,
            tune=300, target_accept=0.9, random_seed=simulation, progressbar=False,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit.fit(fitted)
        draws = [fit.posterior_["posterior"][name].values[:, ::10] for name in ("weights", "means", "covariances")]
        flat = [d.reshape(-1, *d.shape[2:]) for d in draws]
        assert len(flat[0]) == RANKS
        posterior = invariants(*flat, rows)
        truth = invariants(weights[None], means[None], covariances[None], rows)
        ranks.append((posterior < truth).sum(axis=0))
    counts = np.array([np.histogram(column, bins=BINS, range=(0, RANKS + 1))[0] for column in np.array(ranks).T])
    probability = np.diff(np.floor(np.linspace(0, RANKS + 1, BINS + 1) - 1e-9)) / (RANKS + 1)
    expected = simulations * probability / probability.sum()
    return chi2.sf(((counts - expected) ** 2 / expected).sum(axis=1), BINS - 1)


@pytest.mark.slow
def test_ranks_are_uniform() -> None:
    p = p_values(300)
    assert p.min() > 0.01 / len(p), p


@pytest.mark.slow
@pytest.mark.parametrize("mutation", [{"concentration": 100.0}, {"data_ignored": True}])
def test_mutations_are_caught(mutation: dict) -> None:
    assert p_values(100, **mutation).min() < 1e-6
