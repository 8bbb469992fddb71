"""Components that describe one cluster: merged draw by draw, with a posterior for the number of clusters.

A cluster that is not Gaussian takes several components, and every criterion of density then counts too many
(Baudry, Raftery, Celeux, Lo, Gottardo 2010, JCGS 19, 332-353). Components are merged as in Hennig (2010, Advances in
Data Analysis and Classification 4, 3-34), the nearest two groups first. How near is said in standard deviations: two
groups are as far apart as two equal normal groups of which as many observations are taken for the other's. The
probability is the larger of two, along the line that parts the groups best (`clustering.separation`), where a number
needs no rows (Qiu and Joe 2006, Journal of Classification 23, 315-334).

From which separation on two groups are two clusters is a choice. Two equal normal groups have two modes from 2 sds on,
and 3 is far for a cluster that one may still want to see; so all of the tree between is looked at, and a number of
clusters is named only where it holds all along. Else the answer is that it depends, and on what; the finest of the
partitions in question, that of 2 sds, is counted and shown, since a reader can put clusters together but not take them
apart, and since few observations make groups look nearer: where an arm has 40 of them, the error of its separation is
0.6 sds.

A component that has not as many observations as a covariance needs, D + 1, is no cluster of its own. With few more,
`clustering.separation` takes tails to be long, and so they are a cluster only if they lie far out.
`benchmarks/choice_of_k.py` and `benchmarks/labelled_tables.py` say how often the answer is right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_number
from bayesgmm.clustering.merging_rule import MOST_APART, SEPARATION, MergeTrees, merge_trees
from bayesgmm.clustering.merging_words import dependence_in_words, number_in_words
from bayesgmm.kernels.compiled import compiled
from bayesgmm.kernels.row_model import log_normalizers, n_classes
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.kernels.spacing import evenly_spaced, some_rows
from bayesgmm.kernels.threads import over_threads
from bayesgmm.posterior.levels import rounding_steps
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["Merging", "check_separation", "merging"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MARGIN = 0.5  # sds: the answer has to hold from 2 to 3
_GRID = np.arange(1.0, 6.01, 0.1).round(1)
_MAX_ROWS = 3000
_MAX_DRAWS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Merging(Record):
    """Which components make one cluster, and how surely.

    Attributes
    ----------
    separation : float
        As given to `merging`, in sds.
    occupied : bool array (S, K)
        Components that count in each draw, of at most 1,000. The others are put with the nearest that does.
    trees : MergeTrees
        Of each of those draws.
    """

    separation: float
    occupied: NDArray[np.bool_]
    trees: MergeTrees

    def at(self, separation: float) -> Merging:
        """The same components where groups up to so many sds apart are one cluster."""
        check_separation(separation)
        return replace(self, separation=separation)

    def _probabilities(self, separation: float) -> pd.Series[float]:
        counts = np.bincount(self.trees.numbers(separation))
        share = {m: counts[m] / counts.sum() for m in range(1, len(counts)) if counts[m]}
        return pd.Series(share, name="probability").rename_axis("clusters")

    @cached_property
    def n_clusters(self) -> pd.Series[float]:
        """Posterior probability of each number of clusters at `separation`."""
        return self._probabilities(self.separation)

    @cached_property
    def by_separation(self) -> pd.DataFrame:
        """The same from 1 to 6 sds: a row a separation, a column a number of clusters."""
        return self._table(_GRID)

    def _table(self, grid: Array) -> pd.DataFrame:
        table = pd.DataFrame({s: self._probabilities(s) for s in grid.tolist()}).T.fillna(0.0)
        return table.sort_index(axis=1).rename_axis("separation").rename_axis(columns="clusters")

    @property
    def best(self) -> int:
        """Number of clusters of `merge`, the most probable at `shown`."""
        return int(self._at_shown.index[int(self._at_shown.to_numpy().argmax())])

    @property
    def best_probability(self) -> float:
        """Posterior probability of `best` at `shown`."""
        return float(self._at_shown.max())

    @cached_property
    def _at_shown(self) -> pd.Series[float]:
        return self._probabilities(self.shown)

    @cached_property
    def in_question(self) -> pd.DataFrame:
        """`by_separation` where the answer has to hold, half an sd around `separation`: at 2 to 3 sds."""
        grid = np.linspace(max(0.0, self.separation - _MARGIN), self.separation + _MARGIN, 11).round(2)
        return self._table(grid)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of clusters that cannot be ruled out: with a third of the probability or more at 2 to 3 sds.

        One number, if it also has more than half throughout; else the next most probable is one of them.
        """
        table = self.in_question
        most = table.max().sort_values(ascending=False, kind="stable")
        n = int((most > 1.0 / 3.0).sum())
        if n <= 1 and table[most.index[0]].min() <= 0.5:
            n = 2
        return tuple(sorted(int(m) for m in most.index[: max(n, 1)]))

    @property
    def stable(self) -> bool:
        """Whether one number of clusters holds at all separations from 2 to 3 sds."""
        return len(self.numbers) == 1

    @property
    def shown(self) -> float:
        """Separation of the partition `merge`: as given, or the least where the number depends on it."""
        return self.separation if self.stable else float(self.in_question.index[0])

    @cached_property
    def labels(self) -> IntArray:
        """(S, K) cluster of each component in every draw, at `shown`, numbered in order of appearance."""
        return self.trees.labels(self.shown)

    @cached_property
    def merge(self) -> IntArray:
        """(K,) cluster of each component: the most frequent merging into the most probable number, at `shown`."""
        return self._most_frequent[0]

    @property
    def merge_probability(self) -> float:
        """Share of the draws with exactly this merging."""
        return self._most_frequent[1]

    @cached_property
    def _most_frequent(self) -> tuple[IntArray, float]:
        number = self.labels.max(axis=1) + 1
        patterns, frequency = np.unique(self.labels[number == self.best], axis=0, return_counts=True)
        most = int(frequency.argmax())
        return patterns[most], float(frequency[most] / len(number))

    @cached_property
    def together(self) -> pd.DataFrame:
        """(K, K) posterior probability that two components are in one cluster."""
        return pd.DataFrame((self.trees.apart <= self.separation).mean(axis=0))

    @cached_property
    def apart(self) -> pd.DataFrame:
        """(K, K) posterior median of the separation, in sds, at which two components come to be in one cluster."""
        return pd.DataFrame(np.median(self.trees.apart, axis=0))

    @cached_property
    def tree(self) -> pd.DataFrame:
        """The tree of merges, a row a merge, the nearest first.

        ``group`` and ``other`` are tuples of components; ``separation``, ``low`` and ``high`` the median and the 90 %
        interval of the sds between them; ``probability`` that they are one cluster at `separation`. Groups are those
        of average linkage of `apart`.
        """
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        k = len(self.apart)
        members: list[tuple[int, ...]] = [(i,) for i in range(k)]
        rows = []
        for a, b, *_ in linkage(squareform(self.apart.to_numpy(), checks=False), "average") if k > 1 else ():
            group, other = members[int(a)], members[int(b)]
            between = self.trees.apart[:, group][:, :, other].mean(axis=(1, 2))
            low, middle, high = np.quantile(between, [0.05, 0.5, 0.95])
            one = float((between <= self.separation).mean())
            rows.append((*sorted((group, other)), middle, low, high, one))
            members.append(tuple(sorted(group + other)))
        return pd.DataFrame(rows, columns=["group", "other", "separation", "low", "high", "probability"])

    def __str__(self) -> str:
        if not self.stable:
            return dependence_in_words(self.numbers, self.in_question, self.tree)
        return number_in_words(self.n_clusters, self.merge, self.together)


def merging(tree: xarray.DataTree, *, separation: float = SEPARATION) -> Merging:
    """Merge the components of every draw to clusters.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``, relabelled.
    separation : float
        Groups that are no further apart are one cluster, in sds; 2 to 3 is usual.

    Returns
    -------
    Merging

    Raises
    ------
    InputError
        If `separation` does not lie between 0 and 12.

    Notes
    -----
    Values one recording step apart are neighbours: no component counts as narrower than the step of a column. The
    number of clusters does not depend on labels; `together`, `tree` and `merge` mean something only as far as the
    components are identified (`diagnose`). Of at most 1,000 draws, evenly spaced; sizes come from at most 3,000 rows.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.merging import merging
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> print(merging(fit.posterior_))
    2 components describe 2 clusters (probability > 0.99).
    """
    check_separation(separation)
    a = posterior_arrays(tree)
    some = evenly_spaced(len(a.weights), _MAX_DRAWS)
    rows, row_weights, _ = observed_rows(tree)
    weight = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    used, some_weight = some_rows(weight, _MAX_ROWS)
    some_of_rows = model_rows(tree, a, some=used)
    heads, means, scaling, cholesky = a.weights[some], a.means[some], a.scaling[some], a.cholesky[some]
    sizes = np.empty(means.shape[:2])
    over_threads(
        lambda s: _sizes(some_of_rows, some_weight, heads[s], means[s], scaling[s], a.row_model, sizes[s]), len(sizes)
    )
    sizes *= weight.sum() / some_weight.sum()
    occupied = sizes >= means.shape[2] + 1
    occupied[np.arange(len(sizes)), sizes.argmax(axis=1)] = True
    covariances = _no_finer_than(cholesky @ cholesky.mT, rounding_steps(tree) / a.scale)
    df = None if a.df is None else np.broadcast_to(a.df[some], sizes.shape)
    trees = merge_trees(a.shares[some], means, covariances, sizes=sizes, df=df, occupied=occupied)
    return Merging(separation, occupied, trees)


def check_separation(separation: float) -> None:
    """Refuse what is no separation of clusters in sds."""
    check_number(separation, "separation", "lie between 0 and 12; 2 to 3 is usual", above=0.0, below=MOST_APART)


def _no_finer_than(covariances: Array, steps: Array) -> Array:
    """Covariances (S, K, D, D) with no sd below the recording step of its column: values one step apart are neighbours,
    however often each was recorded, and a component on one of them is not separated from one on the next."""
    short = np.maximum(steps**2 - np.diagonal(covariances, axis1=2, axis2=3), 0.0)
    d = covariances.shape[-1]
    covariances.reshape(*covariances.shape[:2], d * d)[:, :, :: d + 1] += short
    return covariances


@compiled
def _sizes(rows, row_weights, weights, means, scaling, row_model, out):
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
