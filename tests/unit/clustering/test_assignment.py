"""Assignment: every number against its definition, on all draws at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _rows import oracle_responsibilities, scaled_tree
from scipy.stats import entropy

import bayesgmm as bg
from bayesgmm.clustering.assignment import assignment
from bayesgmm.errors import InputError
from bayesgmm.kernels import draw_blocks
from bayesgmm.posterior.tree import observed_rows


@pytest.fixture(scope="module")
def tree():
    return scaled_tree()


@pytest.fixture(scope="module")
def r(tree):
    return oracle_responsibilities(tree, observed_rows(tree)[0])[0]


def test_probabilities_intervals_and_entropies_are_those_of_the_definition(tree, r):
    result = assignment(tree, ci_prob=0.8)
    mean = r.mean(axis=0)
    np.testing.assert_allclose(result.probabilities, mean, atol=1e-12)
    np.testing.assert_allclose(result.lower, np.quantile(r, 0.1, axis=0), atol=1e-12)
    np.testing.assert_allclose(result.upper, np.quantile(r, 0.9, axis=0), atol=1e-12)
    np.testing.assert_allclose(result.table["entropy"], entropy(mean, axis=1), atol=1e-10)
    np.testing.assert_allclose(result.table["overlap"], entropy(r, axis=2).mean(axis=0), atol=1e-10)
    divergence = entropy(r, np.broadcast_to(mean, r.shape), axis=2).mean(axis=0)  # the mutual information, its own way
    np.testing.assert_allclose(result.table["parameter"], divergence, atol=1e-10)
    assert (result.table["parameter"] >= 0).all()


def test_labels_flags_and_names(tree, r):
    result = assignment(tree, ci_prob=0.9)
    mean, at = r.mean(axis=0), np.arange(40)
    order = np.argsort(-mean, axis=1)
    table = result.table
    np.testing.assert_array_equal(table["label"], order[:, 0])
    np.testing.assert_array_equal(table["second"], order[:, 1])
    np.testing.assert_allclose(table["second_probability"], mean[at, order[:, 1]], atol=1e-12)
    np.testing.assert_array_equal(table["ambiguous"], mean.max(axis=1) < 0.9)
    low, high = np.quantile(r, [0.05, 0.95], axis=0)
    np.testing.assert_array_equal(table["contested"], high[at, order[:, 1]] >= low[at, order[:, 0]])
    assert 0 < result.n_ambiguous < 40
    assert 0 < table["contested"].sum() < 40
    assert list(table.index[:2]) == ["r0", "r1"]


def test_component_summaries(tree, r):
    result = assignment(tree)
    label = r.mean(axis=0).argmax(axis=1)
    top = r.mean(axis=0).max(axis=1)
    for k, row in result.components.iterrows():
        mine = top[label == k]
        assert row["n_rows"] == len(mine)
        np.testing.assert_allclose(row[["average", "smallest", "largest"]], [mine.mean(), mine.min(), mine.max()])
        assert row["n_ambiguous"] == (mine < 0.95).sum()
        expected = r[..., k].sum(axis=1)
        spread = np.sqrt(expected.var() + (r[..., k] * (1 - r[..., k])).sum(axis=1).mean())  # of the count of labels
        assert abs(row["size"] - expected.mean()) < 4 * spread / np.sqrt(len(r))
        half = 1.96 * spread
        assert row["size_upper"] - row["size_lower"] == pytest.approx(2 * half, abs=2.0 + 0.2 * half)
    assert result.components["size"].sum() == pytest.approx(40.0)


def test_sizes_count_the_weight_of_rows():
    weight = np.tile([0.0, 1.0, 3.0, 1.0], 10)
    result = assignment(scaled_tree(row_weights=weight))
    assert result.components["size"].sum() == pytest.approx(50.0)


def test_blocks_change_nothing(tree, monkeypatch):
    whole = assignment(tree)
    monkeypatch.setattr(
        draw_blocks.blocks_of_rows,
        "__kwdefaults__",
        {**draw_blocks.blocks_of_rows.__kwdefaults__, "block_bytes": 20_000},
    )
    part = assignment(tree)
    pd.testing.assert_frame_equal(whole.table, part.table)
    pd.testing.assert_frame_equal(whole.upper, part.upper)


def test_new_rows_keep_their_names(tree):
    rows = observed_rows(tree)[0][:3]
    frame = pd.DataFrame(rows, columns=["x0", "x1"], index=["a", "b", "c"])
    result = assignment(tree, frame)
    assert list(result.table.index) == ["a", "b", "c"]
    pd.testing.assert_frame_equal(
        result.probabilities.reset_index(drop=True), assignment(tree).probabilities[:3].reset_index(drop=True)
    )
    assert result.components["size"].sum() == pytest.approx(3.0)
    assert list(assignment(tree, rows, row_names=["p", "q", "s"]).table.index) == ["p", "q", "s"]


def test_merged_components_are_summed_in_every_draw(tree, r):
    result = assignment(tree, merge=[1, 0, 1])
    summed = np.stack([r[..., 1], r[..., 0] + r[..., 2]], axis=2)
    np.testing.assert_allclose(result.probabilities, summed.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(result.lower, np.quantile(summed, 0.025, axis=0), atol=1e-12)
    assert result.level == "cluster"
    assert result.probabilities.columns.name == "cluster"
    assert "2 clusters" in str(result)


def test_one_cluster_leaves_nothing_to_assign(tree):
    result = assignment(tree, merge=[0, 0, 0])
    assert (result.table["probability"] == 1.0).all()
    assert result.table["second"].isna().all()
    assert not result.table[["ambiguous", "contested"]].any(axis=None)
    np.testing.assert_allclose(result.table["entropy"], 0.0, atol=1e-12)
    assert "nothing to assign" in str(result)


def test_a_fit_says_who_is_ambiguous():
    X, species = bg.datasets.load_iris()
    fit = bg.BayesianGMM(3, inference="laplace", random_seed=1, progressbar=False).fit(X)
    result = assignment(fit.posterior_)
    np.testing.assert_array_equal(result.table["label"], fit.labels_)
    setosa = result.table[np.asarray(species) == "setosa"]
    assert not setosa["ambiguous"].any()
    assert 5 < result.n_ambiguous < 100  # of the other two species
    assert str(result).startswith("150 observations in 3 components")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ci_prob": 0.0}, "ci_prob"),
        ({"rows": np.zeros((3, 5))}, r"\(N, 2\)"),
        ({"rows": np.full((3, 2), np.inf)}, "finite"),
        ({"row_names": ["a"]}, "row_names"),
        ({"merge": [0, 1]}, "merge"),
    ],
)
def test_bad_input_is_named(tree, options, match):
    with pytest.raises(InputError, match=match):
        assignment(tree, **options)
