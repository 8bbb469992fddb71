"""Proposals of a pair of components fitted to draws: see `inference.gibbs.moves.redraws`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayesgmm.data.table import prepare_table
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.gibbs.moves.pairs import draw_pair, set_closeness
from bayesgmm.inference.gibbs.moves.redraws import DOF, Redraws, frame_of, no_redraws, to_frame
from bayesgmm.kernels.compiled import compiled, put
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.kernels.state import ChainState
from bayesgmm.kernels.triangular import invert
from bayesgmm.model.density.natural import CompletePrior, cells_of
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky

__all__ = ["fit_redraws"]

Array = NDArray[np.float64]

_DRAWS_A_PART, _DRAWS_A_COORDINATE = 150, 8  # at most, and at least
_MOST_COORDINATES = 10  # of more, what a mixture fitted to so many draws proposes is not accepted
_PARTS, _STEPS, _TOL, _LEAST_VARIANCE = 40, 100, 1e-3, 1e-3
_WIDEN = 1.2


def fit_redraws(samples: Sequence[Sample], prior: CompletePrior, *, seed: int = 0) -> Redraws:
    """A mixture of 40 parts, or of as many as there are draws for, fitted to the coordinates of one pair of each draw,
    drawn as a walk draws it, and of its frame."""
    k, d = samples[0].means.shape[1:]
    p = 1 + d + cells_of(prior, d)
    if k == 1 or p > _MOST_COORDINATES:
        return no_redraws()
    x = np.concatenate([_coordinates(s, prior, _PARTS * _DRAWS_A_PART // len(samples), seed) for s in samples])
    x = x[np.isfinite(x).all(axis=1)]
    spread = x.std(axis=0)
    n_parts = min(_PARTS, len(x) // (_DRAWS_A_COORDINATE * x.shape[1]))
    if n_parts < 1 or not (spread > 0.0).all():
        return no_redraws()
    mean = x.mean(axis=0)
    table = prepare_table((x - mean) / spread, standardize=False, resolution=None)
    em, _ = fit_em_candidates(
        table, n_parts, structure="full", n_init=1, tol=_TOL, max_iter=_STEPS, reg_covar=_LEAST_VARIANCE,
        random_seed=seed, look_further=False,
    )  # fmt: skip
    centre, covariance = mean + spread * em.params.means, em.params.covariances * np.outer(spread, spread)
    of_u, of_both, of_v = covariance[:, :p, :p], covariance[:, :p, p:], covariance[:, p:, p:]
    slope = np.linalg.solve(of_v, of_both.mT).mT
    root = math.sqrt(_WIDEN) * np.linalg.cholesky(of_u - slope @ of_both.mT)
    root_v = np.linalg.cholesky(of_v)
    constant = gammaln(0.5 * (DOF + p)) - gammaln(0.5 * DOF) - 0.5 * p * math.log(DOF * math.pi)
    parts = (
        constant - _log_determinant(root), centre[:, :p], slope, root, inverse_cholesky(root),
        np.log(em.params.weights) - _log_determinant(root_v), centre[:, p:], inverse_cholesky(root_v),
    )  # fmt: skip
    return Redraws(*(np.ascontiguousarray(a) for a in parts))


def _log_determinant(root: Array) -> Array:
    return np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)


def _coordinates(sample: Sample, prior: CompletePrior, n_draws: int, seed: int) -> Array:
    """Coordinates (S, P + V) of pairs, and of their frames, of so many draws, or all."""
    s, k, d = sample.means.shape
    index = evenly_spaced(s, n_draws)
    out = np.full((len(index), 2 * (1 + d) + cells_of(prior, d)), np.nan)
    scaling = np.broadcast_to(inverse_cholesky(sample.cholesky), (s, k, d, d)).copy()
    arrays = (np.ascontiguousarray(a) for a in (*sample, scaling))
    _fill(np.random.default_rng(seed), prior, index, *arrays, out)
    return out


@compiled
def _fill(rng, prior, index, weights, means, latent, cholesky, scaling, out):
    k, d = means.shape[1:]
    close, frame = np.zeros((k, k)), np.empty((4, d, d))
    for n in range(len(index)):
        s = index[n]
        state = ChainState(weights[s], means[s], latent[s], cholesky[s], scaling[s])
        for j in range(k):
            set_closeness(j, state, close)
        a, b = draw_pair(rng, state, close)
        if frame_of(prior, a, b, state.weights, state.means, state.cholesky, frame[2, 0], frame[3], frame[0]):
            invert(frame[0], frame[1])
            u, v = out[n, : -1 - d], out[n, -1 - d :]
            to_frame(prior, a, b, state.weights, state.means, state.cholesky, frame[2, 0], frame[1], u)
            v[0] = math.log(state.weights[a] + state.weights[b])
            put(v[1:], frame[2, 0])
