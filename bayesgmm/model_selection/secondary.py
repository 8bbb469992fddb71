"""Scores of a number of clusters that people are asked for: cross-validated likelihood, the elbow, the silhouette.

They are columns beside the others and take no part in the recommendation. The cross-validated score is that of the
maximum-likelihood fit; `elpd_loo` is its Bayesian counterpart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clustering.silhouette import mean_silhouette
from bayesgmm.data.checks import mean_and_sd
from bayesgmm.em.fill import filled
from bayesgmm.em.fit import fit_em
from bayesgmm.errors import InputError
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model.background import structure_for
from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.loo.kfold import random_folds

if TYPE_CHECKING:
    from bayesgmm.data.table import Table

__all__ = ["cross_validated_log_likelihood", "secondary_scores"]

Array = NDArray[np.float64]

_MOST_DEALT = 1_000_000
_PLAIN = Kind("full")


def cross_validated_log_likelihood(
    table: Table, n_components: int, kind: Kind = _PLAIN, *, n_folds: int = 10, n_init: int = 5,
    random_seed: int | None = 0,
) -> float:  # fmt: skip
    """Sum over rows of the log density under the EM fit without the fold of the row, in nats, original units.

    Copies of a row are dealt to the folds one by one, as rows are.

    Raises
    ------
    InputError
        If there are fewer rows than folds, or too few rows in a fold's complement for so many components.

    Examples
    --------
    >>> from bayesgmm.data.table import prepare_table
    >>> from bayesgmm.datasets import load_faithful
    >>> table = prepare_table(load_faithful())
    >>> one, two = (cross_validated_log_likelihood(table, k) for k in (1, 2))
    >>> two > one
    True
    """
    total = 0.0
    for held_out in _folds(table.weights, n_folds, random_seed):
        out, left = held_out > 0.0, table.weights - held_out
        kept = left > 0.0
        em = fit_em(
            replace(table, values=table.values[kept], weights=left[kept], row_names=table.row_names[kept]),
            n_components, **kind._asdict(), n_init=n_init, random_seed=random_seed,
        ).params  # fmt: skip
        structure = structure_for(table, *kind).moved(-np.log(table.scale))
        density = pointwise_log_density(
            table.values[out], em.head[None], em.means[None], em.scaling[None], row_model=structure.row_model
        )
        total += float(density[0] @ held_out[out])
    return total


def _folds(weights: Array, n_folds: int, random_seed: int | None) -> Iterator[Array]:
    """What is held out of each row (N,), a fold after the other: copies are dealt at random, and what is left of a
    weight that is not whole is one more of them. Beyond a million, parcels of several are."""
    unit = max(1.0, weights.sum() / _MOST_DEALT)
    parcels = np.ceil(weights / unit).astype(np.int64)
    row = np.repeat(np.arange(len(weights)), parcels)
    share = np.full(len(row), unit)
    share[(np.cumsum(parcels) - 1)[parcels > 0]] = (weights - unit * (parcels - 1))[parcels > 0]
    folds = random_folds(len(row), min(n_folds, len(row)), random_seed)
    for fold in range(int(folds.max()) + 1):
        mine = folds == fold
        yield np.minimum(np.bincount(row[mine], share[mine], len(weights)), weights)


def secondary_scores(
    table: Table, n_components: int, kind: Kind, labels: NDArray[np.integer], *, random_seed: int | None = 0
) -> dict[str, float]:
    """Cross-validated log-likelihood, within-cluster sum of squares, silhouette.

    ``cv_log_likelihood`` is 10-fold; ``within_ss`` is k-means' with as many clusters as components, ``silhouette``
    that of `labels` (most probable components), both in standardised columns, missing cells filled in (`em.fill`);
    NaN where not defined.
    """
    from sklearn.cluster import KMeans

    seed = 0 if random_seed is None else int(random_seed) % 2**32
    center, sd = mean_and_sd(table.values, table.weights)
    z = filled((table.values - center) / sd, table.weights)
    try:
        cv = cross_validated_log_likelihood(table, n_components, kind, random_seed=random_seed)
    except InputError:
        cv = np.nan
    return {
        "cv_log_likelihood": cv,
        "within_ss": float(
            KMeans(n_components, n_init=10, random_state=seed).fit(z, sample_weight=table.weights).inertia_
        ),
        "silhouette": mean_silhouette(z, labels, table.weights, random_seed=seed),
    }
