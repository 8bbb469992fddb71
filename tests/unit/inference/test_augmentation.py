"""Gibbs sweeps and jumps: conditionals against closed forms, and the whole sampler against its own prior (Geweke)."""

from __future__ import annotations

import _thread
import itertools
import math
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from _gibbs import D, K, N, prior_draws, problem
from arviz_stats.base import array_stats
from scipy import stats

import bayesgmm as bg
from bayesgmm.data.table import prepare_table
from bayesgmm.inference.gibbs import rounds
from bayesgmm.inference.gibbs.bins import Bins
from bayesgmm.inference.gibbs.chains import GibbsProblem, Sweeps, no_library, run_chains, start_state
from bayesgmm.inference.gibbs.library import proposals_of
from bayesgmm.inference.gibbs.moves.components import give_weight
from bayesgmm.inference.gibbs.moves.move import Library, Target
from bayesgmm.inference.gibbs.moves.redraw_fit import fit_redraws
from bayesgmm.inference.gibbs.moves.redraws import no_redraws
from bayesgmm.inference.gibbs.moves.regrouping import Groupings, no_groupings
from bayesgmm.inference.gibbs.moves.walks import new_walk_space, walk
from bayesgmm.inference.gibbs.rounds import Round, sample_in_rounds
from bayesgmm.inference.gibbs.sweeps import KINDS, ROWS, TALLY, WALKS, sweep_many
from bayesgmm.kernels.allocation import allocation_pass, new_allocation
from bayesgmm.kernels.row_model import NORMAL, log_normalizers
from bayesgmm.kernels.rows import as_rows, rows_of
from bayesgmm.kernels.state import ChainState
from bayesgmm.kernels.triangular import log_determinant
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.natural import complete_prior, log_posterior_of, log_prior_covariance
from bayesgmm.model.draws import Sample
from bayesgmm.model.params import MixtureParams, inverse_cholesky
from bayesgmm.model.problem import Problem
from bayesgmm.model.proposals.bridge_by_modes import bridge_by_modes
from bayesgmm.model.proposals.conjugate import log_covariance, log_parts, no_proposals
from bayesgmm.model.proposals.conjugate_fit import fit_proposals
from bayesgmm.model.proposals.joint import log_joint
from bayesgmm.model.proposals.joint_fit import fit_joint, no_joint
from bayesgmm.model.proposals.orders import log_permanent
from bayesgmm.model.proposals.whole import log_proposal
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.diagnostics.convergence import r_hat


def statistics_of(sample: Sample) -> np.ndarray:
    """(S, Q) functions of the parameters that have finite variance under every prior here."""
    latent = np.log(np.linalg.norm(sample.latent, axis=3)).mean(axis=(1, 2))
    covariances = sample.cholesky @ sample.cholesky.mT
    first = covariances[:, 0]
    correlation = first[:, 0, -1] / np.sqrt(first[:, 0, 0] * first[:, -1, -1])
    w = sample.weights[:, 0]
    m = sample.means
    log_det = np.linalg.slogdet(covariances)[1].mean(axis=1)
    return np.column_stack([
        w, w**2, m[:, 0, 0], m[:, 0, 0] ** 2, m[:, 0, 0] * m[:, -1, 0], latent, np.tanh(latent) ** 2,
        correlation, correlation**2, np.tanh(log_det),
    ])  # fmt: skip


def simulate_rows(rng, weights, means, cholesky, n, out) -> None:
    z = (rng.random(n)[:, None] > np.cumsum(weights)[None, :-1]).sum(axis=1)
    factor = cholesky[z] if len(cholesky) > 1 else np.broadcast_to(cholesky[0], (n, *cholesky.shape[1:]))
    out[:] = (means[z] + np.einsum("nij,nj->ni", factor, rng.standard_normal((n, means.shape[1])))).T


def _typical(sample: Sample) -> int:
    """The draw whose covariances have the median volume."""
    volume = np.linalg.slogdet(sample.cholesky)[1].sum(axis=1)
    return int(np.argsort(volume)[len(volume) // 2])


def batch_error(values: np.ndarray) -> np.ndarray:
    n_batches = 40
    size = len(values) // n_batches
    means = values[: size * n_batches].reshape(n_batches, size, -1).mean(axis=1)
    return means.std(axis=0, ddof=1) / math.sqrt(n_batches)


def geweke(
    structure: str, family: str, step: float, *, jumps: bool, refresh: float = 1.0, walk_steps: int = 0,
    n_iter: int = 6000, seed: int = 0, k: int = K, n_bins: int = 0, gaps: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """z scores: parameters of (data given parameters, sweep given data) alternated, against the prior."""
    n = 4 if jumps or k > K else N  # few rows: proposals fitted to the prior are accepted, components are vacant
    table, struct, prior = problem(structure, family, step)
    packed = complete_prior(prior, struct)
    rng = np.random.default_rng(seed)
    independent = prior_draws(packed, struct, 4000, rng, k)
    # In the middle of the prior: a chain of this length does not forget a start in its far tail.
    start = Sample(*(a[[_typical(independent)]].copy() for a in independent))
    scaling = np.broadcast_to(inverse_cholesky(start.cholesky[0]), (k, D, D)).copy()
    state = ChainState(*(a[0].copy() for a in start), scaling)
    allocation = new_allocation(k, D, n, False)
    proposals, joint, groupings = no_proposals(k, D), no_joint(k, D), no_groupings(k)
    if jumps:
        halves = [Sample(*(a[i::3][:300] for a in independent)) for i in range(3)]
        proposals = fit_proposals(halves, packed, np.array([0.1, 0.3, 0.6, 1.0]))
        proposals.empty[:, :2] = [[True, True], [False, False], [False, True]]
        joint = fit_joint(halves, packed, proposals, 100.0)
        # They would have all rows in one component, which an acceptance without their probabilities would show.
        together = np.arange(k) == (np.arange(3) % k)[:, None, None]
        r = np.broadcast_to(np.where(together, 0.9, 0.1 / (k - 1)), (3, n, k)).copy()
        groupings = Groupings(r, np.log(r))
        assert len(joint.part) == (2 if packed.own else 0)
    redraws = fit_redraws([independent], packed) if walk_steps else no_redraws()
    out = Sample(*(np.empty((n_iter, *a.shape[1:])) for a in start))
    features, ones = np.zeros((D, n)), np.ones(n)
    missing = np.random.default_rng(7).random((D, n)) < gaps
    features[missing] = np.nan
    bins = Bins(rows_of(np.random.default_rng(5).normal(size=(D, n_bins))), np.full(n_bins, 0.7))  # not near the rows
    tally, kinds = np.zeros(TALLY), np.array([0.2, 0.3, 0.2, 0.3] if len(joint.part) else [0.4, 0.3, 0.0, 0.3])
    if gaps and jumps:  # rows with missing cells are not regrouped
        kinds = np.array([0.35, 0.4, 0.25, 0.0] if len(joint.part) else [0.5, 0.5, 0.0, 0.0])
    own = (*no_library(k, D).own[:2], joint, groupings)
    library = Library(proposals, own, redraws, bins, kinds, 1, 2 if n_bins else 1, walk_steps)
    target, space = Target(rows_of(features), ones, packed), new_walk_space(state, n)
    used = np.zeros(len(proposals.alpha), int)
    for s in range(n_iter):
        simulate_rows(rng, state.weights, state.means, state.cholesky, n, features)
        features[missing] = np.nan
        if walk_steps:
            walk(rng, target, library, state, space, tally[WALKS:])
        one = Sample(*(a[s : s + 1] for a in out))
        sweep_many(rng, 0, 1, target, library, refresh, state, allocation, one, tally, used)
        if jumps:  # they do not know the order of the components, and keep it as little as proposals do
            order = rng.permutation(k)
            for values in (*one, *(a[None] for a in state)):
                if values.shape[1] == k:
                    values[:] = values[:, order]
    if jumps:
        single, whole, together, regrouped = tally[KINDS + 1 : ROWS : 2]
        regrouped = 21 if gaps else regrouped
        assert single > 20 and regrouped > 20 and ((whole > 3 and together > 1) or structure in ("tied", "EEI")), tally
    assert tally[ROWS + 1] > 25 or gaps, tally
    assert not walk_steps or (tally[WALKS + 1] > 100 and tally[WALKS + 3] > 100), tally
    ours, theirs = statistics_of(out), statistics_of(independent)
    error = np.hypot(batch_error(ours), theirs.std(axis=0) / math.sqrt(len(theirs)))
    return (ours.mean(axis=0) - theirs.mean(axis=0)) / np.maximum(error, 1e-12)


@pytest.mark.parametrize(
    ("structure", "family", "step"),
    [
        ("full", "lognormal", 0.0), ("full", "halfnormal", 0.6), ("full", "inversegamma", 0.0),
        ("tied", "exponential", 0.0), ("tied", "lognormal", 0.6), ("diag", "halfcauchy", 0.6),
        ("diag", "inversegamma", 0.0), ("spherical", "halfnormal", 0.0), ("spherical", "lognormal", 0.6),
        ("EEI", "lognormal", 0.6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("jumps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_sweeps_and_jumps_keep_the_joint_distribution(structure: str, family: str, step: float, jumps: bool) -> None:
    slow = structure == "tied" and family == "exponential"  # it stays in the tail of its prior for long
    z = geweke(structure, family, step, jumps=jumps, n_iter=24_000 if slow else 6000)
    assert np.abs(z).max() < 4.5, z.round(1)


@pytest.mark.parametrize(
    ("structure", "family", "step"),
    [
        ("full", "lognormal", 0.0), ("full", "halfnormal", 0.6), ("tied", "lognormal", 0.6),
        ("diag", "inversegamma", 0.0), ("spherical", "lognormal", 0.6), ("EEI", "lognormal", 0.6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("jumps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_sweeps_over_missing_cells_keep_the_joint_distribution(
    structure: str, family: str, step: float, jumps: bool
) -> None:
    z = geweke(structure, family, step, jumps=jumps, n_iter=10_000, seed=3, gaps=0.3)
    assert np.abs(z).max() < 4.5, z.round(1)


@pytest.mark.parametrize(("structure", "family", "step"), [("full", "lognormal", 0.6), ("diag", "inversegamma", 0.0)])
def test_jumps_judged_by_bins_first_keep_the_joint_distribution(structure: str, family: str, step: float) -> None:
    z = geweke(structure, family, step, jumps=True, n_iter=10_000, seed=2, n_bins=3)
    assert np.abs(z).max() < 4.5, z.round(1)


@pytest.mark.parametrize(
    ("structure", "family", "step"),
    [
        ("full", "lognormal", 0.6), ("tied", "lognormal", 0.0), ("diag", "inversegamma", 0.0),
        ("spherical", "lognormal", 0.6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("k", [2, pytest.param(3, marks=pytest.mark.slow)])  # of three components, pairs are chosen
def test_walks_keep_the_joint_distribution(structure: str, family: str, step: float, k: int) -> None:
    z = geweke(structure, family, step, jumps=False, walk_steps=4, k=k, n_iter=6000 if k == 2 else 20_000)
    assert np.abs(z).max() < 4.5, z.round(1)


@pytest.mark.parametrize(
    ("structure", "family", "step"),
    [
        ("full", "lognormal", 0.6), ("diag", "inversegamma", 0.0), ("spherical", "lognormal", 0.0),
        ("EEI", "lognormal", 0.0),
    ],
)  # fmt: skip
def test_rows_moved_alone_keep_the_joint_distribution(structure: str, family: str, step: float) -> None:
    """Of three components, so that hosts and vacant components are chosen among several."""
    z = geweke(structure, family, step, jumps=False, k=3, n_iter=20_000, seed=1)
    assert np.abs(z).max() < 4.5, z.round(1)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_rows_regrouped_keep_the_posterior(structure: str) -> None:
    """Many times between sweeps, beside sweeps alone: of four rows, with groupings that nearly always have all in one
    component, so that an acceptance which forgets how likely the way there or back was shows."""
    n, k = 4, K
    table, struct, prior = problem(structure, "lognormal", 0.6, n=n)
    packed, features = complete_prior(prior, struct), np.ascontiguousarray(table.standardized.T)
    one = prior_draws(packed, struct, 1, np.random.default_rng(1))
    r = np.broadcast_to([0.9, 0.1], (1, n, k)).copy()
    halves = [prior_draws(packed, struct, 300, np.random.default_rng(i)) for i in range(2)]
    proposals = fit_proposals(halves, packed, np.array([0.1, 0.3, 0.6, 1.0]))  # so that moves are made

    def draws(tries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        scaling = np.broadcast_to(inverse_cholesky(one.cholesky[0]), (k, D, D)).copy()
        state = ChainState(*(a[0].copy() for a in one), scaling)
        own = (*no_library(k, D).own[:3], Groupings(r, np.log(r)))
        bins = Bins(rows_of(np.empty((D, 0))), np.empty(0))
        library = Library(proposals, own, no_redraws(), bins, np.array([0.0, 0.0, 0.0, 1.0]), 1, tries)
        out, tally = Sample(*(np.empty((8000, *a.shape[1:])) for a in one)), np.zeros(TALLY)
        sweep_many(
            np.random.default_rng(seed), 0, 1, Target(rows_of(features), np.ones(n), packed), library, 1.0, state,
            new_allocation(k, D, n, False), out, tally, np.zeros(len(proposals.alpha), int),
        )  # fmt: skip
        w = out.weights.min(axis=1)
        return np.column_stack([w, w**2, statistics_of(out)[:, [5, 6, 9]]]), tally[KINDS:ROWS]

    (alone, _), (regrouped, tally) = draws(0, 0), draws(20, 1)
    assert tally[-1] > 0.02 * tally[-2] > 100, tally
    z = (alone.mean(axis=0) - regrouped.mean(axis=0)) / np.hypot(batch_error(alone), batch_error(regrouped))
    assert np.abs(z).max() < 4.5, (z.round(1), tally)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_jacobian_of_one_weight_changed(k: int) -> None:
    """That of (free weights, new weight) -> (new free weights, old weight), by central differences."""
    weights = np.random.default_rng(k).dirichlet(np.ones(k))
    new = np.empty(k)

    def exchanged(x: np.ndarray) -> np.ndarray:
        full = np.append(x[:-1], 1.0 - x[:-1].sum())
        give_weight(full, 0, x[-1], new)
        return np.append(new[:-1], full[0])

    at, h = np.append(weights[:-1], 0.37), 1e-6
    columns = [(exchanged(at + h * e) - exchanged(at - h * e)) / (2.0 * h) for e in np.eye(k)]
    log_det = np.linalg.slogdet(np.array(columns))[1]
    assert give_weight(weights, 0, 0.37, new) == pytest.approx(log_det, abs=1e-6)
    assert new.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("structure", "family", "step"), [("full", "lognormal", 0.6), ("tied", "inversegamma", 0.0)])
def test_matrices_proposed_nearby_keep_the_joint_distribution(structure: str, family: str, step: float) -> None:
    z = geweke(structure, family, step, jumps=False, refresh=0.3)
    assert np.abs(z).max() < 4.5, z.round(1)


def test_an_outlier_leaves_its_component_and_returns() -> None:
    """An outlier in five columns, two components, sweeps alone: chains that never move it stay where they start."""
    rows = np.random.default_rng(0).normal(size=(80, 5))
    rows[0] = 6.0 / math.sqrt(5.0)
    table = prepare_table(rows)
    problem = GibbsProblem.build(Problem(table, get_structure("full"), bg.MixturePrior().resolve(table)))
    z = table.standardized
    means = np.stack([z.mean(axis=0), z[5]])
    together = MixtureParams(np.array([0.97, 0.03]), means, np.stack([np.cov(z.T), np.eye(5)]), "full")
    means, covariances = np.stack([z[1:].mean(axis=0), z[0]]), np.stack([np.cov(z[1:].T), 0.3 * np.eye(5)])
    apart = MixtureParams(together.weights, means, covariances, "full")
    starts = [start_state(problem, start) for start in (together, apart) * 2]
    library = [Sample(*(np.repeat(a[None], 20, axis=0) for a in starts[0][:4]))]
    assert proposals_of(problem, library).rows[0] > 3.0 / 80.0  # it is more likely than others to be moved

    def apart_under(often: float) -> np.ndarray:
        """Whether the outlier and a usual row are apart (chains, draws), when it is moved so much more than others."""
        p = np.ones(80)
        p[0] = often
        library = no_library(2, 5)
        library = library._replace(proposals=library.proposals._replace(rows=np.cumsum(p / p.sum())))
        seeds = np.random.SeedSequence(1).spawn(4)
        done, _ = run_chains(Sweeps(problem, 1.0, library), starts, seeds, draws=1000, thin=12, cores=1)
        draws = (zip(*c.sample[:2], c.sample.cholesky, strict=True) for c in done)
        return np.array([[1.0 - np.prod(responsibilities(z[:2], *x), axis=0).sum() for x in chain] for chain in draws])

    moved, never = apart_under(20.0), apart_under(0.0)
    assert array_stats.ess(moved, method="mean") > 500 > 100 > array_stats.ess(never, method="mean")
    assert r_hat(moved) < 1.01 < 1.03 < r_hat(never)


def test_the_first_round_has_the_work_that_is_asked_for() -> None:
    table, struct, prior = problem("diag", "lognormal")
    given = GibbsProblem.build(Problem(table, struct, prior))
    covariances = np.stack([np.eye(D)] * K)
    state = start_state(given, MixtureParams(np.full(K, 0.5), table.standardized[:K], covariances, "diag"))
    library, rounds = [prior_draws(given.packed, struct, 50, np.random.default_rng(0))], []
    for least in (0.0, 7.5 * given.sweep_work(K) * 2 * 10, 1e30):
        sample_in_rounds(
            Sweeps(given, 1.0, no_library(K, D)), [state, state], library, np.random.SeedSequence(0),
            collect=rounds.append, judge=lambda _: SimpleNamespace(ok=True), draws=10, cores=1, least_work=least,
            max_work=20.0 * given.sweep_work(K) * 2 * 10, progressbar=False, name="",
        )  # fmt: skip
    assert [r.thin for r in rounds] == [1, 7, 20]


def test_a_round_that_is_merely_short_is_gone_on_from_and_counts() -> None:
    table, struct, prior = problem("diag", "lognormal")
    given = GibbsProblem.build(Problem(table, struct, prior))
    covariances = np.stack([np.eye(D)] * K)
    state = start_state(given, MixtureParams(np.full(K, 0.5), table.standardized[:K], covariances, "diag"))
    library, work = [prior_draws(given.packed, struct, 50, np.random.default_rng(0))], given.sweep_work(K) * 2 * 12

    def run(shortfalls: list[float]) -> list[Round]:
        rounds: list[Round] = []

        def judge(_: Round) -> SimpleNamespace:
            return SimpleNamespace(ok=len(rounds) > len(shortfalls), shortfall=([*shortfalls, 0.0])[len(rounds) - 1])

        sample_in_rounds(
            Sweeps(given, 1.0, no_library(K, D)), [state, state], library, np.random.SeedSequence(0),
            collect=lambda r: rounds.append(r) or r, judge=judge, draws=12, cores=1, least_work=2.0 * work,
            max_work=100.0 * work, progressbar=False, name="",
        )  # fmt: skip
        return rounds

    first, second, third = run([3.0, 1.5])
    assert [r.thin for r in (first, second, third)] == [2, 6, 9]  # 2 and 4 more, and 3 more
    for before, after, kept in ((first, second, 4), (second, third, 8)):
        for a, b in zip(before.chains, after.chains, strict=True):
            assert len(b.sample.weights) == 12
            np.testing.assert_array_equal(
                b.sample.means[:kept], a.sample.means[np.linspace(0, 11, kept).round().astype(int)]
            )
            assert b.tally[0] > a.tally[0] and not np.isin(b.sample.means[kept:], a.sample.means).any()
    first, second = run([math.inf])
    assert [r.thin for r in (first, second)] == [2, 8]
    assert not np.isin(second.chains[0].sample.means, first.chains[0].sample.means).any()


def test_ctrl_c_gives_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    pressed = []

    def report(chain: int, finished: int, divergences: int) -> None:
        if finished > 50 and not pressed:
            pressed.append(chain)
            _thread.interrupt_main()

    monkeypatch.setattr(rounds, "sampling_progress", lambda *_: nullcontext(report))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        fit = bg.BayesianGMM(2, inference="gibbs", draws=20_000, tune=100, random_seed=1, progressbar=False)
        with pytest.warns(bg.NotConvergedWarning, match="the run was ended before it was done"):
            fit.fit(np.repeat(bg.datasets.load_faithful().to_numpy(), 20, axis=0))
    finally:
        signal.signal(signal.SIGINT, before)
    posterior = fit.posterior_["posterior"]
    assert fit.posterior_.attrs["partial"] and 50 < posterior.sizes["draw"] < 20_000 and posterior.sizes["chain"] > 1
    assert np.ptp(posterior["means"].values, axis=1).min() > 0.0
    assert not fit.diagnose().ok


def responsibilities(rows, weights, means, cholesky) -> np.ndarray:
    """(N, K)"""
    logs = np.column_stack([
        math.log(w) + stats.multivariate_normal(m, factor @ factor.T).logpdf(rows)
        for w, m, factor in zip(weights, means, cholesky, strict=True)
    ])  # fmt: skip
    p = np.exp(logs - logs.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("structure", ["full", "diag", "tied"])
def test_density_of_proposals_does_not_depend_on_where_the_sum_begins(structure: str) -> None:
    """What is left out for being far is below what double precision shows; `highest` is the density at the mode."""
    table, struct, prior = problem(structure, "lognormal", 0.6)
    packed, k = complete_prior(prior, struct), 3
    rng = np.random.default_rng(3)
    wide = prior_draws(packed, struct, 900, rng, k)
    groups = [Sample(*(a[np.argsort(wide.means[:, 0, 0])[i::3]][:200] for a in wide)) for i in range(3)]
    groups += [Sample(*(a[:150] for a in wide))]
    proposals = fit_proposals(groups, packed)
    proposals.empty[:] = [False, False, True]
    joint = fit_joint(groups, packed, proposals, 100.0)
    scaling = np.broadcast_to(inverse_cholesky(wide.cholesky), (900, k, D, D))
    for s in range(0, 900, 60):
        state = [np.array(a[s], order="C") for a in (*wide, scaling)]
        logs, buffer = np.empty((k, k)), np.empty(1 << k)
        whole = [log_proposal(packed, proposals, first, *state, logs, buffer) for first in range(4)]
        together = [log_joint(packed, proposals, joint, first, *state) for first in range(len(joint.part))]
        for found in (whole, together):
            values = [value for value, _ in found]
            np.testing.assert_allclose(values, values[0] if found else 0.0, rtol=1e-12, atol=1e-9)
            assert len({nearest for _, nearest in found}) <= 1
    assert structure == "tied" or len(joint.part) == 4


def test_joint_proposals_share_the_weight_by_a_beta() -> None:
    """Two components in proportions that are logistic-normal, one outside: their share S of the weight is beta, and
    (w_1, w_2) = S p has the Jacobian S."""
    _, struct, prior = problem("full", "lognormal", 0.6)
    packed, k = complete_prior(prior, struct), 3
    wide = prior_draws(packed, struct, 300, np.random.default_rng(3), k)
    proposals = fit_proposals([wide], packed)
    proposals.empty[:] = [False, False, True]
    joint = fit_joint([wide], packed, proposals, 100.0)
    assert joint.n_large.tolist() == [2]
    large, small = joint.order[0, :2], joint.order[0, 2]
    means, cholesky = wide.means[0], wide.cholesky[0]
    means[:2], cholesky[:2] = joint.means[0, :2], joint.cholesky[0, :2]
    latent = np.linalg.cholesky(cholesky @ cholesky.mT - np.diag(packed.floor))
    given = means, latent, cholesky, inverse_cholesky(cholesky)
    shares = np.array([0.82, 0.88, 0.95])  # which part is whose does not change
    found = [log_joint(packed, proposals, joint, 0, np.array([0.6 * s, 0.4 * s, 1.0 - s]), *given)[0] for s in shares]
    beta = stats.beta(proposals.alpha[0, large].sum(), proposals.alpha[0, small])
    np.testing.assert_allclose(np.diff(found), np.diff(beta.logpdf(shares) - np.log(shares)), rtol=1e-9)


def test_draws_where_no_proposal_is_do_not_stop_the_evidence() -> None:
    table, struct, prior = problem("full", "lognormal")
    drawn = prior_draws(complete_prior(prior, struct), struct, 400, np.random.default_rng(0))
    weights, means, latent, cholesky = (a.reshape(2, 200, *a.shape[1:]) for a in drawn)
    means[1, -1] = 1e9
    found = bridge_by_modes(weights, means, latent, cholesky, Problem(table, struct, prior))
    assert found is not None and np.isfinite(found.log_value)


def test_permanent_is_the_sum_over_orders() -> None:
    rng = np.random.default_rng(1)
    for k in (1, 2, 3, 5):
        logs = rng.normal(scale=3.0, size=(k, k)) - 500.0
        brute = np.logaddexp.reduce([logs[range(k), list(p)].sum() for p in itertools.permutations(range(k))])
        assert log_permanent(logs.copy(), np.empty(1 << k), -math.inf) == pytest.approx(brute, abs=1e-10)


def covariance_part(packed, fitted):
    return packed.correlated, packed.sd.shape[1], fitted.shape[0, 0], fitted.root[0, 0], fitted.constant[0, 0]


def test_fitted_covariance_densities_are_scipys() -> None:
    rng = np.random.default_rng(2)
    table, struct, prior = problem("full", "lognormal", d=3)
    packed = complete_prior(prior, struct)
    true = stats.invwishart(14, np.array([[4.0, 1, 0], [1, 3, 0.5], [0, 0.5, 2]]))
    covariances = true.rvs(4000, random_state=rng)[:, None]
    cholesky = np.linalg.cholesky(covariances)
    sample = Sample(np.ones((4000, 1)), rng.normal(size=(4000, 1, 3)), cholesky, cholesky)
    fitted = fit_proposals([sample], packed)
    assert fitted.shape[0, 0] == pytest.approx(0.8 * 14, rel=0.05)
    scale = fitted.root[0, 0] @ fitted.root[0, 0].T
    at = cholesky[7, 0]
    ours = log_covariance(*covariance_part(packed, fitted), inverse_cholesky(at), log_determinant(at))
    assert ours == pytest.approx(stats.invwishart(fitted.shape[0, 0], scale).logpdf(at @ at.T), abs=1e-9)
    mean = np.array([0.3, -0.2, 0.9])
    log_det, both, first = np.array([log_determinant(at)]), np.zeros((1, 1)), np.zeros(1, dtype=np.int64)
    scaling = inverse_cholesky(at)[None]
    log_parts(packed, fitted, 0, first, mean[None], scaling, log_det, log_det, np.empty(0), -math.inf, both)
    normal = stats.multivariate_normal(fitted.loc[0, 0], at @ at.T / fitted.kappa[0, 0]).logpdf(mean)
    assert both[0, 0] == pytest.approx(ours + normal, abs=1e-9)


def test_proposals_of_nearly_singular_covariances() -> None:
    """A component that closes in on a plane through its rows: precisions up to 1e18 beside 1."""
    rng = np.random.default_rng(5)
    table, struct, prior = problem("full", "lognormal", d=3)
    packed = complete_prior(prior, struct)
    cholesky = np.tril(rng.normal(size=(200, 1, 3, 3)), -1) + np.diag([1.0, 1.0, 0.0])
    cholesky[:, 0, 2, 2] = 10.0 ** rng.uniform(-9, -3, size=200)
    fitted = fit_proposals([Sample(np.ones((200, 1)), rng.normal(size=(200, 1, 3)), cholesky, cholesky)], packed)
    scaling = inverse_cholesky(cholesky[:, 0])
    whitened = np.einsum("sij,jk->sik", scaling, fitted.root[0, 0]) / math.sqrt(fitted.shape[0, 0] * 200)
    np.testing.assert_allclose(np.einsum("sij,sik->jk", whitened, whitened), np.eye(3), atol=1e-5)


def test_fitted_variance_densities_are_scipys() -> None:
    rng = np.random.default_rng(3)
    for name, n_variances in (("diag", 2), ("spherical", 1)):
        table, struct, prior = problem(name, "lognormal")
        packed = complete_prior(prior, struct)
        v = stats.invgamma(5, scale=3.0).rvs((3000, 2), random_state=rng)
        v = v if n_variances == 2 else np.repeat(v[:, :1], 2, axis=1)
        cholesky = (np.sqrt(v)[:, :, None] * np.eye(2))[:, None]
        fitted = fit_proposals(
            [Sample(np.ones((3000, 1)), np.zeros((3000, 1, 2)) + v[:, None], cholesky, cholesky)], packed
        )
        a, b = fitted.shape[0, 0] / 2, np.diag(fitted.root[0, 0]) ** 2 / 2
        at = cholesky[5, 0]
        expected = sum(stats.invgamma(a, scale=b[i]).logpdf(v[5, i]) for i in range(n_variances))
        ours = log_covariance(*covariance_part(packed, fitted), inverse_cholesky(at), log_determinant(at))
        assert ours == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_posterior_of_jumps_is_the_one_nuts_samples(structure: str, step: float) -> None:
    """Equal to `Density`, once both are densities of sds and correlation factors."""
    table, struct, prior = problem(structure, "inversegamma", step)
    packed = complete_prior(prior, struct)
    rng = np.random.default_rng(5)
    sample = prior_draws(packed, struct, 6, rng)
    values = []
    for s in range(6):
        chol = np.broadcast_to(sample.cholesky[s], (K, D, D))
        latent = np.broadcast_to(sample.latent[s], (K, D, D)).copy()
        params = MixtureParams(sample.weights[s], sample.means[s], chol @ chol.mT, struct.name)
        density = Density.build(Problem(table, struct, prior), params)
        log_prior = density.log_prior(sample.weights[s : s + 1], sample.means[s : s + 1], latent[None])[0]
        scaling = inverse_cholesky(chol).copy()
        ours = log_posterior_of(as_rows(table.standardized), table.weights, packed, sample.weights[s], sample.means[s],
                                sample.latent[s], scaling, np.empty(K))  # fmt: skip
        log_likelihood = sum(
            np.logaddexp.reduce([
                math.log(w) + stats.multivariate_normal(m, c).logpdf(x)
                for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
            ])
            for x in table.values
        )  # fmt: skip
        # d(S) = 2 s d(s) for a variance; for a matrix d(S) = 2^D prod s_i^D times d(sd, correlation), and the free
        # entries of a correlation factor carry prod_i (M_ii / s_i)^(D - i) per row of the matrix they make.
        jacobian = 0.0
        for m in sample.latent[s]:
            sds = np.linalg.norm(m, axis=1)
            if struct.correlated:
                i = np.arange(D)
                jacobian -= D * math.log(2.0) + D * np.log(sds).sum()
                jacobian -= ((D - i - 1) * np.log(np.diag(m) / sds))[1:].sum()
            else:
                n_sd = struct.n_standard_deviations(D)
                jacobian -= n_sd * math.log(2.0) + np.log(sds[:n_sd]).sum()
        values.append(ours - (log_likelihood + log_prior + jacobian))
    np.testing.assert_allclose(values, values[0], atol=1e-8)  # all that is left is the constant of the weights


def test_matrix_prior_integrates_to_one() -> None:
    """p(S) over 2 x 2 matrices on a grid of log variances and correlations."""
    _, struct, prior = problem("full", "lognormal")
    packed = complete_prior(prior, struct)
    log_v, r = np.linspace(-6.0, 4.0, 60), np.linspace(-1.0, 1.0, 61)[1:-1]
    total = 0.0
    for a in np.exp(log_v):
        for b in np.exp(log_v):
            for c in r:
                latent = np.array([[math.sqrt(a), 0.0], [c * math.sqrt(b), math.sqrt(b * (1 - c * c))]])
                total += math.exp(log_prior_covariance(packed, latent)) * (a * b) ** 1.5
    cell = (log_v[1] - log_v[0]) ** 2 * (r[1] - r[0])
    assert total * cell == pytest.approx(1.0, abs=0.01)


def test_allocations_follow_the_responsibilities() -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(300, 2))
    weights, means = np.array([0.3, 0.5, 0.2]), rng.normal(size=(3, 2))
    scaling = np.stack([np.eye(2) * s for s in (1.0, 2.0, 0.7)])
    log_norm = np.empty(3)
    log_normalizers(np.log(weights), scaling, NORMAL, log_norm)
    row_weights = rng.integers(0, 4, size=300) + rng.choice([0.0, 0.25], size=300)
    allocation = new_allocation(3, 2, 300, True)
    counts, sums, outers, *_ = allocation
    packed = as_rows(rows)
    totals, places = [], []
    watched = int(np.flatnonzero(row_weights == 1.0)[0])
    for _ in range(2000):
        _, log_likelihood, place = allocation_pass(
            rng, packed, row_weights, log_norm, means, scaling, NORMAL, True, watched, allocation
        )
        places.append(place)
        assert counts.sum() == pytest.approx(row_weights.sum())
        totals.append(np.concatenate([counts, sums.ravel()]))
    y = np.einsum("kij,nkj->nki", scaling, rows[:, None] - means)
    log_p = np.log(weights) + np.log(np.diagonal(scaling, axis1=1, axis2=2)).sum(axis=1) - 0.5 * (y**2).sum(axis=2)
    log_density = np.logaddexp.reduce(log_p, axis=1, keepdims=True)
    assert log_likelihood == pytest.approx(row_weights @ (log_density[:, 0] - math.log(2.0 * math.pi)), rel=1e-12)
    r = np.exp(log_p - log_density) * row_weights[:, None]
    expected = np.concatenate([r.sum(axis=0), np.einsum("nk,nkj->kj", r, y).ravel()])
    error = np.std(totals, axis=0) / math.sqrt(len(totals))
    assert (np.abs(np.mean(totals, axis=0) - expected) < 4.5 * error).all()
    p = np.exp(log_p - log_density)[watched]
    assert (np.abs(np.bincount(places, minlength=3) / 2000 - p) < 4.5 * np.sqrt(p * (1.0 - p) / 2000)).all()
