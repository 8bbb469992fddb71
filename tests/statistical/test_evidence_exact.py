"""Log evidence, its sensitivity and the empty-component ratio against exact enumeration (`oracle`).

Draws come from a plain Gibbs sampler (`gibbs_1d`) that moves where NUTS struggles on eleven rows, and from the
package's own. Errors are measured in the reported Monte Carlo errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from gibbs_1d import gibbs_chains
from numpy.typing import NDArray
from oracle import Exact, brute_force, exact_posterior, log_marginals

import bayesgmm as bg
from bayesgmm.data.table import Table, prepare_table
from bayesgmm.model.draws import Draws
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.model_selection.evidence import bridge_sampling as evidence
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence, log_evidence, mode_weights
from bayesgmm.model_selection.evidence.empty_components import empty_component_ratio, log_empty_prior
from bayesgmm.model_selection.evidence.prior_sensitivity import evidence_sensitivity
from bayesgmm.posterior.build import build_tree

Array = NDArray[np.float64]

FULL = get_structure("full")
EXACT = json.loads((Path(__file__).parents[1] / "reference" / "exact_1d" / "exact_1d_n11.json").read_text())
SD_DENSITIES: dict[str, Callable[[Array], Array]] = {
    "hn5": st.halfnorm(scale=5).logpdf,
    "exp02": st.expon(scale=5).logpdf,
    "halfcauchy5": st.halfcauchy(scale=5).logpdf,
    "ig3_20": lambda s: st.invgamma(3, scale=20).logpdf(s**2) + np.log(2 * s),
}


_FAST = {("galaxies", 1), ("galaxies", 2), ("two", 2), ("two", 4), ("three", 3), ("rounded", 1),
         ("rounded", 3)}  # fmt: skip
CASES = [
    pytest.param(name, k, marks=() if (name, k) in _FAST else pytest.mark.slow)
    for name in ("galaxies", "two", "three", "rounded")
    for k in (1, 2, 3, 4)
]


@cache
def data(name: str) -> Array:
    """Eleven rows, in units that make the scale of the columns matter."""
    rng = np.random.default_rng(3)
    if name == "galaxies":
        return np.sort(bg.datasets.load_galaxies().to_numpy().ravel())[::8][:11]
    if name == "two":
        return 100.0 + 7.0 * np.r_[rng.normal(-2, 0.7, 5), rng.normal(2, 1, 6)]
    if name == "three":
        return 0.01 * np.r_[rng.normal(-5, 0.5, 4), rng.normal(0, 1, 3), rng.normal(6, 0.8, 4)]
    return np.round(2.0 * rng.normal(size=11)) / 2.0  # "rounded": recorded in steps of 0.5


@cache
def problem(name: str) -> tuple[Table, ResolvedPrior]:
    table = prepare_table(data(name)[:, None], resolution="auto")
    return table, bg.MixturePrior().resolve(table)


def log_normal_sd(table: Table, prior: ResolvedPrior, column: int = 0) -> Callable[[Array], Array]:
    """Log density of a component sd in original units."""
    mu, sigma = prior.sd_parameters[:, column]
    return st.lognorm(sigma, scale=math.exp(mu) * table.scale[column]).logpdf


def subsets(
    table: Table, prior: ResolvedPrior, factor: float = 1.0, column: int = 0, rows: Array | None = None
) -> Array:
    """Log marginals of the subsets of rows, from the prior in original units, its mean scale times `factor`."""
    scale = table.scale[column]
    values = table.values[:, column] if rows is None else rows
    known = np.flatnonzero(~np.isnan(values))
    found = log_marginals(
        values[known],
        log_normal_sd(table, prior, column),
        table.center[column] + scale * prior.mean_loc[column],
        factor * scale * prior.mean_scale[column],
        scale * prior.step[column],
    )
    masks = np.arange(1 << len(values))  # a row without a value in this column adds nothing
    return found[sum((masks >> row & 1) << i for i, row in enumerate(known))]


@cache
def exact(name: str, k: int, factor: float = 1.0) -> Exact:
    return exact_posterior(subsets(*problem(name), factor), k)


def tree_of(weights: Array, means: Array, sds: Array, table: Table, prior: ResolvedPrior):
    """A DataTree of draws (C, S, K) of one column, on the model's scale."""
    shape = weights.shape[:2]
    draws = Draws(
        weights=weights, means=means[..., None], cholesky=sds[..., None, None], log_prior=np.zeros(shape),
        stats={}, chain_mode=np.zeros(shape[0], dtype=np.int64), modes=pd.DataFrame(), seconds=0.0, partial=False,
        method="Gibbs",
    )  # fmt: skip
    return build_tree(draws, Problem(table, FULL, prior), inference="gibbs", random_seed=1, standardize=True)


def sample(table: Table, prior: ResolvedPrior, k: int, *, n_draws: int = 1000, seed: int = 1, **options):
    mu, sigma = prior.sd_parameters[:, 0]
    rows = np.repeat(table.standardized[:, 0], table.weights.astype(int))
    return gibbs_chains(
        rows, k, prior.concentration, prior.mean_loc[0], prior.mean_scale[0], mu, sigma, prior.step[0], n_draws, 15,
        seed=seed, **options,
    )  # fmt: skip


@cache
def fitted(name: str, k: int):
    """Draws and log evidence of one data set."""
    table, prior = problem(name)
    tree = tree_of(*sample(table, prior, k), table, prior)
    return tree, log_evidence(tree, Problem(table, FULL, prior))


def check(e: Evidence, truth: float) -> None:
    error = e.value - truth
    assert e.ok
    assert abs(error) < 3.0 * e.mcse, (error, e.mcse)
    assert abs(error) < 0.1


@pytest.mark.parametrize("name", ["hn5_alpha1", "exp02_alpha2", "halfcauchy5_alpha1", "ig3_20_alpha2"])
def test_oracle_matches_the_stored_enumeration(name: str) -> None:
    family, alpha = name.split("_alpha")
    log_m = log_marginals(np.array(EXACT["y"]), SD_DENSITIES[family], 20.0, 10.0)
    for k in (1, 2, 3):
        ours, stored = exact_posterior(log_m, k, concentration=float(alpha)), EXACT[name][f"K{k}"]
        # The stored numbers cut the integral over small sds of single rows, which is worth 3e-5.
        assert ours.log_evidence == pytest.approx(stored["logml"], abs=5e-5)
        np.testing.assert_allclose(ours.log_loo, stored["loo_i"], atol=5e-5)
        np.testing.assert_allclose(ours.co_clustering, stored["psm"], atol=5e-5)
        np.testing.assert_allclose(ours.n_occupied, np.ravel(stored["p_occupied"]), atol=5e-5)


@pytest.mark.parametrize(("k", "concentration", "step"), [(1, 1.0, 0.0), (2, 0.4, 0.5), (3, 1.0, 0.0), (4, 2.0, 0.5)])
def test_oracle_matches_all_allocations(k: int, concentration: float, step: float) -> None:
    rows = np.array([-1.0, 0.0, 0.5, 0.5, 3.0, 3.5])
    log_m = log_marginals(rows, st.lognorm(0.7, scale=0.6).logpdf, 0.4, 3.0, step)
    out = exact_posterior(log_m, k, concentration=concentration)
    log_z, together, occupied = brute_force(log_m, k, concentration)
    assert out.log_evidence == pytest.approx(log_z, rel=1e-12)
    np.testing.assert_allclose(out.co_clustering, together, rtol=1e-10)
    np.testing.assert_allclose(out.n_occupied, occupied, rtol=1e-10)
    without = brute_force(log_marginals(rows[1:], st.lognorm(0.7, scale=0.6).logpdf, 0.4, 3.0, step), k, concentration)
    assert out.log_loo[0] == pytest.approx(log_z - without[0], rel=1e-10)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_log_evidence_is_exact(name: str, k: int) -> None:
    check(fitted(name, k)[1], exact(name, k).log_evidence)


@pytest.mark.parametrize(("name", "k"), [("galaxies", 1), ("two", 2), ("three", 3), ("rounded", 3)])
def test_sensitivity_to_the_scale_of_the_means_is_exact(name: str, k: int) -> None:
    table = evidence_sensitivity(fitted(name, k)[1])
    assert table["log_evidence"].notna()[:2].all()
    for factor, row in table.iterrows():
        if np.isfinite(row["log_evidence"]):
            error = row["log_evidence"] - exact(name, k, factor).log_evidence
            assert abs(error) < 4.0 * row["mcse"] and abs(error) < 0.1, (factor, error, row["mcse"])
        else:
            assert row["pareto_k"] > 0.5 and "fit again" in row["note"]


def test_sensitivity_refuses_a_prior_out_of_reach() -> None:
    table = evidence_sensitivity(fitted("two", 4)[1], scales=(1.0, 20.0))
    assert np.isnan(table.loc[20.0, "log_evidence"]) and "fit again with mean_scale x 20" in table.loc[20.0, "note"]
    assert table.loc[1.0, "log_evidence"] == fitted("two", 4)[1].value


@pytest.mark.parametrize(("name", "k"), [case for case in CASES if case.values[1] > 1])
def test_empty_component_ratio_is_exact(name: str, k: int) -> None:
    truth = exact(name, k - 1).log_evidence - exact(name, k).log_evidence
    # The identity itself, in exact numbers.
    log_prior = log_empty_prior(11.0, k, 1.0)
    assert math.log(exact(name, k).empty) - log_prior == pytest.approx(truth, abs=1e-9)
    out = empty_component_ratio(fitted(name, k)[0], *problem(name))
    assert out.ok
    assert abs(out.value - truth) < 4.0 * out.mcse and abs(out.value - truth) < 0.25, (out, truth)


def test_one_mode_times_factorial_is_biased_under_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What symmetrising is for: without it the answer is off by many Monte Carlo errors."""
    (table, prior), (tree, symmetrised) = problem("two"), fitted("two", 4)
    truth = exact("two", 4).log_evidence
    monkeypatch.setattr(evidence, "relevant_permutations", lambda *_: (np.arange(4)[None], 0.0))
    one_mode = log_evidence(tree, Problem(table, FULL, prior))
    assert symmetrised.omega > 0.1
    assert one_mode.value - truth > 0.2 and one_mode.value - truth > 5.0 * one_mode.mcse
    assert abs(symmetrised.value - truth) < 0.1


def test_integer_row_weights_count_as_copies() -> None:
    weights = np.array([1.0, 2.0, 1.0, 3.0, 0.0, 1.0])
    values = np.array([-1.3, -1.0, 0.2, 1.1, 9.0, 2.6])
    table = prepare_table(values[:, None], sample_weight=weights, resolution=None)
    prior = bg.MixturePrior(resolution=None).resolve(table)
    tree = tree_of(*sample(table, prior, 2), table, prior)
    copies = np.repeat(values, weights.astype(int))
    e = log_evidence(tree, Problem(table, FULL, prior))
    check(e, exact_posterior(subsets(table, prior, rows=copies), 2).log_evidence)
    assert "weighted likelihood" in str(e)
    ratio = empty_component_ratio(tree, table, prior)
    truth = exact_posterior(subsets(table, prior, rows=copies), 1).log_evidence
    truth -= exact_posterior(subsets(table, prior, rows=copies), 2).log_evidence
    assert abs(ratio.value - truth) < 4.0 * ratio.mcse < 0.4


def test_modes_that_never_exchange_add_up() -> None:
    """Three tight groups, two components: chains never reconsider which group the middle one is put with."""
    rng = np.random.default_rng(21)
    rows = np.r_[rng.normal(0.0, 0.1, 4), rng.normal(10.2, 0.1, 3), rng.normal(20.5, 0.1, 4)]
    table = prepare_table(rows[:, None], resolution=None)
    prior = bg.MixturePrior(sd=bg.priors.LogNormal(math.log(0.03), 1.0), resolution=None).resolve(table)
    truth = exact_posterior(subsets(table, prior), 2)
    left, right = truth.co_clustering[0, 4], truth.co_clustering[4, 7]  # with what the middle group is put
    assert left > 0.5 and right > 0.1 and left + right > 0.99

    draws = sample(table, prior, 2, n_draws=500, n_chains=12)
    z = (table.standardized[[0, 4, 7], 0][:, None, None, None] - draws[1]) / draws[2]
    home = (np.log(draws[0] / draws[2]) - 0.5 * z**2).argmax(axis=-1)  # (3, C, S)
    with_left, with_right = ((home[i] == home[1]).mean(axis=1) for i in (0, 2))
    modes = [np.flatnonzero(with_left == 1.0).tolist(), np.flatnonzero(with_right == 1.0).tolist()]
    assert min(map(len, modes)) >= 2, (with_left, with_right)

    tree = tree_of(*draws, table, prior)
    parts = [log_evidence(tree, Problem(table, FULL, prior), chains=chains) for chains in modes]
    total, error = np.logaddexp.reduce([e.value for e in parts]), max(e.mcse for e in parts)
    assert abs(total - truth.log_evidence) < 3.0 * error + 0.01  # what other allocations hold
    weights, se = mode_weights(parts)
    assert (np.abs(weights - [left, right]) < 3.0 * se + 0.005).all(), (weights, left, right, se)


@pytest.mark.parametrize(("name", "k"), [("two", 2), ("rounded", 1)])
def test_log_evidence_of_a_fit(name: str, k: int) -> None:
    """The whole path, with the package's own sampler."""
    fit = bg.BayesianGMM(k, draws=2000, target_accept=0.95, random_seed=4, progressbar=False).fit(data(name)[:, None])
    check(log_evidence(fit.posterior_, Problem(fit.table_, FULL, fit.prior_)), exact(name, k).log_evidence)


def diagonal_truth(table: Table, prior: ResolvedPrior, k: int) -> float:
    """With diagonal covariances the columns are independent inside a component."""
    return exact_posterior(subsets(table, prior, column=0) + subsets(table, prior, column=1), k).log_evidence


def full_truth(table: Table, prior: ResolvedPrior, k: int) -> float:
    """Two correlated columns: the mean integrates analytically, both sds and the correlation on a grid."""
    log_s = np.linspace(-4.0, 4.0, 45)[:, None] * prior.sd_parameters[1] + prior.sd_parameters[0]  # (G, 2)
    angle = np.linspace(0.0, math.pi, 42)[1:-1]
    rho = np.cos(angle)
    s1, s2, r = np.meshgrid(np.exp(log_s[:, 0]), np.exp(log_s[:, 1]), rho, indexing="ij")
    eta = prior.lkj_eta
    log_w = (
        (st.norm.logpdf(np.linspace(-4, 4, 45)) + math.log(8 / 44))[:, None, None]
        + (st.norm.logpdf(np.linspace(-4, 4, 45)) + math.log(8 / 44))[None, :, None]
        + st.beta(eta, eta).logpdf(0.5 * (1 + rho)) - math.log(2) + np.log(np.sin(angle) * (angle[1] - angle[0]))
    )  # fmt: skip
    a, b, c = s1**2, r * s1 * s2, s2**2  # covariance
    p, q = prior.mean_scale**2
    z = table.standardized - prior.mean_loc
    det = a * c - b**2
    precision = (c / det, -b / det, a / det)
    log_m = np.zeros(1 << len(z))
    for mask in range(1, len(log_m)):
        # Given the covariance the mean is normal, with precision matrix (l11, l12, l22) and l times its mean (h1, h2).
        l11, l12, l22, h1, h2, value = 1 / p + 0 * a, 0 * a, 1 / q + 0 * a, 0 * a, 0 * a, log_w
        for i, (x, y) in enumerate(z):
            if not mask >> i & 1 or (math.isnan(x) and math.isnan(y)):
                continue
            if math.isnan(y):
                l11, h1 = l11 + 1 / a, h1 + x / a
                value = value - 0.5 * (math.log(2 * math.pi) + np.log(a) + x**2 / a)
            elif math.isnan(x):
                l22, h2 = l22 + 1 / c, h2 + y / c
                value = value - 0.5 * (math.log(2 * math.pi) + np.log(c) + y**2 / c)
            else:
                u, v, w = precision
                l11, l12, l22 = l11 + u, l12 + v, l22 + w
                h1, h2 = h1 + u * x + v * y, h2 + v * x + w * y
                value = value - 0.5 * (2 * math.log(2 * math.pi) + np.log(det) + u * x**2 + 2 * v * x * y + w * y**2)
        of_mean = l11 * l22 - l12**2
        value = value + 0.5 * ((l22 * h1**2 - 2 * l12 * h1 * h2 + l11 * h2**2) / of_mean - np.log(of_mean * p * q))
        log_m[mask] = np.logaddexp.reduce(value.ravel())
    return exact_posterior(log_m, k).log_evidence - float((~np.isnan(z) * np.log(table.scale)).sum())


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("k", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_two_columns(covariance_type: str, k: int, gaps: bool) -> None:
    rng = np.random.default_rng(31)
    rows = np.r_[rng.normal(size=(3, 2)) @ [[1, 0.6], [0, 0.4]], rng.normal(size=(4, 2)) + [4.0, -2.0]] * [1.0, 50.0]
    if gaps:
        rows[[0, 4, 6], [1, 0, 0]] = np.nan
    fit = bg.BayesianGMM(
        k, covariance_type=covariance_type, inference="gibbs", draws=4000, random_seed=4, progressbar=False
    ).fit(rows)
    truth = (diagonal_truth if covariance_type == "diag" else full_truth)(fit.table_, fit.prior_, k)
    check(log_evidence(fit.posterior_, Problem(fit.table_, get_structure(covariance_type), fit.prior_)), truth)
