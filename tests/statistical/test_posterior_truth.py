"""The posterior against independent truth: exact enumeration for 11 rows, long JAGS runs for 82.

Tolerances are Monte Carlo errors: four standard errors of our draws, plus the reference's own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.posterior.tree import posterior_arrays

REFERENCE = Path(__file__).parents[1] / "reference"
EXACT = json.loads((REFERENCE / "exact_1d" / "exact_1d_n11.json").read_text())
FAMILIES = {
    "hn5": bg.priors.HalfNormal(5.0),
    "exp02": bg.priors.Exponential(0.2),
    "ig3_20": bg.priors.InverseGamma(3.0, 20.0),
    "halfcauchy5": bg.priors.HalfCauchy(5.0),
}


def mcse(values: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean of (chain, draw, ...) values, by batch means."""
    n_chains, n_draws = values.shape[:2]
    size = int(np.sqrt(n_draws))
    batches = values[:, : size * (n_draws // size)].reshape(n_chains * (n_draws // size), size, *values.shape[2:])
    means = batches.mean(axis=1)
    return means.std(axis=0, ddof=1) / np.sqrt(len(means))


def co_clustering(fit: bg.BayesianGMM, rows: np.ndarray) -> np.ndarray:
    """(chain, draw, N, N) probability that two rows share a component, given each draw."""
    posterior = fit.posterior_["posterior"]
    w, m = posterior["weights"].values, posterior["means"].values[..., 0]
    v = posterior["covariances"].values[..., 0, 0]
    density = np.exp(-0.5 * (rows[:, 0][:, None] - m[:, :, None]) ** 2 / v[:, :, None]) * (w / np.sqrt(v))[:, :, None]
    r = density / density.sum(axis=-1, keepdims=True)  # (C, S, N, K)
    together = r @ np.swapaxes(r, 2, 3)
    index = np.arange(len(rows))
    together[:, :, index, index] = 1.0
    return together


@pytest.mark.parametrize("name", ["hn5_alpha1", "ig3_20_alpha2"])
@pytest.mark.parametrize("k", [1, 2])
def test_co_clustering_matches_exact_enumeration(name: str, k: int) -> None:
    family, alpha = name.split("_alpha")
    rows = np.array(EXACT["y"])[:, None]
    prior = bg.MixturePrior(
        mean_loc=20.0, mean_scale=10.0, sd=FAMILIES[family], concentration=float(alpha), resolution=None
    )
    fit = bg.BayesianGMM(
        k, prior=prior, standardize=False, draws=4000, tune=1000, target_accept=0.99, random_seed=5, progressbar=False
    ).fit(rows)
    values = co_clustering(fit, rows)
    error = np.abs(values.mean(axis=(0, 1)) - np.array(EXACT[name][f"K{k}"]["psm"]))
    assert (error <= 4.0 * mcse(values) + 1e-3).all(), error.max()
    assert error.max() < 0.03


def test_galaxies_match_jags() -> None:
    reference = pd.read_csv(REFERENCE / "galaxies" / "posterior_ig_K3.csv", index_col="param")
    prior = bg.MixturePrior(mean_loc=20.0, mean_scale=10.0, sd=FAMILIES["ig3_20"], resolution=None)
    fit = bg.BayesianGMM(
        3, prior=prior, standardize=False, draws=4000, tune=1000, target_accept=0.95, random_seed=2, progressbar=False
    ).fit(bg.datasets.load_galaxies())
    posterior = fit.posterior_["posterior"]
    means = posterior["means"].values[..., 0]
    order = means.argsort(axis=-1)  # the reference sorts components by mean
    ours = {
        "mu": np.take_along_axis(means, order, -1),
        "sigma": np.take_along_axis(np.sqrt(posterior["covariances"].values[..., 0, 0]), order, -1),
        "w": np.take_along_axis(posterior["weights"].values, order, -1),
    }
    for name, values in ours.items():
        for j in range(3):
            row = reference.loc[f"{name}[{j + 1}]"]
            tolerance = 4.0 * np.hypot(mcse(values[..., j]), row["mcse_mean"])
            assert abs(values[..., j].mean() - row["mean"]) < tolerance, (name, j, values[..., j].mean(), row["mean"])
            assert values[..., j].std() == pytest.approx(row["sd"], rel=0.15)


def test_pointwise_log_density_in_original_units() -> None:
    """The stored log-likelihood is per original unit: it follows from the draws by the textbook formula."""
    fit = bg.BayesianGMM(2, draws=50, tune=200, chains=2, random_seed=3, progressbar=False)
    with pytest.warns(bg.NotConvergedWarning):
        fit.fit(bg.datasets.load_faithful())
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    tree, rows = fit.posterior_, fit.table_.values
    posterior = tree["posterior"]
    for c, s in [(0, 0), (1, 49)]:
        w, m, v = (posterior[n].values[c, s] for n in ("weights", "means", "covariances"))
        parts = [np.log(w[k]) + multivariate_normal.logpdf(rows, m[k], v[k]) for k in range(2)]
        expected = logsumexp(parts, axis=0)
        np.testing.assert_allclose(tree["log_likelihood"]["obs"].values[c, s], expected, rtol=1e-10)
        assert float(posterior["log_likelihood_total"][c, s]) == pytest.approx(expected.sum(), rel=1e-10)
    a = posterior_arrays(tree)
    again = pointwise_log_density(a.to_model(rows), a.weights, a.means, a.scaling) - a.log_jacobian(rows)
    np.testing.assert_allclose(again.reshape(2, 50, -1), tree["log_likelihood"]["obs"].values, rtol=1e-10)
