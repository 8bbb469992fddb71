"""Label draws and co-clustering: against the definition, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from _rows import oracle_responsibilities, scaled_tree
from _trees import CENTRES
from scipy.cluster.hierarchy import average, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from bayesgmm.clustering import coclustering as module
from bayesgmm.clustering.coclustering import coclustering, coclustering_factor, display_order
from bayesgmm.clustering.label_draws import categorical, draw_labels
from bayesgmm.clustering.partition.estimate import label_similarity
from bayesgmm.clustering.partition.of_posterior import partition
from bayesgmm.errors import InputError
from bayesgmm.kernels.draw_blocks import blocks_of_draws, blocks_of_rows
from bayesgmm.kernels.row_model import NORMAL
from bayesgmm.posterior.tree import observed_rows, posterior_arrays


@pytest.fixture(scope="module")
def tree():
    return scaled_tree()


@pytest.fixture(scope="module")
def truth(tree):
    return oracle_responsibilities(tree, observed_rows(tree)[0])


@pytest.mark.parametrize("block_bytes", [1, 30_000, 10**8])
def test_blocks_hold_the_responsibilities_of_the_definition(tree, truth, block_bytes):
    a, rows = posterior_arrays(tree), observed_rows(tree)[0]
    args = a.to_model(rows), a.weights, a.means, a.scaling
    got = np.full_like(truth[0], np.nan)
    density = np.full_like(truth[1], np.nan)
    for where, r, log_density in blocks_of_rows(*args, row_model=NORMAL, block_bytes=block_bytes):
        got[:, where], density[:, where] = r, log_density
    np.testing.assert_allclose(got, truth[0], atol=1e-12)
    np.testing.assert_allclose(density - a.log_jacobian(rows), truth[1], atol=1e-10)
    got[:] = np.nan
    for where, r in blocks_of_draws(*args, row_model=NORMAL, block_bytes=block_bytes):
        got[where] = r
    np.testing.assert_allclose(got, truth[0], atol=1e-12)


def test_coclustering_is_the_mean_product(tree, truth):
    expected = np.einsum("sik,sjk->ij", truth[0], truth[0]) / len(truth[0])
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(coclustering(tree), expected, atol=1e-12)
    pick = [3, 0, 17]
    np.testing.assert_allclose(coclustering(tree, rows=pick), expected[np.ix_(pick, pick)], atol=1e-12)
    new = observed_rows(tree)[0][pick]
    np.testing.assert_allclose(coclustering(tree, X=new), expected[np.ix_(pick, pick)], atol=1e-12)


def test_single_precision_is_precise_enough(tree, monkeypatch):
    exact = coclustering(tree)
    monkeypatch.setattr(module, "_DOUBLE_ROWS", 10)
    assert 0.0 < np.abs(coclustering(tree) - exact).max() < 1e-5


def test_merged_components_are_one_cluster(tree, truth):
    r = np.stack([truth[0][..., 0] + truth[0][..., 2], truth[0][..., 1]], axis=2)
    expected = np.einsum("sik,sjk->ij", r, r) / len(r)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(coclustering(tree, merge=[0, 1, 0]), expected, atol=1e-12)


def test_label_draws_have_the_frequencies_of_the_responsibilities(tree, truth):
    z = np.concatenate([draw_labels(observed_rows(tree)[0], posterior_arrays(tree), random_seed=s) for s in range(40)])
    assert z.dtype == np.int8
    for k in range(3):
        p = truth[0][..., k].mean(axis=0)
        error = np.sqrt(p * (1 - p) / len(z)) + 1e-9
        assert (np.abs((z == k).mean(axis=0) - p) < 4.5 * error + 1e-6).all()
    expected = coclustering(tree)
    error = np.sqrt(expected * (1 - expected) / len(z)) + 1e-4
    assert (np.abs(label_similarity(z) - expected) < 4.5 * error).all()


def test_a_label_is_never_one_of_probability_zero():
    r = np.array([[[0.5, 0.5 - 1e-16, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    out = np.empty((1, 3), dtype=np.int8)
    for u in (0.0, 1.0 - 1e-16):
        categorical(r, np.full((1, 3), u), out)
        assert out.tolist() == [[0 if u == 0.0 else 1, 1, 2]]


def test_the_factor_is_within_its_bound_and_exact_at_full_rank(tree):
    exact = coclustering(tree)
    off = ~np.eye(len(exact), dtype=bool)
    coarse, fine = coclustering_factor(tree, rank=6), coclustering_factor(tree, rank=40)
    assert coarse.factor.shape == (40, 6)
    actual = np.abs(coarse.matrix(range(40)) - exact)[off].max()
    assert 1e-4 < actual <= coarse.error + 1e-12
    assert np.abs(fine.matrix(range(40)) - exact)[off].max() < 1e-5
    assert fine.error < 1e-5
    assert coarse.matrix([2, 3], [3]).shape == (2, 1)
    assert coarse.matrix([2, 3], [3])[1, 0] == 1.0


def test_display_order_is_the_optimal_one(tree):
    similarity = coclustering(tree)
    distance = squareform(1.0 - similarity, checks=False)
    links = optimal_leaf_ordering(average(distance), distance)
    order = display_order(similarity)
    ends = similarity[order[:-1], order[1:]].sum()
    plain = similarity[np.arange(39), np.arange(1, 40)].sum()
    assert sorted(order) == list(range(40))
    from scipy.cluster.hierarchy import leaves_list

    best = leaves_list(links)
    assert ends == pytest.approx(similarity[best[:-1], best[1:]].sum())
    assert ends > plain
    assert display_order(np.eye(2)).tolist() == [0, 1]


def test_the_partition_of_a_fit_has_the_components_numbers_and_names():
    tree = scaled_tree(60, distance=3.0, spread=0.05)
    rows = observed_rows(tree)[0]
    found = partition(tree)
    truth = ((rows[:, None] - 3.0 * CENTRES) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(found.labels, truth)
    assert list(found.labels.index[:2]) == ["r0", "r1"]
    np.testing.assert_array_equal(found.similarity, coclustering(tree))
    merged = partition(tree, merge=[0, 0, 1])
    np.testing.assert_array_equal(merged.labels, (truth == 2).astype(int))
    assert merged.occupied.to_dict() == {2: 1.0}
    new = partition(tree, rows=rows[5:10], row_names=list("abcde"))
    np.testing.assert_array_equal(new.labels["a":"e"], truth[5:10])


def test_a_partition_of_many_labels_thins_the_draws_and_says_so(tree, monkeypatch):
    monkeypatch.setattr("bayesgmm.clustering.partition.of_posterior._MAX_LABELS", 2000)
    found = partition(tree)
    assert found.draws.shape == (48, 40)
    assert "every 5th draw" in found.method


def test_too_much_is_refused_in_words(tree, monkeypatch):
    with pytest.raises(InputError, match="no row 99"):
        coclustering(tree, rows=[0, 99])
    with pytest.raises(InputError, match="positions"):
        coclustering(tree, rows=["r0"])
    with pytest.raises(InputError, match="merge"):
        coclustering(tree, merge=[0, 2, 0])
    with pytest.raises(InputError, match="rank"):
        coclustering_factor(tree, rank=0)
    monkeypatch.setattr(module, "MAX_MATRIX_ROWS", 10)
    with pytest.raises(InputError, match="rows="):
        coclustering(tree)
    monkeypatch.setattr("bayesgmm.clustering.label_draws.MAX_LABELS", 1000)
    with pytest.raises(InputError, match="10th draw"):
        draw_labels(observed_rows(tree)[0], posterior_arrays(tree))
