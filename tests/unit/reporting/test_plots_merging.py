"""The figure of merges shows the numbers of the record."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayesgmm.clustering.merging import Merging
from bayesgmm.clustering.merging_rule import MergeTrees
from bayesgmm.reporting.plots.merging import draw_merging


def record(near: float) -> Merging:
    """Components 0 and 1 at about so many sds, component 2 at 9 from both."""
    rng = np.random.default_rng(0)
    apart = np.zeros((200, 3, 3))
    apart[:, 0, 1] = apart[:, 1, 0] = near + 0.2 * rng.normal(size=200)
    apart[:, 2, :2] = apart[:, :2, 2] = 9.0
    return Merging(2.5, np.ones((200, 3), dtype=bool), MergeTrees(apart))


@pytest.mark.parametrize(
    ("near", "said"), [(2.5, "2 or 3 clusters, depending"), (1.0, "2 clusters"), (4.0, "3 clusters")]
)
def test_the_panels_are_the_tree_and_the_posterior(near: float, said: str) -> None:
    merging = record(near)
    tree, numbers = draw_merging(Figure(figsize=(7.0, 3.0)), merging)
    joins = [line.get_xdata() for line in tree.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    assert [float(x[0]) for x in joins] == [pytest.approx(merging.tree["separation"][0]), 6.0]  # the axis ends at 6
    table = merging.by_separation
    for line, number in zip(numbers.lines, table.columns, strict=True):
        np.testing.assert_allclose(line.get_ydata(), table[number])
    assert said in tree.figure.get_suptitle()
    plt.close("all")


def test_one_component_has_no_tree() -> None:
    alone = Merging(2.5, np.ones((5, 1), dtype=bool), MergeTrees(np.zeros((5, 1, 1))))
    tree, _ = draw_merging(Figure(), alone)
    assert [text.get_text() for text in tree.texts] == ["one component"]
    assert alone.stable and alone.best == 1 and len(alone.tree) == 0
