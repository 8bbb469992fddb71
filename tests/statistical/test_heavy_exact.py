"""One t component, or one normal beside noise, against quadrature: evidence, posterior means, LOO."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import beta, gamma, lognorm, norm, t

import bayesgmm as bg

ROWS = np.array([-2.1, -1.2, -0.9, -0.6, -0.4, -0.1, 0.0, 0.2, 0.3, 0.7, 0.8, 1.1, 1.9, 4.5, -6.0])
PRIOR = bg.MixturePrior(mean_loc=0.0, mean_scale=2.0, sd=bg.priors.LogNormal(0.0, 0.5), df=(2.0, 0.3),
                        noise=(1.0, 6.0), resolution=None)  # fmt: skip
OPTIONS = {"prior": PRIOR, "standardize": False, "draws": 4000, "random_seed": 2, "progressbar": False}


def grids(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log prior mass of each point (P,), log density of each row there (P, N), and the third parameter (P,)."""
    mean, log_sd = np.linspace(-3.0, 3.0, 70), np.linspace(-2.5, 2.0, 70)
    if kind == "t":
        log_over = np.linspace(-7.0, 4.5, 70)  # log(v - 2)
        third = 2.0 + np.exp(log_over)
        log_prior = gamma.logpdf(third, 2.0, scale=1.0 / 0.3) + log_over - gamma.logsf(2.0, 2.0, scale=1.0 / 0.3)
        step = log_over[1] - log_over[0]
    else:
        logit = np.linspace(-12.0, 3.0, 70)
        third = 1.0 / (1.0 + np.exp(-logit))
        log_prior = beta.logpdf(third, 1.0, 6.0) + np.log(third) + np.log1p(-third)
        step = logit[1] - logit[0]
    m, s, i = (a.ravel() for a in np.meshgrid(mean, log_sd, np.arange(len(third)), indexing="ij"))
    sd = np.exp(s)
    mass = norm.logpdf(m, 0.0, 2.0) + lognorm.logpdf(sd, 0.5) + s + log_prior[i]
    mass += np.log((mean[1] - mean[0]) * (log_sd[1] - log_sd[0]) * step)
    z = (ROWS[None] - m[:, None]) / sd[:, None]
    if kind == "t":
        return mass, t.logpdf(z, third[i][:, None]) - s[:, None], third[i]
    inside = norm.logpdf(z) - s[:, None] + np.log1p(-third[i])[:, None]
    return mass, np.logaddexp(inside, (np.log(third[i]) - np.log(np.ptp(ROWS)))[:, None]), third[i]


@pytest.mark.parametrize("kind", ["t", "noise"])
def test_a_fit_is_exact(kind: str) -> None:
    mass, rows, third = grids(kind)
    log_p = mass + rows.sum(axis=1)
    evidence = logsumexp(log_p)
    p = np.exp(log_p - evidence)
    density = {"component": "t"} if kind == "t" else {"noise": True}
    fit = bg.BayesianGMM(1, **density, **OPTIONS).fit(ROWS[:, None])
    assert fit.diagnose().ok
    found = fit.log_evidence()
    assert found.mcse < 0.02
    assert found.value == pytest.approx(evidence, abs=4.0 * found.mcse + 1e-3)
    draws = fit.posterior_["posterior"]["df" if kind == "t" else "noise_weight"].values
    function = np.log if kind == "t" else np.asarray  # of the heavy tail of v the mean would say little
    error = function(draws).std() / np.sqrt(2000.0)  # effective draws, at least
    assert function(draws).mean() == pytest.approx(p @ function(third), abs=4.0 * error)
    # p(y_i | others) = p(y) / p(others), and 1 / it is the posterior mean of 1 / p(y_i | theta).
    exact = -logsumexp((log_p - evidence)[:, None] - rows, axis=0)
    loo = fit.loo(repair=False)
    good = loo.pareto_k < 0.5
    assert good.sum() > 10
    np.testing.assert_allclose(loo.elpd_i[good], exact[good], atol=0.03)
    if kind == "noise":
        r = np.exp(np.log(third)[:, None] - np.log(np.ptp(ROWS)) - rows)
        np.testing.assert_allclose(fit.predict_proba(ROWS[:, None])[:, 1], p @ r, atol=0.02)


def test_marginals_and_conditionals_of_t_components() -> None:
    """Of a fit in two columns: the conditional density times the marginal one is the joint one."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.standard_t(4.0, (60, 2)), 6.0 + rng.standard_t(4.0, (40, 2))])
    fit = bg.BayesianGMM(2, component="t", draws=300, random_seed=1, progressbar=False).fit(rows)
    joint, first = fit.marginal(), fit.marginal("x1")
    points = np.array([[0.3, -0.4], [5.0, 7.5], [3.0, 2.0], [-8.0, 9.0]])
    for x in points:
        given = fit.conditional({"x1": float(x[0])})
        together = given.log_density([x[1]]) + first.log_density([x[0]])
        np.testing.assert_allclose(together, joint.log_density([x]), atol=1e-8)
    np.testing.assert_allclose(joint.log_density(points), fit.score_samples(points), atol=1e-10)
    low, high = first.quantile([0.1, 0.9])["x1"]
    np.testing.assert_allclose(first.cdf([low, high]), [0.1, 0.9], atol=1e-8)
    sample = first.sample(40_000, random_seed=0)["x1"]
    assert (sample < low).mean() == pytest.approx(0.1, abs=4.0 * np.sqrt(0.09 / 40_000))
