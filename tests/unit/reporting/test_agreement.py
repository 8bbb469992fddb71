"""What the cross-table of known classes says of itself."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesgmm.clustering.merging import Merging
from bayesgmm.clustering.merging_rule import MergeTrees
from bayesgmm.reporting.agreement import agreement, agreement_text, clusters_counted


def merging(*separations: float) -> Merging:
    """Of two components, a draw each so many sds apart."""
    apart = np.array([[[0.0, s], [s, 0.0]] for s in separations])
    return Merging(2.5, np.ones(apart.shape[:2], dtype=bool), MergeTrees(apart))


def test_the_table_says_of_which_number_of_clusters_it_is() -> None:
    assert clusters_counted(merging(8.0, 8.0, 8.0)) == ""
    unsure = merging(*np.linspace(1.9, 2.9, 20))
    assert unsure.numbers == (1, 2)
    # The number that is counted is that of the partition shown, at 2 sds, where 18 of the 20 draws are apart.
    assert unsure.n_clusters[2] == 0.4 and (unsure.best, unsure.merge.tolist()) == (2, [0, 1])
    assert unsure.best_probability == 0.9 and unsure.shown == 2.0
    said = clusters_counted(unsure)
    assert said == "The table is of 2 clusters, what is more than 2 SDs apart; 1 or 2 are possible."
    classes = pd.Series(["a", "a", "b"], name="kind")
    assert agreement_text(agreement(classes, [0, 0, 1], "cluster"), said).startswith(f"{said}\n")


def test_observations_without_a_class_are_counted() -> None:
    found = agreement(pd.Series(["a", None, "b", None], name="kind"), [0, 0, 1, 1], "component")
    assert (found["rows"], found["rows_without_class"]) == (2, 2)
    assert agreement_text(found).endswith("1.000 over 2 observations (2 more have no class).")
