"""Components on the rounding floor are named as levels, and neighbouring levels are one cluster."""

from __future__ import annotations

import numpy as np
from _trees import make_tree, rows_around

from bayesgmm.clustering.merging import merging
from bayesgmm.posterior.diagnostics.diagnose import diagnose
from bayesgmm.posterior.levels import levels

FLOOR = 1.0 / np.sqrt(12.0)


def tree_of(means: list[float], sds: list[float], step: float = 1.0):
    k = len(means)
    rng = np.random.default_rng(0)
    rows = (np.repeat(means, 20) + np.repeat(sds, 20) * rng.normal(size=20 * k))[:, None]
    rows = step * np.rint(rows / step) if step else rows
    weights = np.full((4, 100, k), 1.0 / k)
    m = np.broadcast_to(np.array(means)[:, None], (4, 100, k, 1)) + 0.01 * rng.normal(size=(4, 100, k, 1))
    c = np.broadcast_to(np.square(sds)[:, None, None], (4, 100, k, 1, 1)).copy()
    tree = make_tree(rows, (weights, m, c))
    known = {"center": ("feature", [0.0]), "scale": ("feature", [1.0]), "step": ("feature", [step])}
    tree["constant_data"] = tree["constant_data"].to_dataset().assign(known)
    return tree


def test_levels_are_named_with_their_values() -> None:
    tree = tree_of([3.02, 1.0, 5.01], [1.05 * FLOOR, 2.0, 1.2 * FLOOR])
    (said,) = levels(tree)
    assert said.startswith("In column x0 components 0, 2 have hardly more spread than rounding gives (sd 0.303, 0.346;")
    assert "recorded values 3, 5" in said
    assert said in diagnose(tree).advice


def twenty_rows_of_a_code(others: float):
    """Twenty rows at -200 among a hundred; the component's sd is the prior's."""
    rng = np.random.default_rng(3)
    rows = np.round(np.concatenate([rng.normal(20.0, 5.0, 100), np.full(20, -200.0)]), 1)[:, None]
    rows[100, 0] = others
    draws = (np.full((4, 50, 2), 0.5), np.zeros((4, 50, 2, 1)), np.zeros((4, 50, 2, 1, 1)))
    draws[1][:] = [[20.0], [-200.0]]
    draws[2][:] = [[[25.0]], [[4.0]]]
    return make_tree(rows, draws)


def test_rows_that_agree_make_a_level_whatever_the_sd() -> None:
    tree = twenty_rows_of_a_code(-200.0)
    (said,) = levels(tree)
    assert said == (
        "In column x0 100 % of the observations of component 1 agree, so that its spread there (sd 2) comes from the "
        "prior rather than the data: it stands for the recorded value -200, and a level of a column is no cluster."
    )
    assert said in diagnose(tree).advice
    assert "at least 95 % of the observations" in levels(twenty_rows_of_a_code(-199.0))[0]
    tree["constant_data"]["row_weight"][100:112] = 0.0  # eight rows are left
    assert levels(tree)
    tree["constant_data"]["row_weight"][112] = 0.0
    assert not levels(tree)


def test_rows_without_the_cell_say_nothing_of_a_level() -> None:
    tree = twenty_rows_of_a_code(-200.0)
    tree["observed_data"]["obs"][:] = np.where(np.arange(120) % 2, np.nan, tree["observed_data"]["obs"].values[:, 0])[
        :, None
    ]
    assert "100 % of the observations of component 1 agree" in levels(tree)[0]  # ten rows are left
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2)) + np.where(np.arange(60) < 30, 0.0, 9.0)[:, None]
    rows[:30, 0] = 1.0  # a level of component 0; rows of component 1 lack the cell
    rows[30:, 0] = np.nan
    draws = (np.full((4, 50, 2), 0.5), np.zeros((4, 50, 2, 2)), np.broadcast_to(np.eye(2), (4, 50, 2, 2, 2)).copy())
    draws[1][:] = [[1.0, 0.0], [9.0, 9.0]]
    (said,) = levels(make_tree(rows, draws))
    assert "100 % of the observations of component 0 agree" in said


def test_a_spread_of_half_a_step_is_a_spread_and_no_step_has_no_levels() -> None:
    assert levels(tree_of([3.0, 1.0], [np.hypot(FLOOR, 0.5), 2.0])) == []
    assert levels(tree_of([3.0, 1.0], [FLOOR, FLOOR], step=0.0)) == []
    rows = rows_around()
    assert (
        levels(make_tree(rows, (np.ones((4, 9, 1)), np.zeros((4, 9, 1, 2)), np.ones((4, 9, 1, 1, 1)) * np.eye(2))))
        == []
    )


def test_neighbouring_levels_are_one_cluster_and_a_far_code_is_another() -> None:
    sds = [1.05 * FLOOR] * 4
    assert merging(tree_of([3.0, 4.0, 5.0, -200.0], sds)).merge.tolist() == [0, 0, 0, 1]
    assert merging(tree_of([3.0, 4.0, 5.0, -200.0], sds, step=0.0)).best == 4
