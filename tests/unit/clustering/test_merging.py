"""Merging against a direct quadrature of its definition, closed forms, and simulated clusters of known number."""

from __future__ import annotations

import itertools
import re
import time
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats as st
import xarray as xr
from _trees import CENTRES, converged, independent_draws, make_tree, rows_around
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.clustering.merging import Merging, merging
from bayesgmm.clustering.merging_rule import merge_draws, merge_trees
from bayesgmm.errors import InputError

Array = NDArray[np.float64]
Groups = list[list[int]]


def scaled(tree: xr.DataTree) -> xr.DataTree:
    """With the scaling that a fit records; the components are the same in any."""
    constants = tree["constant_data"].to_dataset()
    tree["constant_data"] = xr.DataTree(
        constants.assign(center=("feature", np.array([2.0, -1.0])), scale=("feature", np.array([3.0, 0.5])))
    )
    return tree


LINES = (0.02, 0.25, 0.5, 0.75, 0.98)


def on_a_line(line: Array, mixture: tuple[Array, Array, Array], a: list[int], b: list[int], df: float) -> float:
    """Larger misclassification probability of two groups along a line, on a grid of it."""
    weights, means, covariances = mixture
    centre, sd = means @ line, np.sqrt(np.einsum("i,kij,j->k", line, covariances, line))
    both = a + b
    grid = np.linspace((centre - 9 * sd)[both].min(), (centre + 9 * sd)[both].max(), 3_001)
    z = (grid - centre[:, None]) / sd[:, None]
    as_judged = (weights / sd)[:, None] * (st.norm.pdf(z) if np.isinf(df) else st.t.pdf(z, df))
    a_taken = as_judged[b].sum(axis=0) > as_judged[a].sum(axis=0)
    density = (weights / sd)[:, None] * st.norm.pdf(z) * (grid[1] - grid[0])
    return max(
        density[a][:, a_taken].sum() / weights[a].sum(), density[b][:, ~a_taken].sum() / weights[b].sum()
    )  # fmt: skip


def overlap(mixture: tuple[Array, Array, Array], sizes: Array, a: list[int], b: list[int]) -> float:
    """Along the best of the lines."""
    weights, means, covariances = mixture

    def moments(group: list[int]) -> tuple[Array, Array]:
        p = weights[group] / weights[group].sum()
        mean = p @ means[group]
        gap = means[group] - mean
        return mean, np.einsum("k,kij->ij", p, covariances[group] + gap[:, :, None] * gap[:, None, :])

    (mean_a, cov_a), (mean_b, cov_b) = moments(a), moments(b)
    df = max(1.0, min(sizes[a].sum(), sizes[b].sum()))
    lines = (np.linalg.solve(t * cov_a + (1.0 - t) * cov_b, mean_b - mean_a) for t in LINES)
    return min(0.5, *(on_a_line(line, mixture, a, b, df) for line in lines))


def tree_by_definition(mixture: tuple[Array, Array, Array], sizes: Array) -> Array:
    """(K, K) sds apart: the nearest groups first, near as wholes and in their nearest components."""
    k = len(sizes)
    pairs = {(i, j): overlap(mixture, sizes, [i], [j]) for i in range(k) for j in range(k) if i != j}
    groups: Groups = [[i] for i in range(k)]
    out, least = np.zeros((k, k)), 0.5
    while len(groups) > 1:
        found = list(itertools.combinations(range(len(groups)), 2))
        values = [
            min(overlap(mixture, sizes, groups[g], groups[h]),
                max(pairs[i, j] for i in groups[g] for j in groups[h]))
            for g, h in found
        ]  # fmt: skip
        g, h = found[int(np.argmax(values))]
        least = min(least, max(values))
        for i, j in itertools.product(groups[g], groups[h]):
            out[i, j] = out[j, i] = -2.0 * st.norm.ppf(least)
        groups[g] += groups.pop(h)
    return out


@pytest.mark.parametrize(("k", "d", "size"), [(2, 1, np.inf), (3, 2, np.inf), (4, 1, 12.0), (5, 3, 30.0)])
def test_merges_as_defined(k: int, d: int, size: float) -> None:
    rng = np.random.default_rng([k, d])
    n = 12
    weights, means = rng.dirichlet(np.full(k, 2.0), n), 2.5 * rng.normal(size=(n, k, d))
    factors = np.tril(0.4 * rng.normal(size=(n, k, d, d)), -1) + rng.uniform(0.3, 1.5, (n, k, 1, d)) * np.eye(d)
    covariances = factors @ factors.mT
    sizes = np.full((n, k), np.inf) if np.isinf(size) else size * k * weights
    ours = merge_trees(weights, means, covariances, sizes=sizes).apart
    theirs = np.array([tree_by_definition((weights[s], means[s], covariances[s]), sizes[s]) for s in range(n)])
    shown = (theirs > 0.5) & (theirs < 5.0)  # nearer and further the probability hardly depends on the distance
    # Quadrature in 32 pieces is right to 0.002 in probability; a close call may make another tree.
    off = np.abs(np.where(shown, ours - theirs, 0.0)).max(axis=(1, 2))
    assert shown.any() and np.median(off) < 0.02 and (off < 0.1).sum() >= n - 2, off


def test_the_line_is_nearly_the_best_of_all() -> None:
    """Against a search of every direction in the plane: a core and a long arm, as of patients."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        factors = np.tril(rng.normal(size=(2, 2, 2)), -1) + rng.uniform(0.4, 2.5, (2, 1, 2)) * np.eye(2)
        mixture = (np.array([0.8, 0.2]), np.array([[0.0, 0.0], 4.0 * rng.normal(size=2)]), factors @ factors.mT)
        best = min(
            on_a_line(np.array([np.cos(a), np.sin(a)]), mixture, [0], [1], np.inf) for a in np.linspace(0.0, np.pi, 361)
        )
        if 0.01 < best < 0.4:
            apart = merge_trees(*(np.asarray(x)[None] for x in mixture)).apart[0, 0, 1]
            assert -0.02 < -2.0 * st.norm.ppf(best) - apart < 0.25


@pytest.mark.parametrize("d", [1, 2, 5])
def test_two_unit_normals_part_where_the_closed_form_says(d: int) -> None:
    """Equal weights at distance t are t apart, by definition; they part where that is asked."""
    for distance in (1.5, 2.5, 4.0):
        means = np.zeros((1, 2, d))
        means[0, 1] = distance / np.sqrt(d)
        trees = merge_trees(np.full((1, 2), 0.5), means, np.tile(np.eye(d), (1, 2, 1, 1)))
        assert trees.apart[0, 0, 1] == pytest.approx(distance, abs=0.02)
        assert trees.numbers(distance - 0.03).tolist() == [2] and trees.numbers(distance + 0.03).tolist() == [1]


def test_affine_maps_and_the_order_of_components_do_not_matter() -> None:
    rng = np.random.default_rng(8)
    weights, means = rng.dirichlet(np.full(5, 2.0), 40), 3.0 * rng.normal(size=(40, 5, 2))
    factors = np.tril(rng.normal(size=(40, 5, 2, 2)), -1) + rng.uniform(0.4, 1.5, (40, 5, 1, 2)) * np.eye(2)
    covariances = factors @ factors.mT
    label = merge_draws(weights, means, covariances)
    a = np.array([[1e3, 20.0], [-3.0, 0.01]])
    np.testing.assert_array_equal(merge_draws(weights, means @ a.T + 7.0, a @ covariances @ a.T), label)
    order = rng.permutation(5)
    again = merge_draws(weights[:, order], means[:, order], covariances[:, order])
    same = label[:, :, None] == label[:, None, :]
    np.testing.assert_array_equal(again[:, :, None] == again[:, None, :], same[:, order][:, :, order])


def test_one_centre_is_one_cluster_however_different_the_spread() -> None:
    covariances = np.array([1e-4, 1.0, 1e4])[None, :, None, None] * np.eye(2)
    assert merge_draws(np.full((1, 3), 1 / 3), np.zeros((1, 3, 2)), covariances).tolist() == [[0, 0, 0]]


def test_a_wide_component_between_two_clusters_does_not_join_them() -> None:
    weights, means = np.array([[0.48, 0.48, 0.04]]), np.array([[[-5.0], [5.0], [1.0]]])
    covariances = np.array([1.0, 1.0, 25.0])[None, :, None, None]
    label = merge_draws(weights, means, covariances)[0]
    assert label[0] != label[1] and label.max() == 1


def test_an_empty_component_is_no_cluster_but_belongs_to_one() -> None:
    weights, means = np.array([[0.5, 0.499, 0.001]]), np.array([[[-5.0], [5.0], [30.0]]])
    occupied = np.array([[True, True, False]])
    one = np.ones((1, 3, 1, 1))
    assert merge_draws(weights, means, one).max() == 2
    assert merge_trees(weights, means, one, occupied=occupied).labels(2.5).tolist() == [[0, 1, 1]]


def test_a_core_in_a_ring_is_a_cluster_although_no_line_parts_the_two() -> None:
    angle = 2.0 * np.pi * np.arange(8) / 8
    means = np.vstack([[0.0, 0.0], 6.0 * np.column_stack([np.cos(angle), np.sin(angle)])])[None]
    covariances = np.tile(np.eye(2), (1, 9, 1, 1))
    covariances[0, 1:] *= 2.5**2
    covariances[0, 0] *= 0.5**2
    label = merge_draws(np.array([[0.4, *[0.075] * 8]]), means, covariances)[0]
    assert label.tolist() == [0, *[1] * 8]


def test_a_few_observations_are_a_cluster_only_far_out() -> None:
    """The tail of a group of 3,000 may have a few at 6 sds, whatever its shape; at 60 they are something else."""
    weights, sizes = np.array([[0.998, 0.002]]), np.array([[2994.0, 6.0]])
    for distance, number in ((6.0, 1), (60.0, 2)):
        means = np.array([[[0.0, 0.0], [distance, 0.0]]])
        trees = merge_trees(weights, means, np.tile(np.eye(2), (1, 2, 1, 1)), sizes=sizes)
        assert trees.numbers(2.5).tolist() == [number]
    near = merge_trees(weights, np.array([[[0.0], [6.0]]]), np.ones((1, 2, 1, 1)), sizes=500.0 * sizes)
    assert near.numbers(2.5).tolist() == [2]  # 3,000 of 1,500,000 there are no tail


def test_posterior_of_separate_components() -> None:
    result = merging(scaled(converged()))
    assert result.n_clusters.to_dict() == {3: 1.0} and result.best == 3 and result.stable
    assert result.merge.tolist() == [0, 1, 2] and result.merge_probability == 1.0
    np.testing.assert_array_equal(result.together, np.eye(3))
    assert str(result) == "3 components describe 3 clusters (probability > 0.99)."
    assert len(result.tree) == 2 and (result.tree["separation"] > 3.0).all() and (result.tree["probability"] == 0).all()


def near_the_cut(distance: float) -> Merging:
    """Two of three components about so many sds apart."""
    centres = CENTRES.copy()
    centres[1:] = [[centres[0, 0] + distance, 0.0], [9.0, 0.0]]
    return merging(scaled(make_tree(rows_around(centres), independent_draws(np.full(3, 1 / 3), centres))))


def test_probabilities_are_shares_of_draws() -> None:
    result = near_the_cut(2.6)
    same = float((result.trees.apart[:, 0, 1] <= 2.5).mean())
    assert 0.2 < same < 0.8 and result.together.iloc[0, 1] == result.together.iloc[1, 0] == same
    assert result.n_clusters.sum() == pytest.approx(1.0)
    assert result.n_clusters[2] == pytest.approx(same) and result.n_clusters[3] == pytest.approx(1.0 - same)
    np.testing.assert_allclose(result.by_separation.sum(axis=1), 1.0)
    assert result.by_separation[2].loc[3.0] > 0.9 > 0.1 > result.by_separation[2].loc[2.0]
    first: dict[str, Any] = dict(result.tree.iloc[0])
    assert first["group"] == (0,) and first["other"] == (1,) and first["probability"] == same
    assert first["low"] < 2.5 < first["high"] and first["low"] < first["separation"] < first["high"]


def test_a_number_is_named_only_where_it_holds() -> None:
    """Groups about 2.5 sds apart are two clusters at 2 and one at 3: both numbers are named, and the finer shown."""
    between = near_the_cut(2.6)
    assert not between.stable and between.numbers == (2, 3) and between.shown == 2.0
    assert between.merge.tolist() == [0, 1, 2]
    assert re.match(
        r"3 components describe 2 or 3 clusters, depending on how many SDs apart groups must be to count as clusters: "
        r"3 at 2 to 2\.[3-6] SDs \(probability 0\.\d\d to 0\.99\), 2 at 2\.[4-7] to 3 SDs \(probability ",
        str(between),
    )
    assert "components 0 and 1 2.5 SDs" in str(between)
    far, one = near_the_cut(4.5), near_the_cut(1.0)
    assert far.stable and far.merge.tolist() == [0, 1, 2]
    assert one.stable and one.merge.tolist() == [0, 0, 1]
    assert "components 0 and 1 together (probability > 0.99)" in str(one)


def test_components_without_observations_do_not_count() -> None:
    """Wherever they are."""
    centres = np.vstack([CENTRES, [[40.0, 40.0]]])
    draws = independent_draws(np.array([0.333, 0.333, 0.333, 0.001]), centres)
    result = merging(scaled(make_tree(rows_around(), draws)))
    assert result.best == 3 and not result.occupied[:, 3].any() and result.merge.max() == 2


@pytest.mark.parametrize("separation", [0.0, -1.0, 12.0, "far"])
def test_refusals(separation: object) -> None:
    with pytest.raises(InputError, match=f"separation={separation!r} must"):
        merging(scaled(converged()), separation=separation)  # type: ignore[arg-type]


@pytest.mark.parametrize(("few", "distance", "number"), [(25, 50.0, 2), (5, 4.0, 1)])
def test_rare_rows(few: int, distance: float, number: int) -> None:
    """25 of 3,025 observations 70 sds away are a cluster; five that only stretch a tail are not."""
    rng = np.random.default_rng(1)
    rows = np.vstack([rng.normal(size=(3000, 2)), rng.normal(distance, 1.0, (few, 2))])
    fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(rows)
    assert fit.merging().best == number and fit.merging().stable


def test_four_thousand_draws_take_seconds_at_most() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(4000, 6, 5, 5))
    merge_draws(np.ones((1, 1)), np.zeros((1, 1, 5)), np.eye(5)[None, None])
    began = time.perf_counter()  # about a third of a second on one core
    merge_draws(
        rng.dirichlet(np.ones(6), 4000), 3.0 * rng.normal(size=(4000, 6, 5)), factors @ factors.mT + np.eye(5)
    )  # fmt: skip
    assert time.perf_counter() - began < 10.0


def clusters(name: str, d: int, seed: int) -> Array:
    """400 rows in two clusters, or one."""
    rng = np.random.default_rng([seed, d])

    def rows(n: int, shift: float) -> Array:
        if name.startswith("gamma"):
            x = rng.gamma(2.0, 1.0, (n, d))
        elif name.startswith("t"):
            x = rng.normal(size=(n, d)) / np.sqrt(rng.chisquare(3, (n, 1)) / 3)
        else:
            x = rng.normal(size=(n, d))
        x[:, 0] += shift
        return x

    if name == "one":
        return rows(400, 0.0)
    shares = (360, 40) if name == "90/10" else (200, 200)
    distance = {"separated": 6.0, "overlapping": 3.5, "90/10": 5.0, "gamma": 10.0, "t": 8.0}[name]
    return np.vstack([rows(shares[0], 0.0), rows(shares[1], distance)])


CASES = [
    pytest.param(name, d, k, marks=() if (name, d, k) in {("gamma", 2, 4), ("t", 2, 3)} else pytest.mark.slow)
    for name in ("one", "separated", "overlapping", "90/10", "gamma", "t")
    for d in (1, 2, 5)
    for k in ((2, 3) if name == "one" else (2, 3, 4))
    # There two components are the centre and the tails of both clusters, which no merging can part.
    if (name, d, k) != ("t", 5, 2)
]


@pytest.mark.parametrize(("name", "d", "k"), CASES)
def test_number_of_simulated_clusters(name: str, d: int, k: int) -> None:
    truth = 1 if name == "one" else 2
    hits = []
    for seed in range(1 if (name, d, k) in {("gamma", 2, 4), ("t", 2, 3)} else 3):
        fit = bg.BayesianGMM(k, draws=300, random_seed=1, escalate=False, progressbar=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = merging(fit.fit(clusters(name, d, seed)).posterior_)
        hits.append(result.best == truth)
    assert sum(hits) >= len(hits) - 1 if len(hits) > 1 else all(hits)
