"""Search for the partition of least expected loss, after SALSO (Dahl, Johnson, Müller 2022).

A run allocates the rows one after another, in random order, each to the cluster (or a new one) that costs least given
the rows already placed; sweeps over the rows, in new random orders, until no row moves; then dissolves clusters one by
one and allocates their rows anew (a zealous update), keeping what lowers the expected loss. Runs also start from
partitions that are given, and descend from them, so the result is never worse than any of those.

With counts n_cz of the intersections with every draw, placing row i costs f(n_c + 1) - f(n_c) minus twice the mean over
draws of the same step at n_cz, z the cluster of row i in the draw: O(S) a cluster, whatever N (see
`clustering.partition.loss` for f). A row that counts several times moves as one: placing it costs f(n_c + size) -
f(n_c) less twice the mean of the sum of such steps over the clusters z that its copies are in, each by their number
there. Memory is S x (clusters of a draw) x (clusters of the estimate) integers a thread.

Dahl, Johnson, Müller (2022), Journal of Computational and Graphical Statistics 31, 1189-1201.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clustering.partition.cells import Cells, single_cells
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.threads import available_cores

__all__ = ["SearchResult", "search_partition"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

MAX_SWEEPS = 100
_ZEALOUS = 10  # clusters dissolved at most, a run
_TIE = 1e-10  # expected losses closer than this are one


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best partition found.

    Attributes
    ----------
    labels : int array (N,)
    expected_loss : float
    n_runs, n_best : int
        Runs made, and how many of them ended at this expected loss.
    at_limit : bool
        Whether the best run was kept, at some step, from opening one more cluster by `max_clusters`.
    """

    labels: IntArray
    expected_loss: float
    n_runs: int
    n_best: int
    at_limit: bool


@compiled
def _shuffle(order, n, rng):
    for i in range(n - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        order[i], order[j] = order[j], order[i]


@compiled
def _shift(i, c, zt, cells, counts, sizes, by):
    """Add (or take away) row i to cluster c."""
    first, mt, size = cells
    if mt.shape[0] == 0:
        z = zt[i]
        for s in range(z.shape[0]):
            counts[s, z[s], c] += by
    else:
        for a in range(first[i], first[i + 1]):
            z, m = zt[a], mt[a]
            for s in range(z.shape[0]):
                counts[s, z[s], c] += by * m[s]
    sizes[c] += by * size[i]


@compiled
def _cheapest(i, zt, cells, share, counts, sizes, n_open, f, cost):
    """The cluster among 0..n_open-1 in which row i, too, costs least, and that cost."""
    first, mt, size = cells
    cost[:n_open] = 0.0
    if mt.shape[0] == 0:
        z = zt[i]
        for s in range(z.shape[0]):
            row = counts[s, z[s]]
            w = share[s]
            for c in range(n_open):
                cost[c] += w * (f[row[c] + 1] - f[row[c]])
    else:
        for a in range(first[i], first[i + 1]):
            z, m = zt[a], mt[a]
            for s in range(z.shape[0]):
                if m[s] > 0:
                    row = counts[s, z[s]]
                    w = share[s]
                    for c in range(n_open):
                        cost[c] += w * (f[row[c] + m[s]] - f[row[c]])
    best, least = 0, np.inf
    for c in range(n_open):
        cost[c] = f[sizes[c] + size[i]] - f[sizes[c]] - 2.0 * cost[c]
        if cost[c] < least:
            best, least = c, cost[c]
    return best, least


@compiled
def _alone(i, zt, cells, share, f):
    """Cost of row i in a cluster of its own."""
    first, mt, size = cells
    if mt.shape[0] == 0:
        return -f[1]
    total = 0.0
    for a in range(first[i], first[i + 1]):
        for s in range(share.shape[0]):
            total += share[s] * f[mt[a, s]]
    return f[size[i]] - 2.0 * total


@compiled
def _close(c, labels, counts, sizes, n_clusters):
    """Cluster c is empty: the last one takes its number. Returns how many are left."""
    last = n_clusters - 1
    if c != last:
        for i in range(labels.shape[0]):
            if labels[i] == last:
                labels[i] = c
        counts[:, :, c] = counts[:, :, last]
        counts[:, :, last] = 0
        sizes[c] = sizes[last]
        sizes[last] = 0
    return last


@compiled
def _rebuild(labels, zt, cells, counts, sizes):
    counts[:] = 0
    sizes[:] = 0
    n_clusters = 0
    for i in range(labels.shape[0]):
        if labels[i] >= 0:
            _shift(i, labels[i], zt, cells, counts, sizes, 1)
            n_clusters = max(n_clusters, labels[i] + 1)
    return n_clusters


@compiled
def _loss(share, counts, sizes, n_clusters, f):
    """Expected loss less the part that depends on the draws alone."""
    total = 0.0
    for c in range(n_clusters):
        total += f[sizes[c]]
    for s in range(counts.shape[0]):
        joint = 0.0
        for z in range(counts.shape[1]):
            for c in range(n_clusters):
                joint += f[counts[s, z, c]]
        total -= 2.0 * share[s] * joint
    return total


@compiled
def _allocate(items, n_items, labels, zt, cells, share, counts, sizes, n_clusters, f, cost):
    """Place rows that have no cluster, in the order of `items`; returns clusters, and whether the limit was felt."""
    limit = sizes.shape[0]
    felt = False
    for j in range(n_items):
        i = items[j]
        best, least = _cheapest(i, zt, cells, share, counts, sizes, min(n_clusters + 1, limit), f, cost)
        felt = felt or (n_clusters == limit and least > _alone(i, zt, cells, share, f))
        n_clusters = max(n_clusters, best + 1)
        labels[i] = best
        _shift(i, best, zt, cells, counts, sizes, 1)
    return n_clusters, felt


@compiled
def _sweep(order, labels, zt, cells, share, counts, sizes, n_clusters, f, cost):
    """Move every row to its cheapest cluster; returns clusters, rows moved, and whether the limit was felt."""
    limit = sizes.shape[0]
    moved, felt = 0, False
    for j in range(order.shape[0]):
        i = order[j]
        old = labels[i]
        _shift(i, old, zt, cells, counts, sizes, -1)
        labels[i] = -1
        if sizes[old] == 0:
            n_clusters = _close(old, labels, counts, sizes, n_clusters)
            old = n_clusters
        best, least = _cheapest(i, zt, cells, share, counts, sizes, min(n_clusters + 1, limit), f, cost)
        felt = felt or (n_clusters == limit and least > _alone(i, zt, cells, share, f))
        if best != old and cost[old] - least > 1e-13:
            moved += 1
        else:
            best = old
        n_clusters = max(n_clusters, best + 1)
        labels[i] = best
        _shift(i, best, zt, cells, counts, sizes, 1)
    return n_clusters, moved, felt


@compiled
def _run(labels, zt, cells, share, most, limit, f, rng, max_sweeps, zealous):
    """Descend from `labels` (N,), changed in place, -1 where a row has none yet; returns loss and limit felt."""
    n_rows, n_draws = labels.shape[0], zt.shape[1]
    counts = np.empty((n_draws, most, limit), np.int32)
    sizes = np.empty(limit, np.int64)
    cost = np.empty(limit)
    order = np.arange(n_rows)
    felt = False
    n_clusters = _rebuild(labels, zt, cells, counts, sizes)
    _shuffle(order, n_rows, rng)
    without = order[labels[order] < 0]
    if without.shape[0]:
        n_clusters, felt = _allocate(
            without, without.shape[0], labels, zt, cells, share, counts, sizes, n_clusters, f, cost
        )
    saved = np.empty_like(labels)
    tried = 0
    while True:
        for _ in range(max_sweeps):
            _shuffle(order, n_rows, rng)
            n_clusters, moved, hit = _sweep(order, labels, zt, cells, share, counts, sizes, n_clusters, f, cost)
            felt = felt or hit
            if moved == 0:
                break
        best = _loss(share, counts, sizes, n_clusters, f)
        improved = False
        victims = np.arange(n_clusters)
        _shuffle(victims, n_clusters, rng)
        for v in range(n_clusters):
            if tried >= zealous or n_clusters == 1:
                break
            tried += 1
            saved[:] = labels
            items = np.flatnonzero(labels == victims[v])
            for i in items:
                _shift(i, victims[v], zt, cells, counts, sizes, -1)
                labels[i] = -1
            n_clusters = _close(victims[v], labels, counts, sizes, n_clusters)
            _shuffle(items, items.shape[0], rng)
            n_clusters, hit = _allocate(
                items, items.shape[0], labels, zt, cells, share, counts, sizes, n_clusters, f, cost
            )
            felt = felt or hit
            if _loss(share, counts, sizes, n_clusters, f) < best - 1e-12:
                improved = True
                break
            labels[:] = saved
            n_clusters = _rebuild(labels, zt, cells, counts, sizes)
        if not improved:
            return best, felt


def search_partition(
    zt: IntArray,
    share: Array,
    most: int,
    f: Array,
    *,
    starts: Sequence[IntArray],
    n_runs: int,
    max_clusters: int,
    random_seed: int | np.random.SeedSequence | None,
    zealous: int = _ZEALOUS,
    cells: Cells | None = None,
) -> SearchResult:
    """The partition of least expected loss among all runs.

    Parameters
    ----------
    zt : int array (N, S)
        Draws of labels, row by row, values 0..most-1; of cells (A, S), where there are any.
    share : array (S,)
        Probability of each draw, summing to one.
    most : int
        Largest number of clusters of a draw.
    f : array (N + 1,)
        From `loss_table`; N is the size of all rows.
    starts : sequence of int arrays (N,)
        Partitions to descend from, besides `n_runs` runs: sequential allocation and random labels in turn.
    max_clusters : int
        Largest number of clusters of the estimate.
    random_seed : int, SeedSequence or None
    zealous : int
        Clusters dissolved at most in a run.
    cells : Cells, optional
        Of rows that count several times; by default each counts once.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.clustering.partition.loss import loss_table
    >>> draws = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 1]], dtype=np.int32)
    >>> found = search_partition(np.ascontiguousarray(draws.T), np.full(3, 1 / 3), 2, loss_table("vi", 3), starts=[],
    ...                          n_runs=4, max_clusters=3, random_seed=1)
    >>> found.labels, round(found.expected_loss, 4)
    (array([0, 0, 1], dtype=int32), 0.3081)
    """
    cells = single_cells(len(zt)) if cells is None else cells
    n_rows = len(cells.size)
    seeds = np.random.SeedSequence(random_seed) if not isinstance(random_seed, np.random.SeedSequence) else random_seed
    begin: list[IntArray] = [np.array(s, dtype=np.int32) for s in starts if s.max() < max_clusters]
    generators = [np.random.default_rng(s) for s in seeds.spawn(len(begin) + n_runs)]
    for run, rng in enumerate(generators[len(begin) :]):
        guess = np.full(n_rows, -1, dtype=np.int32)
        if run % 2:
            upto = rng.integers(1, min(most + 1, max_clusters) + 1)
            guess = np.unique(rng.integers(upto, size=n_rows), return_inverse=True)[1].astype(np.int32)
        begin.append(guess)

    def work(k: int) -> tuple[float, bool]:
        return _run(begin[k], zt, cells, share, most, max_clusters, f, generators[k], MAX_SWEEPS, zealous)

    with ThreadPoolExecutor(min(available_cores(), len(begin))) as pool:
        ends = list(pool.map(work, range(len(begin))))
    losses = np.array([loss for loss, _ in ends])
    best = int(np.flatnonzero(losses <= losses.min() + _TIE)[0])
    return SearchResult(
        labels=begin[best],
        expected_loss=float(losses[best] + _of_draws(zt, cells, share, most, f)),
        n_runs=len(begin),
        n_best=int((losses <= losses.min() + _TIE).sum()),
        at_limit=ends[best][1] and max_clusters < n_rows,
    )


def _of_draws(zt: IntArray, cells: Cells, share: Array, most: int, f: Array) -> float:
    """Mean over draws of sum_z f(n_z)."""
    sizes = np.zeros((zt.shape[1], most), dtype=np.int64)
    for z in range(most):
        sizes[:, z] = ((zt == z) * cells.counts if len(cells.counts) else zt == z).sum(axis=0)
    return float(share @ f[sizes].sum(axis=1))
