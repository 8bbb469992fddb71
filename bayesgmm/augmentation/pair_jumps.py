"""Two components replaced by two: the jump that splits one cluster and merges two others (Jain and Neal 2004).

Neither half of such a move is acceptable alone. The two components that are replaced are drawn at random, and what is
put in their place is two components of one fitted proposal. Which two depends on the components that stay, and on
nothing else, so that it is the same in both directions: those whose companions in their own proposal look most like the
components that stay.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bayesgmm.augmentation.permanent import add_log, log_permanent
from bayesgmm.augmentation.proposals import draw_part, log_determinant, log_part, log_prior_part

__all__ = ["MAX_MATCHED", "log_pair", "match_rest", "propose_pair"]

MAX_MATCHED = 8  # components up to which proposals are matched with the rest
_TEMPER = 0.3  # of the match: proposals whose companions have moved a little are still used


@njit(cache=True, nogil=True, error_model="numpy")
def _parts(prior, proposals, state, j, out):
    """out[m, k] = log density of component j under part k of proposal m, without its weight."""
    g = 0 if prior.shared else j
    log_det = log_determinant(state.cholesky[g])
    log_prior = log_prior_part(prior, state.means[j], state.latent[g])
    for m in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[m, k] = log_part(
                prior, proposals, m, k, state.means[j], state.cholesky[g], state.scaling[j], log_det, log_prior
            )


@njit(cache=True, nogil=True, error_model="numpy")
def match_rest(prior, proposals, state, j1, j2, logs, table, out):
    """out[m, a, b], a < b: log probability to use parts a and b of proposal m in place of components j1 and j2."""
    n_proposals, n_components = proposals.alpha.shape
    if n_components > MAX_MATCHED:
        out[:] = -math.log(0.5 * n_components * (n_components - 1.0) * n_proposals)
        return
    n_rest = n_components - 2
    parts = np.empty((n_rest, n_proposals, n_components))
    r = 0
    for j in range(n_components):
        if j != j1 and j != j2:
            _parts(prior, proposals, state, j, parts[r])
            r += 1
    highest, total = -math.inf, 0.0
    for m in range(n_proposals):
        for a in range(n_components):
            for b in range(a + 1, n_components):
                r = 0
                for k in range(n_components):
                    if k != a and k != b:
                        for i in range(n_rest):
                            logs[r, i] = parts[i, m, k]
                        r += 1
                out[m, a, b] = _TEMPER * log_permanent(logs[:n_rest, :n_rest], table[: 1 << n_rest])
                highest, total = add_log(highest, total, out[m, a, b])
    out -= highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def log_pair(prior, proposals, match, state, j1, j2):
    """Log density of components j1 and j2, weights included, in either order."""
    n_proposals, n_components = proposals.alpha.shape
    first, second = np.empty((n_proposals, n_components)), np.empty((n_proposals, n_components))
    _parts(prior, proposals, state, j1, first)
    _parts(prior, proposals, state, j2, second)
    w1, w2 = math.log(state.weights[j1]), math.log(state.weights[j2])
    rest = math.log(max(1.0 - state.weights[j1] - state.weights[j2], 1e-300))
    highest, total = -math.inf, 0.0
    for m in range(n_proposals):
        alpha = proposals.alpha[m]
        alpha_sum = alpha.sum()
        for a in range(n_components):
            for b in range(a + 1, n_components):
                others = alpha_sum - alpha[a] - alpha[b]
                shared = match[m, a, b] + proposals.log_trinomial[m, a, b] + (others - 1.0) * rest - math.log(2.0)
                one = (alpha[a] - 1.0) * w1 + (alpha[b] - 1.0) * w2 + first[m, a] + second[m, b]
                other = (alpha[b] - 1.0) * w1 + (alpha[a] - 1.0) * w2 + first[m, b] + second[m, a]
                highest, total = add_log(highest, total, shared + one)
                highest, total = add_log(highest, total, shared + other)
    return highest + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def propose_pair(rng, prior, proposals, state, new, work, logs, table):
    """Replace two components in `new`: the proposal used, and log q(old) - log q(new), -inf where there is no move.

    `new` is a copy of `state`; `work` (5, D, D), `logs` (K, K), `table` (2^K,) are scratch. K is 3 at least.
    """
    n_proposals, n_components = proposals.alpha.shape
    j1 = rng.integers(0, n_components)
    j2 = (j1 + 1 + rng.integers(0, n_components - 1)) % n_components
    match = np.empty((n_proposals, n_components, n_components))
    match_rest(prior, proposals, state, j1, j2, logs, table, match)
    m, a, b = _draw(rng, match)
    if rng.random() < 0.5:
        a, b = b, a
    alpha = proposals.alpha[m]
    one, two = rng.standard_gamma(alpha[a]), rng.standard_gamma(alpha[b])
    total = one + two + rng.standard_gamma(alpha.sum() - alpha[a] - alpha[b])
    new.weights[j1], new.weights[j2] = one / total, two / total
    left, before = 1.0 - new.weights[j1] - new.weights[j2], 1.0 - state.weights[j1] - state.weights[j2]
    if not (left > 1e-12 and before > 1e-12 and new.weights[j1] > 1e-300 and new.weights[j2] > 1e-300):
        return m, -math.inf
    for j, k in ((j1, a), (j2, b)):
        g = 0 if prior.shared else j
        if not draw_part(
            rng, prior, proposals, m, k, work, new.means[j], new.latent[g], new.cholesky[g], new.scaling[j]
        ):
            return m, -math.inf
    # The other weights keep their proportions: K - 3 free ones are scaled.
    for i in range(n_components):
        if i != j1 and i != j2:
            new.weights[i] = state.weights[i] * left / before
    gain = (n_components - 3.0) * math.log(left / before)
    gain += log_pair(prior, proposals, match, state, j1, j2) - log_pair(prior, proposals, match, new, j1, j2)
    return m, gain


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(rng, match):
    """One (m, a, b), a < b, with probability exp(match[m, a, b])."""
    n_proposals, n_components, _ = match.shape
    u = rng.random()
    last = (0, 0, 1)
    for m in range(n_proposals):
        for a in range(n_components):
            for b in range(a + 1, n_components):
                p = math.exp(match[m, a, b])
                if p > 0.0:
                    last = (m, a, b)
                u -= p
                if u < 0.0:
                    return m, a, b
    return last
