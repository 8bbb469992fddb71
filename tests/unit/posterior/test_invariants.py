"""Label-invariant quantities against SciPy's densities, and under renumbering."""

from __future__ import annotations

import numpy as np
import pytest
from _trees import CENTRES, independent_draws, log_likelihood, oracle_components, rows_around

from bayesgmm.model.params import in_order
from bayesgmm.posterior.diagnostics.invariants import label_invariants


@pytest.fixture(scope="module")
def draws():
    spread = independent_draws(np.array([0.2, 0.3, 0.5]), CENTRES, n_chains=1, n_draws=40, spread=0.4)
    return tuple(a[0] for a in spread)


def test_values_are_those_of_the_definition(draws):
    rows = rows_around(0.5 * CENTRES)
    names = [f"r{i}" for i in range(len(rows))]
    values = label_invariants(rows, *draws, feature_names=["a", "b"], row_names=names)
    for s, (w, m, c) in enumerate(zip(*draws, strict=True)):
        density = oracle_components(rows, w, m, c)
        p = density / density.sum(axis=1, keepdims=True)
        mean = w @ m
        covariance = np.einsum("k,kde->de", w, c + np.einsum("kd,ke->kde", m, m)) - np.outer(mean, mean)
        assert values["sorted_weights[0]"][s] == w.max()
        assert values["sum_squared_weights"][s] == pytest.approx((w**2).sum(), rel=1e-12)
        assert values["mixture_mean[b]"][s] == pytest.approx(mean[1], abs=1e-12)
        log_det = np.linalg.slogdet(covariance)[1]
        assert values["mixture_log_det_covariance"][s] == pytest.approx(log_det, abs=1e-10)
        entropy = -(p * np.log(p)).sum(axis=1).mean()
        assert values["classification_entropy"][s] == pytest.approx(entropy, rel=1e-8)
        for name, x in values.items():
            kind, _, rest = name.rstrip("]").partition("[")
            if kind == "log_density":
                assert x[s] == pytest.approx(np.log(density[names.index(rest)].sum()), rel=1e-9)
            elif kind == "co_clustering":
                i, j = (names.index(r) for r in rest.split(", "))
                assert x[s] == pytest.approx(p[i] @ p[j], rel=1e-8)
    kinds = [name.split("[")[0] for name in values]
    assert kinds.count("log_density") == 10
    assert kinds.count("co_clustering") == 20


def test_no_value_depends_on_the_numbering(draws):
    rows = rows_around(0.5 * CENTRES)
    first = label_invariants(rows, *draws)
    numbering = np.random.default_rng(0).permuted(np.tile(np.arange(3), (len(draws[0]), 1)), axis=1)
    second = label_invariants(rows, *(in_order(a, numbering) for a in draws))
    assert list(first) == list(second)
    for name in first:  # to the last digit: ranks of equal draws, and so R-hat, depend on it
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_pairs_are_undecided_and_use_no_row_twice(draws):
    values = label_invariants(rows_around(0.5 * CENTRES), *draws)
    pairs = [name for name in values if name.startswith("co_clustering")]
    rows = [r for name in pairs for r in name[len("co_clustering[") : -1].split(", ")]
    assert len(set(rows)) == 2 * len(pairs)
    means = np.array([values[name].mean() for name in pairs])
    assert ((means > 0.05) & (means < 0.95)).all()


def test_row_weights_enter_the_entropy(draws):
    rows = rows_around(0.5 * CENTRES)
    keep = np.arange(len(rows)) % 2 == 0
    weighted = label_invariants(rows, *draws, row_weights=keep.astype(float))
    subset = label_invariants(rows[keep], *draws)
    np.testing.assert_allclose(weighted["classification_entropy"], subset["classification_entropy"], rtol=1e-10)


def test_few_rows_and_one_component():
    draws = independent_draws(np.ones(1), np.zeros((1, 2)), n_chains=1, n_draws=5)
    values = label_invariants(np.zeros((3, 2)) + np.arange(3)[:, None], *(a[0] for a in draws))
    assert not any(name.startswith("co_clustering") for name in values)
    assert sum(name.startswith("log_density") for name in values) == 3
    assert not values["classification_entropy"].any()


def test_an_invalid_covariance_shows_as_nan(draws):
    weights, means, covariances = (a.copy() for a in draws)
    covariances[7, 1] = -np.eye(2)
    values = label_invariants(rows_around(), weights, means, covariances)
    assert np.isnan(values["classification_entropy"][7])
    assert np.isfinite(np.delete(values["classification_entropy"], 7)).all()


def test_the_log_likelihood_of_the_helper_is_scipys(draws):
    rows = rows_around()
    total = log_likelihood(rows, *(a[None] for a in draws))[0]
    expected = [np.log(oracle_components(rows, *d).sum(axis=1)).sum() for d in zip(*draws, strict=True)]
    np.testing.assert_allclose(total, expected, rtol=1e-12)
