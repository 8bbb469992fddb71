"""A proposal's density summed over relabellings of the components, for bridge sampling.

The posterior of a mixture has K! copies of every mode. Draws relabelled to one copy can still be used exactly with

    q_sym(x) = 1/K! sum_sigma q(sigma x),

sigma x the vector of the same mixture with its components in another order: target and q_sym are both symmetric,
so it does not matter from which copy a draw was taken (Fruehwirth-Schnatter 2004, Econometrics Journal 7, 143-167;
Celeux, Fruehwirth-Schnatter, Robert 2019). In EM-affine coordinates reordering keeps volume: the Jacobian of the
coordinates is the product of all weights and all Cholesky diagonals, which no reordering changes.

With z = A (sigma x - m), A the inverse Cholesky factor of q, the contribution A_j b_jk of component k standing in
place j is computed once for all j, k; each of the permutations is then a sum of K vectors.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.threads import over_threads
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import head_in_order
from bayesgmm.model.proposals.exchange import exchangeable, orders_within
from bayesgmm.model.proposals.student_mixture import Proposal

__all__ = ["permuted_log_density", "relevant_permutations"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ENUMERATED = 6  # components up to which all K! permutations are summed
_MAX_PERMUTATIONS = 5040
_NEGLIGIBLE_SWAP = 1e-5
_BATCH = 1 << 20  # numbers of one temporary


def permuted_log_density(
    proposal: Proposal, density: Density, weights: Array, means: Array, latent: Array, order: IntArray
) -> tuple[Array, Array]:
    """Log of the sum over permutations of q(sigma x), and of its first term.

    Parameters
    ----------
    weights, means, latent : arrays (S, H), (S, K, D), (S, K, D, D)
        Draws on the model's scale: heads (`kernels.row_model`), means, and Cholesky factors before rounding.
    order : int array (P, K)
        Place j of permutation p holds component ``order[p, j]``; the first one is usually the identity.

    Returns
    -------
    arrays (S,), (S,)
    """
    n_draws, k = means.shape[:2]
    total, first = np.empty(n_draws), np.empty(n_draws)
    size = max(1, _BATCH // max(len(order), k * k * density.n_dim))

    def work(chunk: slice) -> None:
        for start in range(chunk.start, chunk.stop, size):
            s = slice(start, min(start + size, chunk.stop))
            values = _permuted(proposal, density, weights[s], means[s], latent[s], order)
            total[s], first[s] = logsumexp(values, axis=1), values[:, 0]

    over_threads(work, n_draws)
    return total, first


def _permuted(
    proposal: Proposal, density: Density, weights: Array, means: Array, latent: Array, order: IntArray
) -> Array:
    """(S, P) log q(sigma_p x_s)."""
    n_draws, k, d = means.shape
    shared = density.structure.n_matrices(2) == 1
    cells = density.structure.n_cells(d)
    stick_ref, stick_step = density.packed.stick_ref, density.packed.stick_step
    # Coordinates of the head, of which the sticks come first and degrees of freedom of each component last; in between
    # is what no order changes.
    head = len(stick_ref)
    each_df = density.structure.component == "t_each"
    fixed = slice(k - 1, head - k if each_df else head)
    own = d + cells * (not shared) + each_df  # coordinates that go with one component
    blocks = np.empty((n_draws, k, k, own))  # [draw, place, component]
    places = np.arange(k)
    for shift in range(k):
        index = (places + shift) % k
        turned = head_in_order(weights, index, density.structure.row_model)
        x = density.pack_draws(turned, means[:, index], latent if shared else latent[:, index])
        blocks[:, places, index, :d] = x[:, head : head + k * d].reshape(n_draws, k, d)
        if not shared:
            blocks[:, places, index, d : d + cells] = x[:, head + k * d :].reshape(n_draws, k, cells)
        if each_df:
            blocks[:, places, index, -1] = x[:, head - k : head]
    log_weights = np.log(np.maximum(weights[:, :k], np.finfo(float).tiny))
    sticks = slice(k - 1)

    values = np.empty((len(proposal.weights), n_draws, len(order)))
    for m, (constant, mean, factor) in enumerate(
        zip(proposal.log_constants, proposal.means, proposal.cholesky, strict=True)
    ):
        inverse = np.linalg.solve(factor, np.eye(len(mean)))  # (n, n)
        base = np.tile(-inverse @ mean - inverse[:, sticks] @ (stick_ref / stick_step)[sticks], (n_draws, 1))
        base += x[:, fixed] @ inverse[:, fixed].T
        if shared:
            base += x[:, head + k * d :] @ inverse[:, head + k * d :].T
        pieces = np.empty((n_draws, k, k, len(mean)))
        for j in range(k):
            columns = np.arange(head + j * d, head + (j + 1) * d)
            if not shared:
                columns = np.append(columns, head + k * d + np.arange(j * cells, (j + 1) * cells))
            if each_df:
                columns = np.append(columns, head - k + j)
            pieces[:, j] = blocks[:, j] @ inverse[:, columns].T
        _quadratics(base, pieces, np.ascontiguousarray((inverse[:, sticks] / stick_step[sticks]).T), log_weights, order,
                    values[m])  # fmt: skip
        values[m] = constant + proposal.log_kernel(values[m])
    return values[0] if len(values) == 1 else logsumexp(values, axis=0)


@compiled
def _quadratics(base, pieces, sticks, log_weights, order, out):
    """out[s, p] = squared norm of base[s] + sum_j pieces[s, j, order[p, j]] + logits of the sticks in that order."""
    n_components, n = order.shape[1], base.shape[1]
    z = np.empty(n)
    for s in range(base.shape[0]):
        for p in range(order.shape[0]):
            z[:] = base[s]
            tail = log_weights[s, order[p, n_components - 1]]
            for j in range(n_components - 1, -1, -1):
                piece = pieces[s, j, order[p, j]]
                if j == n_components - 1:
                    for i in range(n):
                        z[i] += piece[i]
                    continue
                own = log_weights[s, order[p, j]]
                logit = own - tail
                high = max(own, tail)
                tail = high + math.log1p(math.exp(-abs(own - tail)))
                row = sticks[j]
                for i in range(n):
                    z[i] += piece[i] + row[i] * logit
            total = 0.0
            for i in range(n):
                total += z[i] * z[i]
            out[s, p] = total


def relevant_permutations(
    proposal: Proposal, density: Density, weights: Array, means: Array, latent: Array
) -> tuple[IntArray, float]:
    """Permutations (P, K), the identity first, whose terms matter for draws like these, and what the others hold.

    All of them up to six components. Above, components whose swap keeps more than 1e-5 of the density (averaged over
    the draws) are put into one group, the most easily swapped first, as long as no more than 5040 permutations within
    groups arise; the second result is the average share of the largest swap that had to be left out.
    """
    k = means.shape[1]
    if k <= _ENUMERATED:
        return orders_within([list(range(k))]), 0.0
    pairs = list(combinations(range(k), 2))
    swaps = np.tile(np.arange(k), (len(pairs) + 1, 1))
    for p, (i, j) in enumerate(pairs, start=1):
        swaps[p, [i, j]] = j, i
    values = _permuted(proposal, density, weights, means, latent, swaps)
    kept = np.exp(np.minimum(values[:, 1:] - values[:, :1], 0.0)).mean(axis=0)
    strength = dict(zip(pairs, kept.tolist(), strict=True))
    groups, left_out = exchangeable(strength, k, least=_NEGLIGIBLE_SWAP, most=_MAX_PERMUTATIONS)
    return orders_within(groups), left_out
