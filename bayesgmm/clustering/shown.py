"""What results of `bayesgmm.clustering` show of themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bayesgmm.clustering.assignment import Assignment
from bayesgmm.clustering.classification import Classification
from bayesgmm.clustering.merging import Merging
from bayesgmm.clustering.other_methods import ClusteringComparison
from bayesgmm.clustering.partition.credible_ball import CredibleBall
from bayesgmm.clustering.partition.result import Partition
from bayesgmm.record import attributes, numbers, sentences, tables


@numbers.register
def _(found: Assignment) -> dict[str, Any]:
    n = sum(number >= 0 for number in found.classes)
    return {"n_rows": found.n_rows, f"n_{found.level}s": n, "n_ambiguous": found.n_ambiguous}


@tables.register
def _(found: Assignment) -> dict[str, pd.DataFrame]:
    uncertain = found.table.sort_values("entropy", ascending=False, kind="stable")
    return {f"{found.level.capitalize()}s": found.components, "Observations, the most uncertain first": uncertain}


@numbers.register
def _(found: Classification) -> dict[str, Any]:
    return {"n_classes": len(found.sizes), "n_min": found.n_min, "relative_entropy": found.relative_entropy}


@tables.register
def _(found: Classification) -> dict[str, pd.DataFrame]:
    return {"Classes": pd.DataFrame({"size": found.sizes, "share": found.shares, "mean probability": found.average})}


@numbers.register
def _(merging: Merging) -> dict[str, Any]:
    return {"best": merging.best, "separation": merging.separation, "stable": merging.stable}


@tables.register
def _(merging: Merging) -> dict[str, pd.DataFrame]:
    number = f"Number of clusters, {merging.separation:g} SDs apart"
    return {number: merging.n_clusters.to_frame(), "Merges, the nearest first; separation in SDs": merging.tree}


@numbers.register
def _(found: Partition) -> dict[str, Any]:
    loss = {"expected_loss": found.expected_loss, "radius": found.ball.radius}
    return {"n_clusters": found.n_clusters, "n_rows": len(found.labels), **loss}


@tables.register
def _(found: Partition) -> dict[str, pd.DataFrame]:
    likely = found.occupied.sort_values(ascending=False, kind="stable")
    return {"Groups": found.sizes.to_frame(), "Number of groups in a draw": likely.to_frame("probability")}


numbers.register(CredibleBall, attributes("radius", "probability", "n_clusters"))


@sentences.register
def _(ball: CredibleBall) -> str:
    share = f"{100 * ball.probability:.0f} % of the draws lie within {ball.radius:.3g} of the estimate"
    return f"{share}, with {ball.groups}."


@numbers.register
def _(found: ClusteringComparison) -> dict[str, Any]:
    return {"methods": found.labels.columns[1:].tolist(), "n_rows": len(found.labels)}


@tables.register
def _(found: ClusteringComparison) -> dict[str, pd.DataFrame]:
    return {"Agreement with the mixture; variation of information in nats": found.table}
