"""Found by attacking the package: each was a traceback, a wrong answer or a lost run once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg

QUICK = dict(draws=100, tune=100, chains=2, n_init=4, escalate=False, random_seed=1, progressbar=False)


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(5, 1, (40, 2))])


def test_likert_answers_have_a_proper_posterior() -> None:
    """Coarse answers lie on lattice lines; correlations must not run to one there."""
    rng = np.random.default_rng(0)
    answers = np.clip(np.round(3 + rng.normal(size=(200, 1)) + 0.7 * rng.normal(size=(200, 3))), 1, 5)
    fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(answers)
    assert fit.diagnose().n_divergences < 10
    smallest = np.linalg.eigvalsh(fit.posterior_["posterior"]["covariances"].values).min()
    assert smallest > 0.99 / 12  # rounding to whole numbers adds 1/12 in every direction
    assert np.isfinite(fit.predict_proba(answers)).all()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", [1, 2], 2**64, True])
def test_bad_seeds(rows: np.ndarray, seed: object) -> None:
    with pytest.raises(bg.InputError, match="random_seed"):
        bg.BayesianGMM(2, **(QUICK | {"random_seed": seed})).fit(rows)


def test_a_table_has_its_own_weights(rows: np.ndarray) -> None:
    with pytest.raises(bg.InputError, match="its own weights"):
        bg.BayesianGMM(2, **QUICK).fit(bg.prepare_table(rows), sample_weight=np.ones(100))


def test_linearly_dependent_columns_are_named() -> None:
    shares = pd.DataFrame(np.random.default_rng(0).dirichlet([3, 2, 4], 50), columns=["a", "b", "c"])
    with pytest.raises(bg.InputError, match="'a', 'b', 'c' are linearly dependent"):
        bg.BayesianGMM(2, **QUICK).fit(shares)


def test_many_exact_copies_are_refused(rows: np.ndarray) -> None:
    data = np.concatenate([rows, np.full((20, 2), 0.7)])
    with pytest.raises(bg.InputError, match=r"0\.7 in 20 of 120 rows"):
        bg.BayesianGMM(2, **QUICK).fit(data)


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
def test_pointwise_log_likelihood_carries_row_weights(rows: np.ndarray) -> None:
    weights = np.arange(100) % 3.0
    fit = bg.BayesianGMM(2, **QUICK).fit(rows, sample_weight=weights)
    tree = fit.posterior_
    pointwise = tree["log_likelihood"]["obs"].values
    assert (pointwise[..., weights == 0] == 0).all()
    np.testing.assert_allclose(pointwise.sum(axis=-1), tree["posterior"]["log_likelihood_total"], rtol=1e-10)


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning")
def test_output_paths_are_refused_before_any_work(tmp_path: Path) -> None:
    from bayesgmm.data.files import check_writable

    with pytest.raises(bg.InputError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(bg.InputError, match="not a regular file"):
        check_writable(os.devnull)
    with pytest.raises(bg.InputError, match="does not exist"):
        check_writable(tmp_path / "nowhere" / "x.nc")


@pytest.mark.slow
def test_the_mode_search_ends_on_the_same_bits_in_every_process() -> None:
    code = textwrap.dedent("""
        import warnings; warnings.simplefilter("ignore")
        import bayesgmm as bg, hashlib
        fit = bg.BayesianGMM(4, draws=50, tune=50, escalate=False, random_seed=1, progressbar=False)
        fit.fit(bg.datasets.load_faithful())
        print(hashlib.sha256(fit.posterior_["posterior"]["means"].values.tobytes()).hexdigest())
    """)
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert len({run.stdout for run in runs}) == 1


def test_a_value_beyond_all_others_is_said_and_a_fit_that_lost_the_others_is_not_relied_on() -> None:
    x = np.random.default_rng(0).normal(np.repeat([0.0, 8.0], 150), 1.0)
    for value, ok in ((1e6, True), (1e9, False)):
        fit = bg.BayesianGMM(2, inference="laplace", draws=500, random_seed=1, progressbar=False)
        with pytest.warns(UserWarning, match="interquartile ranges") as told:
            fit.fit(np.append(x, value)[:, None])
        found = fit.diagnose()
        assert "(observation 300, counted from 0)" in str(found)
        assert ("Not reliable: column" in found.verdict) == (not ok)
        assert ok or (not found.ok and any(w.category is bg.NotConvergedWarning for w in told))
