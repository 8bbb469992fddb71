"""Parameters under changed priors: what reweighting says is what a fit with that prior says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.posterior.changed_prior import CHANGES, changed_prior

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning", "ignore::UserWarning")
OPTIONS: dict[str, Any] = {"draws": 2000, "tune": 500, "random_seed": 1, "progressbar": False}
ROWS = np.random.default_rng(2).normal(1.0, 1.0, size=(8, 1))
LOG_HALF = np.log(0.5)


def prior(scale: float = 1.0, sd: float = 1.0) -> bg.MixturePrior:
    return bg.MixturePrior(mean_loc=0.0, mean_scale=scale, sd=bg.priors.LogNormal(LOG_HALF + np.log(sd), 0.5))


@pytest.fixture(scope="module")
def fit() -> bg.BayesianGMM:
    return bg.BayesianGMM(1, standardize=False, prior=prior(), **OPTIONS).fit(ROWS)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("SD of the means × ½", prior(0.5)), ("SD of the means × 2", prior(2.0)),
        ("sds × ½", prior(sd=0.5)), ("sds × 2", prior(sd=2.0)),
    ],
)  # fmt: skip
def test_reweighting_is_fitting_again(fit: bg.BayesianGMM, name: str, other: bg.MixturePrior) -> None:
    again = bg.BayesianGMM(1, standardize=False, prior=other, **OPTIONS).fit(ROWS)
    change = changed_prior(fit.posterior_, fit.prior_)
    assert change.pareto_k[name] < 0.7
    summary = again.summary()
    for parameter in ("means[0, x1]", "sd[0, x1]"):
        # Standard errors: of the new fit, and of reweighted draws, of which at least a tenth are effective.
        error = np.hypot(summary.at[parameter, "mcse_mean"], change.sd[parameter] / np.sqrt(200.0))
        assert abs(change.mean.at[parameter, name] - summary.at[parameter, "mean"]) < 4.0 * error, parameter
    moved = abs(change.mean.at["means[0, x1]", "SD of the means × ½"] - change.mean.at["means[0, x1]", "as fitted"])
    assert moved > 0.1  # the prior counts here, so that the comparison can fail


def test_the_concentration_of_the_weights() -> None:
    """Known labels: the weights are Dirichlet(e + counts), whose mean is known for every e."""
    rows = np.array([[0.0], [0.3], [-0.2], [50.0], [50.4], [49.8], [50.1], [50.2], [49.9], [50.3]])
    labels = [0, 0, 0, *[1] * 7]
    fit = bg.BayesianGMM(2, **OPTIONS).fit(rows, labels)
    change = changed_prior(fit.posterior_, fit.prior_)
    for name, e in (("as fitted", 1.0), ("concentration × ½", 0.5), ("concentration × 2", 2.0)):
        assert change.mean.at["weights[0]", name] == pytest.approx((3.0 + e) / (10.0 + 2.0 * e), abs=0.01), name


def test_intervals_and_means_as_fitted_are_those_of_the_draws(fit: bg.BayesianGMM) -> None:
    change = changed_prior(fit.posterior_, fit.prior_, ci_prob=0.8)
    draws = fit.posterior_["posterior"]["means"].values.ravel()
    assert change.mean.at["means[0, x1]", "as fitted"] == pytest.approx(draws.mean())
    assert change.lower.at["means[0, x1]", "as fitted"] == pytest.approx(np.quantile(draws, 0.1), abs=0.01)
    assert change.upper.at["means[0, x1]", "as fitted"] == pytest.approx(np.quantile(draws, 0.9), abs=0.01)
    assert list(change.mean.columns) == ["as fitted", *CHANGES]
    assert (change.shift.loc["weights[0]"] == 0.0).all()  # the only component


def test_power_scaling_is_that_of_arviz(fit: bg.BayesianGMM) -> None:
    import arviz_stats
    import xarray as xr

    tree = fit.posterior_
    log_prior = tree["sample_stats"]["log_prior"]
    given = xr.DataTree.from_dict({
        "posterior": xr.Dataset({"m": tree["posterior"]["means"][..., 0, 0].reset_coords(drop=True)}),
        "log_prior": xr.Dataset({"all": log_prior.reset_coords(drop=True)}),
        "log_likelihood": xr.Dataset({"y": tree["log_likelihood"]["obs"].reset_coords(drop=True)}),
    })  # fmt: skip
    ours = changed_prior(tree, fit.prior_).scaling.loc["means[0, x1]"]
    assert ours["prior"] == pytest.approx(float(arviz_stats.psense(given, group="prior")["m"]), rel=1e-6)
    assert ours["likelihood"] == pytest.approx(float(arviz_stats.psense(given, group="likelihood")["m"]), rel=1e-6)
    assert ours["prior"] > 0.05  # eight rows against a prior of their own scale
    assert ours["diagnosis"] != "–"


@pytest.mark.parametrize("options", [
    {"covariance_type": "tied"}, {"covariance_type": "spherical"}, {"covariance_type": "diag", "component": "t"},
    {"noise": True, "component": "t_each"}, {"prior": bg.MixturePrior(sd=bg.priors.InverseGamma(2.0, 1.0))},
])  # fmt: skip
def test_every_kind_of_mixture(options: dict[str, Any]) -> None:
    fit = bg.BayesianGMM(2, inference="laplace", draws=100, chains=2, n_init=3, random_seed=1, progressbar=False,
                         **options).fit(bg.datasets.load_faithful())  # fmt: skip
    change = changed_prior(fit.posterior_, fit.prior_)
    assert change.mean["as fitted"].notna().all()
    assert np.isfinite(change.scaling["prior"].astype(float)).all()
