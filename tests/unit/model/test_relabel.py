"""Relabelling against brute force over all permutations, and the cases whose answer is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from _trees import oracle_components

from bayesgmm.errors import InputError
from bayesgmm.kernels.row_model import NORMAL, RowModel
from bayesgmm.model.draws import Sample
from bayesgmm.model.relabel import in_one_order, relabel


def scattered(n_draws, n_rows, n_components, n_features, *, distance, seed=0, spread=0.15):
    """Rows, and draws around the mixture they come from: (rows, weights, means, scaling)."""
    rng = np.random.default_rng(seed)
    centres = distance * rng.normal(size=(n_components, n_features))
    rows = centres[np.arange(n_rows) % n_components] + rng.normal(size=(n_rows, n_features))
    weights = rng.dirichlet(np.full(n_components, 50.0), size=n_draws)
    means = centres + spread * rng.normal(size=(n_draws, n_components, n_features))
    scaling = np.eye(n_features) + 0.1 * np.tril(rng.normal(size=(n_draws, n_components, n_features, n_features)), k=-1)
    return rows, weights, means, scaling


def shuffled(draws, seed=3):
    """Every draw with its components in a random order, and those orders."""
    rng = np.random.default_rng(seed)
    n_draws, n_components = draws[0].shape
    orders = np.array([rng.permutation(n_components) for _ in range(n_draws)])
    where = np.arange(n_draws)[:, None]
    return [a[where, orders] for a in draws], orders


def costs_of_all_permutations(rows, weights, means, scaling, reference):
    """(K!, K) permutations and (S, K!) values of -sum_i sum_j p_i,nu(j) log Q_ij, by SciPy's densities."""
    every = np.array(list(permutations(range(weights.shape[1]))))
    costs = []
    for w, m, a in zip(weights, means, scaling, strict=True):
        density = oracle_components(rows, w, m, np.linalg.inv(np.swapaxes(a, 1, 2) @ a))
        p = density / density.sum(axis=1, keepdims=True)
        costs.append([-(p[:, nu] * np.log(reference)).sum() for nu in every])
    return every, np.array(costs)


@pytest.mark.parametrize("distance", [0.7, 3.0])
@pytest.mark.parametrize("n_components", [2, 3, 5])
def test_the_answer_does_not_depend_on_the_labels_of_the_draws(n_components, distance):
    rows, *draws = scattered(200, 80, n_components, 2, distance=distance)
    other, _ = shuffled(draws)
    first, second = relabel(rows, *draws), relabel(rows, *other)
    for a, b in zip(draws, other, strict=True):
        np.testing.assert_array_equal(first.apply(a), second.apply(b))
    np.testing.assert_allclose(first.ambiguity, second.ambiguity, atol=1e-9)


def test_random_switches_are_undone():
    rows, *draws = scattered(300, 90, 3, 2, distance=3.0)
    other, orders = shuffled(draws)
    result = relabel(rows, *other)
    # Undoing: the order in which each draw was shuffled, read through the new permutation, is constant.
    back = np.take_along_axis(orders, result.permutations, axis=1)
    assert (back == back[0]).all()
    assert result.converged
    assert result.ambiguity.max() < 1e-6


@pytest.mark.parametrize("n_components", [2, 3, 4])
@pytest.mark.parametrize("distance", [0.6, 2.0])
def test_every_draw_has_the_best_permutation_given_the_reference(n_components, distance):
    rows, *draws = scattered(40, 30, n_components, 2, distance=distance, seed=7, spread=0.5)
    result = relabel(rows, *draws)
    every, costs = costs_of_all_permutations(rows, *draws, result.reference)
    chosen = [np.flatnonzero((every == nu).all(axis=1))[0] for nu in result.permutations]
    at_choice = costs[np.arange(40), chosen]
    np.testing.assert_allclose(at_choice, costs.min(axis=1), rtol=1e-10)
    expected = 1.0 - 1.0 / np.exp(costs.min(axis=1, keepdims=True) - costs).sum(axis=1)
    np.testing.assert_allclose(result.ambiguity, expected, atol=1e-9)


def test_the_reference_is_the_mean_of_the_relabelled_responsibilities():
    rows, *draws = scattered(25, 20, 3, 2, distance=1.5, spread=0.4)
    result = relabel(rows, *draws)
    total = np.zeros((20, 3))
    for w, m, a, nu in zip(*draws, result.permutations, strict=True):
        density = oracle_components(rows, w, m, np.linalg.inv(np.swapaxes(a, 1, 2) @ a))
        total += (density / density.sum(axis=1, keepdims=True))[:, nu]
    np.testing.assert_allclose(result.reference, total / 25, atol=1e-12)


def test_two_draws_by_hand_are_ordered_by_the_first_feature():
    rows = np.array([[-2.0], [-1.8], [2.0], [2.2]])
    means = np.array([[[2.0], [-2.0]], [[-2.1], [2.1]]])
    result = relabel(rows, np.full((2, 2), 0.5), means, np.ones((2, 2, 1, 1)))
    assert result.permutations.tolist() == [[1, 0], [0, 1]]
    assert result.apply(means)[:, :, 0].tolist() == [[-2.0, 2.0], [-2.1, 2.1]]


def test_components_of_one_mean_are_ordered_by_the_next_feature():
    rows = np.array([[0.0, 3.0], [0.0, 3.1], [0.0, -3.0], [0.0, -2.9]])
    means = np.array([[[0.0, 3.0], [0.0, -3.0]]] * 2)
    result = relabel(rows, np.full((2, 2), 0.5), means, np.tile(np.eye(2), (2, 2, 1, 1)))
    assert result.permutations.tolist() == [[1, 0], [1, 0]]


def test_identical_components_are_a_coin_toss_and_distant_ones_are_certain():
    rows = np.random.default_rng(0).normal(size=(50, 1))
    weights, scaling = np.full((20, 2), 0.5), np.ones((20, 2, 1, 1))
    same = relabel(rows, weights, np.zeros((20, 2, 1)), scaling)
    np.testing.assert_allclose(same.ambiguity, 0.5, atol=1e-12)
    apart = relabel(rows, weights, np.tile([[-3.0], [3.0]], (20, 1, 1)), scaling)
    assert apart.ambiguity.max() < 1e-12


def test_a_subset_of_rows_gives_the_same_labels_for_separate_components():
    rows, *draws = scattered(100, 400, 3, 2, distance=4.0)
    draws, _ = shuffled(draws)
    whole, part = relabel(rows, *draws), relabel(rows, *draws, max_rows=60)
    np.testing.assert_array_equal(whole.permutations, part.permutations)
    assert part.reference.shape == (60, 3)
    assert len(np.unique(part.row_index)) == 60
    assert "60 of 400 rows" in part.method
    other = relabel(rows, *draws, max_rows=60, random_seed=1)
    assert (part.row_index != other.row_index).any()


def test_a_row_of_weight_two_counts_as_two_rows():
    rows, *draws = scattered(60, 30, 3, 2, distance=0.8, spread=0.5)
    count = 1 + np.arange(30) % 2
    weighted = relabel(rows, *draws, row_weights=count.astype(float))
    repeated = relabel(np.repeat(rows, count, axis=0), *draws)
    np.testing.assert_array_equal(weighted.permutations, repeated.permutations)
    np.testing.assert_allclose(weighted.ambiguity, repeated.ambiguity, atol=1e-9)
    assert np.abs(weighted.ambiguity - relabel(rows, *draws).ambiguity).max() > 1e-3


def test_seven_components_are_matched_and_swaps_bound_the_ambiguity_from_below():
    rows, *draws = scattered(30, 140, 7, 2, distance=2.0, seed=4, spread=0.3)
    draws, _ = shuffled(draws)
    result = relabel(rows, *draws)
    _, costs = costs_of_all_permutations(rows, *(a[:4] for a in draws), result.reference)
    relative = np.exp(costs.min(axis=1, keepdims=True) - costs)
    full = 1.0 - 1.0 / relative.sum(axis=1)
    assert (result.ambiguity[:4] <= full + 1e-12).all()
    np.testing.assert_allclose(result.ambiguity[:4], full, atol=0.02)
    assert result.apply(draws[1]).std(axis=0).max() < 0.6
    assert draws[1].std(axis=0).max() > 1.0


def test_diagonal_draws_give_what_the_full_ones_give():
    rows, weights, means, scaling = scattered(50, 60, 3, 2, distance=1.0)
    scaling = scaling * np.eye(2)
    full, diagonal = (
        relabel(rows, weights, means, scaling, row_model=RowModel(diagonal=flag)) for flag in (False, True)
    )
    np.testing.assert_array_equal(full.permutations, diagonal.permutations)
    np.testing.assert_allclose(full.ambiguity, diagonal.ambiguity, atol=1e-9)


def test_one_component_needs_no_relabelling():
    rows, *draws = scattered(10, 20, 1, 2, distance=1.0)
    result = relabel(rows, *draws)
    assert result.permutations.tolist() == [[0]] * 10
    assert not result.ambiguity.any()
    assert result.converged


def test_a_component_of_weight_zero_is_carried_along():
    rows, weights, means, scaling = scattered(20, 30, 3, 2, distance=3.0)
    weights[5] = [0.0, 0.4, 0.6]
    result = relabel(rows, weights, means, scaling)
    assert np.sort(result.permutations, axis=1).tolist() == [[0, 1, 2]] * 20
    assert (result.permutations == result.permutations[0]).all()


def test_a_stopped_search_says_so():
    rows, *draws = scattered(50, 40, 3, 2, distance=1.0)
    result = relabel(rows, *draws, max_iter=1)
    assert not result.converged
    assert result.n_iter == 1


def test_bad_input_is_named():
    rows, weights, means, scaling = scattered(10, 20, 3, 2, distance=1.0)
    with pytest.raises(InputError, match="shapes disagree"):
        relabel(rows[:, :1], weights, means, scaling)
    means[4, 1, 0] = np.nan
    with pytest.raises(InputError, match="draw 4"):
        relabel(rows, weights, means, scaling)


@pytest.mark.parametrize("bad", [7, 1199])
def test_a_bad_draw_is_named_by_its_own_number(bad: int) -> None:
    """Among many draws, the search begins with some of them, the last one included."""
    rows, weights, means, scaling = scattered(1200, 20, 2, 1, distance=3.0)
    means[bad] = np.nan
    with pytest.raises(InputError, match=f"draw {bad} has parameters"):
        relabel(rows, weights, means, scaling, start=0)


@pytest.mark.parametrize("shared", [False, True])
def test_draws_of_one_mode_come_back_in_one_order(shared: bool) -> None:
    """Labels permuted at random are undone in every part that has one for each component."""
    rng, n, k = np.random.default_rng(4), 60, 3
    means = np.array([[-6.0], [0.0], [6.0]]) + 0.05 * rng.normal(size=(n, k, 1))
    weights = np.array([0.2, 0.3, 0.5]) + np.zeros((n, 1))
    sds = np.ones((n, 1, 1, 1)) if shared else np.array([0.5, 1.0, 2.0])[None, :, None, None] + np.zeros((n, 1, 1, 1))
    order = np.argsort(rng.random((n, k)), axis=1)
    mixed = np.take_along_axis(sds, order[:, :, None, None], axis=1) if not shared else sds
    sample = Sample(
        np.take_along_axis(weights, order, axis=1), np.take_along_axis(means, order[:, :, None], axis=1), mixed, mixed
    )
    rows = np.repeat([[-6.0], [0.0], [6.0]], 10, axis=0)
    found = in_one_order(sample, rows, np.ones(30), NORMAL, most=40)
    assert len(found.weights) == 40 and np.ptp(found.weights, axis=0).max() < 1e-12
    assert np.ptp(found.means, axis=0).max() < 1.0 and np.ptp(found.cholesky, axis=0).max() < 1e-12
    first = int(found.weights[0].argmin())
    assert found.means[:, first].max() < -5.0 and (shared or found.cholesky[0, first] == 0.5)
