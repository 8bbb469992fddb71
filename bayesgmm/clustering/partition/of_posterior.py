"""The partition of a fit: labels drawn given each draw of the parameters, then the partition of least expected loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.arguments import check_choice, check_probability, check_seed
from bayesgmm.clustering.coclustering import coclustering
from bayesgmm.clustering.label_counts import count_labels
from bayesgmm.clustering.label_draws import draw_labels
from bayesgmm.clustering.partition.cells import Cells, LabelCells, Units, fill_cells
from bayesgmm.clustering.partition.estimate import Partition, partition_from_labels, partition_of_cells
from bayesgmm.clustering.partition.loss import LOSSES, canonical_labels
from bayesgmm.errors import InputError
from bayesgmm.kernels.draw_blocks import as_merge, blocks_of_draws
from bayesgmm.kernels.rows import Rows, as_rows, count_rows, take_rows
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.posterior.tree import PosteriorArrays, known_of, model_rows, named_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["partition"]

Array = NDArray[np.float64]

# Labels (draws x rows) that a partition is made from; beyond it draws are thinned evenly.
_MAX_LABELS = 20_000_000


def partition(
    tree: xarray.DataTree,
    loss: str = "vi",
    *,
    rows: Any = None,
    ci_prob: float = 0.95,
    row_names: Sequence[Any] | pd.Index[Any] | None = None,
    merge: ArrayLike | None = None,
    max_clusters: int | None = None,
    n_runs: int = 16,
    random_seed: int | None = 0,
) -> Partition:
    """One partition for the posterior, and its credible ball.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    loss, ci_prob, max_clusters, n_runs, random_seed
        As in `partition_from_labels`.
    rows, row_names, merge
        As in `assignment`; `rows` are new rows.

    Returns
    -------
    Partition
        Clusters carry the number of the component that most of their rows belong to; a cluster without one of its
        own is numbered from K on. `similarity` is the co-clustering matrix of `coclustering`, not a count of draws.

    Notes
    -----
    Beyond 20 million labels, such as 4,000 draws of 5,000 rows, draws are thinned evenly and `method` says so.

    Where there is a noise component, rows that belong to it with a probability above one half get the label -1 and
    weight 0; the partition, its uncertainty and the numbers of clusters are those of the others, given that they are in
    clusters.

    A row of weight a is a copies of it, of which each has its own label in every draw, and all are together in the
    estimate: the expected loss, the ball and the numbers of clusters are those of the copies. A row of weight 0 gets
    the cluster in which one more such row would cost least.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.partition.of_posterior import partition
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> partition(fit.posterior_).sizes.to_dict()
    {0: 97, 1: 175}
    """
    check_choice(loss, "loss", LOSSES)
    check_probability(ci_prob)
    check_seed(random_seed)
    values, names, weights = named_rows(tree, rows, row_names)
    posterior = posterior_arrays(tree)
    clusters = as_merge(merge, posterior.n_components)
    known = known_of(tree) if rows is None else None
    options: dict[str, Any] = {
        "ci_prob": ci_prob, "max_clusters": max_clusters, "n_runs": n_runs, "random_seed": random_seed
    }  # fmt: skip
    noise = _are_noise(tree, posterior, None if rows is None else values)
    if noise.any():
        weights = np.where(noise, 0.0, weights)
        if not weights.any():
            raise InputError("every observation is more likely noise than in a cluster: there is nothing to divide.")
    if posterior.n_classes == posterior.n_components and (weights == 1.0).all():
        step = max(1, -(-len(posterior.weights) * len(values) // _MAX_LABELS))
        labels: NDArray[Any] = draw_labels(values, posterior, known=known, step=step, random_seed=random_seed)
        if clusters is not None:
            labels = clusters[labels.astype(np.int64)]
        found = partition_from_labels(labels, loss, row_names=names, **options)
        share = np.stack([(labels == c).mean(axis=0) for c in range(int(labels.max()) + 1)], axis=1)
    else:
        packed = as_rows(posterior.to_model(values), known)
        found, share, step = _of_copies(packed, names, weights, posterior, clusters, loss, options)
    numbers = list(_like_components(found.labels.to_numpy(), share))
    return replace(
        found,
        labels=pd.Series(np.where(noise, -1, numbers).tolist(), index=names, name="cluster"),
        method=found.method + (f"; every {step}th draw" if step > 1 else ""),
        similarity_from=lambda: coclustering(tree, X=None if rows is None else values, merge=merge),
    )


def _of_copies(
    packed: Rows, names: pd.Index[Any], weights: Array, posterior: PosteriorArrays, clusters: NDArray[np.int64] | None,
    loss: str, options: dict[str, Any],
) -> tuple[Partition, Array, int]:  # fmt: skip
    """The partition of rows with weights, how many copies of each row have each label, and the step between draws."""
    used, units = weights > 0.0, Units.of(weights[weights > 0.0])
    k = posterior.n_components if clusters is None else int(clusters.max()) + 1
    first = np.concatenate([[0], np.cumsum(np.minimum(units.copies + (units.fraction > 0), k))])
    step = max(1, -(-len(posterior.weights) * int(first[-1] + (~used).sum()) // _MAX_LABELS))
    every = slice(None, None, step)
    draws = posterior.weights[every], posterior.means[every], posterior.scaling[every]
    z, m = (np.empty((len(draws[0]), first[-1]), dtype=np.int32) for _ in range(2))
    share = np.zeros((len(weights), k))
    rng = np.random.default_rng(options["random_seed"])
    onto = None if clusters is None else (clusters[:, None] == np.arange(k)).astype(np.float64)
    for where, r in blocks_of_draws(take_rows(packed, np.flatnonzero(used)), *draws, row_model=posterior.row_model):
        r = _in_clusters(r, posterior)
        counted = count_labels(r, units.copies, units.fraction.astype(float), rng, unit=float(units.each))
        counted = counted if onto is None else counted @ onto
        share[used] += counted.sum(axis=0)
        fill_cells(np.rint(counted), first, z[where], m[where])
    others = np.empty((len(z), int((~used).sum())), dtype=np.int32)
    unused = take_rows(packed, np.flatnonzero(~used))
    for where, r in blocks_of_draws(unused, *draws, row_model=posterior.row_model) if others.size else ():
        counted = count_labels(_in_clusters(r, posterior), np.ones(r.shape[1], np.int64), np.zeros(r.shape[1]), rng)
        counted = counted if onto is None else counted @ onto
        share[~used] += counted.sum(axis=0)
        others[where] = counted.argmax(axis=2)
    canonical = canonical_labels(np.hstack([z, others]))[0]
    z, others = np.ascontiguousarray(canonical[:, : first[-1]]), canonical[:, first[-1] :]
    size = units.copies * units.each + units.fraction
    cells = LabelCells(z, int(z.max()) + 1, Cells(first, np.ascontiguousarray(m.T), size), units.unit)
    found = partition_of_cells(
        cells, loss, names=names, weights=weights, others=others if others.size else None, **options
    )
    return found, share, step


def _are_noise(tree: xarray.DataTree, posterior: PosteriorArrays, values: Array | None) -> NDArray[np.bool_]:
    """(N,) rows, the fitted or others, that belong to noise with a probability above one half."""
    rows, a = model_rows(tree, posterior, values), posterior
    if a.n_classes == a.n_components:
        return np.zeros(count_rows(rows), dtype=bool)
    return mean_responsibilities(rows, a.weights, a.means, a.scaling, row_model=a.row_model)[:, -1] > 0.5


def _in_clusters(r: Array, posterior: PosteriorArrays) -> Array:
    """Responsibilities (S, N, K) given that a row is no noise."""
    k = posterior.n_components
    if r.shape[2] == k:
        return r
    given = np.maximum(r[:, :, :k], 1e-300)
    return given / given.sum(axis=2, keepdims=True)


def _like_components(estimate: NDArray[Any], share: Array) -> Iterator[int]:
    """The estimate's clusters under the numbers of the components that their rows have in the draws, `share` (N, K)."""
    k = share.shape[1]
    weight = np.zeros((int(estimate.max()) + 1, k))
    np.add.at(weight, estimate, share)
    rows, columns = linear_sum_assignment(-weight)
    number = np.full(len(weight), -1)
    kept = weight[rows, columns] > 0
    number[rows[kept]] = columns[kept]
    number[number < 0] = k + np.arange((number < 0).sum())
    return (int(c) for c in number[estimate])
