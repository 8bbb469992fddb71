"""A partition of the rows as an estimate, with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_probability
from bayesgmm.clustering.partition.cells import Cells, LabelCells
from bayesgmm.clustering.partition.credible_ball import CredibleBall
from bayesgmm.clustering.partition.loss import LOSSES, as_label_draws, as_labels, cell_adjusted_rand, cell_distances
from bayesgmm.data.copies import are_whole
from bayesgmm.errors import InputError
from bayesgmm.record import Record
from bayesgmm.wording import plural, probability_of

__all__ = ["MAX_MATRIX_ROWS", "Partition", "distances_from_estimate", "label_similarity"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

MAX_MATRIX_ROWS = 5000  # a matrix of more rows squared is not made
_SHOWN = 8  # sizes in the sentence


@dataclass(frozen=True, eq=False, repr=False)
class Partition(Record):
    """A point estimate of the partition, with its uncertainty.

    Its groups are called clusters below, whatever was divided: the components of the mixture, or its clusters after
    merging.

    Attributes
    ----------
    labels : Series (N,)
        Cluster of each row, 0 the largest, under the names of the rows; -1 is noise, whose rows have weight 0.
    loss : {"vi", "binder"}
    expected_loss : float
        Mean distance from the draws: nats, or share of the ordered pairs.
    occupied : Series
        Posterior probability of each number of occupied groups: components, or clusters where components were merged.
    ball : CredibleBall
    draws : int array (S, N)
        The label draws, clusters numbered in order of appearance; of a row that counts several times the cluster that
        most of its copies are in.
    weights : array (N,)
        Copies of each row. Each copy has a label of its own in every draw, and one in the estimate with the others.
    n_runs, n_best : int
        Runs of the search, and how many of them ended at this expected loss.
    method : str
        What was done, in words.
    similarity_from : callable, optional
        Makes `similarity` from something better than counting draws.

    Notes
    -----
    ``str(partition)`` is a sentence.
    """

    labels: pd.Series[int]
    loss: str
    expected_loss: float
    occupied: pd.Series[float]
    ball: CredibleBall
    draws: IntArray
    weights: Array
    n_runs: int
    n_best: int
    method: str
    copies: LabelCells
    similarity_from: Callable[[], Array] | None = None

    @property
    def n_clusters(self) -> int:
        """Number of clusters of the estimate."""
        return int(self.labels[self.weights > 0.0].nunique())

    @property
    def sizes(self) -> pd.Series[Any]:
        """Rows of each cluster, by their weights."""
        found = pd.Series(self.weights, index=self.labels.index).groupby(self.labels.to_numpy()).sum()
        found = found[found > 0.0].rename("rows").rename_axis("cluster")
        return found.astype(np.int64) if are_whole(np.asarray(found, dtype=np.float64)) else found

    @cached_property
    def similarity(self) -> Array:
        """(N, N) probability that two rows are in one cluster, from the draws; at most 5,000 rows."""
        if len(self.labels) > MAX_MATRIX_ROWS:
            raise InputError(
                f"similarity of all {len(self.labels):,} rows would be a matrix too large to hold; "
                f"use label_similarity(partition.draws[:, rows]) for a subset of at most {MAX_MATRIX_ROWS:,} rows."
            )
        return label_similarity(self.draws) if self.similarity_from is None else self.similarity_from()

    def agreement(self, labels: ArrayLike, ci_prob: float = 0.95) -> pd.DataFrame:
        """Agreement with given labels, of any kind: of the estimate, and over the posterior.

        Parameters
        ----------
        labels : array_like (N,)
        ci_prob : float
            Probability of the equal-tailed interval over the draws.

        Returns
        -------
        DataFrame
            Rows ``ari`` (adjusted Rand index, 1 is equality) and ``vi`` (variation of information in nats, 0 is
            equality); columns ``estimate``, ``mean``, and the interval's bounds.
        """
        check_probability(ci_prob)
        given = as_labels(labels, len(self.labels))[self.weights > 0.0]
        estimate = distances_from_estimate(self, labels)
        bounds = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
        rows = {}
        for name, values, of_estimate in (
            ("ari", cell_adjusted_rand(given, self.copies), estimate[0]),
            ("vi", cell_distances(given, self.copies), estimate[1]),
        ):
            rows[name] = [of_estimate, values.mean(), *np.quantile(values, bounds)]
        columns = ["estimate", "mean", *(f"ci_{100 * b:g}%" for b in bounds)]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def __str__(self) -> str:
        largest = self.sizes.sort_values(ascending=False)
        sizes = ", ".join(f"{n:,.10g}" for n in largest[:_SHOWN]) + ", …" * (len(largest) > _SHOWN)
        unit = " nats" if self.loss == "vi" else ""
        noise = f" and {n:,} of noise" if (n := int((self.labels == -1).sum())) else ""
        at = int(self.occupied.to_numpy().argmax())
        likely = int(self.occupied.index[at])
        return (
            f"{self.n_clusters} {plural(self.n_clusters, 'group')} of {sizes} observations{noise} (expected "
            f"{LOSSES[self.loss]} {self.expected_loss:.3g}{unit}); {100 * self.ball.probability:.0f} % of the "
            f"posterior lies within {self.ball.radius:.3g}{unit} of it, with {self.ball.groups}; "
            f"the number of groups in a draw is most probably {likely} "
            f"({probability_of('p', self.occupied.iloc[at])})."
        )


def distances_from_estimate(partition: Partition, labels: ArrayLike, loss: str = "vi") -> tuple[float, float]:
    """Adjusted Rand index of other labels (N,) with the estimate, and their distance from it in a loss."""
    used, size = partition.weights > 0.0, partition.copies.cells.size
    own = as_labels(partition.labels.to_numpy()[used])
    cells = Cells(np.arange(len(size) + 1), size[:, None].astype(np.int32), size)
    estimate = LabelCells(own[None], int(own.max()) + 1, cells, partition.copies.unit)  # as if it were a draw
    given = as_labels(labels, len(used))[used]
    return float(cell_adjusted_rand(given, estimate)[0]), float(cell_distances(given, estimate, loss)[0])


def label_similarity(draws: NDArray[np.integer[Any]]) -> Array:
    """(N, N) share of the label draws (S, N) in which two rows are in one cluster.

    >>> label_similarity(np.array([[0, 0, 1], [2, 1, 1]]))
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0.5],
           [0. , 0.5, 1. ]])
    """
    codes, most = as_label_draws(draws)
    n_draws, n_rows = codes.shape
    total = np.zeros((n_rows, n_rows), dtype=np.float32)
    batch = max(1, 25_000_000 // (n_rows * most))
    for start in range(0, n_draws, batch):
        member = codes[start : start + batch, :, None] == np.arange(most)  # (b, N, M)
        flat = member.transpose(1, 0, 2).reshape(n_rows, -1).astype(np.float32)
        total += flat @ flat.T  # counts below 2**24 are exact in float32
    return total.astype(np.float64) / n_draws
