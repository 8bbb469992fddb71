"""MixIS: the target density against its definition, the estimator against closed forms."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from bayesgmm.convergence import convergence_table
from bayesgmm.data import prepare_table
from bayesgmm.density import Density
from bayesgmm.draws import Draws
from bayesgmm.errors import InputError
from bayesgmm.inference.chains import GibbsProblem
from bayesgmm.inference.left_out import sample_leave_one_out_gibbs
from bayesgmm.inference.mixis import sample_leave_one_out
from bayesgmm.inference.modes import find_modes
from bayesgmm.mixis import leave_one_out_scores, mixis, mixis_repair
from bayesgmm.params import MixtureParams
from bayesgmm.prior import MixturePrior
from bayesgmm.structure import get_structure

Array = NDArray[np.float64]

ROWS = np.random.default_rng(0).normal(size=(25, 2)) * [1.0, 3.0]
WEIGHTS = np.random.default_rng(1).uniform(0.0, 2.0, 25)


def build(covariance_type: str, weights: Array = WEIGHTS, *, rounded: bool = False) -> Density:
    """A density of 25 rows in a fixed scaling, whatever the weights."""
    rng = np.random.default_rng(2)
    table = replace(prepare_table(ROWS, resolution=None), weights=weights)
    prior = MixturePrior(resolution=[0.3, 0.0] if rounded else None).resolve(prepare_table(ROWS))
    factors = np.tril(0.3 * rng.normal(size=(3, 2, 2)), -1) + rng.uniform(0.4, 1.2, (3, 1, 2)) * np.eye(2)
    structure = get_structure(covariance_type)
    if not structure.correlated:
        factors = factors * np.eye(2)
    if structure.shared:
        factors = np.broadcast_to(factors[:1], factors.shape)
    reference = MixtureParams(
        rng.dirichlet(np.ones(3)), rng.normal(size=(3, 2)), factors @ factors.mT, covariance_type
    )  # fmt: skip
    return Density.build(table, structure, prior, reference)


def log_densities(density: Density, x: Array) -> Array:
    """(N,) by SciPy."""
    params = density.params(x)
    rows = prepare_table(ROWS, resolution=None).standardized
    return logsumexp(
        [
            np.log(w) + st.multivariate_normal(m, c).logpdf(rows)
            for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
        ],
        axis=0,
    )


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_target_is_the_posterior_times_the_sum_of_inverse_densities(covariance_type: str, rounded: bool) -> None:
    rng = np.random.default_rng(3)
    density = build(covariance_type, rounded=rounded)
    shares = np.where(np.arange(25) % 3 == 0, rng.normal(size=25), -np.inf)
    target = density.leaving_one_out(shares)
    for _ in range(3):
        x = 1.5 * rng.normal(size=density.n_dim)
        value, gradient = target.value_and_gradient(x)
        expected = density.value_and_gradient(x)[0] + logsumexp(shares - WEIGHTS * log_densities(density, x))
        assert value == pytest.approx(expected, rel=1e-12)
        step = 1e-4 * np.eye(density.n_dim)
        difference = [target.value_and_gradient(x + h)[0] - target.value_and_gradient(x - h)[0] for h in step]
        # Truncation h^2 and rounding 1e-14 / h.
        np.testing.assert_allclose(gradient, np.array(difference) / 2e-4, rtol=1e-5, atol=1e-5)


def test_one_row_left_out_is_the_posterior_without_it() -> None:
    density = build("full").leaving_one_out(np.where(np.arange(25) == 7, 0.3, -np.inf))
    # In the coordinates of the whole table: the reference is the same, the steps of a table without the row differ.
    without = build("full", np.where(np.arange(25) == 7, 0.0, WEIGHTS))
    rng = np.random.default_rng(4)
    values = []
    for _ in range(4):
        x = rng.normal(size=density.n_dim)
        values.append(density.value_and_gradient(x)[0] - without.value_and_gradient(without.pack(density.params(x)))[0])
    np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-9)


def test_other_uses_of_the_density_are_unchanged() -> None:
    density = build("full")
    x = np.random.default_rng(5).normal(size=(4, density.n_dim))
    target = density.leaving_one_out(np.zeros(25))
    for ours, theirs in zip(target.unpack_latent(x), density.unpack_latent(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(target.log_prior_of(x), density.log_prior_of(x))
    np.testing.assert_allclose(target.pack(target.params(x[0])), x[0], atol=1e-9)


class NormalMean:
    """Unit normals with a N(0, 25) mean, one row 6 sds off: exact leave-one-out scores, and exact draws of q."""

    def __init__(self, n_rows: int = 10) -> None:
        self.y = np.r_[np.random.default_rng(6).normal(size=n_rows - 1), 6.0]
        precision = n_rows - 1 + 1 / 25
        self.loc, self.sd = (self.y.sum() - self.y) / precision, precision**-0.5
        self.elpd = st.norm(self.loc, np.sqrt(1 + self.sd**2)).logpdf(self.y)

    def log_likelihood(self, log_shares: Array, n_draws: int, seed: int) -> Array:
        """Draws (4, S, N) of the mixture of leave-one-out posteriors; row j has s_j p(y_-j) of it."""
        rng = np.random.default_rng(seed)
        left = rng.choice(len(self.y), size=(4, n_draws), p=softmax(log_shares - self.elpd))
        theta = rng.normal(self.loc[left], self.sd)
        return st.norm(theta[..., None], 1.0).logpdf(self.y)


@pytest.mark.parametrize("shares", ["one", "balanced"])
def test_estimator_is_exact_within_its_monte_carlo_error(shares: str) -> None:
    model = NormalMean()
    log_shares = np.zeros(10) if shares == "one" else model.elpd + 0.3
    z, errors = [], []
    for seed in range(20):
        result = mixis(model.log_likelihood(log_shares, 500, seed), log_shares)
        z.append((result.elpd_i - model.elpd) / result.mcse_i)
        errors.append(result.mcse_i)
    spread = np.sqrt(np.mean(np.square(z), axis=0))
    assert 0.75**2 < np.mean(np.square(z)) < 1.3**2 and (spread < 1.8).all(), spread
    assert np.median(errors) < 0.1
    expected = softmax(log_shares - model.elpd)
    np.testing.assert_allclose(result.share_i, expected, atol=6 * np.sqrt(expected.max() / 2000))


def test_balanced_shares_keep_an_outlier_from_taking_all_draws() -> None:
    model = NormalMean()
    plain = mixis(model.log_likelihood(np.zeros(10), 1000, 1), np.zeros(10))
    balanced = mixis(model.log_likelihood(model.elpd, 1000, 1), model.elpd)
    assert plain.share_i[-1] > 0.99 and np.abs(balanced.share_i - 0.1).max() < 0.04
    assert balanced.mcse_i[:-1].max() < plain.mcse_i[:-1].max()
    assert balanced.ok and "MixIS of 10 rows" in str(balanced)


def test_a_run_that_did_not_converge_is_said() -> None:
    model = NormalMean()
    values = model.log_likelihood(model.elpd, 1000, 1)
    values[0] -= 1.0
    result = mixis(values, model.elpd, names=list("abcdefghij"))
    assert not result.ok and "did not converge" in str(result) and result.shortfall == np.inf
    assert not result.converged_i.any() and "log_density[a]" in result.values


def test_a_large_error_is_not_ok_and_says_how_much_longer() -> None:
    model = NormalMean()
    result = mixis(model.log_likelihood(np.zeros(10), 250, 1), np.zeros(10))
    worst = result.mcse_i.max()
    assert (
        worst > 0.1
        and result.converged_i.all()
        and not result.ok
        and result.shortfall == pytest.approx((worst / 0.1) ** 2)
    )


def test_repair_runs_again_with_better_shares() -> None:
    """PSIS scores that are far too high give the outlier all the draws; only a row still open is asked for again."""
    model = NormalMean(4)
    table = prepare_table(model.y[:, None], standardize=False, resolution=None)
    asked: list[Array] = []

    def sample(log_shares: Array) -> Draws:
        asked.append(log_shares)
        rng = np.random.default_rng(len(asked))
        rows = np.isfinite(log_shares)
        p = np.where(rows, softmax(np.where(rows, log_shares - model.elpd, -np.inf)), 0.0)
        n = 1500 * len(asked) ** 3
        left = rng.choice(4, size=(4, n), p=p)
        theta = rng.normal(model.loc[left], model.sd)[..., None, None]
        one = np.ones((4, n, 1))
        return Draws(
            one, theta, one[..., None, None], np.zeros((4, n)), {}, np.zeros(4, dtype=np.int64), pd.DataFrame(), 0.0,
            False, "exact",
        )  # fmt: skip

    rows = np.array([0, 3])
    psis = model.elpd[rows] + [0.0, 30.0]
    elpd_i, mcse_i = mixis_repair(table, get_structure("full"), sample)(rows, psis)
    assert [np.flatnonzero(np.isfinite(a)).tolist() for a in asked] == [[0, 3], [3]]
    assert (np.abs(elpd_i - model.elpd[rows]) < 4 * mcse_i).all() and mcse_i.max() < 0.12
    np.testing.assert_allclose(asked[0][rows], psis)


def test_repair_takes_rows_in_any_order() -> None:
    model = NormalMean(5)
    table = prepare_table(model.y[:, None], standardize=False, resolution=None)

    def sample(log_shares: Array) -> Draws:
        rng = np.random.default_rng(9)
        left = rng.choice(5, size=(4, 1000), p=softmax(log_shares - model.elpd))
        return point_draws(rng.normal(model.loc[left], model.sd))

    rows = np.array([4, 0, 2])
    elpd_i, mcse_i = mixis_repair(table, get_structure("full"), sample)(rows, model.elpd[rows])
    assert (np.abs(elpd_i - model.elpd[rows]) < 4 * mcse_i).all()


def point_draws(mean: Array) -> Draws:
    """Draws (C, S) of the mean of one unit normal."""
    one = np.ones((*mean.shape, 1))
    start = np.zeros(len(mean), dtype=np.int64)
    return Draws(
        one,
        mean[..., None, None],
        one[..., None, None],
        np.zeros(mean.shape),
        {},
        start,
        pd.DataFrame(),
        0.0,
        False,
        "",
    )


@pytest.mark.parametrize(("covariance_type", "fractions"), [("full", True), ("tied", False), ("diag", False)])
def test_sweeps_and_nuts_agree(covariance_type: str, fractions: bool) -> None:
    """Two columns, rounded to steps, with row weights: two samplers of one distribution, with nothing in common."""
    rng = np.random.default_rng(11)
    weights = rng.choice([0.0, 0.5, 1.5] if fractions else [0.0, 1.0, 2.0], p=[0.1, 0.5, 0.4], size=25)
    weights[:4] = 1.5 if fractions else [1.0, 2.0, 1.0, 2.0]
    rows = np.vstack([ROWS[:13], ROWS[13:] + [7.0, 0.0]])
    table, structure = prepare_table(rows, sample_weight=weights, resolution=[0.4, 0.0]), get_structure(covariance_type)
    prior = MixturePrior(resolution=[0.4, 0.0]).resolve(table)
    covariances = np.stack([np.diag([0.1, 0.9])] * 2)
    means = (np.array([[0.0, 0.0], [7.0, 0.0]]) - table.center) / table.scale
    start = MixtureParams(np.array([0.5, 0.5]), means, covariances, covariance_type)
    shares = np.where(np.arange(25) < 4, [0.0, 1.0, -1.0, 0.5] + [0.0] * 21, -np.inf)
    judge = partial(leave_one_out_scores, table, structure)
    modes = find_modes(table, structure, prior, [start])
    nuts = sample_leave_one_out(
        table, structure, prior, modes, shares, draws=2000, random_seed=1, target_accept=0.95, progressbar=False
    )
    # From any draws at all: those of NUTS, of another distribution, are the posterior's nearly.
    sweeps = sample_leave_one_out_gibbs(
        table, structure, prior, nuts.thinned(10), shares, judge=judge, draws=2000, random_seed=2
    )
    a, b = judge(nuts, shares), judge(sweeps, shares)
    assert a.converged_i.all() and b.converged_i.all(), (a, b)
    np.testing.assert_array_less(np.abs(a.elpd_i - b.elpd_i), 4.0 * np.hypot(a.mcse_i, b.mcse_i))
    of_nuts, of_sweeps = convergence_table(a.values), convergence_table(b.values)
    error = np.hypot(*(x["sd"] / np.sqrt(x["ess_bulk"]) for x in (of_nuts, of_sweeps)))
    assert ((of_nuts["mean"] - of_sweeps["mean"]).abs() < 4.0 * error).all(), (of_nuts, of_sweeps)


def test_runs_go_on_until_the_judge_is_content() -> None:
    table = prepare_table(ROWS, resolution=None)
    prior, structure = MixturePrior(resolution=None).resolve(table), get_structure("diag")
    one = np.ones((4, 100, 1))
    posterior = Draws(
        one, np.zeros((4, 100, 1, 2)), np.broadcast_to(np.eye(2), (4, 100, 1, 2, 2)), one[..., 0], {},
        np.zeros(4, dtype=np.int64), pd.DataFrame(), 0.0, False, "",
    )  # fmt: skip
    lengths = []

    class Verdict:
        values: dict[str, Array] = {}  # noqa: RUF012
        shortfall = 2.0

        def __init__(self, draws: Draws, shares: Array) -> None:
            lengths.append(draws.method)
            self.ok = len(lengths) == 3

    run = partial(
        sample_leave_one_out_gibbs, table, structure, prior, posterior, np.zeros(25), judge=Verdict, draws=50,
        random_seed=1,
    )  # fmt: skip
    first = run()
    assert [text.split(" with ")[1] for text in lengths] == [
        "4 sweeps a draw, round 1", "8 sweeps a draw, round 2", "16 sweeps a draw, round 3",
    ]  # fmt: skip
    lengths.clear()
    np.testing.assert_array_equal(run(cores=1).means, first.means)
    lengths.clear()
    run(max_work=0.0)
    assert len(lengths) == 1
    lengths.clear()
    work = GibbsProblem.build(table, structure, prior).sweep_work(1) * 4 * 4 * 50  # of a round with one step a draw
    run(max_work=0.6 * work)
    assert [text.split(" with ")[1] for text in lengths] == ["4 sweeps a draw, round 1", "8 sweeps a draw, round 2"]
    lengths.clear()
    Verdict.shortfall = 10.0  # the longest run allowed would not do
    run(max_work=0.6 * work)
    assert len(lengths) == 1


def test_an_interrupted_run_gives_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    table, prior = prepare_table(ROWS, resolution=None), MixturePrior(resolution=None)
    posterior = replace(
        point_draws(np.zeros((4, 9))), means=np.zeros((4, 9, 1, 2)), cholesky=np.tile(np.eye(2), (4, 9, 1, 1, 1))
    )  # fmt: skip
    monkeypatch.setattr("bayesgmm.inference.left_out.run_chains", lambda *_, **__: ([], True))
    with pytest.raises(KeyboardInterrupt, match="the fit itself is complete"):
        sample_leave_one_out_gibbs(
            table, get_structure("diag"), prior.resolve(table), posterior, np.zeros(25),
            judge=lambda draws, log_shares: pytest.fail("nothing to judge"),
        )  # fmt: skip


def test_shares_are_checked() -> None:
    table, prior = prepare_table(ROWS), MixturePrior()
    for shares in (np.zeros(3), np.full(25, -np.inf), np.full(25, np.nan)):
        with pytest.raises(InputError, match="one number for each of the 25 rows"):
            sample_leave_one_out(table, get_structure("full"), prior.resolve(table), [], shares)
        with pytest.raises(InputError, match="one number for each of the 25 rows"):
            sample_leave_one_out_gibbs(
                table, get_structure("full"), prior.resolve(table), point_draws(np.zeros((4, 9))), shares,
                judge=lambda draws, log_shares: pytest.fail("nothing to judge"),
            )  # fmt: skip
