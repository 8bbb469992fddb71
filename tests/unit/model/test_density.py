"""The flat density against the PyMC model, an independent change of variables, SciPy and quadrature.

For the flat vector x and the free constrained parameters f(x) of the PyMC model,

    log p(x) = log p_PyMC(f(x)) + log |det df/dx|.

f is written here in plain NumPy. df/dx comes from complex steps (exact to rounding), and the gradient of the
log determinant from eighth-order differences of it (error about 1e-12); nothing is shared with the code
under test except the constants that scale the coordinates.
"""

from __future__ import annotations

import ctypes
import functools
import itertools

import numpy as np
import pytensor
import pytest
import scipy.stats as st
from numpy.typing import NDArray
from pymc.model.transform.conditioning import remove_value_transforms
from pytensor.compile.mode import Mode
from scipy.integrate import dblquad, quad

from bayesgmm.data.table import prepare_table
from bayesgmm.model.background import structure_for
from bayesgmm.model.density.density import Density
from bayesgmm.model.density.log_posterior import log_posterior_callback
from bayesgmm.model.density.prior_density import log_sd_prior
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem as Given
from bayesgmm.model.proposals.importance import log_likelihoods
from bayesgmm.model.pymc_face.build_model import build_model
from bayesgmm.model.structure import COVARIANCE_TYPES, get_structure
from bayesgmm.priors import Exponential, HalfCauchy, HalfNormal, InverseGamma, LogNormal

Array = NDArray[np.float64]

FAMILIES = {
    "half_normal": lambda d: HalfNormal(np.linspace(0.7, 1.6, d)),
    "half_cauchy": lambda d: HalfCauchy(np.linspace(0.5, 1.3, d)),
    "exponential": lambda d: Exponential(np.linspace(0.8, 2.1, d)),
    "log_normal": lambda d: LogNormal(np.linspace(-0.9, 0.1, d), np.linspace(0.4, 1.1, d)),
    "inverse_gamma": lambda d: InverseGamma(np.linspace(2.2, 3.4, d), np.linspace(0.7, 1.5, d)),
}
# (K, D) in turn, so that every structure meets every size, with and without rounding.
SIZES = [(2, 2), (3, 3), (1, 2), (2, 1), (3, 2), (2, 3), (1, 1), (1, 3), (3, 1)]
COMBINATIONS = list(itertools.product(COVARIANCE_TYPES, FAMILIES, (False, True)))
# Half of them, with and without rounding, lack cells.
CASES = [(*combination, *SIZES[i % len(SIZES)], i // 2 % 2 == 1) for i, combination in enumerate(COMBINATIONS)]
IDS = ["-".join(map(str, case)) for case in CASES]
HEADS = [
    ("full", "log_normal", True, 3, 2, False, "t", True),
    ("full", "inverse_gamma", False, 2, 3, True, "t_each", True),
    ("full", "log_normal", False, 1, 2, False, "t_each", False),
    ("tied", "half_normal", True, 2, 2, True, "t", False),
    ("tied", "exponential", False, 3, 2, False, "normal", True),
    ("diag", "log_normal", False, 2, 3, True, "t", True),
    ("diag", "exponential", True, 3, 1, False, "t_each", False),
    ("spherical", "log_normal", True, 2, 2, False, "t_each", True),
    ("spherical", "half_normal", False, 1, 2, True, "t", True),
    ("EEI", "log_normal", True, 3, 3, False, "t", False),
    ("EEI", "half_normal", False, 1, 2, True, "normal", True),
]


class Problem:
    """One data set, prior and reference mixture, drawn from a seed, with the density and the PyMC model."""

    def __init__(
        self, covariance_type: str, family: str, rounded: bool, k: int, d: int, gaps: bool = False,
        component: str = "normal", noise: bool = False,
    ) -> None:  # fmt: skip
        self.k, self.d = k, d
        seed = [COVARIANCE_TYPES.index(covariance_type), list(FAMILIES).index(family), rounded, k, d]
        self.rng = rng = np.random.default_rng(seed)
        rows = rng.normal(size=(25, d)) * rng.uniform(0.3, 5.0, d) + rng.normal(size=d)
        row_weights = rng.uniform(0.0, 2.0, 25) if rounded else None
        rows[np.random.default_rng(7).random(rows.shape) < 0.25 * gaps] = np.nan
        self.prior = MixturePrior(
            mean_loc=rng.normal(size=d), mean_scale=rng.uniform(0.8, 3.0, d), sd=FAMILIES[family](d),
            lkj_eta=rng.uniform(0.6, 3.0), concentration=rng.uniform(0.4, 2.5),
            df=(2.5, 0.2), noise=(1.5, 7.0), resolution=np.linspace(0.2, 0.0, d) if rounded else None,
        )  # fmt: skip
        self.table = prepare_table(rows, sample_weight=row_weights)
        self.structure = structure_for(self.table, covariance_type, component, noise)
        self.numbers = self.prior.resolve(self.table)
        self.covariance_type = covariance_type
        self.density = Density.build(Given(self.table, self.structure, self.numbers), self.mixture())

    def mixture(self) -> MixtureParams:
        """A random mixture of the structure."""
        k, d, rng = self.k, self.d, self.rng
        factors = np.tril(0.4 * rng.normal(size=(k, d, d)), -1) + rng.uniform(0.4, 1.2, (k, 1, d)) * np.eye(d)
        if not self.structure.correlated:
            factors = factors * np.eye(d)
        if self.covariance_type == "spherical":
            factors = factors[:, :1, :1] * np.eye(d)
        if self.structure.shared:
            factors = np.broadcast_to(factors[:1], factors.shape)
        weights = rng.dirichlet(np.full(self.structure.n_classes(k), 3.0))
        head = np.concatenate([weights, rng.uniform(3.0, 12.0, self.structure.n_df(k))])
        return MixtureParams.of_head(head, rng.normal(size=(k, d)), factors @ factors.mT, self.structure)

    def point(self) -> np.ndarray:
        return 2.0 * self.rng.normal(size=self.density.n_dim)

    def constrained(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Flat vectors (..., n) to all variables of the PyMC model, real or complex."""
        k, d = self.k, self.d
        p = self.density.packed
        cells, mean_ref, chol_ref, latent_ref = p.cells, p.mean_ref, p.chol_ref, p.latent_ref
        mean_step, cell_step, stick_ref, stick_step = p.mean_step, p.cell_step, p.stick_ref, p.stick_step
        g, n_cells = cell_step.shape
        batch = x.shape[:-1]
        n_head = self.structure.n_head(k) - 1
        head, m, t = np.split(x, [n_head, n_head + k * d], axis=-1)
        sticks, noise, df = np.split(stick_ref + stick_step * head, [k - 1, self.structure.n_classes(k) - 1], axis=-1)
        fractions = 1.0 / (1.0 + np.exp(-sticks))
        one = np.ones((*batch, 1))
        left = np.concatenate([one, np.cumprod(1.0 - fractions, axis=-1)], axis=-1)
        shares = left * np.concatenate([fractions, one], axis=-1)
        noise, df = 1.0 / (1.0 + np.exp(-noise)), 2.0 + np.exp(df)
        steps = (mean_step * m.reshape(*batch, k, d))[..., None]
        means = mean_ref + (chol_ref @ steps)[..., 0]
        free = cell_step * t.reshape(*batch, g, n_cells)
        factors = np.zeros((*batch, g, d, d), dtype=x.dtype)
        for i, j in zip(*np.nonzero(cells >= 0), strict=True):
            cell = free[..., cells[i, j]]
            factors[..., i, j] = np.exp(cell) if i == j else cell
        latent = latent_ref @ factors
        before = np.sqrt((latent**2).sum(axis=-1))
        correlation = latent / before[..., None]
        if self.covariance_type == "spherical":
            before = before[..., 0]
        floor = self.numbers.floor.mean() if self.covariance_type == "spherical" else self.numbers.floor
        sds = np.sqrt(before**2 + floor)
        if self.structure.shared:
            sds, before, correlation = sds[..., 0, :], before[..., 0, :], correlation[..., 0, :, :]
        return {
            "weights": shares, "shares": shares, "noise_weight": noise[..., 0] if noise.shape[-1] else None,
            "df": df[..., 0] if self.structure.component == "t" else df, "means": means,
            "correlation_cholesky": correlation, "sds": sds, "sds_true": before,
            "variances": sds**2, "variances_true": before**2,
        }  # fmt: skip

    def free_vector(self, x: np.ndarray, names: list[str]) -> np.ndarray:
        """Flat vectors (..., n) to as many free constrained parameters (..., n)."""
        values = self.constrained(x)
        parts = []
        for name in names:
            value = values[name]
            if name in ("weights", "shares"):
                value = value[..., :-1]
            elif name == "correlation_cholesky":
                rows, columns = np.tril_indices(self.d, -1)
                value = value[..., rows, columns]
            parts.append(value.reshape(*x.shape[:-1], -1))
        return np.concatenate(parts, axis=-1)


def complex_jacobian(function, x):
    """Derivatives (..., m, n) of a function of vectors (..., n), exact to rounding."""
    step = 1e-30
    shifted = x[..., None, :] + 1j * step * np.eye(x.shape[-1])
    return np.moveaxis(function(shifted).imag / step, -2, -1)


def gradient_by_differences(function, x, h=0.02):
    """Gradient (n,) of a batched scalar function, central differences of order eight."""
    coefficients = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    shifts = h * np.arange(1, 5)[:, None, None] * np.eye(len(x))
    return np.tensordot(coefficients, function(x + shifts) - function(x - shifts), 1) / h


class Reference:
    """Log density and gradient of flat vectors, by the PyMC model and the change of variables."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        model = build_model(
            problem.table, problem.k, covariance_type=problem.covariance_type, prior=problem.prior,
            component=problem.structure.component, noise=problem.structure.has_background,
        )  # fmt: skip
        bare = remove_value_transforms(model)
        self.names = [variable.name for variable in bare.value_vars]
        with pytensor.config.change_flags(cxx=""):
            total = bare.logp(jacobian=False)
            prior = bare.logp(vars=bare.free_RVs, jacobian=False)
            self.function = pytensor.function(
                bare.value_vars,
                [total, prior, *pytensor.grad(total, bare.value_vars)],
                mode=Mode(linker="py", optimizer=None),
            )

    def __call__(self, x: Array) -> tuple[float, Array, float]:
        """Log density at x, its gradient, and the model's log prior density of the free parameters."""
        values = self.problem.constrained(x)
        with pytensor.config.change_flags(cxx=""):
            value, prior, *slopes = self.function(*(values[name] for name in self.names))
        gradient = gradient_by_differences(self.log_determinant, x)
        for name, slope in zip(self.names, slopes, strict=True):
            gradient += slope.ravel() @ complex_jacobian(functools.partial(self.flat, name), x)
        return float(value) + float(self.log_determinant(x)), gradient, float(prior)

    def flat(self, name: str, x: Array) -> Array:
        return self.problem.constrained(x)[name].reshape(*x.shape[:-1], -1)

    def log_determinant(self, x: Array) -> Array:
        free = functools.partial(self.problem.free_vector, names=self.names)
        return np.linalg.slogdet(complex_jacobian(free, x)).logabsdet


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_equals_the_pymc_model_in_value_and_gradient(case):
    problem = Problem(*case)
    reference = Reference(problem)
    for _ in range(2):
        x = problem.point()
        value, gradient = problem.density.value_and_gradient(x)
        expected, expected_gradient, _ = reference(x)
        assert np.isfinite(expected)
        # PyMC keeps the log 2 of its half-Cauchy in single precision: 2e-9 off for every sd.
        np.testing.assert_allclose(value, expected, rtol=1e-9)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-9 * np.abs(gradient).max())


@pytest.mark.parametrize("case", HEADS, ids=str)
def test_equals_the_pymc_model_of_t_components_and_noise(case):
    problem = Problem(*case)
    x = problem.point()
    value, gradient = problem.density.value_and_gradient(x)
    expected, expected_gradient, expected_prior = Reference(problem)(x)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-9 * np.abs(gradient).max())
    values = problem.constrained(x)
    noise = values["noise_weight"]
    head = [values["shares"]] if noise is None else [(1.0 - noise) * values["shares"], noise[None]]
    np.testing.assert_allclose(problem.density.unpack(x)[0][0], np.r_[*head, values["df"]], rtol=1e-12)
    if "inverse_gamma" in case:
        expected_prior += np.log(2.0 * values["sds_true"]).sum()
    assert problem.density.log_prior_of(x)[0] == pytest.approx(expected_prior, rel=1e-9)


@pytest.mark.parametrize("case", CASES[1::7], ids=IDS[1::7])
def test_log_prior_is_that_of_the_pymc_model_as_a_density_of_the_sds(case):
    problem = Problem(*case)
    x = problem.point()
    *_, expected = Reference(problem)(x)
    values = problem.constrained(x)
    if "inverse_gamma" in case:
        expected += np.log(2.0 * values["sds_true"]).sum()
    (value,) = problem.density.log_prior_of(x)
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", CASES[::3], ids=IDS[::3])
def test_gradient_is_the_difference_quotient(case):
    problem = Problem(*case)
    x = problem.point()
    _, gradient = problem.density.value_and_gradient(x)

    def values(points):
        return np.apply_along_axis(lambda z: problem.density.value_and_gradient(z)[0], -1, points)

    # Rounding 1e-14 |value| / h and truncation h^8 are both below 1e-10 of a gradient of order ten.
    expected = gradient_by_differences(values, x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-8 * np.abs(gradient).max())


@pytest.mark.parametrize("case", CASES[::3], ids=IDS[::3])
def test_unpack_and_pack(case):
    problem = Problem(*case)
    density = problem.density
    x = problem.point()
    weights, means, cholesky = (a[0] for a in density.unpack(x))
    values = problem.constrained(x)
    np.testing.assert_allclose(weights, values["weights"], rtol=1e-12)
    np.testing.assert_allclose(means, values["means"], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt((cholesky[0] ** 2).sum(-1)).flat[0], values["sds"].flat[0], rtol=1e-12)
    np.testing.assert_allclose(density.pack(density.params(x)), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(density.pack(density.reference), 0.0, atol=1e-9)
    other = problem.mixture()
    back = density.params(density.pack(other))
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(back, name), getattr(other, name), rtol=1e-10, atol=1e-12)


def test_weights_below_the_smallest_number_keep_a_logarithm():
    """Of components without rows under a small concentration: log weights of -1000 are drawn."""
    problem = Problem("full", "log_normal", False, 3, 2)
    density, x = problem.density, problem.point()
    x[:2] = -5000.0 / density.packed.stick_step
    weights, means, _, latent = density.unpack_both(x[None])
    assert (weights[0, :2] == 1e-300).all() and weights[0, 2] == 1.0
    assert np.isfinite(density.log_prior(weights, means, latent)).all()


def test_the_coordinates_do_not_change_the_posterior():
    """Two references give one density of the mixture: log densities differ by the Jacobian of x to x'."""
    problem = Problem("full", "log_normal", True, 3, 2)
    first, mixture = problem.density, problem.mixture()
    second = Density.build(Given(problem.table, problem.structure, problem.numbers), problem.mixture())
    x = first.pack(mixture)

    def to_second(points):
        return np.apply_along_axis(lambda z: second.pack(first.params(z)), -1, points)

    columns = [gradient_by_differences(lambda z, i=i: to_second(z)[..., i], x) for i in range(len(x))]
    log_determinant = np.linalg.slogdet(np.array(columns)).logabsdet
    difference = first.value_and_gradient(x)[0] - second.value_and_gradient(second.pack(mixture))[0]
    assert difference == pytest.approx(log_determinant, abs=1e-8)


def test_row_weight_two_is_the_row_twice():
    problem = Problem("full", "half_normal", False, 2, 2)
    rows = problem.table.values
    mixture = problem.mixture()
    values = []
    for table in (
        prepare_table(rows, sample_weight=np.where(np.arange(25) < 5, 2.0, 1.0), standardize=False),
        prepare_table(np.vstack([rows, rows[:5]]), standardize=False),
    ):
        density = Density.build(Given(table, problem.structure, problem.prior.resolve(table)), mixture)
        values.append(density.value_and_gradient(np.full(density.n_dim, 0.3)))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-13)
    np.testing.assert_allclose(values[0][1], values[1][1], rtol=1e-11, atol=1e-11)


def test_outside_the_support_the_log_density_is_minus_infinity():
    problem = Problem("diag", "log_normal", True, 2, 2)
    density = problem.density
    x = np.zeros(density.n_dim)
    x[-4] = 1e5  # overflow
    assert density.value_and_gradient(x)[0] == -np.inf


def test_the_callback_is_the_same_function():
    density = Problem("full", "log_normal", True, 3, 2).density
    header = np.array([
        density.ints.ctypes.data, len(density.ints), density.floats.ctypes.data, len(density.floats)
    ], dtype=np.int64)  # fmt: skip

    def pointer(array, kind=ctypes.c_double):
        return array.ctypes.data_as(ctypes.POINTER(kind))

    def call(x):
        gradient, value = np.empty(density.n_dim), np.empty(1)
        code = log_posterior_callback().ctypes(
            density.n_dim, pointer(x), pointer(gradient), pointer(value), pointer(header, ctypes.c_int64)
        )
        return code, value[0], gradient

    x = np.linspace(-1.0, 1.0, density.n_dim)
    code, value, gradient = call(x)
    expected, expected_gradient = density.value_and_gradient(x)
    assert (code, value) == (0, expected)
    np.testing.assert_array_equal(gradient, expected_gradient)
    assert call(np.full(density.n_dim, 1e5))[0] == 4


SCIPY = {
    "half_normal": (HalfNormal(1.3), st.halfnorm(scale=1.3)),
    "half_cauchy": (HalfCauchy(0.8), st.halfcauchy(scale=0.8)),
    "exponential": (Exponential(2.5), st.expon(scale=1 / 2.5)),
    "log_normal": (LogNormal(-0.4, 0.6), st.lognorm(0.6, scale=np.exp(-0.4))),
    "inverse_gamma": (InverseGamma(2.5, 0.7), st.invgamma(2.5, scale=0.7)),
}


@pytest.mark.parametrize("name", SCIPY)
def test_scale_family_is_scipys_and_its_slope_the_derivative(name):
    family, distribution = SCIPY[name]
    (a,), (b,) = family.columns(1)
    for sd in np.geomspace(0.2, 4.0, 12):
        expected = distribution.logpdf(sd**2) + np.log(2.0 * sd) if family.on_variance else distribution.logpdf(sd)
        value, slope = log_sd_prior(family.code, a, b, sd)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
        h = 1e-4
        up, down = (log_sd_prior(family.code, a, b, sd * np.exp(s))[0] for s in (h, -h))
        assert slope == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-5)


def test_rounding_bounds_the_likelihood_on_a_line():
    """Rounded rows on the line x1 = x2 must not reward a correlation of one: the log posterior falls towards it."""
    rng = np.random.default_rng(0)
    line = rng.integers(1, 6, 120).astype(float)
    rows = np.concatenate([np.column_stack([line, line]), rng.integers(1, 6, (80, 2)).astype(float)])
    table = prepare_table(rows)
    numbers, structure = MixturePrior().resolve(table), get_structure("full")
    z = table.standardized
    values = []
    for gap in (1e-2, 1e-4, 1e-6, 1e-8):
        covariances = np.stack([[[1.0, 1.0 - gap], [1.0 - gap, 1.0]], np.eye(2)]) + np.diag(numbers.floor)
        mixture = MixtureParams(np.array([0.6, 0.4]), np.stack([z[:120].mean(0), z[120:].mean(0)]), covariances)
        density = Density.build(Given(table, structure, numbers), mixture)
        # On a common footing: density of the mixture itself, not of its coordinates.
        weights, means, cholesky = density.unpack(np.zeros(density.n_dim))
        likelihood = mixture_density(z, weights[0], means[0], cholesky[0])
        values.append(likelihood + density.log_prior_of(np.zeros(density.n_dim))[0])
    # What is left near the boundary is the LKJ(2), (1 - r^2)^(eta - 1): minus log 100 for each step.
    np.testing.assert_allclose(np.diff(values)[1:], -np.log(100.0), atol=0.2)


def mixture_density(rows, weights, means, cholesky):
    """Log-likelihood by SciPy."""
    parts = [
        np.log(w) + st.multivariate_normal.logpdf(rows, m, c @ c.T, allow_singular=True)
        for w, m, c in zip(weights, means, cholesky, strict=True)
    ]
    return float(np.logaddexp.reduce(parts, axis=0).sum())


@pytest.mark.parametrize("name", SCIPY)
def test_prior_of_an_sd_integrates_to_one(name):
    family, _ = SCIPY[name]
    (a,), (b,) = family.columns(1)

    def density(s):
        return np.exp(log_sd_prior(family.code, a, b, s)[0])

    total = sum(quad(density, *ends, limit=200)[0] for ends in [(1e-12, 0.5), (0.5, 2), (2, np.inf)])
    assert total == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 4.5])
def test_lkj_constant_by_quadrature(eta):
    two, _ = quad(lambda r: (1 - r * r) ** (eta - 1), -1, 1)
    assert get_structure("full").log_prior_constant(2, eta) == pytest.approx(-np.log(two), abs=1e-7)
    # D = 3: given r12 and r13, the determinant is s^2 (1 - t^2) with r23 = r12 r13 + s t.
    three, _ = dblquad(lambda p, q: ((1 - p * p) * (1 - q * q)) ** (eta - 0.5), -1, 1, -1, 1)
    assert get_structure("full").log_prior_constant(3, eta) == pytest.approx(-np.log(three * two), abs=1e-6)
    assert get_structure("full").log_prior_constant(1, eta) == 0.0


@pytest.mark.parametrize("case", CASES[::6], ids=IDS[::6])
def test_memory_taken_over_holds_the_same_problem(case) -> None:
    problem = Problem(*case)
    other = problem.mixture()
    given = Given(problem.table, problem.structure, problem.numbers)
    fresh = Density.build(given, other)
    reused = Density.build(given, other, memory=Density.build(given, problem.mixture()))
    np.testing.assert_array_equal(reused.ints, fresh.ints)
    np.testing.assert_array_equal(reused.floats, fresh.floats)


@pytest.mark.parametrize("case", CASES[::6], ids=IDS[::6])
def test_without_rows_the_coordinates_are_the_same_and_the_posterior_is_the_prior(case) -> None:
    problem = Problem(*case)
    rowless = Density.build(
        Given(problem.table, problem.structure, problem.numbers), problem.density.reference, rowless=True
    )
    x = problem.rng.normal(size=(3, rowless.n_dim))
    np.testing.assert_array_equal(rowless.pack_draws(*problem.density.unpack_latent(x)),
                                  problem.density.pack_draws(*problem.density.unpack_latent(x)))  # fmt: skip
    np.testing.assert_array_equal(rowless.unpack(x)[2], problem.density.unpack(x)[2])
    likelihood = log_likelihoods(problem.density, *problem.density.unpack(x))
    for point, expected in zip(x, likelihood, strict=True):
        difference = problem.density.value_and_gradient(point)[0] - rowless.value_and_gradient(point)[0]
        assert difference == pytest.approx(expected, rel=1e-9, abs=1e-9)
