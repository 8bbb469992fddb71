"""Answers averaged over the number of components, for those who need not pick one.

Every ranked fit counts by its posterior probability p(K | y), all equally probable a priori, or by its stacking weight,
which averages predictive densities best when none of the fits is the truth (Yao, Vehtari, Simpson and Gelman 2018).
What is averaged does not depend on how components are numbered: whether two rows are together, the density of a row,
the number of occupied components and of clusters. A partition is found from label draws of all fits in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from bayesgmm.clustering.coclustering import coclustering
from bayesgmm.clustering.label_draws import draw_labels
from bayesgmm.clustering.partition.estimate import Partition, partition_from_labels
from bayesgmm.errors import InputError
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.model_selection.ranking import Label
from bayesgmm.posterior.tree import posterior_arrays
from bayesgmm.record import Record
from bayesgmm.wording import plural, probability

if TYPE_CHECKING:
    from bayesgmm.model_selection.candidate import Candidate
    from bayesgmm.model_selection.fit import Fit

__all__ = ["WEIGHTINGS", "ModelAverage", "model_average"]

Array = NDArray[np.float64]

WEIGHTINGS = ("probability", "stacking")
_LEAST = 0.001  # share below which a fit is left out
_DRAWS = 4000  # label draws of all fits together, at most


@dataclass(frozen=True, eq=False, repr=False)
class ModelAverage(Record):
    """Fits of one table and what each counts.

    Attributes
    ----------
    weights : Series
        Share of each fit, by its label in the comparison; fits below 0.1 % are left out.
    by : {"probability", "stacking"}
        What the shares are.
    occupied, n_clusters : Series
        Probability of each number of occupied components, and of clusters after merging.
    """

    weights: pd.Series[float]
    by: str
    occupied: pd.Series[float]
    n_clusters: pd.Series[float]
    fits: dict[Label, Fit]

    @property
    def _shares(self) -> list[tuple[Label, float]]:
        return list(zip(self.fits, self.weights.tolist(), strict=True))

    def score_samples(self, X: Any) -> Array:
        """(N,) log of the averaged posterior predictive density of rows, per original unit."""
        each = np.stack([self.fits[label].score_samples(X) for label, _ in self._shares])
        return np.asarray(logsumexp(each, axis=0, b=self.weights.to_numpy()[:, None]))

    def coclustering(self, rows: ArrayLike | None = None) -> Array:
        """(n, n) probability that two rows share a component, of all rows or of those at positions `rows`."""
        parts = (share * coclustering(self.fits[n].posterior_, rows=rows) for n, share in self._shares)
        return np.asarray(np.sum(list(parts), axis=0))

    def partition(self, *, loss: str = "vi", ci_prob: float = 0.95, random_seed: int | None = 0) -> Partition:
        """One partition of the rows for all fits, and its credible ball; rows of noise are one group.

        Raises
        ------
        InputError
            For a table with row weights, whose copies have labels of their own in each fit.
        """
        table = next(iter(self.fits.values())).table_
        if (table.weights != 1.0).any():
            raise InputError("partition of averaged fits: rows must have weight 1; take the partition of one fit.")
        found = []
        for label, share in self._shares:
            a = posterior_arrays(self.fits[label].posterior_)
            # Draws again where the share of a fit asks for more than it has.
            n = max(1, round(share * _DRAWS))
            some = np.resize(evenly_spaced(len(a.weights), n), n)
            drawn = replace(a, weights=a.weights[some], means=a.means[some], scaling=a.scaling[some])
            labels = draw_labels(table.values, drawn, random_seed=random_seed)
            found.append(np.where(labels < 0, a.n_components, labels))
        draws = np.concatenate(found)
        return partition_from_labels(draws, loss, ci_prob=ci_prob, row_names=table.row_names, random_seed=random_seed)

    def __str__(self) -> str:
        shares = ", ".join(f"K = {label}: {probability(share)}" for label, share in self.weights.items())
        what = {"probability": "posterior probabilities p(K | y)", "stacking": "stacking weights"}[self.by]
        best = int(self.n_clusters.index[int(self.n_clusters.to_numpy().argmax())])
        n = len(self.weights)
        return (
            f"Averaged over {n} {plural(n, 'fit')} by {what}: {shares}. {best} cluster{'s' * (best > 1)} "
            f"{'have' if best > 1 else 'has'} probability {probability(self.n_clusters.max())}."
        )


def model_average(
    fits: dict[Label, Fit], candidates: dict[Label, Candidate], table: pd.DataFrame, by: str | None
) -> ModelAverage:
    """`ModelAverage` of the fits of a comparison, `table` its details; None takes p(K | y) if every ranked fit has one.

    Raises
    ------
    InputError
        If the shares asked for are not known.
    """
    if not len(table):
        raise InputError("there is no fit to average.")
    ranked = table[table["ranked"]]
    columns = {"probability": ranked["probability"], "stacking": ranked["stacking_weight"]}
    chosen = by or ("probability" if columns["probability"].notna().all() else "stacking")
    known = columns[chosen].dropna()
    if not len(known):
        raise InputError(f"no {chosen} is known of any fit: fit with more draws, and with log_likelihood=True.")
    kept = known[known >= _LEAST]
    weights = (kept / kept.sum()).rename("weight")

    def averaged(series: dict[Label, pd.Series[float]]) -> pd.Series[float]:
        frame = pd.DataFrame(series).fillna(0.0).sort_index()
        return (frame * weights).sum(axis=1).rename("probability")

    return ModelAverage(
        weights=weights,
        by=chosen,
        occupied=averaged({n: candidates[n].occupied for n in weights.index}),
        n_clusters=averaged({n: candidates[n].merging.n_clusters for n in weights.index}),
        fits={n: fits[n] for n in weights.index},
    )
