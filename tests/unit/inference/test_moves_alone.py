"""Each kind of jump on its own, with no rows: draws of the prior must still be draws of the prior after many of them.

Sweeps between moves would hide what is wrong with a move, so there are none; and a draw before and after is paired, so
that the Monte Carlo error is that of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from _gibbs import D, prior_draws, problem
from numba import njit
from scipy import stats
from scipy.special import digamma, gammaln

from bayesgmm.inference.gibbs.bins import Bins
from bayesgmm.inference.gibbs.moves.components import SINGLE, _propose_single, jump
from bayesgmm.inference.gibbs.moves.redraw_fit import fit_redraws
from bayesgmm.inference.gibbs.moves.regrouping import _given_rows, _log_given, _log_proposed
from bayesgmm.inference.gibbs.moves.walks import _step, walk
from bayesgmm.kernels.state import ChainState, copy_state
from bayesgmm.model.density.natural import complete_prior, log_posterior_of, log_prior_covariance
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.proposals.conjugate import draw_covariance
from bayesgmm.model.proposals.conjugate_fit import fit_proposals
from bayesgmm.model.proposals.joint import log_joint, propose_joint
from bayesgmm.model.proposals.joint_fit import fit_joint, no_joint
from bayesgmm.model.proposals.whole import log_proposal, propose_whole

K = 3  # so that pairs are chosen
STRUCTURES = [
    ("full", "lognormal", 0.6), ("diag", "inversegamma", 0.0), ("spherical", "lognormal", 0.6),
    ("tied", "lognormal", 0.0), ("EEI", "lognormal", 0.6),
]  # fmt: skip
Move = Callable[[np.random.Generator, ChainState, ChainState], bool]  # changes the state or not; a copy of it is given


def statistics_of(states: list[ChainState]) -> np.ndarray:
    """(S, Q) symmetric functions of the components, of finite variance, many of weight and shape together."""
    w, m = (np.stack([s[i] for s in states]) for i in (0, 1))
    size = np.tanh(np.log(np.abs(np.linalg.det(np.stack([s.cholesky for s in states])))))
    size = np.broadcast_to(size, w.shape)
    covariances = np.stack([s.cholesky @ s.cholesky.mT for s in states])
    correlation = covariances[..., 0, 1] / np.sqrt(covariances[..., 0, 0] * covariances[..., 1, 1])
    correlation = np.broadcast_to(correlation, w.shape)
    off = m[:, :, None] - m[:, None]
    apart = np.exp(-0.5 * np.square(off).sum(axis=-1))
    return np.column_stack([
        (w**2).sum(axis=1), np.log(w).sum(axis=1), w.max(axis=1), size.mean(axis=1), (size**2).mean(axis=1),
        (w * size).sum(axis=1), (correlation**2).mean(axis=1), (w * correlation**2).sum(axis=1), m.mean(axis=(1, 2)),
        np.square(m).mean(axis=(1, 2)), (w[:, :, None] * np.square(m)).sum(axis=(1, 2)), apart.sum(axis=(1, 2)),
        np.einsum("si,sij,sj->s", w, apart, w), np.einsum("si,sij,sj->s", size, apart, w),
    ])  # fmt: skip


def prior_kept(packed, struct, move: Move, n_moves: int, n: int) -> tuple[np.ndarray, float]:
    """z scores of the differences that moves make to draws of the prior; and the share of the moves made."""
    rng = np.random.default_rng(0)
    states = list[ChainState]()
    sample = prior_draws(packed, struct, n, rng, K)
    for s in range(n):
        scaling = np.broadcast_to(inverse_cholesky(sample.cholesky[s]), (K, D, D)).copy()
        states.append(ChainState(*(a[s].copy() for a in sample), scaling))
    before, made = statistics_of(states), 0
    new = ChainState(*(a.copy() for a in states[0]))
    for state in states:
        for _ in range(n_moves):
            made += move(rng, state, new)
    change = statistics_of(states) - before
    error = np.maximum(change.std(axis=0), 1e-9) / math.sqrt(n)
    return change.mean(axis=0) / error, made / (n * n_moves)


@njit  # not cached: it would not see that walks have changed
def _walks(n, rng, features, none, bins, packed, redraws, state, new, work, group, log_norm, reference, rest, tally):
    for _ in range(n):
        walk(rng, features, none, bins, packed, redraws, 6, state, new, work, group, log_norm, reference, rest, tally)


@pytest.mark.parametrize(("structure", "family", "step"), STRUCTURES)
@pytest.mark.parametrize(("fitted", "n_bins"), [(False, 0), (True, 3)])
def test_walks_keep_the_prior(structure: str, family: str, step: float, fitted: bool, n_bins: int) -> None:
    """With bins, too, that are far from the rows: they decide what is looked at, not what is kept."""
    _, struct, prior = problem(structure, family, step)
    packed, n = complete_prior(prior, struct), 8
    redraws = fit_redraws([prior_draws(packed, struct, 1000 if fitted else 20, np.random.default_rng(1), K)], packed)
    assert (len(redraws.constant) > 0) == fitted
    features, none, tally = np.zeros((D, n)), np.zeros(n), np.zeros(4)
    bins = Bins(np.random.default_rng(2).normal(size=(D, n_bins)), np.full(n_bins, 0.7))
    scratch = np.zeros((5, D, D)), np.zeros((4, D + 1, D + 1)), np.empty(K), np.empty(n), np.empty(n)

    def move(rng: np.random.Generator, state: ChainState, new: ChainState) -> bool:
        _walks(15, rng, features, none, bins, packed, redraws, state, new, *scratch, tally)
        return True

    z, _ = prior_kept(packed, struct, move, 1, 4000)
    assert tally[1] > 0.1 * tally[0] and (tally[3] > 0.02 * tally[2] or not fitted), tally
    assert np.abs(z).max() < 4.5, z.round(1)


@njit
def _shares_after_a_step(rng, n_rows, prior, state, new, group, work, starts, powers):
    """The share of the first of two components after one Metropolis step from each start, for a beta posterior."""
    out = starts.copy()
    for i in range(len(starts)):
        state.weights[0], state.weights[1] = starts[i], 1.0 - starts[i]
        new.weights[:] = state.weights
        gain = _step(rng, n_rows, prior, 0, 1, 1.0, state, new, group, work)
        if gain > -math.inf:
            for k in range(2):  # the Jacobian of the logit is the product of both
                gain += powers[k] * math.log(new.weights[k] / state.weights[k])
            if math.log(rng.random()) < gain:
                out[i] = new.weights[0]
    return out


def test_a_step_counts_the_length_of_the_way_back() -> None:
    """Steps are shorter where the component is larger: a beta distribution of its share must stay what it is."""
    _, struct, prior = problem("tied", "lognormal")
    packed, rng, powers, n = complete_prior(prior, struct), np.random.default_rng(0), np.array([3.0, 1.5]), 1_000_000
    one = np.eye(D)[None]
    state, new = (ChainState(np.full(2, 0.5), np.zeros((2, D)), one.copy(), one.copy(), one.copy()) for _ in range(2))
    before = rng.beta(*powers, size=n)
    after = _shares_after_a_step(
        rng, 40, packed, state, new, np.zeros((4, D + 1, D + 1)), np.zeros((5, D, D)), before, powers
    )
    assert 0.2 < np.mean(after != before) < 0.6
    for f in (lambda x: x, np.square, np.log, lambda x: np.log1p(-x), lambda x: x * (1.0 - x)):
        change = f(after) - f(before)
        assert abs(change.mean()) < 4.5 * change.std() / math.sqrt(n)


def _metropolis(packed, propose: Callable[..., float]) -> Move:
    """A jump as `inference.gibbs.moves.components.jump` makes it, from log q(old) - log q(new)."""
    features, none, log_norm = np.zeros((D, 1)), np.zeros(1), np.empty(K)

    def density(s: ChainState) -> float:
        return log_posterior_of(features, none, packed, s.weights, s.means, s.latent, s.scaling, log_norm)

    def move(rng: np.random.Generator, state: ChainState, new: ChainState) -> bool:
        copy_state(new, state)
        gain = propose(rng, state, new)
        if gain == -math.inf or not math.log(rng.random()) < gain + density(new) - density(state):
            return False
        copy_state(state, new)
        return True

    return move


def _proposals_of(kind: str, packed, struct) -> Callable[..., float]:
    rng = np.random.default_rng(1)
    sample = prior_draws(packed, struct, 900, rng, K)
    thirds = [Sample(*(a[i::3] for a in sample)) for i in range(3)]
    proposals = fit_proposals(thirds, packed)
    proposals.empty[:] = [[True, True, False], [False, False, False], [False, True, False]]
    joint = fit_joint(thirds, packed, proposals, 100.0)
    work, logs, table, near = np.zeros((5, D, D)), np.empty((K, K)), np.empty(1 << K), np.zeros(2, dtype=np.int64)

    def parts(s: ChainState) -> tuple[np.ndarray, ...]:
        return s.weights, s.means, s.latent, s.cholesky, s.scaling

    def single(rng: np.random.Generator, state: ChainState, new: ChainState) -> float:
        return _propose_single(rng, packed, proposals, state, new, work, near)[1]

    def whole(rng: np.random.Generator, state: ChainState, new: ChainState) -> float:
        m = rng.integers(0, 3)
        if not propose_whole(rng, packed, proposals, m, *parts(new), work):
            return -math.inf
        old = log_proposal(packed, proposals, 0, *parts(state), logs, table)[0]
        return old - log_proposal(packed, proposals, m, *parts(new), logs, table)[0]

    def jointly(rng: np.random.Generator, state: ChainState, new: ChainState) -> float:
        q, made = propose_joint(rng, packed, proposals, joint, *parts(new), work)
        if not made:
            return -math.inf
        old = log_joint(packed, proposals, joint, 0, *parts(state))[0]
        return old - log_joint(packed, proposals, joint, q, *parts(new))[0]

    return {"single": single, "whole": whole, "jointly": jointly}[kind]


@pytest.mark.parametrize(("structure", "family", "step"), STRUCTURES)
@pytest.mark.parametrize("kind", ["single", "whole", "jointly"])
def test_jumps_keep_the_prior(structure: str, family: str, step: float, kind: str) -> None:
    if kind == "jointly" and structure in ("tied", "EEI"):
        pytest.skip("a shared covariance has no joint proposals")
    _, struct, prior = problem(structure, family, step)
    packed = complete_prior(prior, struct)
    z, made = prior_kept(packed, struct, _metropolis(packed, _proposals_of(kind, packed, struct)), 15, 3000)
    assert made > 0.005, made
    assert np.abs(z).max() < 4.5, z.round(1)


def _one(structure: str, step: float = 0.0):
    """A prior, and a mixture drawn from it."""
    _, struct, prior = problem(structure, "lognormal", step)
    packed = complete_prior(prior, struct)
    sample = prior_draws(packed, struct, 1, np.random.default_rng(2), K)
    weights, means, latent, cholesky = (a[0] for a in sample)
    scaling = np.broadcast_to(inverse_cholesky(cholesky), (K, D, D)).copy()
    return packed, ChainState(weights, means, latent, cholesky, scaling)


def _log_inverse_wishart(packed, nu: float, root: np.ndarray, covariance: np.ndarray) -> float:
    """Of a covariance under what regrouping proposes, by SciPy."""
    if packed.correlated:
        return float(stats.invwishart(nu, root @ root.T).logpdf(covariance))
    n = packed.sd.shape[1]
    return float(stats.invgamma(0.5 * nu, scale=0.5 * np.diag(root)[:n] ** 2).logpdf(np.diag(covariance)[:n]).sum())


ROOT = np.array([[1.3, 0.0], [-0.4, 0.8]])


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_covariances_that_groupings_propose_have_scipys_density(structure: str) -> None:
    packed, state = _one(structure)
    root = ROOT if structure == "full" else np.diag(np.diag(ROOT))
    covariance = state.cholesky[0] @ state.cholesky[0].T
    ours = _log_proposed(packed, 7.3, root, state.cholesky[0], state.scaling[0])
    assert ours == pytest.approx(_log_inverse_wishart(packed, 7.3, root, covariance), abs=1e-10)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_covariances_are_drawn_from_the_density_that_groupings_use(structure: str) -> None:
    """The mean precision and log volume of the draws, which closed forms give."""
    packed, state = _one(structure)
    rng, nu, n = np.random.default_rng(3), 7.3, 4000
    root = ROOT if structure == "full" else np.diag(np.diag(ROOT))
    found = np.empty((n, 2))
    for s in range(n):
        latent, cholesky, scaling = state.latent[0], state.cholesky[0], state.scaling[0]
        assert draw_covariance(rng, packed, nu, root, np.zeros((5, D, D)), latent, cholesky, scaling)
        np.testing.assert_allclose(scaling @ cholesky, np.eye(D), atol=1e-10)
        found[s] = np.square(scaling).sum(), 2.0 * np.log(np.diag(cholesky)).sum()
    if structure == "full":
        precision = nu * np.trace(np.linalg.inv(root @ root.T))
        volume = 2.0 * np.log(np.diag(root)).sum() - D * math.log(2.0) - digamma(0.5 * (nu - np.arange(D))).sum()
    else:
        scale = 0.5 * np.diag(root) ** 2 if structure == "diag" else np.full(D, 0.5 * root[0, 0] ** 2)
        precision, volume = (0.5 * nu / scale).sum(), (np.log(scale) - digamma(0.5 * nu)).sum()
    z = (found.mean(axis=0) - [precision, volume]) / (found.std(axis=0) / math.sqrt(n))
    assert np.abs(z).max() < 4.5, z


@pytest.mark.parametrize("structure", ["full", "diag", "spherical", "tied"])
def test_posterior_of_a_grouping(structure: str) -> None:
    """Of the allocation and the covariances, weights and means integrated out, less the density that is proposed."""
    packed, state = _one(structure, 0.3)
    rows = np.random.default_rng(4).normal(size=(11, D))
    place = np.array([0, 2, 0, 0, 2, 2, 0, -1, 0, 2, 0])  # one is vacant, and a row left out
    counts, means, scatter = np.empty(K), np.empty((K, D)), np.empty((K, D, D))
    ours = _log_given(
        packed, np.bool_(False), np.random.default_rng(0), np.ascontiguousarray(rows.T), place, means, scatter, counts,
        np.zeros((D, D)), state.latent, state.cholesky, state.scaling, np.zeros((5, D, D)),
    )  # fmt: skip
    n = np.array([(place == k).sum() for k in range(K)])
    np.testing.assert_array_equal(counts, n)
    theirs = gammaln(packed.concentration + n).sum() + 10 * D * 0.5 * math.log(2.0 * math.pi)
    off = [rows[place == k] - rows[place == k].mean(axis=0) for k in (0, 2)]
    for which, k in enumerate((0, 2)):
        g = 0 if packed.shared else k
        covariance = state.cholesky[g] @ state.cholesky[g].T
        own = rows[place == k]
        joint = np.kron(np.eye(len(own)), covariance)
        joint += np.kron(np.ones((len(own), len(own))), np.diag(packed.mean_scale**2))
        theirs += stats.multivariate_normal(np.tile(packed.mean_loc, len(own)), joint).logpdf(own.ravel())
        if packed.shared and which == 1:
            continue
        deviations = np.concatenate(off) if packed.shared else off[which]
        root = np.zeros((D, D))
        nu = _given_rows(packed, float(len(deviations) - (2 if packed.shared else 1)), deviations.T @ deviations, root)
        theirs += log_prior_covariance(packed, state.latent[g]) - _log_inverse_wishart(packed, nu, root, covariance)
    assert ours == pytest.approx(theirs, abs=1e-8)


def test_jumps_judged_by_bins_first_keep_the_prior() -> None:
    """Whatever the bins are: here they are no rows at all."""
    _, struct, prior = problem("diag", "inversegamma")
    packed, d = complete_prior(prior, struct), D
    sample = prior_draws(packed, struct, 900, np.random.default_rng(1), K)
    proposals = fit_proposals([sample], packed)
    bins = Bins(np.random.default_rng(2).normal(size=(d, 3)), np.full(3, 0.7))
    features, none, work, log_norm = np.zeros((d, 1)), np.zeros(1), np.zeros((5, d, d)), np.empty(K)
    logs, table, near = np.empty((K, K)), np.empty(1 << K), np.zeros(2, dtype=np.int64)

    def move(rng: np.random.Generator, state: ChainState, new: ChainState) -> bool:
        return jump(rng, features, none, bins, packed, proposals, no_joint(K, d), np.int64(SINGLE), math.nan, state,
                    new, work, log_norm, logs, table, near)[1]  # fmt: skip

    z, made = prior_kept(packed, struct, move, 15, 3000)
    assert made > 0.02, made
    assert np.abs(z).max() < 4.5, z.round(1)
