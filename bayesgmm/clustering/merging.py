"""Components that describe one cluster: merged draw by draw, with a posterior for the number of clusters.

A cluster that is not Gaussian takes several components, and every criterion of density then counts too many
(Baudry, Raftery, Celeux, Lo, Gottardo 2010, JCGS 19, 332-353). Components are merged as in Hennig (2010, Advances in
Data Analysis and Classification 4, 3-34): two groups A and B are one cluster while the larger of the two probabilities
that a row of one is taken for the other exceeds a threshold; the worst pair first. The probabilities are those along
the line that separates the groups best (Fisher's discriminant; Qiu and Joe 2006, Journal of Classification 23,
315-334), where the groups are one-dimensional mixtures and a number needs no rows.

Why not another rule. Thirteen scenarios (one cluster; two or three, 2.5 to 6 sds apart; 90/10; unequal volumes; gamma-
and t-shaped) in 1, 2 and 5 columns, 8 samples of 400 rows, EM fits with the number of components of BIC and one more;
share of fits with the true number of clusters, of 0.92 that had enough components for it:

    this rule, threshold 0.075 / 0.1 / 0.15                               0.75  0.79  0.71
    the same with all columns (DEMP), 0.05 / 0.075 / 0.1                  0.66  0.70  0.65
    entropy along the line, of that of the two labels, 0.2 / 0.25 / 0.3   0.70  0.74  0.73
    entropy that a merge takes away, a row of the smaller, 0.2 / 0.3      0.63  0.67
    the elbow of that entropy (Baudry et al.), 4 components or more       0.47
    valleys along the ridgeline (Ray and Lindsay 2005), 0.5 / 0.7         0.38  0.36

Modes fail because the components of one gamma- or t-shaped cluster leave spurious valleys; measures with all columns,
because overlap vanishes as columns are added: for two gamma-shaped clusters in five columns DEMP at 0.1 is right in
0.19 of the fits, this rule in 0.94. What the rule cannot do: two groups nearer than 2.6 sds are one cluster, and so are
groups that no line separates, such as a core in a ring.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_number
from bayesgmm.clustering.merging_rule import THRESHOLD, merge_draws
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.spacing import some_rows
from bayesgmm.kernels.threads import over_threads
from bayesgmm.posterior.levels import rounding_steps
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["MIN_SHARE", "Merging", "merging"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_SHARE = 0.01
_MAX_ROWS = 3000


@dataclass(frozen=True, eq=False)
class Merging:
    """Which components make one cluster, and how surely.

    Attributes
    ----------
    n_clusters : Series
        Posterior probability of each number of clusters.
    together : DataFrame (K, K)
        Posterior probability that two components are in one cluster.
    merge : int array (K,)
        Cluster 0..M-1 of each component, M the most probable number: the most frequent merging into M.
    merge_probability : float
        Share of the draws with exactly this merging.
    threshold, min_share : float
        As given to `merging`.
    labels : int array (S, K)
        Cluster of each component in every draw, chains pooled, numbered in order of appearance.
    occupied : bool array (S, K)
        Components that count. The others are put with the cluster they overlap most.
    """

    n_clusters: pd.Series[float]
    together: pd.DataFrame
    merge: IntArray
    merge_probability: float
    threshold: float
    min_share: float
    labels: IntArray = field(repr=False)
    occupied: NDArray[np.bool_] = field(repr=False)

    @property
    def best(self) -> int:
        """Most probable number of clusters."""
        return int(self.n_clusters.index[int(self.n_clusters.to_numpy().argmax())])

    def __str__(self) -> str:
        k, m = len(self.merge), self.best
        number = f"{k} component{'s' * (k != 1)} describe{'s' * (k == 1)} {m} cluster{'s' * (m != 1)}"
        others = ", ".join(f"{c}: {p:.2f}" for c, p in self.n_clusters.items() if c != m and p >= 0.005)
        sentence = f"{number} (probability {self.n_clusters[m]:.2f}{'; ' + others if others else ''})"
        groups = [np.flatnonzero(self.merge == c).tolist() for c in range(m)]
        joined = [g for g in groups if len(g) > 1]
        if not joined:
            return sentence + "."
        parts = []
        for g in joined:
            weakest = float(self.together.to_numpy()[np.ix_(g, g)].min())
            least = f"{weakest:.2f}" if len(g) == 2 else f"each pair at least {weakest:.2f}"
            parts.append(f"{', '.join(map(str, g[:-1]))} and {g[-1]} together (probability {least})")
        return f"{sentence}: components {'; components '.join(parts)}."


def merging(tree: xarray.DataTree, *, threshold: float = THRESHOLD, min_share: float = MIN_SHARE) -> Merging:
    """Merge the components of every draw to clusters.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``, relabelled.
    threshold : float
        Two groups are merged while a row of one is taken for the other with a larger probability than this.
    min_share : float
        A component with a smaller expected share of the rows, or with less than one row, is no cluster of its own.

    Returns
    -------
    Merging

    Raises
    ------
    InputError
        If `threshold` does not lie between 0 and 0.5, or `min_share` between 0 and 1.

    Notes
    -----
    Values one recording step apart are neighbours: no component counts as narrower than the step of a column. The
    number of clusters does not depend on labels; `together` and `merge` mean something only as far as the components
    are identified (`diagnose`). Shares come from at most 3,000 rows, evenly spaced.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.merging import merging
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> print(merging(fit.posterior_))
    2 components describe 2 clusters (probability 1.00).
    """
    check_number(threshold, "threshold", "lie between 0 and 0.5; 0.1 is usual", above=0.0, below=0.5)
    check_number(min_share, "min_share", "lie between 0 and 1; 0.01 is usual", least=0.0, below=1.0)
    a = posterior_arrays(tree)
    rows, row_weights, _ = observed_rows(tree)
    weight = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    used, some_weight = some_rows(weight, _MAX_ROWS)
    some = model_rows(tree, a, some=used)
    counts = np.empty(a.means.shape[:2])
    over_threads(
        lambda s: _counts(some, some_weight, a.weights[s], a.means[s], a.scaling[s], a.row_model, counts[s]),
        len(counts),
    )
    share = counts / some_weight.sum()
    occupied = share >= max(min_share, 1.0 / weight.sum())
    occupied[np.arange(len(share)), share.argmax(axis=1)] = True
    covariances = _no_finer_than(a.cholesky @ a.cholesky.mT, rounding_steps(tree) / a.scale)
    labels = merge_draws(a.shares, a.means, covariances, occupied=occupied, threshold=threshold)
    return _summarise(labels, occupied, threshold, min_share)


def _no_finer_than(covariances: Array, steps: Array) -> Array:
    """Covariances (S, K, D, D) with no sd below the recording step of its column: values one step apart are neighbours,
    however often each was recorded, and a component on one of them is not separated from one on the next."""
    short = np.maximum(steps**2 - np.diagonal(covariances, axis1=2, axis2=3), 0.0)
    d = covariances.shape[-1]
    covariances.reshape(*covariances.shape[:2], d * d)[:, :, :: d + 1] += short
    return covariances


def _summarise(labels: IntArray, occupied: NDArray[np.bool_], threshold: float, min_share: float) -> Merging:
    n_draws, k = labels.shape
    number = labels.max(axis=1) + 1
    counts = np.bincount(number)
    probability = pd.Series(
        {m: counts[m] / n_draws for m in range(1, len(counts)) if counts[m]}, name="probability"
    ).rename_axis("clusters")
    together = np.array([[(labels[:, i] == labels[:, j]).mean() for j in range(k)] for i in range(k)])
    best = labels[number == int(counts.argmax())]
    patterns, frequency = np.unique(best, axis=0, return_counts=True)
    return Merging(
        n_clusters=probability,
        together=pd.DataFrame(together),
        merge=patterns[frequency.argmax()],
        merge_probability=float(frequency.max() / n_draws),
        threshold=threshold,
        min_share=min_share,
        labels=labels,
        occupied=occupied,
    )


@compiled
def _counts(rows, row_weights, weights, means, scaling, row_model, out):
    """out[s, k] = weighted number of rows of component k under draw s."""
    k, n = means.shape[1], row_weights.shape[0]
    log_norm, r = np.empty(weights.shape[1]), np.empty((n, n_classes(row_model, k)))
    for s in range(weights.shape[0]):
        log_normalizers(np.log(weights[s]), scaling[s], row_model, log_norm)
        mixture_pass(rows, row_weights, log_norm, means[s], scaling[s], row_model, np.empty(0), np.empty((0, 0)),
                     np.empty((0, 0, 0)), np.empty(0), r)  # fmt: skip
        for j in range(k):
            out[s, j] = 0.0
            for i in range(n):
                out[s, j] += row_weights[i] * r[i, j]
