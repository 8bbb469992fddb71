"""Other clusterings beside a fit: agreement by scikit-learn's own scores, disagreement row by row."""

from __future__ import annotations

import numpy as np
import pytest
from _rows import scaled_tree
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, mutual_info_score, silhouette_score

from bayesgmm.clustering import other_methods as clusterings
from bayesgmm.clustering.other_methods import CLUSTERINGS, compare_clusterings
from bayesgmm.clustering.partition.of_posterior import partition
from bayesgmm.errors import InputError
from bayesgmm.posterior.tree import observed_rows


@pytest.fixture(scope="module")
def tree():
    return scaled_tree(90, distance=1.1, spread=0.1)


@pytest.fixture(scope="module")
def compared(tree):
    return compare_clusterings(tree)


def test_every_method_runs_and_is_scored(tree, compared):
    rows = observed_rows(tree)[0]
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    assert list(compared.table.index) == ["mixture", *CLUSTERINGS]
    own = compared.labels["mixture"]
    for name, row in compared.table.iterrows():
        labels = compared.labels[name]
        assert row["ari"] == pytest.approx(adjusted_rand_score(own, labels), abs=1e-12)
        entropies = mutual_info_score(own, own) + mutual_info_score(labels, labels)
        assert row["vi"] == pytest.approx(entropies - 2 * mutual_info_score(own, labels), abs=1e-12)
        kept = labels >= 0
        if labels[kept].nunique() > 1:
            assert row["silhouette"] == pytest.approx(silhouette_score(z[kept], labels[kept]))
        assert row["n_disagree"] == (own != labels).sum()
        assert row["n_clusters"] == labels[kept].nunique()
        assert row["settings"]


def test_distance_from_the_posterior_is_that_from_its_draws(tree, compared):
    found = compared.partition
    for name in ("k-means", "mixture"):
        labels = compared.labels[name].to_numpy()
        entropy = lambda x: mutual_info_score(x, x)  # noqa: E731
        each = [entropy(labels) + entropy(d) - 2 * mutual_info_score(labels, d) for d in found.draws]
        row = compared.table.loc[name]
        np.testing.assert_allclose(
            [row["vi_mean"], row["vi_2.5%"], row["vi_97.5%"]],
            [np.mean(each), *np.quantile(each, [0.025, 0.975])],
            atol=1e-9,
        )


def test_labels_are_scikit_learns_under_the_clusters_of_the_fit(tree, compared):
    rows = observed_rows(tree)[0]
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    theirs = KMeans(compared.partition.n_clusters, n_init=10, random_state=0).fit_predict(z)
    assert adjusted_rand_score(theirs, compared.labels["k-means"]) == 1.0
    agree = (compared.labels["k-means"] == compared.labels["mixture"]).mean()
    assert agree > 0.6


def test_rows_in_dispute_are_listed_the_surest_first(compared):
    rows = compared.disagreements("k-means")
    assert len(rows) == compared.table.loc["k-means", "n_disagree"] > 0
    assert (rows["mixture"] != rows["k-means"]).all()
    assert (rows["probability"].diff().dropna() <= 0).all()
    assert set(rows.index) <= {f"r{i}" for i in range(90)}
    assert "credible ball" in str(compared)


def test_noise_is_counted_and_has_no_cluster(tree, monkeypatch):
    def noisy(z, k, seed):
        labels = np.arange(len(z)) % 3
        labels[:7] = -1
        return labels

    monkeypatch.setitem(CLUSTERINGS, "DBSCAN", clusterings.Clustering(noisy, "noisy"))
    result = compare_clusterings(tree, ["DBSCAN"])
    assert result.table.loc["DBSCAN", ["n_clusters", "n_noise"]].tolist() == [3, 7]
    assert (result.labels["DBSCAN"] == -1).sum() == 7


def test_what_is_not_run_says_so(tree, monkeypatch):
    monkeypatch.setitem(CLUSTERINGS, "Ward", clusterings.Clustering(clusterings._ward, "Ward", max_rows=50))
    result = compare_clusterings(tree, ["Ward", "BIRCH"])
    assert "not run" in result.table.loc["Ward", "note"]
    assert list(result.labels.columns) == ["mixture", "BIRCH"]


def test_a_partition_already_made_is_used(tree):
    found = partition(tree, merge=[0, 0, 1])
    result = compare_clusterings(tree, "k-means", result=found)
    assert result.table["n_clusters"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"methods": ["k means"]}, "'k-means'"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 91}, "90 rows"),
        ({"ci_prob": 1.5}, "ci_prob"),
    ],
)
def test_bad_input_is_named(tree, options, match):
    with pytest.raises(InputError, match=match):
        compare_clusterings(tree, **options)


def test_an_unknown_method_has_no_disagreements(compared):
    with pytest.raises(InputError, match="'k-means'"):
        compared.disagreements("mixture")
