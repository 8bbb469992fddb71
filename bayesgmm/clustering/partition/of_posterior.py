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
from bayesgmm.clustering.label_draws import draw_labels
from bayesgmm.clustering.partition.estimate import Partition, partition_from_labels
from bayesgmm.clustering.partition.loss import LOSSES
from bayesgmm.kernels.draw_blocks import as_merge
from bayesgmm.posterior.tree import known_of, named_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["partition"]

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
    values, names, _ = named_rows(tree, rows, row_names)
    posterior = posterior_arrays(tree)
    clusters = as_merge(merge, posterior.weights.shape[1])
    step = max(1, -(-len(posterior.weights) * len(values) // _MAX_LABELS))
    labels: NDArray[Any] = draw_labels(
        values, posterior, known=known_of(tree) if rows is None else None, step=step, random_seed=random_seed
    )
    if clusters is not None:
        labels = clusters[labels.astype(np.int64)]
    found = partition_from_labels(
        labels, loss, ci_prob=ci_prob, row_names=names, max_clusters=max_clusters, n_runs=n_runs,
        random_seed=random_seed,
    )  # fmt: skip
    return replace(
        found,
        labels=pd.Series(list(_like_components(found.labels.to_numpy(), labels)), index=names, name="cluster"),
        method=found.method + (f"; every {step}th draw" if step > 1 else ""),
        similarity_from=lambda: coclustering(tree, X=None if rows is None else values, merge=merge),
    )


def _like_components(estimate: NDArray[Any], draws: NDArray[Any]) -> Iterator[int]:
    """The estimate's clusters under the numbers of the components that their rows have in the draws."""
    k = int(draws.max()) + 1
    weight = np.zeros((int(estimate.max()) + 1, k))
    for component in range(k):
        np.add.at(weight[:, component], estimate, (draws == component).mean(axis=0))
    rows, columns = linear_sum_assignment(-weight)
    number = np.full(len(weight), -1)
    kept = weight[rows, columns] > 0
    number[rows[kept]] = columns[kept]
    number[number < 0] = k + np.arange((number < 0).sum())
    return (int(c) for c in number[estimate])
