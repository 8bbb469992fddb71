"""The search for the partition of least expected loss over draws of labels: its starts, its limit, its last descent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import average, cut_tree
from scipy.spatial.distance import squareform

from bayesgmm.clustering.partition.cells import LabelCells
from bayesgmm.clustering.partition.loss import as_labels, cell_distances
from bayesgmm.clustering.partition.result import label_similarity
from bayesgmm.clustering.partition.search import SearchResult, search_partition

__all__ = ["descend", "search"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_LINKAGE_ROWS = 2000  # rows up to which average-linkage cuts are starts
_CANDIDATE_WORK = 400_000_000  # draws x candidates x rows spent on finding the best draw
_GROWTH = 3  # times that the limit on the number of clusters may double


def search(
    draws: LabelCells, f: Array, loss: str, max_clusters: int | None, n_runs: int, seed: int | None
) -> SearchResult:
    """Search over the distinct draws, with room for more clusters where that is felt."""
    distinct, share = draws.distinct()
    zt = np.ascontiguousarray(distinct.draws.T)
    starts = [_best_draw(distinct, share, loss), *_best_cut(draws, distinct, share, loss)]
    n_rows = len(draws.cells.size)
    limit = min(n_rows, max(2 * draws.most, 10) if max_clusters is None else max_clusters)
    options: dict[str, Any] = {"random_seed": seed, "cells": distinct.cells}
    found = search_partition(zt, share, draws.most, f, starts=starts, n_runs=n_runs, max_clusters=limit, **options)
    for _ in range(_GROWTH if max_clusters is None else 0):
        if not found.at_limit:
            break
        limit = min(n_rows, 2 * limit)
        further = search_partition(
            zt, share, draws.most, f, starts=[found.labels], n_runs=0, max_clusters=limit, **options
        )
        found = SearchResult(further.labels, further.expected_loss, found.n_runs, found.n_best, further.at_limit)
    return found


def descend(draws: LabelCells, f: Array, found: SearchResult, seed: int | None) -> SearchResult:
    """The result of a search on some draws, improved with all of them."""
    n_draws = len(draws.draws)
    share, limit = np.full(n_draws, 1 / n_draws), int(found.labels.max()) + 2
    zt = np.ascontiguousarray(draws.draws.T)
    last = search_partition(
        zt, share, draws.most, f, starts=[found.labels], n_runs=0, max_clusters=min(limit, len(draws.cells.size)),
        random_seed=seed, zealous=0, cells=draws.cells,
    )  # fmt: skip
    return SearchResult(last.labels, last.expected_loss, found.n_runs, found.n_best, found.at_limit)


def _best_draw(distinct: LabelCells, share: Array, loss: str) -> IntArray:
    """The draw of least expected loss, of as many, evenly spaced, as can be tried in a second or two."""
    n_candidates = max(1, _CANDIDATE_WORK // max(1, distinct.draws.size))
    candidates = distinct.labels[:: max(1, -(-len(distinct.labels) // n_candidates))]
    losses = [share @ cell_distances(z, distinct, loss) for z in candidates]
    return as_labels(candidates[int(np.argmin(losses))])


def _best_cut(draws: LabelCells, distinct: LabelCells, share: Array, loss: str) -> list[IntArray]:
    """The best cut of the average-linkage tree of 1 - similarity."""
    n_rows = len(draws.cells.size)
    if n_rows > _LINKAGE_ROWS or n_rows < 2:
        return []
    distance = 1.0 - label_similarity(draws.labels)
    tree = average(squareform(np.maximum(distance, 0.0), checks=False))
    cuts = cut_tree(tree, n_clusters=np.arange(1, min(n_rows, draws.most + 10) + 1)).T
    losses = [share @ cell_distances(c, distinct, loss) for c in cuts]
    return [as_labels(cuts[int(np.argmin(losses))])]
