"""Problems of the Gibbs sampler and draws from their priors."""

from __future__ import annotations

import numpy as np

import bayesgmm as bg
from bayesgmm.data.table import prepare_table
from bayesgmm.model.density.natural import draw_prior_component
from bayesgmm.model.draws import Sample
from bayesgmm.model.structure import get_structure

FAMILIES = {
    "lognormal": bg.priors.LogNormal(-0.4, 0.4),
    "halfnormal": bg.priors.HalfNormal(0.8),
    "halfcauchy": bg.priors.HalfCauchy(0.5),
    "exponential": bg.priors.Exponential(1.3),
    "inversegamma": bg.priors.InverseGamma(3.0, 1.2),
}
N, D, K = 12, 2, 2


def problem(structure: str, family: str, step: float = 0.0, d: int = D, n: int = N):
    rows = np.random.default_rng(0).normal(size=(n, d))
    table = prepare_table(rows, standardize=False)
    prior = bg.MixturePrior(
        mean_loc=0.3, mean_scale=1.1, sd=FAMILIES[family], lkj_eta=1.5, concentration=1.4, resolution=step
    ).resolve(table)
    return table, get_structure(structure), prior


def prior_draws(packed, structure, n_draws: int, rng, k: int = K, d: int = D) -> Sample:
    """Independent draws from the prior."""
    g = structure.n_matrices(k)
    means = np.empty((n_draws, k, d))
    latent, cholesky = np.zeros((n_draws, g, d, d)), np.zeros((n_draws, g, d, d))
    scaling, work = np.zeros((d, d)), np.zeros((d, d))
    for s in range(n_draws):
        for j in range(k):
            i = j if g > 1 else 0
            draw_prior_component(rng, packed, means[s, j], latent[s, i], cholesky[s, i], scaling, work, True)
    return Sample(rng.dirichlet(np.full(k, packed.concentration), size=n_draws), means, latent, cholesky)
