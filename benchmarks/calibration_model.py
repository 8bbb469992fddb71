"""One simulation of simulation-based calibration: a mixture from the prior, rows from it, ranks among a fit's draws.

Written without the package's own densities, so that a fault there is not repeated here. The hyperparameters are fixed
numbers. The last column was recorded in steps comparable to the components' standard deviations. What the model says of
rounding is that it adds variance, so the rows are normal with covariance S + diag(step^2 / 12) and are not rounded:
ranks are uniform only where the rows come from the model that is fitted.

A mixture is (weights, means, S), S before rounding. Ranks are those of functions of the mixture and the rows that do
not depend on labels, the same functions for the true mixture and for the draws, whichever prior a mutant fits with.

Talts et al. (2018), arXiv:1804.06788; Modrak et al. (2023), Bayesian Analysis, doi:10.1214/23-BA1404, for quantities
that depend on the data. Lewandowski, Kurowicka, Joe (2009), J. Multivariate Analysis 100, for correlations.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import invgamma, lognorm

import bayesgmm as bg

__all__ = ["MUTANTS", "QUANTITIES", "RANKS", "Cell", "Mixtures", "draw_prior", "draw_rows", "quantities", "simulate"]

Array = np.ndarray

N, CHAINS, DRAWS, KEPT = 50, 4, 500, 100  # rows; chains and draws of a fit; draws kept of all chains together
RANKS = KEPT + 1  # values that a rank can take
CONCENTRATION, MEAN_SCALE, ETA, STEP = 5.0, 6.0, 2.0, 2.5
LOG_NORMAL, INVERSE_GAMMA = (0.0, 0.3), (5.0, 5.0)  # of the sd; of the variance
SHARED, DIAGONAL, ON_VARIANCE = ("tied", "EEI"), ("diag", "spherical", "EEI"), ("tied", "EEI")
STRUCTURES = ("full", "tied", "diag", "spherical", "EEI")
QUANTITIES = (
    "log-likelihood", "log posterior", "sum of squared weights", "mean of the mixture",
    "log determinant of the mixture's covariance", "sum of the components' log determinants",
)  # fmt: skip
MUTANTS = {
    "jacobian": "the log Jacobian of the map to log sds (and, in two columns, Fisher-transformed correlations) is left "
    "out",
    "dirichlet": "the weights' Dirichlet parameter is 1, not 5",
    "data": "the data are ignored: the draws are draws of the prior",
    "rounding": "the recording step, 2.5, is ignored",
}


@dataclass(frozen=True)
class Cell:
    """What is fitted to what.

    Parameters
    ----------
    structure : str
        ``covariance_type``.
    n_features, n_components : int
    inference : {"nuts", "gibbs", "laplace"}
    mutant : str
        Empty, or a key of `MUTANTS`: what is wrong on purpose.
    """

    structure: str
    n_features: int
    n_components: int
    inference: str = "nuts"
    mutant: str = ""

    @property
    def step(self) -> Array:
        """(D,) recording step of each column: the last one has one."""
        return np.r_[np.zeros(self.n_features - 1), STEP]

    @property
    def rounding(self) -> Array:
        """(D,) variance that rounding adds; its average where all columns have one variance."""
        added = self.step**2 / 12.0
        return np.full(self.n_features, added.mean()) if self.structure == "spherical" else added

    @property
    def seed(self) -> list[int]:
        """Of the data, which are those of the cell without its mutant, whoever fits them."""
        return [STRUCTURES.index(self.structure), self.n_features, self.n_components]

    def prior(self) -> bg.MixturePrior:
        """The prior that is fitted: a mutant's is equivalent to its fault.

        Draws of u = log s from p(s) without ds/du = s follow p(s) / s: a log-normal with mu - sigma^2, or for a
        variance an inverse gamma with a + 1. Likewise p(r) / (1 - r^2) for u = artanh r: LKJ with eta - 1.
        """
        wrong = self.mutant == "jacobian"
        (mu, sigma), (a, b), eta = LOG_NORMAL, INVERSE_GAMMA, ETA
        if wrong:
            mu, a = mu - sigma**2, a + 1.0
            eta -= float(self.n_features == 2)
        sd = bg.priors.InverseGamma(a, b) if self.structure in ON_VARIANCE else bg.priors.LogNormal(mu, sigma)
        return bg.MixturePrior(
            mean_loc=0.0, mean_scale=MEAN_SCALE, sd=sd, lkj_eta=eta,
            concentration=1.0 if self.mutant == "dirichlet" else CONCENTRATION,
            resolution=None if self.mutant == "rounding" else self.step,
        )  # fmt: skip


@dataclass(frozen=True)
class Mixtures:
    """S mixtures: weights (S, K), means (S, K, D), covariances before rounding (S, K, D, D)."""

    weights: Array
    means: Array
    latent: Array


def draw_prior(cell: Cell, n: int, rng: np.random.Generator) -> Mixtures:
    """n mixtures from the prior."""
    k, d = cell.n_components, cell.n_features
    matrices = 1 if cell.structure in SHARED else k
    shape = (n, matrices, 1 if cell.structure == "spherical" else d)
    if cell.structure in ON_VARIANCE:
        sds = np.sqrt(invgamma(INVERSE_GAMMA[0], scale=INVERSE_GAMMA[1]).rvs(shape, random_state=rng))
    else:
        sds = np.exp(LOG_NORMAL[0] + LOG_NORMAL[1] * rng.standard_normal(shape))
    sds = np.broadcast_to(sds, (n, matrices, d))
    latent = sds[..., :, None] * sds[..., None, :]
    latent = latent * (np.eye(d) if cell.structure in DIAGONAL else _correlations((n, matrices), d, rng))
    return Mixtures(
        rng.dirichlet(np.full(k, CONCENTRATION), n), MEAN_SCALE * rng.standard_normal((n, k, d)),
        np.broadcast_to(latent, (n, k, d, d)),
    )  # fmt: skip


def _correlations(shape: tuple[int, int], d: int, rng: np.random.Generator) -> Array:
    """LKJ(ETA) matrices (*shape, D, D) for D of 1, 2 or 3, by their partial correlations."""
    out = np.broadcast_to(np.eye(d), (*shape, d, d)).copy()
    partial = {
        (i, j): 2.0 * rng.beta(a, a, shape) - 1.0
        for i in range(d) for j in range(i + 1, d) for a in [ETA + (d - 2 - i) / 2.0]
    }  # fmt: skip
    for (i, j), r in partial.items():
        if i == 1:  # what is left of columns 1 and 2 given column 0
            p, q = partial[0, 1], partial[0, 2]
            r = r * np.sqrt((1.0 - p**2) * (1.0 - q**2)) + p * q
        out[..., i, j] = out[..., j, i] = r
    return out


def draw_rows(cell: Cell, truth: Mixtures, rng: np.random.Generator) -> Array:
    """N rows (N, D) from the first mixture, with the variance that rounding adds."""
    label = rng.choice(cell.n_components, N, p=truth.weights[0])
    factor = np.linalg.cholesky(truth.latent[0] + np.diag(cell.rounding))
    noise = rng.standard_normal((N, cell.n_features))
    return truth.means[0][label] + np.einsum("nij,nj->ni", factor[label], noise)


def quantities(cell: Cell, x: Mixtures, rows: Array) -> Array:
    """(S, Q) the label-invariant `QUANTITIES` of S mixtures, by the true model."""
    covariances = x.latent + np.diag(cell.rounding)
    factor = np.linalg.cholesky(covariances)  # (S, K, D, D)
    log_determinant = 2.0 * np.log(np.diagonal(factor, axis1=2, axis2=3)).sum(axis=2)  # (S, K)
    residual = np.linalg.solve(factor, (rows - x.means[:, :, None]).mT)  # (S, K, D, N)
    parts = np.log(x.weights)[..., None] - 0.5 * (residual**2).sum(axis=2) - 0.5 * log_determinant[..., None]
    log_likelihood = logsumexp(parts, axis=1).sum(axis=1)  # up to a constant
    center = np.einsum("sk,skd->sd", x.weights, x.means)
    deviation = x.means - center[:, None]
    total = np.einsum("sk,skij->sij", x.weights, covariances + deviation[..., :, None] * deviation[..., None, :])
    matrices = slice(0, 1 if cell.structure in SHARED else None)
    return np.column_stack([
        log_likelihood, log_likelihood + _log_prior(cell, x), (x.weights**2).sum(axis=1), center[:, -1],
        np.linalg.slogdet(total)[1], log_determinant[:, matrices].sum(axis=1),
    ])  # fmt: skip


def _log_prior(cell: Cell, x: Mixtures) -> Array:
    """(S,) log density of weights, means, sds and correlations, up to a constant."""
    latent = x.latent[:, :1] if cell.structure in SHARED else x.latent
    sds = np.sqrt(np.diagonal(latent, axis1=2, axis2=3))  # (S, G, D)
    correlation = np.linalg.slogdet(latent / (sds[..., :, None] * sds[..., None, :]))[1]
    if cell.structure == "spherical":
        sds = sds[..., :1]
    if cell.structure in ON_VARIANCE:
        log_sd = invgamma(INVERSE_GAMMA[0], scale=INVERSE_GAMMA[1]).logpdf(sds**2) + np.log(sds)
    else:
        log_sd = lognorm(LOG_NORMAL[1], scale=np.exp(LOG_NORMAL[0])).logpdf(sds)
    value = (CONCENTRATION - 1.0) * np.log(x.weights).sum(axis=1) + log_sd.sum(axis=(1, 2))
    value -= 0.5 * ((x.means / MEAN_SCALE) ** 2).sum(axis=(1, 2))
    if cell.structure not in DIAGONAL:
        value += (ETA - 1.0) * correlation.sum(axis=1)
    return value


def fit_draws(cell: Cell, rows: Array, seed: int) -> tuple[Mixtures, dict[str, Any]]:
    """KEPT draws of `BayesianGMM` on the rows, equally spaced, and what became of the fit."""
    fit = bg.BayesianGMM(
        cell.n_components, covariance_type=cell.structure, prior=cell.prior(), standardize=False,
        inference=cell.inference, n_init=4, draws=DRAWS, tune=300, chains=CHAINS, cores=1, random_seed=seed,
        log_likelihood=False, progressbar=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged counts like any other
        fit.fit(rows)
    names = ("weights", "means", "covariances")
    every = CHAINS * DRAWS // KEPT
    kept = (fit.posterior_["posterior"][name].values[:, ::every] for name in names)
    weights, means, covariances = (x.reshape(-1, *x.shape[2:]) for x in kept)
    added = np.zeros(cell.n_features) if cell.mutant == "rounding" else cell.rounding
    attributes = fit.posterior_.attrs
    outcome = {
        "passed": int(fit.diagnose().ok), "gibbs": int(str(attributes["method"]).startswith("Gibbs")),
        "pareto_k": round(float(attributes["pareto_k"]), 3) if "pareto_k" in attributes else None,
    }  # fmt: skip
    return Mixtures(weights, means, covariances - np.diag(added)), outcome


def simulate(cell: Cell, simulation: int) -> dict[str, Any]:
    """Ranks (Q,) of the true mixture's quantities among those of the draws, and what became of the fit."""
    rng = np.random.default_rng([*cell.seed, simulation])
    truth = draw_prior(cell, 1, rng)
    rows = draw_rows(cell, truth, rng)
    if cell.mutant == "data":
        draws, outcome = draw_prior(cell, KEPT, rng), {"passed": 1, "gibbs": 0, "pareto_k": None}
    else:
        draws, outcome = fit_draws(cell, rows, simulation)
    true, drawn = quantities(cell, truth, rows), quantities(cell, draws, rows)
    below, equal = (drawn < true).sum(axis=0), (drawn == true).sum(axis=0)
    return {"ranks": [int(r) for r in below + rng.integers(0, equal + 1)]} | outcome
