"""One partition for many draws of labels: the one of least expected loss, and how far the posterior strays from it.

The estimate minimises the posterior expectation of the variation of information (default) or of Binder's loss, by the
search of Dahl, Johnson and Müller (2022); the credible ball is that of Wade and Ghahramani (2018). Only draws of labels
are needed, from this package or from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_count, check_probability, check_seed
from bayesgmm.clustering.partition.cells import LabelCells
from bayesgmm.clustering.partition.credible_ball import credible_ball
from bayesgmm.clustering.partition.find import descend as _descend
from bayesgmm.clustering.partition.find import search as _search
from bayesgmm.clustering.partition.loss import (
    LOSSES,
    as_label_draws,
    as_labels,
    cell_distances,
    label_cells,
    loss_table,
)
from bayesgmm.clustering.partition.result import MAX_MATRIX_ROWS, Partition, label_similarity
from bayesgmm.data.frames import row_index

__all__ = ["MAX_MATRIX_ROWS", "Partition", "label_similarity", "partition_from_labels", "partition_of_cells"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_CELLS = 5_000_000  # draws x rows up to which every draw takes part in the search


def partition_from_labels(
    draws: ArrayLike,
    loss: str = "vi",
    *,
    ci_prob: float = 0.95,
    row_names: Sequence[Any] | pd.Index[Any] | None = None,
    max_clusters: int | None = None,
    n_runs: int = 16,
    random_seed: int | None = 0,
) -> Partition:
    """The partition of least expected loss over draws of labels, and its credible ball.

    Parameters
    ----------
    draws : int array_like (S, N)
        A partition of the N rows a draw; the values only say which rows are together.
    loss : {"vi", "binder"}
        Variation of information, or Binder's loss, which tends to more and smaller clusters.
    ci_prob : float
        Probability of the credible ball.
    row_names : sequence (N,), optional
        Names of the rows.
    max_clusters : int, optional
        Largest number of clusters of the estimate; by default none that matters: the search starts with twice the
        number in the draws and doubles it where that is felt, at most three times.
    n_runs : int
        Runs of the search from new orders of the rows, besides those from the best draw and the best cut of an
        average-linkage tree (at most 2,000 rows), which the result is never worse than.
    random_seed : int or None
        The same seed gives the same partition.

    Returns
    -------
    Partition

    Raises
    ------
    InputError
        Draws that are not integers of shape (S, N), or an option out of range.

    Notes
    -----
    With more than 5 million labels the search sees evenly spaced draws, and the result descends once more with all
    of them; the expected loss, the ball and the numbers of clusters always come from all draws.

    References
    ----------
    Dahl, Johnson, Müller (2022), Journal of Computational and Graphical Statistics 31, 1189-1201.
    Wade, Ghahramani (2018), Bayesian Analysis 13, 559-626.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.partition.estimate import partition_from_labels
    >>> draws = np.array([[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [2, 2, 2, 0, 0, 1]])
    >>> found = partition_from_labels(draws, row_names=list("abcdef"))
    >>> found.labels.tolist(), round(found.expected_loss, 3)
    ([0, 0, 0, 1, 1, 1], 0.253)
    >>> found.occupied.to_dict()
    {2: 0.75, 3: 0.25}
    """
    labels = label_cells(draws)
    n_rows = len(labels.cells.size)
    names = pd.RangeIndex(n_rows) if row_names is None else row_index(row_names, n_rows)
    return partition_of_cells(
        labels, loss, names=names, ci_prob=ci_prob, max_clusters=max_clusters, n_runs=n_runs, random_seed=random_seed
    )


def partition_of_cells(
    draws: LabelCells,
    loss: str,
    *,
    names: pd.Index[Any],
    ci_prob: float,
    max_clusters: int | None,
    n_runs: int,
    random_seed: int | None,
    weights: Array | None = None,
    others: IntArray | None = None,
) -> Partition:
    """`partition_from_labels` of rows that count as often as their cells say.

    `weights` (N,) are those of the rows under `names`; the cells are of the rows with a positive one. The labels
    `others` (S, N - n) of the rest, numbered as the draws, have no part in the estimate: each of these rows gets the
    cluster in which one more row like it would cost least.
    """
    f = loss_table(loss, draws.total)
    check_probability(ci_prob)
    check_count(n_runs, "n_runs")
    if max_clusters is not None:
        check_count(max_clusters, "max_clusters")
    check_seed(random_seed)
    weights = np.ones(len(names)) if weights is None else weights
    n_draws = len(draws.draws)
    step = max(1, -(-draws.draws.size // _CELLS))
    found = _search(draws.thin(step), f, loss, max_clusters, n_runs, random_seed)
    if step > 1:
        found = _descend(draws, f, found, random_seed)
    own = _by_size(found.labels, draws.cells.size)
    distances = cell_distances(own, draws, loss)
    n_clusters = draws.draws.max(axis=1) + 1
    labels, every = own, draws.labels
    if others is not None:
        used = weights > 0.0
        labels, every = np.empty(len(weights), dtype=np.int64), np.empty((n_draws, len(weights)), dtype=np.int32)
        labels[used], labels[~used] = own, _cheapest_clusters(own, draws, others, loss)
        every[:, used], every[:, ~used] = draws.labels, others
        every = as_label_draws(every)[0]
    counts = np.bincount(n_clusters)
    occupied = pd.Series(counts[counts > 0] / n_draws, index=np.flatnonzero(counts), name="probability")
    occupied.index.name = "n_clusters"
    method = f"{LOSSES[loss]} over {n_draws:,} draws, {found.n_runs} runs, {found.n_best} of them at the best value"
    method += f", each on {-(-n_draws // step):,} draws" if step > 1 else ""
    method += "; the largest number of clusters was reached" if found.at_limit else ""
    return Partition(
        labels=pd.Series(labels, index=names, name="cluster"),
        loss=loss,
        expected_loss=float(distances.mean()),
        occupied=occupied,
        ball=credible_ball(every, distances, ci_prob, n_clusters),
        draws=every,
        weights=weights,
        n_runs=found.n_runs,
        n_best=found.n_best,
        method=method,
        copies=draws,
    )


def _cheapest_clusters(labels: NDArray[np.int64], draws: LabelCells, others: IntArray, loss: str) -> NDArray[np.int64]:
    """The cluster of the estimate in which one more row, of labels `others` (S, M) in the draws, costs least."""
    n_draws, n_clusters, more = len(draws.draws), int(labels.max()) + 1, max(1, round(1.0 / draws.unit))
    f = loss_table(loss, draws.total + more)
    most = max(draws.most, int(others.max()) + 1)
    cells, size = draws.cells, np.bincount(labels, draws.cells.size, n_clusters).astype(np.int64)
    row = np.repeat(np.arange(len(cells.size)), np.diff(cells.first))
    copies = cells.counts.T if len(cells.counts) else np.ones(draws.draws.shape, dtype=np.int64)
    counts = np.zeros((n_draws, most, n_clusters), dtype=np.int64)
    np.add.at(counts, (np.arange(n_draws)[:, None], draws.draws, labels[row]), copies)
    together = counts[np.arange(n_draws)[:, None], others]  # (S, M, C)
    cost = f[size + more] - f[size] - 2.0 * (f[together + more] - f[together]).mean(axis=0)
    return cost.argmin(axis=1)


def _by_size(labels: IntArray, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, 0 the largest; equally large ones in order of appearance."""
    canonical = as_labels(labels)
    order = np.argsort(-np.bincount(canonical, size), kind="stable")
    return np.argsort(order)[canonical]
