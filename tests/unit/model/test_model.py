"""The PyMC model: names and dims, the likelihood operation, predictive draws, and that it samples.

Compiling with numba takes PyTensor tens of seconds, so the fast tests run the same graphs in Python; two
compile with numba: the operation alone, and (slow) the whole model under NUTS.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from pytensor.compile.mode import Mode
from scipy.special import logsumexp
from scipy.stats import beta, gamma, kstest, lognorm, multivariate_normal, multivariate_t, norm
from scipy.stats import t as student_t

from bayesgmm.data.table import prepare_table
from bayesgmm.datasets import load_faithful
from bayesgmm.errors import InputError
from bayesgmm.kernels.row_model import RowModel
from bayesgmm.model.background import Box
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.pymc_face.build_model import _draw, build_model
from bayesgmm.model.pymc_face.likelihood_op import MixtureLogDensity, _density_and_gradient, mixture_log_density
from bayesgmm.model.structure import get_structure
from bayesgmm.priors import HalfNormal, InverseGamma, LogNormal

PYTHON = Mode(linker="py", optimizer=None)
K, D, N = 2, 3, 40


@pytest.fixture(autouse=True)
def without_c_compiler():
    """Inner graphs (scan) would otherwise be compiled with C, at seconds each."""
    with pytensor.config.change_flags(cxx=""):
        yield


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(N, D)) @ np.array([[2.0, 0, 0], [0.5, 1, 0], [0.1, 0.3, 0.4]]) + [1, 50, -3]
    return pd.DataFrame(values, columns=["a", "b", "c"], index=[f"row{i}" for i in range(N)])


@pytest.fixture(scope="module")
def mixture():
    """Weights, means and Cholesky factors on the model's scale."""
    rng = np.random.default_rng(6)
    cholesky = np.tril(0.3 * rng.normal(size=(K, D, D)), -1) + rng.uniform(0.5, 1.0, (K, 1, D)) * np.eye(D)
    return np.array([0.3, 0.7]), rng.normal(size=(K, D)), cholesky


def densities(rows, weights, means, cholesky):
    """Log density of each row by SciPy."""
    each = [multivariate_normal(m, c @ c.T).logpdf(rows) for m, c in zip(means, cholesky, strict=True)]
    return logsumexp(np.transpose(each) + np.log(weights), axis=1)


@pytest.mark.parametrize(
    ("covariance_type", "sd_dims", "correlation_dims"),
    [
        ("full", ("component", "feature"), ("component", "feature", "feature_bis")),
        ("tied", ("feature",), ("feature", "feature_bis")),
        ("diag", ("component", "feature"), None),
        ("spherical", ("component",), None),
        ("EEI", ("feature",), None),
    ],
)
def test_named_variables_and_dims(frame, covariance_type, sd_dims, correlation_dims):
    model = build_model(frame, K, covariance_type=covariance_type)
    dims = model.named_vars_to_dims
    expected = {
        "weights": ("component",), "means": ("component", "feature"), "sds": sd_dims,
        "covariances": ("component", "feature", "feature_bis"), "obs": ("obs_id", "feature"),
    }  # fmt: skip
    if correlation_dims:
        expected["correlation_cholesky"] = correlation_dims
    assert dims == expected
    assert {v.name for v in model.free_RVs} == set(expected) - {"covariances", "obs"}
    assert model.coords["component"] == tuple(range(K))
    assert model.coords["feature"] == model.coords["feature_bis"] == ("a", "b", "c")
    assert tuple(model.coords["obs_id"]) == tuple(frame.index)
    shapes = pm.draw([model["covariances"], model["obs"]], mode=PYTHON, random_seed=1)
    assert [s.shape for s in shapes] == [(K, D, D), (N, D)]
    assert np.linalg.eigvalsh(shapes[0]).min() > 0


@pytest.mark.parametrize(
    ("prior", "free", "derived"),
    [
        (MixturePrior(sd=HalfNormal(1.0), resolution=0.1), "sds_true", {"sds"}),
        (MixturePrior(sd=InverseGamma(), resolution=None), "variances", {"sds"}),
        (MixturePrior(sd=InverseGamma(), resolution=[0.1, 0.0, 0.0]), "variances_true", {"sds"}),
        (MixturePrior(sd=LogNormal(), resolution=0.0), "sds", set()),
    ],
)
def test_the_family_is_a_variable_of_its_own_name(frame, prior, free, derived):
    model = build_model(frame, K, covariance_type="diag", prior=prior)
    assert [v.name for v in model.free_RVs] == ["weights", "means", free]
    assert {v.name for v in model.deterministics} == derived | {"covariances"}
    family, covariances = pm.draw([model[free], model["covariances"]], mode=PYTHON, random_seed=1)
    variances = family if free.startswith("variances") else family**2
    step = prior.resolve(prepare_table(frame)).step
    np.testing.assert_allclose(np.diagonal(covariances, axis1=1, axis2=2), variances + step**2 / 12)


@pytest.mark.parametrize(("component", "shape", "dims"), [("t", (), ()), ("t_each", (K,), ("component",))])
def test_variables_of_a_head(frame, component, shape, dims):
    """1000 draws from the prior: a gamma above 2, a beta, and shares of what the noise leaves."""
    prior = MixturePrior(df=(2.5, 0.2), noise=(1.5, 7.0), concentration=1.4)
    model = build_model(frame, K, covariance_type="EEI", component=component, noise=True, prior=prior)
    assert [v.name for v in model.free_RVs] == ["shares", "noise_weight", "df", "means", "sds"]
    assert model.named_vars_to_dims["df"] == dims
    assert model.named_vars_to_dims["weights"] == ("component",)
    names = ["shares", "noise_weight", "df", "weights"]
    shares, noise, df, weights = pm.draw([model[n] for n in names], draws=1000, mode=PYTHON, random_seed=3)
    assert df.shape == (1000, *shape)
    np.testing.assert_allclose(weights, (1.0 - noise[:, None]) * shares, rtol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1) + noise, 1.0, rtol=1e-12)
    above = gamma(2.5, scale=5.0)
    assert kstest(df.ravel(), lambda v: 1.0 - above.sf(v) / above.sf(2.0)).pvalue > 1e-4
    assert kstest(noise, beta(1.5, 7.0).cdf).pvalue > 1e-4
    assert kstest(shares[:, 0], beta(1.4, 1.4).cdf).pvalue > 1e-4


def test_one_component_with_noise(frame):
    model = build_model(frame, 1, covariance_type="diag", component="t_each", noise=True)
    assert [v.name for v in model.free_RVs] == ["noise_weight", "df", "means", "sds"]
    noise, weights, df = pm.draw([model["noise_weight"], model["weights"], model["df"]], mode=PYTHON)
    assert weights == pytest.approx([1.0 - noise])
    assert df.shape == (1,)


def test_one_component_and_one_column(frame):
    model = build_model(frame[["a"]], 1)
    assert [v.name for v in model.free_RVs] == ["means", "sds"]
    assert pm.draw(model["weights"], mode=PYTHON).tolist() == [1.0]
    spherical = build_model(frame[["a"]], 2, covariance_type="spherical")
    assert spherical.named_vars_to_dims["sds"] == ("component",)


def test_arrays_and_tables_are_taken(frame):
    array = build_model(frame.to_numpy(), K, standardize=False)
    assert array.coords["feature"] == ("x1", "x2", "x3")
    np.testing.assert_array_equal(observed(array), frame.to_numpy())
    table = prepare_table(frame)
    np.testing.assert_array_equal(observed(build_model(table, K)), table.standardized)


def observed(model):
    return model.rvs_to_values[model["obs"]].data


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": N + 1}, "n_components"),
        ({"covariance_type": "fulll"}, "fulll"),
        ({"component": "cauchy"}, "component"),
        ({"noise": 1}, "noise"),
        ({"sample_weight": [1.0]}, "sample_weight"),
        ({"prior": MixturePrior(mean_scale=[1.0, 2.0])}, "mean_scale"),
    ],
)
@pytest.mark.parametrize("as_table", [False, True])
def test_a_fault_is_told_in_one_line(frame, arguments, named, as_table):
    X = prepare_table(frame) if as_table else frame
    with pytest.raises(InputError, match=named) as caught:
        build_model(X, **{"n_components": K, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("diagonal", [False, True])
def test_log_density_of_each_row_is_scipys(frame, mixture, diagonal):
    weights, means, cholesky = mixture
    cholesky = cholesky * np.eye(D) if diagonal else cholesky
    rows = prepare_table(frame).standardized
    row_weights = np.linspace(0.0, 3.0, N)
    graph = mixture_log_density(rows, weights, means, cholesky, row_weights=row_weights, row_model=RowModel(diagonal))
    expected = row_weights * densities(rows, weights, means, cholesky)
    np.testing.assert_allclose(graph.eval(mode=PYTHON), expected, rtol=1e-12, atol=1e-12)


def weighted_sum(frame, diagonal, cotangent, row_weights):
    """Graph of sum g_n log p_n by the logits of weights, means and factors, with its gradients."""
    logits, means, cholesky = pt.dvector(), pt.dmatrix(), pt.dtensor3()
    rows = prepare_table(frame).standardized
    density = mixture_log_density(
        rows, pt.special.softmax(logits), means, cholesky, row_weights=row_weights, row_model=RowModel(diagonal)
    )
    total = (cotangent * density).sum()
    inputs = [logits, means, cholesky]
    return inputs, [total, *pytensor.grad(total, inputs)]


def are_slopes(gradients, point, function, diagonal):
    """Gradients by logits or head, means and factors are difference quotients; fixed cells of factors have none."""
    h = 1e-5
    for position, gradient in enumerate(gradients):
        for cell in np.ndindex(gradient.shape):
            if position == 2 and (cell[1] < cell[2] or (diagonal and cell[1] != cell[2])):
                assert gradient[cell] == 0.0
                continue
            values = []
            for step in (h, -h):
                moved = [value.copy() for value in point]
                moved[position][cell] += step
                values.append(function(*moved))
            assert gradient[cell] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-6)


COTANGENTS = {
    "ones": np.ones(N),
    "constant": np.full(N, -2.5),
    "mixed": np.random.default_rng(3).normal(size=N),
}


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("cotangent", COTANGENTS)
def test_gradient_for_any_cotangent_is_the_difference_quotient(frame, mixture, diagonal, cotangent):
    weights, means, cholesky = mixture
    cholesky = cholesky * np.eye(D) if diagonal else cholesky
    point = [np.log(weights), means, cholesky]
    row_weights = np.linspace(0.5, 2.0, N)
    inputs, outputs = weighted_sum(frame, diagonal, COTANGENTS[cotangent], row_weights)
    function = pytensor.function(inputs, outputs, mode=PYTHON)
    _, *gradients = function(*point)
    are_slopes(gradients, point, lambda *moved: function(*moved)[0], diagonal)


BOX = np.array([1.5, 2.0, 2.5])  # log widths
HEADS = {
    "t": (RowModel(), [0.3, 0.7, 4.5]),
    "t_each": (RowModel(True), [0.3, 0.7, 4.5, 2.5]),
    "noise": (RowModel(False, BOX), [0.3, 0.5, 0.2]),
    "t_each, noise": (RowModel(False, BOX), [0.3, 0.5, 0.2, 4.5, 2.5]),
}


def density_of_head(row, head, box, means, cholesky):
    """Log density of the cells that a row has, by SciPy."""
    o, df = np.flatnonzero(~np.isnan(row)), head[len(means) + (len(box) > 0) :]
    parts = [np.log(head[len(means)]) - box[o].sum()] if len(box) else []
    for k, (m, c) in enumerate(zip(means, cholesky, strict=True)):
        of_cells = m[o], (c @ c.T)[np.ix_(o, o)]
        component = multivariate_t(*of_cells, df[k % len(df)]) if len(df) else multivariate_normal(*of_cells)
        parts.append(np.log(head[k]) + component.logpdf(row[o]))
    return logsumexp(parts)


@pytest.mark.parametrize("cotangent", ["constant", "mixed"])
@pytest.mark.parametrize("kind", HEADS)
def test_of_t_components_and_a_background_value_and_gradient(frame, mixture, kind, cotangent):
    row_model, head = HEADS[kind]
    _, means, cholesky = mixture
    rows = prepare_table(frame).standardized
    rows[:, 1:][np.random.default_rng(9).random((N, D - 1)) < 0.3] = np.nan
    row_weights, g = np.linspace(0.5, 2.0, N), COTANGENTS[cotangent]
    logs, m, c = pt.dvector(), pt.dmatrix(), pt.dtensor3()
    density = mixture_log_density(rows, pt.exp(logs), m, c, row_weights=row_weights, row_model=row_model)
    total = (g * density).sum()
    function = pytensor.function([logs, m, c], [density, total, *pytensor.grad(total, [logs, m, c])], mode=PYTHON)
    point = [np.log(head), means, cholesky * np.eye(D) if row_model.diagonal else cholesky]
    found, _, *gradients = function(*point)
    expected = [density_of_head(row, np.array(head), row_model.background, *point[1:]) for row in rows]
    np.testing.assert_allclose(found, row_weights * expected, rtol=1e-11, atol=1e-14)
    are_slopes(gradients, point, lambda *moved: function(*moved)[1], row_model.diagonal)


def test_operations_are_told_apart_by_their_row_models():
    assert len({MixtureLogDensity(row_model) for row_model, _ in HEADS.values()}) == 3


@pytest.mark.parametrize("several", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_compiled_operation_equals_the_python_one_without_object_mode(frame, mixture, several):
    """Of t components and noise, and of two row models in one graph, for which kernels are compiled once."""
    weights, means, cholesky = mixture
    inputs, outputs = weighted_sum(frame, False, COTANGENTS["mixed"], np.linspace(0.5, 2.0, N))
    if not several:
        inputs, outputs = inputs[1:], []
    row_model, head = HEADS["t_each, noise"]
    logs, rows = pt.dvector(), prepare_table(frame).standardized
    density = mixture_log_density(rows, pt.exp(logs), *inputs[several:], row_model=row_model)
    total = (COTANGENTS["mixed"] * density).sum()
    inputs, outputs = [*inputs, logs], [*outputs, total, *pytensor.grad(total, [logs, *inputs[several:]])]
    point = [*[np.log(weights)] * several, np.asfortranarray(means), cholesky, np.log(head)]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Numba will use object mode")
        compiled = pytensor.function(inputs, outputs, mode="NUMBA")
    reference = pytensor.function(inputs, outputs, mode=PYTHON)
    for value, expected in zip(compiled(*point), reference(*point), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    assert len({signature[-1] for signature in _density_and_gradient.signatures}) == 1


def test_second_derivatives_are_refused():
    means = pt.dmatrix()
    density = mixture_log_density(np.zeros((4, 1)), np.ones(1), means, np.ones((1, 1, 1)))
    slope = pytensor.grad(density.sum(), means)
    with pytest.raises(NotImplementedError):
        pytensor.grad(slope.sum(), means)


def test_pointwise_log_likelihood(frame):
    row_weights = np.linspace(0.0, 2.0, N)
    model = build_model(frame, K, sample_weight=row_weights)
    names = ["weights", "means", "sds", "correlation_cholesky"]
    draws = pm.draw([model[name] for name in names], draws=6, mode=PYTHON, random_seed=2)
    posterior = {
        name: (("chain", "draw", *model.named_vars_to_dims[name]), value.reshape(2, 3, *value.shape[1:]))
        for name, value in zip(names, draws, strict=True)
    }
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior)})
    pm.compute_log_likelihood(tree, model=model, progressbar=False, compile_kwargs={"mode": PYTHON})
    pointwise = tree["log_likelihood"]["obs"]
    assert pointwise.dims == ("chain", "draw", "obs_id")
    assert pointwise["obs_id"].to_numpy().tolist() == frame.index.tolist()
    rows = prepare_table(frame, sample_weight=row_weights).standardized
    weights, means, sds, correlation = (value[4] for value in draws)
    expected = row_weights * densities(rows, weights, means, sds[..., None] * correlation)
    np.testing.assert_allclose(pointwise.isel(chain=1, draw=1), expected, rtol=1e-10, atol=1e-10)


def test_prior_predictive_draws_follow_the_prior(frame):
    """Moments of 3000 independent draws within 4.5 Monte Carlo standard errors (each test: p = 7e-6)."""
    prior = MixturePrior(
        mean_loc=[0.0, 1.0, -1.0], mean_scale=[0.5, 1.0, 2.0], sd=LogNormal(-0.5, 0.4), lkj_eta=1.5,
        concentration=2.0, resolution=[0.6, 0.0, 0.0],
    )  # fmt: skip
    model = build_model(frame[:10], K, prior=prior)
    n = 3000
    tree = pm.sample_prior_predictive(n, model=model, random_seed=4, compile_kwargs={"mode": PYTHON})
    draws = {name: tree["prior"][name].to_numpy()[0] for name in tree["prior"].data_vars}
    obs = tree["prior_predictive"]["obs"].to_numpy()[0][:, 0]  # one row a draw: rows share parameters

    def assert_mean(sample, expected):
        error = sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
        assert (np.abs(sample.mean(axis=0) - expected) < 4.5 * error).all()

    numbers = prior.resolve(prepare_table(frame[:10]))
    means = draws["means"].reshape(-1, D)
    assert_mean(means, numbers.mean_loc)
    assert_mean((means - numbers.mean_loc) ** 2, numbers.mean_scale**2)
    assert_mean(draws["weights"][:, 0], 0.5)
    assert_mean((draws["weights"][:, 0] - 0.5) ** 2, 0.25 / (2 * 2.0 + 1))  # Beta(2, 2)
    variances = lognorm(0.4, scale=np.exp(-0.5)).moment(2) + numbers.floor
    assert_mean(np.diagonal(draws["covariances"], axis1=2, axis2=3).reshape(-1, D), variances)
    factors = draws["correlation_cholesky"].reshape(-1, D, D)
    correlations = (factors @ factors.mT)[:, *np.tril_indices(D, -1)]
    assert_mean(correlations, 0.0)
    assert_mean(correlations**2, 1.0 / (2 * 1.5 + D - 1))  # Beta(eta + D/2 - 1) on (-1, 1)
    assert_mean(obs, numbers.mean_loc)
    assert_mean((obs - numbers.mean_loc) ** 2, numbers.mean_scale**2 + variances)


@pytest.mark.parametrize(("component", "df"), [("normal", []), ("t", [4.0]), ("t_each", [4.0, 2.5])])
def test_predictive_draws_follow_the_mixture(mixture, component, df):
    """Each column of 20,000 rows from one head, a fifth of them noise in a box along other axes than the columns'."""
    _, means, cholesky = mixture
    axes = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))[0]
    box = Box(axes, np.array([-3.0, -1.0, 0.0]), np.array([2.0, 4.0, 0.5]))
    structure = get_structure("full").of(component, box.log_widths)
    head = pt.as_tensor(np.array([0.3, 0.5, 0.2, *df]))
    graph = _draw(head, pt.as_tensor(means), pt.as_tensor(cholesky), (20_000,), k=K, structure=structure, box=box)
    rows = pm.draw(graph, mode=PYTHON, random_seed=1)
    uniform = box.draw(np.random.default_rng(3), 200_000)
    for j in range(D):

        def cdf(values, j=j):
            total = 0.2 * np.searchsorted(np.sort(uniform[:, j]), values) / len(uniform)
            for k, weight in enumerate((0.3, 0.5)):
                z = (values - means[k, j]) / np.linalg.norm(cholesky[k, j])
                total += weight * (student_t(df[k % len(df)]) if df else norm).cdf(z)
            return total

        assert kstest(rows[:, j], cdf).pvalue > 1e-4


@pytest.mark.slow
def test_pymc_samples_it():
    """Two clusters far apart, tied: weights and means are found by nutpie through the compiled operation."""
    rng = np.random.default_rng(8)
    rows = np.vstack([rng.normal(-5.0, 1.0, (30, 2)), rng.normal(5.0, 1.0, (60, 2))])
    model = build_model(rows, 2, covariance_type="tied", standardize=False)
    start = {"means": np.array([[-5.0, -5.0], [5.0, 5.0]])}
    tree = pm.sample(
        draws=200, tune=300, chains=2, cores=1, model=model, initvals=start, random_seed=1, progressbar=False,
        nuts_sampler="nutpie",
    )  # fmt: skip
    weights = tree["posterior"]["weights"].to_numpy()
    assert np.isfinite(weights).all()
    # Posterior Dirichlet(31, 61): mean 0.337, sd 0.049; labels may switch between chains.
    assert np.abs(np.sort(weights, axis=-1)[..., 0].mean() - 31 / 92) < 0.03


@pytest.mark.slow
def test_parameters_may_be_held_fixed() -> None:
    """As docs/known_labels.md has it: what is left is the density given the fixed means, without their prior."""
    table = prepare_table(load_faithful()[::9])
    model, known = build_model(table, 2), np.array([[-1.2, -1.1], [0.7, 0.7]])
    held = pm.do(model, {"means": known})
    point = held.initial_point()
    assert not any(name.startswith("means") for name in point)
    prior = MixturePrior().resolve(table)
    of_means = norm.logpdf(known, prior.mean_loc, prior.mean_scale).sum()
    assert held.compile_logp()(point) == pytest.approx(model.compile_logp()(point | {"means": known}) - of_means)
