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
