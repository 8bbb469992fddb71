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
from bayesgmm.inference.gibbs.chains import no_library
from bayesgmm.inference.gibbs.moves import components, joint, whole
from bayesgmm.inference.gibbs.moves.move import Library, Target, new_workspace
from bayesgmm.inference.gibbs.moves.redraw_fit import fit_redraws
from bayesgmm.inference.gibbs.moves.registry import MOVES, jump
from bayesgmm.inference.gibbs.moves.regrouping import Groups, _given_rows, _log_given, _log_proposed
from bayesgmm.inference.gibbs.moves.walks import _step, new_walk_space, walk
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.state import ChainState
from bayesgmm.model.density.natural import complete_prior, log_prior_covariance
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.model.proposals.conjugate import draw_covariance
from bayesgmm.model.proposals.conjugate_fit import fit_proposals
from bayesgmm.model.proposals.joint_fit import fit_joint

K = 3  # so that pairs are chosen
SINGLE, WHOLE, JOINT = (MOVES.index(module.MOVE) for module in (components, whole, joint))
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
def _walks(n, rng, target, library, state, space, tally):
    for _ in range(n):
        walk(rng, target, library, state, space, tally)


@pytest.mark.parametrize(("structure", "family", "step"), STRUCTURES)
@pytest.mark.slow
@pytest.mark.parametrize(("fitted", "n_bins"), [(False, 0), (True, 3)])
def test_walks_keep_the_prior(structure: str, family: str, step: float, fitted: bool, n_bins: int) -> None:
    """With bins, too, that are far from the rows: they decide what is looked at, not what is kept."""
    _, struct, prior = problem(structure, family, step)
    packed, n = complete_prior(prior, struct), 8
    redraws = fit_redraws([prior_draws(packed, struct, 1000 if fitted else 20, np.random.default_rng(1), K)], packed)
    assert (len(redraws.constant) > 0) == fitted
    target, tally = Target(rows_of(np.zeros((D, n))), np.zeros(n), packed), np.zeros(4)
    bins = Bins(rows_of(np.random.default_rng(2).normal(size=(D, n_bins))), np.full(n_bins, 0.7))
    library = no_library(K, D)._replace(redraws=redraws, bins=bins, walk_steps=6)

    def move(rng: np.random.Generator, state: ChainState, new: ChainState) -> bool:
        _walks(15, rng, target, library, state, new_walk_space(state, n), tally)
        return True

    z, _ = prior_kept(packed, struct, move, 1, 4000)
    assert tally[1] > 0.1 * tally[0] and (tally[3] > 0.02 * tally[2] or not fitted), tally
    assert np.abs(z).max() < 4.5, z.round(1)


@njit
def _shares_after_a_step(rng, n_rows, prior, state, space, starts, powers):
    """The share of the first of two components after one Metropolis step from each start, for a beta posterior."""
    out, new = starts.copy(), space.new
    for i in range(len(starts)):
        state.weights[0], state.weights[1] = starts[i], 1.0 - starts[i]
        new.weights[:] = state.weights
        gain = _step(rng, n_rows, prior, 0, 1, state, space)
        if gain > -math.inf:
            for k in range(2):  # the Jacobian of the logit is the product of both
                gain += powers[k] * math.log(new.weights[k] / state.weights[k])
            if math.log(rng.random()) < gain:
                out[i] = new.weights[0]
    return out


@pytest.mark.slow
def test_a_step_counts_the_length_of_the_way_back() -> None:
    """Steps are shorter where the component is larger: a beta distribution of its share must stay what it is."""
    _, struct, prior = problem("tied", "lognormal")
    packed, rng, powers, n = complete_prior(prior, struct), np.random.default_rng(0), np.array([3.0, 1.5]), 1_000_000
    one = np.eye(D)[None]
    state = ChainState(np.full(2, 0.5), np.zeros((2, D)), one.copy(), one.copy(), one.copy())
    before = rng.beta(*powers, size=n)
    after = _shares_after_a_step(rng, 40, packed, state, new_walk_space(state, 40), before, powers)
    assert 0.2 < np.mean(after != before) < 0.6
    for f in (lambda x: x, np.square, np.log, lambda x: np.log1p(-x), lambda x: x * (1.0 - x)):
        change = f(after) - f(before)
        assert abs(change.mean()) < 4.5 * change.std() / math.sqrt(n)


def _library(packed, struct) -> Library:
    """Three proposals fitted to draws from the prior, some components of which follow it."""
    sample = prior_draws(packed, struct, 900, np.random.default_rng(1), K)
    thirds = [Sample(*(a[i::3] for a in sample)) for i in range(3)]
    proposals = fit_proposals(thirds, packed)
    proposals.empty[:] = [[True, True, False], [False, False, False], [False, True, False]]
    nothing = no_library(K, D)
    own = (*nothing.own[:JOINT], fit_joint(thirds, packed, proposals, 100.0), *nothing.own[JOINT + 1 :])
    return nothing._replace(proposals=proposals, own=own)


def _made(packed, library: Library, number: int) -> Move:
    """A move of the registry, accepted or not, with no rows."""
    target = Target(rows_of(np.zeros((D, 1))), np.zeros(1), packed)

    def move(rng: np.random.Generator, state: ChainState, new: ChainState) -> bool:
        return _jump(rng, target, library, number, state, new_workspace(state, len(MOVES)))

    return move


@njit  # not cached, as above
def _jump(rng, target, library, number, state, work):
    return jump(rng, target, library, number, math.nan, state, work)[1]


@pytest.mark.parametrize(("structure", "family", "step"), STRUCTURES)
@pytest.mark.slow
@pytest.mark.parametrize("number", [SINGLE, WHOLE, JOINT])
def test_moves_keep_the_prior(structure: str, family: str, step: float, number: int) -> None:
    if number == JOINT and structure in ("tied", "EEI"):
        pytest.skip("a shared covariance has no joint proposals")
    _, struct, prior = problem(structure, family, step)
    packed = complete_prior(prior, struct)
    z, made = prior_kept(packed, struct, _made(packed, _library(packed, struct), number), 15, 3000)
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
    groups = Groups(np.empty(K), np.empty((K, D)), np.empty((K, D, D)), np.zeros((D, D)))
    ours = _log_given(
        np.random.default_rng(0), packed, np.bool_(False), np.ascontiguousarray(rows.T), place, groups, state,
        np.zeros((5, D, D)),
    )  # fmt: skip
    n = np.array([(place == k).sum() for k in range(K)])
    np.testing.assert_array_equal(groups.counts, n)
    theirs = gammaln(packed.concentration + n).sum() + 10 * D * 0.5 * math.log(2.0 * math.pi)
    off = [rows[place == k] - rows[place == k].mean(axis=0) for k in (0, 2)]
    for which, k in enumerate((0, 2)):
        g = packed.own * k
        covariance = state.cholesky[g] @ state.cholesky[g].T
        own = rows[place == k]
        joint = np.kron(np.eye(len(own)), covariance)
        joint += np.kron(np.ones((len(own), len(own))), np.diag(packed.mean_scale**2))
        theirs += stats.multivariate_normal(np.tile(packed.mean_loc, len(own)), joint).logpdf(own.ravel())
        if not packed.own and which == 1:
            continue
        deviations = off[which] if packed.own else np.concatenate(off)
        root = np.zeros((D, D))
        nu = _given_rows(packed, float(len(deviations) - (1 if packed.own else 2)), deviations.T @ deviations, root)
        theirs += log_prior_covariance(packed, state.latent[g]) - _log_inverse_wishart(packed, nu, root, covariance)
    assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.slow
def test_moves_judged_by_bins_first_keep_the_prior() -> None:
    """Whatever the bins are: here they are no rows at all."""
    _, struct, prior = problem("diag", "inversegamma")
    packed = complete_prior(prior, struct)
    sample = prior_draws(packed, struct, 900, np.random.default_rng(1), K)
    bins = Bins(rows_of(np.random.default_rng(2).normal(size=(D, 3))), np.full(3, 0.7))
    library = no_library(K, D)._replace(proposals=fit_proposals([sample], packed), bins=bins)
    z, made = prior_kept(packed, struct, _made(packed, library, SINGLE), 15, 3000)
    assert made > 0.02, made
    assert np.abs(z).max() < 4.5, z.round(1)
