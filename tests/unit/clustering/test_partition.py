"""Partitions: against enumeration of all partitions, and never worse than what else one could do."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import average, cut_tree
from scipy.spatial.distance import squareform
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score, mutual_info_score

from bayesgmm.clustering.partition.credible_ball import credible_ball
from bayesgmm.clustering.partition.estimate import label_similarity, partition_from_labels
from bayesgmm.clustering.partition.loss import adjusted_rand, as_labels, partition_distances
from bayesgmm.errors import InputError

IntArray = NDArray[np.int64]


def every_partition(n: int) -> IntArray:
    """All Bell(n) partitions as restricted growth strings."""
    out = [[0]]
    for _ in range(1, n):
        out = [p + [k] for p in out for k in range(max(p) + 2)]
    return np.array(out)


def vi(a: IntArray, b: IntArray) -> float:
    """Variation of information from entropies, by SciPy and scikit-learn."""
    return entropy(np.bincount(a)) + entropy(np.bincount(b)) - 2.0 * mutual_info_score(a, b)


def binder(a: IntArray, b: IntArray) -> float:
    """Share of ordered pairs joined by one partition and separated by the other."""
    return float(np.mean((a[:, None] == a) != (b[:, None] == b)))


DISTANCE = {"vi": vi, "binder": binder}


def noisy_draws(n_draws: int, n_rows: int, n_clusters: int, seed: int, slope: float = 2.0) -> IntArray:
    """Labels of rows along a line, whose clusters overlap, with cluster names permuted in every draw."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0.0, n_clusters, size=n_rows)
    cuts = np.arange(1, n_clusters) + rng.normal(scale=0.15, size=(n_draws, n_clusters - 1))
    noisy = place + rng.normal(scale=1.0 / slope / 3.0, size=(n_draws, n_rows))
    z = (noisy[:, :, None] > cuts[:, None, :]).sum(axis=2)
    names = rng.permuted(np.tile(np.arange(n_clusters), (n_draws, 1)), axis=1)
    return np.take_along_axis(names, z, axis=1)


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_distances_are_those_of_the_definition(loss):
    draws = noisy_draws(20, 30, 4, seed=1)
    labels = np.random.default_rng(0).integers(3, size=30)
    expected = [DISTANCE[loss](labels, z) for z in draws]
    np.testing.assert_allclose(partition_distances(labels, draws, loss), expected, atol=1e-12)


def test_adjusted_rand_is_that_of_scikit_learn():
    draws = np.concatenate([noisy_draws(20, 30, 4, seed=1), np.zeros((1, 30), int), np.arange(30)[None]])
    for labels in (draws[3], np.zeros(30, int), np.arange(30)):
        np.testing.assert_allclose(
            adjusted_rand(labels, draws), [adjusted_rand_score(labels, z) for z in draws], atol=1e-12
        )


@pytest.mark.parametrize("loss", ["vi", "binder"])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_small_partitions_equal_enumeration(loss, n):
    candidates = every_partition(n)
    for seed in range(6):
        rng = np.random.default_rng([n, seed])
        draws = noisy_draws(15, n, 3, seed, slope=1.0) if seed % 2 else rng.integers(2 + seed // 2, size=(15, n))
        expected = np.array([partition_distances(p, draws, loss).mean() for p in candidates])
        found = partition_from_labels(draws, loss, random_seed=seed)
        assert found.expected_loss == pytest.approx(expected.min(), abs=1e-12)
        best = candidates[expected <= expected.min() + 1e-10]
        assert any((as_labels(found.labels) == as_labels(p)).all() for p in best)


@pytest.mark.parametrize("loss", ["vi", "binder"])
@pytest.mark.parametrize(("n_clusters", "slope"), [(3, 1.0), (6, 0.7), (9, 2.0)])
def test_never_worse_than_linkage_cuts_draws_and_greedy_moves(loss, n_clusters, slope):
    draws = noisy_draws(200, 60, n_clusters, seed=n_clusters, slope=slope)
    found = partition_from_labels(draws, loss)
    others = [*draws[:50], *greedy_moves(draws, loss)]
    tree = average(squareform(1.0 - label_similarity(draws), checks=False))
    others += list(cut_tree(tree).T)
    least = min(partition_distances(c, draws, loss).mean() for c in others)
    assert found.expected_loss <= least + 1e-12


def greedy_moves(draws: IntArray, loss: str) -> list[IntArray]:
    """From three draws, the best move of a single row until none lowers the expected loss, by brute force."""
    ends = []
    for start in draws[:3]:
        c, value, moved = start.copy(), partition_distances(start, draws, loss).mean(), True
        while moved:
            moved = False
            for i in range(len(c)):
                for k in range(c.max() + 2):
                    other = c.copy()
                    other[i] = k
                    at_other = partition_distances(other, draws, loss).mean()
                    if at_other < value - 1e-12:
                        c, value, moved = other, at_other, True
        ends.append(c)
    return ends


def test_a_thousand_draws_of_five_hundred_rows_take_seconds():
    draws = noisy_draws(1000, 500, 6, seed=2)
    partition_from_labels(draws[:10, :20])  # compiled
    start = time.perf_counter()
    found = partition_from_labels(draws)
    assert time.perf_counter() - start < 30.0  # about 2 on one idle core
    assert found.n_best > 1


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_draws_beyond_the_budget_are_thinned_in_the_search_alone(loss, monkeypatch):
    draws = noisy_draws(400, 50, 4, seed=4)
    whole = partition_from_labels(draws, loss)
    monkeypatch.setattr("bayesgmm.clustering.partition.estimate._CELLS", 2000)
    part = partition_from_labels(draws, loss)
    assert "each on 40 draws" in part.method
    assert part.expected_loss == pytest.approx(partition_distances(part.labels, draws, loss).mean(), abs=1e-12)
    assert part.expected_loss <= 1.02 * whole.expected_loss


def test_names_of_clusters_and_order_of_rows_do_not_matter():
    draws = noisy_draws(100, 40, 4, seed=5)
    order = np.random.default_rng(0).permutation(40)
    plain, moved = partition_from_labels(draws), partition_from_labels(100 - 7 * draws[:, order])
    assert plain.expected_loss == pytest.approx(moved.expected_loss, abs=1e-12)
    assert adjusted_rand_score(plain.labels.to_numpy()[order], moved.labels) == 1.0
    assert (plain.sizes.diff().dropna() <= 0).all()


def test_the_limit_on_clusters_grows_where_it_is_felt():
    draws = np.arange(40)[None] // np.array([[1], [2]])  # singletons in half of the draws
    draws = np.concatenate([draws, draws[:1]])
    assert partition_from_labels(draws, "binder").n_clusters == 40
    assert partition_from_labels(draws, "binder", max_clusters=5).n_clusters == 5


def test_draws_of_one_partition_have_no_uncertainty():
    found = partition_from_labels(np.tile([3, 3, -1, 7], (5, 1)), row_names=list("abcd"))
    assert found.labels.to_dict() == {"a": 0, "b": 0, "c": 1, "d": 2}
    assert found.expected_loss == pytest.approx(0.0, abs=1e-12)
    assert found.ball.radius == pytest.approx(0.0, abs=1e-12)
    assert found.occupied.to_dict() == {3: 1.0}
    assert str(found).startswith("3 groups of 2, 1, 1 observations")


def test_the_ball_holds_its_share_and_its_bounds_are_extremes():
    draws = noisy_draws(300, 40, 4, seed=6, slope=0.8)
    draws[:40] = np.where(draws[:40] == 3, 2, draws[:40])  # fewer clusters in some
    found = partition_from_labels(draws)
    distance = np.array([vi(found.labels.to_numpy(), z) for z in draws])
    ball = credible_ball(draws, distance, 0.8)
    inside = distance <= ball.radius + 1e-9
    assert inside.mean() == ball.probability >= 0.8
    assert (distance < ball.radius - 1e-9).mean() < 0.8
    n_clusters = np.array([len(np.unique(z)) for z in draws])
    for bound, among in (
        (ball.horizontal, inside),
        (ball.upper, inside & (n_clusters == n_clusters[inside].min())),
        (ball.lower, inside & (n_clusters == n_clusters[inside].max())),
    ):
        for labels in bound:
            assert vi(found.labels.to_numpy(), labels) == pytest.approx(distance[among].max(), abs=1e-9)
            assert any((as_labels(z) == labels).all() for z in draws[among])


def test_similarity_counts_pairs():
    draws = noisy_draws(50, 30, 4, seed=7)
    found = partition_from_labels(draws)
    np.testing.assert_allclose(found.similarity, np.mean(draws[:, :, None] == draws[:, None, :], axis=0), atol=1e-12)


def test_agreement_takes_text_and_gives_the_posterior():
    draws = noisy_draws(200, 40, 3, seed=8)
    found = partition_from_labels(draws)
    truth = pd.Series(np.array(["red", "green", "blue"])[found.labels])
    table = found.agreement(truth)
    assert table.loc["ari", "estimate"] == 1.0
    assert table.loc["vi", "estimate"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc["vi", "mean"] == pytest.approx(found.expected_loss)
    each = [adjusted_rand_score(truth, z) for z in draws]
    np.testing.assert_allclose(
        table.loc["ari", ["mean", "ci_2.5%", "ci_97.5%"]], [np.mean(each), *np.quantile(each, [0.025, 0.975])]
    )


def test_the_same_seed_gives_the_same_partition():
    draws = np.random.default_rng(3).integers(4, size=(40, 30))
    first, second = (partition_from_labels(draws, "binder", n_runs=2, random_seed=3) for _ in range(2))
    pd.testing.assert_series_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("draws", "options", "match"),
    [
        (np.zeros(3, int), {}, "shape"),
        (np.zeros((3, 0), int), {}, "shape"),
        (np.zeros((3, 4)), {}, "integer labels"),
        (np.zeros((3, 4), int), {"loss": "ari"}, "'binder'"),
        (np.zeros((3, 4), int), {"ci_prob": 1.0}, "ci_prob"),
        (np.zeros((3, 4), int), {"n_runs": 0}, "n_runs"),
        (np.zeros((3, 4), int), {"row_names": ["a"]}, "row_names"),
    ],
)
def test_bad_input_is_named(draws, options, match):
    with pytest.raises(InputError, match=match):
        partition_from_labels(draws, **options)


def test_agreement_wants_one_label_a_row():
    with pytest.raises(InputError, match="one label per row"):
        partition_from_labels(np.zeros((3, 4), int)).agreement([1, 2])
