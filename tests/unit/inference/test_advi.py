"""ADVI: the operation it differentiates, the end of its ELBO, its draws against NUTS."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from scipy.stats import multivariate_normal
from test_density import Problem
from test_laplace import differences, problem_of, tree_of

import bayesgmm as bg
from bayesgmm.errors import InputError
from bayesgmm.inference.approximate.advi import WINDOW, _Follow, elbo_settled, fit_elbo, sample_advi
from bayesgmm.inference.approximate.density_op import log_posterior_node
from bayesgmm.inference.nuts.sample import sample_nuts
from bayesgmm.model.density.decoupled import from_affine, value_and_gradient
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams, latent_cholesky
from bayesgmm.model.problem import Problem as Given
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.reporting.plots.elbo import running_mean

PYTHON = Mode(linker="py", optimizer=None)


def compiled(density, with_rows: bool, mode=PYTHON):
    u, rows = pt.dvector("u"), pt.lvector("rows")
    value = log_posterior_node(density, u, rows if with_rows else None)
    # A factor on the value shows that the pullback passes its cotangent on.
    return pytensor.function([u, rows], [value, pt.grad(3.0 * value, u)], mode=mode, on_unused_input="ignore")


@pytest.mark.parametrize("mode", [PYTHON, pytest.param("NUMBA", marks=pytest.mark.slow)], ids=["python", "numba"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "spherical"])
def test_operation_is_the_compiled_density_and_its_gradient(covariance_type: str, mode) -> None:
    problem = Problem(covariance_type, "log_normal", True, 3, 2)
    u = problem.rng.normal(size=problem.density.n_dim)
    value, gradient = compiled(problem.density, False, mode)(u, np.zeros(1, dtype=int))
    expected, slopes = value_and_gradient(problem.density, u)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, 3.0 * slopes, rtol=1e-10)


def test_minibatches_are_unbiased_row_weights_included() -> None:
    """The average over all batches of one row is the posterior itself, in value and gradient."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 2)) + 4.0 * (np.arange(12) % 2)[:, None]
    table = bg.prepare_table(rows, sample_weight=rng.uniform(0.5, 2.0, 12))
    prior, structure = bg.MixturePrior().resolve(table), get_structure("full")

    reference = MixtureParams(np.full(2, 0.5), np.array([[-1.0, -1.0], [1.0, 1.0]]), np.stack([0.3 * np.eye(2)] * 2))
    density = Density.build(Given(table, structure, prior), reference)
    u = rng.normal(size=density.n_dim)
    function = compiled(density, True)
    values, gradients = zip(*(function(u, np.array([i])) for i in range(12)), strict=True)
    expected, slopes = value_and_gradient(density, u)
    assert np.mean(values) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(np.mean(gradients, axis=0), 3.0 * slopes, rtol=1e-9, atol=1e-9)
    assert float(function(u, np.arange(12))[0]) == pytest.approx(expected, rel=1e-12)


def test_elbo_has_settled_when_windows_agree_within_their_noise() -> None:
    rng = np.random.default_rng(1)
    settled = [elbo_settled(-300.0 + rng.normal(size=2000)) for _ in range(200)]
    assert 0.9 < np.mean(settled) < 0.99  # two standard errors
    assert not any(elbo_settled(-300.0 + rng.normal(size=2000) + np.linspace(0, 1, 2000)) for _ in range(50))
    assert elbo_settled(np.full(2000, -5.0))
    assert not elbo_settled(np.append(np.full(1999, -5.0), -np.inf))


class Iterate:
    """A parameter that takes the values of a trace."""

    def __init__(self) -> None:
        self.value = np.zeros(1)

    def get_value(self):
        return self.value

    def set_value(self, value) -> None:
        self.value = value


def follow(losses: np.ndarray, max_iter: int) -> tuple[_Follow, Iterate]:
    """Run the callback over a trace; the parameter's value is the number of the iteration."""
    rate, parameter = Iterate(), Iterate()
    approximation = type("Approximation", (), {"params": [parameter]})()
    callback = _Follow(max_iter, rate, lambda done: None)
    for i in range(1, max_iter + 1):
        parameter.value = np.array([float(i)])
        try:
            callback(approximation, losses[:i], i)
        except StopIteration:
            break
    return callback, rate


def test_after_the_elbo_settled_steps_are_smaller_and_iterates_averaged() -> None:
    callback, rate = follow(np.random.default_rng(0).normal(size=30 * WINDOW), 30 * WINDOW)
    assert callback.settled_at == 2 * WINDOW
    assert rate.value == pytest.approx(0.002)
    assert callback.n_iter == 7 * WINDOW
    assert callback.average is not None
    # The first window with small steps is left out.
    assert callback.average[0][0] == pytest.approx(np.arange(3 * WINDOW + 1, 7 * WINDOW + 1).mean())
    assert "settled after 2000" in callback.message(np.zeros(7000))


def test_an_elbo_that_keeps_rising_is_reported() -> None:
    callback, _ = follow(np.linspace(1e4, 0.0, 9 * WINDOW), 9 * WINDOW)
    assert callback.settled_at is None
    assert callback.average is not None
    assert "had not settled after 9000 iterations" in callback.message(np.zeros(9000))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "svgd"}, "'advi' or 'fullrank_advi'"),
        ({"batch_size": 0}, "from 1 to 272"),
        ({"batch_size": 273}, "from 1 to 272"),
        ({"batch_size": 10.5}, "from 1 to 272"),
        ({"max_iter": 100}, "at least 2000"),
    ],
)
def test_bad_options_are_refused(faithful, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_advi(*faithful, **options)


@pytest.fixture(scope="module")
def faithful():
    return problem_of(bg.datasets.load_faithful(), 2)


@pytest.fixture(scope="module")
def full_rank(faithful):
    return sample_advi(*faithful, method="fullrank_advi", correct=False, random_seed=1, progressbar=False)


def test_full_rank_draws_agree_with_nuts(faithful, full_rank) -> None:
    tree = tree_of(full_rank, faithful, "fullrank_advi")
    exact = tree_of(sample_nuts(*faithful, random_seed=1, progressbar=False), faithful, "nuts")
    shift, spread = differences(tree, exact)
    assert full_rank.extra["pareto_k"] < 0.7
    assert shift < 0.15  # 0.1 sd, and two standard errors of a difference of means
    assert spread < 0.14
    assert diagnose(tree).ok
    assert "settled" in full_rank.method


def test_log_q_is_the_density_that_was_drawn_from(faithful, full_rank) -> None:
    """log p - log q is the exact posterior minus the fitted normal, in decoupled coordinates, up to a constant."""
    density = faithful[1][0].density
    weights, means = (a.reshape(-1, *a.shape[2:])[:50] for a in (full_rank.weights, full_rank.means))
    cholesky = full_rank.cholesky.reshape(-1, 2, 2, 2)[:50]

    latent = latent_cholesky((cholesky @ cholesky.mT).reshape(-1, 2, 2), faithful[0].prior.floor).reshape(-1, 2, 2, 2)
    u = from_affine(density, density.pack_draws(weights, means, latent))
    fit = fit_elbo(density, "fullrank_advi", random_seed=int(np.random.SeedSequence(1).generate_state(2)[0]))
    log_q = multivariate_normal.logpdf(u, fit.mean, fit.factor @ fit.factor.T)
    log_p = np.array([value_and_gradient(density, z)[0] for z in u])
    got = (full_rank.stats["log_p"] - full_rank.stats["log_q"]).ravel()[:50]
    np.testing.assert_allclose(got, log_p - log_q, atol=1e-4)
    np.testing.assert_array_equal(fit.elbo, full_rank.extra["elbo"])  # the same seed gives the same fit


def test_a_fit_does_not_keep_the_rows() -> None:
    problem = Problem("full", "log_normal", False, 2, 2)
    density = Density.build(Given(problem.table, problem.structure, problem.numbers), problem.mixture())
    rows = weakref.ref(density.floats)
    gc.disable()
    try:
        fit_elbo(density, batch_size=10, max_iter=2 * WINDOW)
        del density
        assert rows() is None
    finally:
        gc.enable()


def test_trace_of_the_elbo_is_kept_and_plotted(faithful, full_rank) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    tree = tree_of(full_rank, faithful, "fullrank_advi")
    elbo = tree["approximation"]["elbo"].values
    np.testing.assert_array_equal(elbo, full_rank.extra["elbo"])
    ax = bg.plot_elbo(tree)
    assert "settled" in ax.get_title(loc="left") and f"{tree.attrs['pareto_k']:.2f}" in ax.get_title(loc="left")
    (line,) = (x for x in ax.lines if x.get_gid() == "mean")
    centre, mean, error = running_mean(elbo)
    np.testing.assert_array_equal(line.get_ydata(), mean)
    size = len(elbo) // 100
    assert mean[3] == pytest.approx(elbo[3 * size : 4 * size].mean())
    assert centre[3] == pytest.approx(np.arange(3 * size + 1, 4 * size + 1).mean())
    low, high = ax.get_ylim()
    assert low < mean[len(mean) // 2 :].min() and mean.max() < high
    plt.close("all")
    with pytest.raises(InputError, match="kept no ELBO"):
        bg.plot_elbo(tree.drop_nodes("approximation"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["advi", "fullrank_advi"])
def test_minibatches_reach_nearly_the_same_fit(faithful, method: str) -> None:
    run = dict(method=method, batch_size=64, random_seed=3, progressbar=False)
    draws = sample_advi(*faithful, **run)
    whole = sample_advi(*faithful, method=method, random_seed=3, progressbar=False)
    if whole.extra["pareto_k"] < 0.7:  # what is left to correct is the smoothing of the largest weights
        left = (whole.stats["log_p"] - whole.stats["log_q"]).ravel()
        assert np.mean(np.abs(left - np.median(left)) < 1e-8) > 0.8
        assert whole.extra["n_distinct"] > 2000
    again = sample_advi(*faithful, **run)
    np.testing.assert_array_equal(draws.means, again.means)
    sd = whole.means.std(axis=(0, 1))
    assert (np.abs(draws.means.mean(axis=(0, 1)) - whole.means.mean(axis=(0, 1))) < 0.3 * sd).all()
    assert "mini-batches of 64 rows" in draws.method


@pytest.mark.slow
def test_surplus_components_are_caught() -> None:
    problem = problem_of(bg.datasets.load_faithful(), 4)
    draws = sample_advi(*problem, method="advi", random_seed=1, progressbar=False)
    assert draws.extra["pareto_k"] > 0.7
    assert "others that were found hold" in draws.notes[0]
    diagnosis = diagnose(tree_of(draws, problem, "advi"))
    assert not diagnosis.ok and "intervals are not trustworthy" in diagnosis.verdict
