"""The flat density of t components and a background: likelihood against SciPy, prior against quadrature, gradient
against difference quotients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, multivariate_t

from bayesgmm.data.table import prepare_table
from bayesgmm.model.density.decoupled import from_affine, to_affine
from bayesgmm.model.density.decoupled import value_and_gradient as decoupled
from bayesgmm.model.density.density import Density
from bayesgmm.model.params import MixtureParams, latent_cholesky
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import COMPONENTS, COVARIANCE_TYPES, get_structure

CASES = [
    (kind, component, background, gaps)
    for kind in COVARIANCE_TYPES for component in COMPONENTS for background in (False, True)
    for gaps in ((False, True) if kind in ("full", "diag") else (False,))
    if component != "normal" or background
]  # fmt: skip


def build(kind: str, component: str, background: bool, gaps: bool, *, rowless: bool = False, k: int = 2, d: int = 2):
    rng = np.random.default_rng([COVARIANCE_TYPES.index(kind), COMPONENTS.index(component), background, gaps])
    rows = rng.standard_t(3.0, size=(40, d)) * np.arange(1.0, d + 1.0)
    rows[rng.random(rows.shape) < 0.2 * gaps] = np.nan
    table = prepare_table(rows, sample_weight=rng.uniform(0.0, 2.0, 40))
    prior = MixturePrior(df=(2.5, 0.2), noise=(1.5, 7.0), concentration=1.4, resolution=0.05)
    structure = get_structure(kind).of(component, rng.uniform(0.5, 2.0, d) if background else ())
    factors = np.tril(0.4 * rng.normal(size=(k, d, d)), -1) + rng.uniform(0.4, 1.2, (k, 1, d)) * np.eye(d)
    covariances = structure.project(factors @ factors.mT, np.ones(k))
    head = np.concatenate([rng.dirichlet(np.full(structure.n_classes(k), 5.0)),
                           rng.uniform(2.5, 12.0, structure.n_df(k))])  # fmt: skip
    reference = MixtureParams.of_head(head, rng.normal(size=(k, d)), covariances, structure)
    problem = Problem(table, structure, prior.resolve(table))
    return Density.build(problem, reference, rowless=rowless), table, rng


def log_likelihood(params: MixtureParams, widths: tuple[float, ...], table) -> float:
    k, total = params.n_components, 0.0
    df = None if params.df is None else np.broadcast_to(params.df, k)
    for row, weight in zip(table.standardized, table.weights, strict=True):
        o = ~np.isnan(row)
        parts = [np.log(params.noise_weight) - np.array(widths)[o].sum()] if widths else []
        for j in range(k):
            given = params.means[j, o], params.covariances[j][np.ix_(o, o)]
            value = 0.0
            if o.any():
                value = multivariate_normal.logpdf(row[o], *given) if df is None \
                    else multivariate_t.logpdf(row[o], *given, df[j])  # fmt: skip
            parts.append(np.log(params.weights[j]) + value)
        total += weight * np.logaddexp.reduce(parts)
    return total


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient(case) -> None:
    density, table, rng = build(*case)
    prior_alone, _, _ = build(*case, rowless=True)
    for _ in range(3):
        x = 2.0 * rng.normal(size=density.n_dim)
        value, gradient = density.value_and_gradient(x)
        params = density.params(x)
        assert params.n_parameters == density.n_dim
        expected = log_likelihood(params, density.structure.background, table)
        assert value - prior_alone.value_and_gradient(x)[0] == pytest.approx(expected, rel=1e-10)
        quotient = approx_fprime(x, lambda v: density.value_and_gradient(v)[0], 1e-6)
        np.testing.assert_allclose(gradient, quotient, rtol=2e-4, atol=2e-4 * np.abs(gradient).max())
        np.testing.assert_allclose(density.pack(params), x, rtol=1e-6, atol=1e-6)
        u = from_affine(density, x[None])
        np.testing.assert_allclose(to_affine(density, u)[0], x, atol=1e-8)
        _, slope = decoupled(density, u[0])
        quotient = approx_fprime(u[0], lambda v: decoupled(density, v)[0], 1e-6)
        np.testing.assert_allclose(slope, quotient, rtol=2e-4, atol=2e-4 * np.abs(slope).max())


@pytest.mark.parametrize("component", ["normal", "t"])
def test_the_prior_of_a_head_integrates_to_one(component: str) -> None:
    """Less that of the same mixture without, which differs by the prior of the two numbers in their coordinates."""
    density, table, _ = build("diag", component, True, False, rowless=True, k=1, d=1)
    normal = Density.build(
        Problem(table, get_structure("diag"), density.prior),
        replace(density.reference, df=None, noise_weight=None, weights=np.ones(1)), rowless=True,
    )  # fmt: skip

    rest = np.array([0.3, -0.2])
    steps = np.array([density.packed.mean_step[0, 0], density.packed.cell_step[0, 0]])
    of_normal = np.array([normal.packed.mean_step[0, 0], normal.packed.cell_step[0, 0]])
    same = normal.value_and_gradient(rest * steps / of_normal)[0] + np.log(steps / of_normal).sum()

    def extra(*head: float) -> float:
        return float(np.exp(density.value_and_gradient(np.concatenate([head, rest]))[0] - same))

    if component == "t":
        total = dblquad(lambda b, a: extra(a, b), -60.0, 60.0, -60.0, 60.0, epsabs=1e-7)[0]
    else:
        points = np.linspace(-60.0, 60.0, 20_001)
        total = np.trapezoid([extra(a) for a in points], points)
    assert total == pytest.approx(1.0, abs=1e-4)


def test_log_prior_is_the_posterior_without_rows_less_the_jacobian() -> None:
    """Its differences between draws that differ in the head alone are those of beta, gamma and Dirichlet densities."""
    from scipy.stats import beta, dirichlet, gamma

    density, _, rng = build("full", "t_each", True, False)
    x = 2.0 * rng.normal(size=(2, density.n_dim))
    x[1, 4:] = x[0, 4:]  # but for two weights, that of the background and two degrees of freedom
    heads, means, _, latent = density.unpack_both(x)

    def log_p(head: np.ndarray) -> float:
        shares = head[:2] / head[:2].sum()
        return (
            dirichlet.logpdf(shares, [1.4, 1.4])
            + beta.logpdf(head[2], 1.5, 7.0)
            + gamma.logpdf(head[3:], 2.5, scale=5.0).sum()
        )

    found = density.log_prior(heads, means, latent)
    assert found[1] - found[0] == pytest.approx(log_p(heads[1]) - log_p(heads[0]), rel=1e-8)
    assert latent_cholesky(density.reference.covariances, density.packed.floor).shape == (2, 2, 2)
