"""Scores of a number of clusters that people are asked for: cross-validated likelihood, the elbow, the silhouette.

They are columns beside the others and take no part in the recommendation. The cross-validated score is that of the
maximum-likelihood fit; `elpd_loo` is its Bayesian counterpart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.checks import mean_and_sd
from bayesgmm.em.fill import filled
from bayesgmm.em.fit import fit_em
from bayesgmm.errors import InputError
from bayesgmm.kernels.streaming import pointwise_log_density
from bayesgmm.model_selection.loo.kfold import random_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesgmm.data.table import Table

__all__ = ["cross_validated_log_likelihood", "secondary_scores"]

_SILHOUETTE_ROWS = 5000


def cross_validated_log_likelihood(
    table: Table, n_components: int, covariance_type: str = "full", *, n_folds: int = 10, n_init: int = 5,
    random_seed: int | None = 0,
) -> float:  # fmt: skip
    """Sum over rows of the log density under the EM fit without the fold of the row, in nats, original units.

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
    rows = np.flatnonzero(table.weights > 0.0)
    folds = random_folds(len(rows), min(n_folds, len(rows)), random_seed)
    total = 0.0
    for fold in range(int(folds.max()) + 1):
        out, kept = rows[folds == fold], rows[folds != fold]
        em = fit_em(
            table.values[kept], n_components, covariance_type=covariance_type, n_init=n_init, random_seed=random_seed,
            sample_weight=table.weights[kept],
        ).params  # fmt: skip
        density = pointwise_log_density(table.values[out], em.weights[None], em.means[None], em.scaling[None])
        total += float(density[0] @ table.weights[out])
    return total


def secondary_scores(
    table: Table, n_components: int, covariance_type: str, labels: NDArray[np.integer], *, random_seed: int | None = 0
) -> dict[str, float]:
    """Cross-validated log-likelihood, within-cluster sum of squares, silhouette.

    ``cv_log_likelihood`` is 10-fold; ``within_ss`` is k-means' with as many clusters as components, ``silhouette``
    that of `labels` (most probable components), both in standardised columns, missing cells filled in (`em.fill`);
    NaN where not defined.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    seed = 0 if random_seed is None else int(random_seed) % 2**32
    center, sd = mean_and_sd(table.values, table.weights)
    z = filled((table.values - center) / sd, table.weights)
    try:
        cv = cross_validated_log_likelihood(table, n_components, covariance_type, random_seed=random_seed)
    except InputError:
        cv = np.nan
    n_labels = len(np.unique(labels))
    sample = _SILHOUETTE_ROWS if len(z) > _SILHOUETTE_ROWS else None
    defined = 2 <= n_labels < len(z)
    return {
        "cv_log_likelihood": cv,
        "within_ss": float(
            KMeans(n_components, n_init=10, random_state=seed).fit(z, sample_weight=table.weights).inertia_
        ),
        "silhouette": float(silhouette_score(z, labels, sample_size=sample, random_state=seed)) if defined else np.nan,
    }
