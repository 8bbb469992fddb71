"""NUTS: interruption, the slower fallback, modes and starts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from functools import partial

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import InputError
from bayesgmm.inference import modes
from bayesgmm.inference.nuts import nutpie as _nutpie
from bayesgmm.inference.nuts import sample as nuts
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.hessian import hessian
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.progress import working


@pytest.fixture(scope="module")
def problem():
    table = bg.prepare_table(bg.datasets.load_faithful())
    prior = bg.MixturePrior().resolve(table)
    cov = np.broadcast_to(np.diag([0.06, 0.2]), (2, 2, 2))
    start = MixtureParams([0.36, 0.64], [[-1.27, -1.2], [0.7, 0.67]], cov)
    return table, get_structure("full"), prior, start


def test_fallback_says_so_and_draws_the_same_posterior(problem, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(draws=300, tune=200, chains=2, random_seed=1, progressbar=False)
    compiled = nuts.sample_nuts(Problem(*problem[:3]), modes.find_modes(Problem(*problem[:3]), [problem[3]]), **options)
    monkeypatch.setattr(_nutpie, "_library", lambda: None)
    with pytest.warns(UserWarning, match="no compiled callback"):
        slow = nuts.sample_nuts(Problem(*problem[:3]), modes.find_modes(Problem(*problem[:3]), [problem[3]]), **options)
    # Rounding may differ between the two compiled copies, so the draws agree as samples: 600 draws each, 4 sd.
    standard_error = compiled.means.std(axis=(0, 1)) * np.sqrt(2 / 400)
    assert (np.abs(slow.means.mean(axis=(0, 1)) - compiled.means.mean(axis=(0, 1))) < 4 * standard_error).all()


def test_mode_is_a_maximum_and_duplicates_are_dropped(problem) -> None:
    table, structure, prior, start = problem
    found = modes.find_modes(Problem(table, structure, prior), [start, start.permute([1, 0])])
    assert len(found) == 1
    assert found[0].n_starts == 2
    origin = np.zeros(found[0].density.n_dim)
    value, gradient = found[0].density.value_and_gradient(origin)
    assert np.abs(gradient).max() < 1e-2
    rng = np.random.default_rng(0)
    assert all(found[0].density.value_and_gradient(0.3 * rng.normal(size=len(origin)))[0] < value for _ in range(20))
    assert np.linalg.eigvalsh(-hessian(found[0].density.gradient, origin)).min() > 0


def test_a_search_that_runs_into_singular_covariances_is_no_mode() -> None:
    """A component of as many rows as columns can close in on the plane through them without end."""
    rows = np.random.default_rng(2).normal(size=(250, 5))
    table, structure = bg.prepare_table(rows), get_structure("full")
    prior, z = bg.MixturePrior().resolve(table), table.standardized
    means = np.stack([z[:5].mean(axis=0), z[5:].mean(axis=0)])
    covariances = np.stack([np.cov(z[:5].T, bias=True) + 0.01 * np.eye(5), np.cov(z[5:].T)])
    spike = MixtureParams(np.array([0.02, 0.98]), means, covariances)
    with pytest.raises(InputError):
        modes._maximise(Problem(table, structure, prior), spike, 8)
    halves = MixtureParams(np.array([0.5, 0.5]), z.mean(axis=0) + np.array([[0.5], [-0.5]]), np.stack([np.eye(5)] * 2))
    (found,) = modes.find_modes(Problem(table, structure, prior), [spike, halves])
    assert np.isfinite(found.log_evidence) and found.n_starts == 1
    (alone,) = modes.find_modes(Problem(table, structure, prior), [spike])
    assert not alone.converged and np.isnan(alone.log_evidence) and alone.params.weights[0] > 0.9


def test_modes_are_found_with_one_copy_of_the_rows(problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one density, whatever the rounds: the rows and their weights, 1.5 times a table of two columns."""
    table, structure, prior, start = problem
    rng = np.random.default_rng(3)
    large = bg.prepare_table(np.repeat(table.values, 200, axis=0) + 0.01 * rng.normal(size=(200 * table.n_rows, 2)))
    numbers = bg.MixturePrior().resolve(large)
    far = MixtureParams(np.array([0.97, 0.03]), start.means + [[2.0, -1.0], [-1.0, 1.0]], 9.0 * start.covariances)
    rounds, build = [], Density.build.__func__

    def counted(cls, *args, **options):
        rounds.append(1)
        return build(cls, *args, **options)

    modes.find_modes(Problem(table, structure, prior), [start])  # what is loaded once does not count
    monkeypatch.setattr(Density, "build", classmethod(counted))
    tracemalloc.start()
    found = modes.find_modes(Problem(large, structure, numbers), [far])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0].converged
    assert len(rounds) > 3  # more rounds than one, the coordinates of the answer, and the mode's own
    assert peak < 2.0 * large.values.nbytes


def test_coordinates_are_nearly_standard(problem) -> None:
    """Posterior sds in EM-affine coordinates are near one, and independent of units and correlation."""
    table, structure, prior, start = problem
    density = modes.find_modes(Problem(table, structure, prior), [start])[0].density
    covariance = np.linalg.inv(-hessian(density.gradient, np.zeros(density.n_dim)))
    sds = np.sqrt(np.diag(covariance))
    assert sds.min() > 0.7
    assert sds.max() < 1.5


def test_chains_start_at_distinct_modes_within_the_window() -> None:
    class Fake:
        def __init__(self, score: float) -> None:
            self.log_posterior = self.log_evidence = score

    scores = [Fake(0.0), Fake(-3.0), Fake(-30.0)]
    assert list(nuts.starting_modes(scores, 4)) == [0, 1, 0, 1]
    assert list(nuts.starting_modes(scores[:1], 3)) == [0, 0, 0]


def test_interrupt_returns_what_was_drawn() -> None:
    """Ctrl-C in a real process: the fit comes back, marked as partial, and says so."""
    code = textwrap.dedent("""
        import _thread, signal, warnings
        import numpy as np
        import bayesgmm as bg
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(0, 1, (2000, 3)), rng.normal(5, 1, (2000, 3))])
        import bayesgmm.inference.nuts.sample as nuts
        original = nuts.run_chains
        pressed = []
        def report(chain, finished, divergences):
            if finished > 400 and not pressed:
                pressed.append(chain)
                _thread.interrupt_main()
        def interrupted(jobs, **options):
            return original(jobs, **{**options, "report": report})
        nuts.run_chains = interrupted
        fit = bg.BayesianGMM(2, draws=1_000_000, tune=200, random_seed=1, progressbar=False,
                             log_likelihood=False).fit(X)
        print(fit.posterior_.attrs["partial"], fit.diagnose().ok, len(fit.posterior_["posterior"]["draw"]) > 10)
        print(fit.diagnose())
    """)
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[0] == "1 False True"
    assert "interrupted" in output.lower() or "partial" in output.lower() or "incomplete" in output.lower()


def test_second_process_compiles_nothing() -> None:
    """Every compiled function is read from the disk cache in a new process."""
    code = textwrap.dedent("""
        import numba.core.event as event, sys
        compiled = []
        class Listener(event.Listener):
            def on_start(self, e):
                compiled.append(str(e.data.get("dispatcher")))
            def on_end(self, e):
                pass
        event.register("numba:compile", Listener())
        import warnings; warnings.simplefilter("ignore")
        import bayesgmm as bg
        fit = bg.BayesianGMM(2, draws=60, tune=60, chains=2, random_seed=1, progressbar=False)
        fit.fit(bg.datasets.load_faithful()); fit.summary(); fit.labels_; fit.score(fit.table_.values)
        print([c for c in compiled if "bayesgmm" in c])
    """)
    for _ in range(2):
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_thinning_hides_no_divergence(problem) -> None:
    found = modes.find_modes(Problem(*problem[:3]), [problem[3]])
    draws = nuts.sample_nuts(
        Problem(*problem[:3]), found, draws=23, tune=50, chains=2, random_seed=1, progressbar=False
    )
    draws.stats["diverging"][:] = False
    draws.stats["diverging"][1, 6] = True  # dropped by thinning to every fifth draw
    thinned = draws.thinned(5)
    assert thinned.shape[1] == 4
    assert thinned.stats["diverging"].tolist() == [[False] * 4, [False, True, False, False]]
    assert thinned.stats["n_steps"].sum() == draws.stats["n_steps"][:, :20].sum()
    np.testing.assert_array_equal(thinned.means, draws.means[:, 4:20:5])


def test_a_limit_of_work_ends_the_run_with_the_draws_there_are(problem) -> None:
    table, structure, prior, start = problem
    found = modes.find_modes(Problem(table, structure, prior), [start])
    run = partial(nuts.sample_nuts, Problem(table, structure, prior), found, tune=100, random_seed=1, progressbar=False)
    draws = run(draws=2_000_000, max_steps=200_000.0)
    assert draws.partial and 4 <= draws.shape[1] < 2_000_000
    with pytest.raises(InputError, match=r"NUTS made no draw after tuning .* use inference='laplace'"):
        run(draws=10, tune=50_000, max_steps=1.0)


def test_a_chain_ended_before_its_first_step_has_no_result(problem) -> None:
    found = modes.find_modes(Problem(*problem[:3]), [problem[3]])
    density = found[0].density
    chains = [_nutpie.Chain(density, np.zeros(density.n_dim), 1)]
    with working(max_seconds=0.0):
        results, interrupted = _nutpie.run_chains(
            chains, draws=100_000, tune=100_000, cores=1, target_accept=0.8, adaptation="diag"
        )
    assert results == [None] and interrupted
