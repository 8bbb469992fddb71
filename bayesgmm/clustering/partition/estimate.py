"""One partition for many draws of labels: the one of least expected loss, and how far the posterior strays from it.

The estimate minimises the posterior expectation of the variation of information (default) or of Binder's loss, by the
search of Dahl, Johnson and Müller (2022); the credible ball is that of Wade and Ghahramani (2018). Only draws of labels
are needed, from this package or from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import average, cut_tree
from scipy.spatial.distance import squareform

from bayesgmm.arguments import check_count, check_probability, check_seed
from bayesgmm.clustering.partition.credible_ball import CredibleBall, credible_ball
from bayesgmm.clustering.partition.loss import (
    LOSSES,
    adjusted_rand,
    as_label_draws,
    as_labels,
    loss_table,
    partition_distances,
)
from bayesgmm.clustering.partition.search import SearchResult, search_partition
from bayesgmm.data.frames import row_index
from bayesgmm.errors import InputError

__all__ = ["MAX_MATRIX_ROWS", "Partition", "label_similarity", "partition_from_labels"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

MAX_MATRIX_ROWS = 5000  # a matrix of more rows squared is not made
_LINKAGE_ROWS = 2000  # rows up to which average-linkage cuts are starts
_CELLS = 5_000_000  # draws x rows up to which every draw takes part in the search
_CANDIDATE_WORK = 400_000_000  # draws x candidates x rows spent on finding the best draw
_SHOWN = 8  # sizes in the sentence
_GROWTH = 3  # times that the limit on the number of clusters may double


@dataclass(frozen=True, eq=False)
class Partition:
    """A point estimate of the partition, with its uncertainty.

    Attributes
    ----------
    labels : Series (N,)
        Cluster of each row, 0 the largest, under the names of the rows.
    loss : {"vi", "binder"}
    expected_loss : float
        Mean distance from the draws: nats, or share of the ordered pairs.
    occupied : Series
        Posterior probability of each number of occupied clusters.
    ball : CredibleBall
    draws : int array (S, N)
        The label draws, clusters numbered in order of appearance.
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
    n_runs: int
    n_best: int
    method: str
    similarity_from: Callable[[], Array] | None = field(default=None, repr=False)

    @property
    def n_clusters(self) -> int:
        """Number of clusters of the estimate."""
        return int(self.labels.nunique())

    @property
    def sizes(self) -> pd.Series[int]:
        """Rows of each cluster."""
        return self.labels.value_counts().sort_index().rename("rows")

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
        given = as_labels(labels, len(self.labels))
        own = as_labels(self.labels.to_numpy())
        bounds = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
        rows = {}
        for name, values, estimate in (
            ("ari", adjusted_rand(given, self.draws), adjusted_rand(given, own[None])[0]),
            ("vi", partition_distances(given, self.draws), partition_distances(given, own[None])[0]),
        ):
            rows[name] = [estimate, values.mean(), *np.quantile(values, bounds)]
        columns = ["estimate", "mean", *(f"ci_{100 * b:g}%" for b in bounds)]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def __str__(self) -> str:
        largest = self.sizes.sort_values(ascending=False)
        sizes = ", ".join(f"{n:,}" for n in largest[:_SHOWN]) + ", …" * (len(largest) > _SHOWN)
        unit = " nats" if self.loss == "vi" else ""
        at = int(self.occupied.to_numpy().argmax())
        likely = int(self.occupied.index[at])
        return (
            f"{self.n_clusters} cluster{'s' * (self.n_clusters > 1)} of {sizes} rows (expected {LOSSES[self.loss]} "
            f"{self.expected_loss:.3g}{unit}); {100 * self.ball.probability:.0f} % of the posterior lies within "
            f"{self.ball.radius:.3g}{unit} of it, with {self.ball.upper[0].max() + 1} to "
            f"{self.ball.lower[0].max() + 1} clusters; {likely} occupied clusters "
            f"{'have' if likely > 1 else 'has'} probability {self.occupied.iloc[at]:.2f}."
        )


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
    canonical, most = as_label_draws(draws)
    n_draws, n_rows = canonical.shape
    f = loss_table(loss, n_rows)
    check_probability(ci_prob)
    check_count(n_runs, "n_runs")
    if max_clusters is not None:
        check_count(max_clusters, "max_clusters")
    check_seed(random_seed)
    names = pd.RangeIndex(n_rows) if row_names is None else row_index(row_names, n_rows)

    step = max(1, -(-n_draws * n_rows // _CELLS))
    found = _search(canonical[::step], most, f, loss, max_clusters, n_runs, random_seed)
    if step > 1:
        found = _descend(canonical, most, f, found, random_seed)
    labels = _by_size(found.labels)
    distances = partition_distances(labels, canonical, loss)
    counts = np.bincount(canonical.max(axis=1) + 1)
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
        ball=credible_ball(canonical, distances, ci_prob),
        draws=canonical,
        n_runs=found.n_runs,
        n_best=found.n_best,
        method=method,
    )


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


def _search(
    draws: IntArray, most: int, f: Array, loss: str, max_clusters: int | None, n_runs: int, seed: int | None
) -> SearchResult:
    """Search over the distinct draws, with room for more clusters where that is felt."""
    distinct, count = np.unique(draws, axis=0, return_counts=True)
    share = count / count.sum()
    zt = np.ascontiguousarray(distinct.T)
    starts = [_best_draw(distinct, share, loss), *_best_cut(draws, distinct, share, loss)]
    n_rows = draws.shape[1]
    limit = min(n_rows, max(2 * most, 10) if max_clusters is None else max_clusters)
    options: dict[str, Any] = {"random_seed": seed}
    found = search_partition(zt, share, most, f, starts=starts, n_runs=n_runs, max_clusters=limit, **options)
    for _ in range(_GROWTH if max_clusters is None else 0):
        if not found.at_limit:
            break
        limit = min(n_rows, 2 * limit)
        further = search_partition(zt, share, most, f, starts=[found.labels], n_runs=0, max_clusters=limit, **options)
        found = SearchResult(further.labels, further.expected_loss, found.n_runs, found.n_best, further.at_limit)
    return found


def _descend(draws: IntArray, most: int, f: Array, found: SearchResult, seed: int | None) -> SearchResult:
    """The result of a search on some draws, improved with all of them."""
    share, limit = np.full(len(draws), 1 / len(draws)), int(found.labels.max()) + 2
    zt = np.ascontiguousarray(draws.T)
    last = search_partition(
        zt, share, most, f, starts=[found.labels], n_runs=0, max_clusters=min(limit, draws.shape[1]), random_seed=seed,
        zealous=0,
    )  # fmt: skip
    return SearchResult(last.labels, last.expected_loss, found.n_runs, found.n_best, found.at_limit)


def _best_draw(distinct: IntArray, share: Array, loss: str) -> IntArray:
    """The draw of least expected loss, of as many, evenly spaced, as can be tried in a second or two."""
    n_candidates = max(1, _CANDIDATE_WORK // max(1, distinct.size))
    candidates = distinct[:: max(1, -(-len(distinct) // n_candidates))]
    losses = [share @ partition_distances(z, distinct, loss) for z in candidates]
    return candidates[int(np.argmin(losses))]


def _best_cut(draws: IntArray, distinct: IntArray, share: Array, loss: str) -> list[IntArray]:
    """The best cut of the average-linkage tree of 1 - similarity."""
    n_rows = draws.shape[1]
    if n_rows > _LINKAGE_ROWS or n_rows < 2:
        return []
    distance = 1.0 - label_similarity(draws)
    tree = average(squareform(np.maximum(distance, 0.0), checks=False))
    cuts = cut_tree(tree, n_clusters=np.arange(1, min(n_rows, draws.max() + 11) + 1)).T
    losses = [share @ partition_distances(c, distinct, loss) for c in cuts]
    return [as_labels(cuts[int(np.argmin(losses))])]


def _by_size(labels: IntArray) -> NDArray[np.int64]:
    """The same clusters, 0 the largest; equally large ones in order of appearance."""
    canonical = as_labels(labels)
    order = np.argsort(-np.bincount(canonical), kind="stable")
    return np.argsort(order)[canonical]
