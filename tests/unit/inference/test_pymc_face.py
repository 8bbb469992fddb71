"""``sampler="pymc"``: PyMC's own NUTS on the PyMC model gives the posterior of the compiled density."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgmm as bg


@pytest.mark.slow
def test_two_samplers_agree() -> None:
    frame = bg.datasets.load_faithful().iloc[::6]
    options = dict(random_seed=1, progressbar=False, draws=1000, tune=700)
    compiled = bg.BayesianGMM(2, **options).fit(frame)
    pymc = bg.BayesianGMM(2, sampler="pymc", **options).fit(frame)
    assert pymc.diagnose().ok
    assert pymc.posterior_.attrs["method"].startswith("NUTS (PyMC)")
    a, b = compiled.summary(), pymc.summary()
    z = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    assert (z.abs() < 4.0).all(), z
    np.testing.assert_allclose(a["sd"], b["sd"], rtol=0.15)
    ours, theirs = (f.posterior_["sample_stats"]["logp"].values for f in (compiled, pymc))
    assert abs(ours.mean() - theirs.mean()) < 4 * np.hypot(ours.std() / 20, theirs.std() / 20)


@pytest.mark.slow
@pytest.mark.parametrize(("component", "noise", "k"), [("t_each", True, 2), ("t", True, 1)])
def test_two_samplers_agree_on_t_components_and_noise(component: str, noise: bool, k: int) -> None:
    rng = np.random.default_rng(4)
    rows = np.concatenate([rng.standard_t(4.0, (60, 2)), rng.normal(9.0, 1.0, (40, 2)), rng.uniform(-15, 25, (8, 2))])
    rows = rows if k == 2 else rows[:60]
    options = dict(covariance_type="EEI", component=component, noise=noise, random_seed=1, progressbar=False)
    compiled = bg.BayesianGMM(k, draws=1000, tune=500, **options).fit(rows)
    pymc = bg.BayesianGMM(k, sampler="pymc", draws=1000, tune=500, **options).fit(rows)
    assert pymc.posterior_.attrs["method"].startswith("NUTS (PyMC)")
    a, b = compiled.summary(), pymc.summary()
    assert {"noise_weight"} < set(a.index) == set(b.index)
    z = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    assert (z.abs() < 4.0).all(), z
    ours, theirs = (f.posterior_["sample_stats"]["log_prior"].values for f in (compiled, pymc))
    assert abs(ours.mean() - theirs.mean()) < 0.2 * ours.std()
