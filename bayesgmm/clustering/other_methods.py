"""The fit beside the clusterings that people use: how far they agree, and on which rows they do not.

Every method is scikit-learn's, on standardised columns, with defaults that are stated in `CLUSTERINGS`; none is tuned.
Rows that count several times are given to it as often, up to 10,000 in all, and else once, which the table says.
Those that ask for a number of clusters get that of the fit's estimated partition. Agreement is given with the
estimate and, over draws of the labels, with the posterior: a method can be further from the estimate than the
posterior is from itself, or lie well within it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from bayesgmm.arguments import check_choice, check_count, check_instance, check_probability, check_seed, shown
from bayesgmm.clustering.partition.estimate import Partition
from bayesgmm.clustering.partition.loss import as_labels, cell_distances
from bayesgmm.clustering.partition.of_posterior import partition
from bayesgmm.clustering.partition.result import distances_from_estimate
from bayesgmm.clustering.silhouette import mean_silhouette
from bayesgmm.data.checks import mean_and_sd
from bayesgmm.data.copies import are_whole, copied_rows
from bayesgmm.errors import InputError
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.posterior.impute import expected_rows
from bayesgmm.posterior.tree import model_rows, observed_rows, posterior_arrays, tree_of
from bayesgmm.record import Record

__all__ = ["CLUSTERINGS", "ClusteringComparison", "compare_clusterings"]

Array = NDArray[np.float64]
IntArray = NDArray[Any]

_MOST_COPIES = 10_000  # that methods are given


def _k_means(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=10, random_state=seed).fit_predict(z)


def _ward(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(k, linkage="ward").fit_predict(z)


def _dbscan(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    least = min(2 * z.shape[1], len(z) - 1)
    far = np.sort(NearestNeighbors(n_neighbors=least).fit(z).kneighbors()[0][:, -1])
    along = np.linspace(0.0, 1.0, len(far))
    chord = far[0] + along * (far[-1] - far[0])
    radius = float(far[int(np.argmax(chord - far))])  # where the curve bends most
    return DBSCAN(eps=max(radius, 1e-12), min_samples=least).fit_predict(z)


def _mean_shift(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import MeanShift, estimate_bandwidth

    width = estimate_bandwidth(z, quantile=0.2, n_samples=min(500, len(z)), random_state=seed)
    return MeanShift(bandwidth=max(width, 1e-12), bin_seeding=True).fit_predict(z)


def _birch(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import Birch

    return Birch(threshold=0.5, n_clusters=k).fit_predict(z)


def _affinity_propagation(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import AffinityPropagation

    return AffinityPropagation(damping=0.9, max_iter=1000, random_state=seed).fit_predict(z)


def _spectral(z: Array, k: int, seed: int | None) -> IntArray:
    from sklearn.cluster import SpectralClustering

    neighbours = min(10, len(z) - 1)
    return SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed
    ).fit_predict(z)  # fmt: skip


@dataclass(frozen=True)
class Clustering:
    """A method, what it is run with, and the rows beyond which its N squared memory or time is too much."""

    run: Callable[[Array, int, int | None], IntArray]
    settings: str
    max_rows: float = np.inf


CLUSTERINGS: dict[str, Clustering] = {
    "k-means": Clustering(_k_means, "KMeans(n_clusters=k, n_init=10)"),
    "Ward": Clustering(_ward, "AgglomerativeClustering(n_clusters=k, linkage='ward')", max_rows=10_000),
    "DBSCAN": Clustering(_dbscan, "DBSCAN(min_samples=2 D, eps=bend of the sorted distances to that neighbour)"),
    "mean shift": Clustering(_mean_shift, "MeanShift(bandwidth=estimate_bandwidth(quantile=0.2), bin_seeding=True)"),
    "BIRCH": Clustering(_birch, "Birch(n_clusters=k, threshold=0.5)"),
    "affinity propagation": Clustering(
        _affinity_propagation, "AffinityPropagation(damping=0.9, max_iter=1000), median preference", max_rows=2_000
    ),
    "spectral": Clustering(
        _spectral, "SpectralClustering(n_clusters=k, affinity='nearest_neighbors', n_neighbors=10)", max_rows=10_000
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class ClusteringComparison(Record):
    """Agreement of other clusterings with a fit.

    Attributes
    ----------
    table : DataFrame
        A row a method, the fit's own partition (``mixture``) first: ``n_clusters``, ``n_noise`` (rows that the
        method leaves out; they count as one cluster), ``ari`` and ``vi`` with the estimate, ``vi_mean`` and its
        interval over draws of the labels, ``silhouette`` (standardised columns), ``n_disagree``, ``settings``,
        ``note``. Variation of information in nats. Agreement is that on rows which are not noise of the mixture.
    labels : DataFrame (N rows)
        Labels of each method that ran, numbered after the cluster of the mixture that they share most rows with.
    probability : Series (N,)
        Probability of the most probable component of each row, in the fit, or of noise where that is larger.
    partition : Partition
        The fit's own.
    ci_prob : float
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    probability: pd.Series[float]
    partition: Partition
    ci_prob: float

    def disagreements(self, method: str) -> pd.DataFrame:
        """Rows that a method puts elsewhere, the fit's surest first: ``mixture``, the method, ``probability``.

        Rows of noise are in no cluster and not among them.
        """
        check_choice(method, "method", [str(name) for name in self.labels.columns[1:]])
        own = self.labels["mixture"]
        differ = ((own != self.labels[method]) & (own >= 0)).to_numpy()
        out = self.labels.loc[differ, ["mixture", method]].copy()
        out["probability"] = self.probability[differ]
        return out.sort_values("probability", ascending=False, kind="stable")

    def __str__(self) -> str:
        others = self.table.drop(index="mixture").dropna(subset=["vi"])
        if others.empty:
            return "No other clustering was run."
        inside = others.index[others["vi"] <= self.partition_radius]
        nearest, furthest = (str(others.index[int(f(others["vi"].to_numpy()))]) for f in (np.argmin, np.argmax))
        which = "none" if not len(inside) else ", ".join(inside)
        a, b = others.loc[nearest], others.loc[furthest]
        return (
            f"In variation of information, nearest to the mixture is {nearest} ({a['vi']:.2f} nats, "
            f"ARI {a['ari']:.2f}, {a['n_disagree']:g} observations elsewhere), furthest {furthest} ({b['vi']:.2f}, "
            f"ARI {b['ari']:.2f}); within the {100 * self.partition.ball.ci_prob:g} % credible ball: {which}."
        )

    @property
    def partition_radius(self) -> float:
        """Radius of the credible ball of the fit's partition, nats."""
        return self.partition.ball.radius


def compare_clusterings(
    fit: Any,
    methods: Sequence[str] | None = None,
    *,
    n_clusters: int | None = None,
    ci_prob: float = 0.95,
    random_seed: int | None = 0,
    result: Partition | None = None,
) -> ClusteringComparison:
    """Compare a fit with other clusterings of the same rows.

    Parameters
    ----------
    fit : BayesianGMM or xarray.DataTree
        Fitted, or its ``posterior_``.
    methods : sequence of str, optional
        Names in `CLUSTERINGS`: "k-means", "Ward", "DBSCAN", "mean shift", "BIRCH", "affinity propagation",
        "spectral"; by default all.
    n_clusters : int, optional
        Clusters for the methods that ask for a number; by default that of the fit's partition.
    ci_prob : float
        Probability of the intervals over draws of the labels, and of the credible ball.
    random_seed : int or None
    result : Partition, optional
        Of the fitted rows with ``loss="vi"``, to save computing it.

    Returns
    -------
    ClusteringComparison

    Raises
    ------
    InputError
        If a method is unknown, or `n_clusters` is not between 1 and the number of rows.

    Notes
    -----
    Other methods take no missing cell: they get its posterior mean.

    The cost of some methods grows with N squared: Ward and spectral clustering are not run beyond 10,000 rows,
    affinity propagation not beyond 2,000. The ``note`` of the table says so, and repeats what scikit-learn warned of.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.other_methods import compare_clusterings
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> beside = compare_clusterings(fit, ["k-means", "Ward"])
    >>> beside.table["n_clusters"].to_dict()
    {'mixture': 2, 'k-means': 2, 'Ward': 2}
    """
    tree = tree_of(fit)
    chosen = _methods(methods)
    check_probability(ci_prob)
    check_seed(random_seed)
    rows, weights, _ = observed_rows(tree)
    weights = np.ones(len(rows)) if weights is None else weights
    if n_clusters is not None:
        check_count(n_clusters, "n_clusters")
        if n_clusters > len(rows):
            raise InputError(f"n_clusters={shown(n_clusters)} is more than the {len(rows)} rows.")
    if result is not None:
        check_instance(result, "result", Partition, "a Partition, from fit.partition()")
    estimate = partition(tree, ci_prob=ci_prob, random_seed=random_seed) if result is None else result
    own = estimate.labels.to_numpy()
    if len(own) != len(rows):
        raise InputError(f"result has {len(own)} rows, the fit {len(rows)}: give a partition of the fit's rows.")
    clustered = np.where(own < 0, 0.0, weights)  # noise, if there is any, is in no cluster
    k = estimate.n_clusters if n_clusters is None else n_clusters
    known = expected_rows(tree)
    center, sd = mean_and_sd(known, weights)
    z = (known - center) / sd
    copies, weighed = _given_to_methods(weights)
    bounds = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
    table: dict[str, dict[str, Any]] = {}
    labels = {"mixture": own}
    for name in ["mixture", *chosen]:
        found, note = (own, "") if name == "mixture" else _run(CLUSTERINGS[name], z, copies, k, random_seed)
        settings = "partition of least expected VI" if name == "mixture" else CLUSTERINGS[name].settings
        if found is None:
            table[name] = {"settings": settings, "note": note}
            continue
        if name != "mixture":
            labels[name] = _matched(found, own, clustered)
            note = "; ".join([*([note] if note else []), *weighed])
        vi = cell_distances(as_labels(found)[clustered > 0.0], estimate.copies)
        ari, vi_estimate = distances_from_estimate(estimate, found)
        table[name] = {
            "n_clusters": len(np.unique(found[(found >= 0) & (weights > 0.0)])),
            "n_noise": float(weights[found < 0].sum()),
            "ari": ari,
            "vi": vi_estimate,
            "vi_mean": vi.mean(),
            **{f"vi_{100 * b:g}%": np.quantile(vi, b) for b in bounds},
            "silhouette": mean_silhouette(z, found, weights, random_seed=random_seed),
            "n_disagree": float(clustered[labels[name] != own].sum()),
            "settings": settings,
            "note": note,
        }
    frame = pd.DataFrame.from_dict(table, orient="index")
    for name in ("n_clusters", *(("n_noise", "n_disagree") if are_whole(weights) else ())):
        frame[name] = frame[name].astype("Int64")
    a = posterior_arrays(tree)
    p = mean_responsibilities(model_rows(tree, a), a.weights, a.means, a.scaling, row_model=a.row_model)
    names = estimate.labels.index
    return ClusteringComparison(
        table=frame.rename_axis("method"),
        labels=pd.DataFrame(labels, index=names),
        probability=pd.Series(p.max(axis=1), index=names, name="probability"),
        partition=estimate,
        ci_prob=ci_prob,
    )


def _methods(methods: Any) -> list[str]:
    try:
        chosen = list(CLUSTERINGS) if methods is None else [methods] if isinstance(methods, str) else list(methods)
    except TypeError:
        chosen = [methods]
    for method in chosen:
        check_choice(method, "methods", CLUSTERINGS)
    return chosen


def _given_to_methods(weights: Array) -> tuple[IntArray, list[str]]:
    """Numbers of the rows that methods are given, each as often as it counts, and what there is to say of it."""
    copies = copied_rows(weights, max(_MOST_COPIES, len(weights)))
    if copies is None:
        return np.arange(len(weights)), ["observations counted once each: the method was not given their weights"]
    return copies, []


def _run(method: Clustering, z: Array, copies: IntArray, k: int, seed: int | None) -> tuple[IntArray | None, str]:
    """Labels of a method, -1 for noise, those of the first copy, and what there is to say of the run.

    A row that the method was not given, for its weight of 0, has the label of the nearest one.
    """
    every, z = z, z[copies]
    if len(z) > method.max_rows:
        return None, f"not run: its cost grows with N squared, and N = {len(z):,} is more than {method.max_rows:,}"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        of_copies = np.asarray(method.run(z, k, seed), dtype=np.int64)
    found, without = np.empty(len(every), dtype=np.int64), np.isin(np.arange(len(every)), copies, invert=True)
    found[copies[::-1]] = of_copies[::-1]
    found[without] = of_copies[KDTree(z).query(every[without])[1]]
    note = "; ".join(dict.fromkeys(str(w.message).split("\n")[0] for w in said))
    if (found < 0).all():
        note = "; ".join([*([note] if note else []), "every observation is noise"])
    return found, note


def _matched(labels: IntArray, reference: IntArray, weights: Array) -> IntArray:
    """Labels under the numbers of the reference's clusters that they share most rows with; noise stays -1."""
    names = np.unique(labels[labels >= 0])
    out = np.full(len(labels), -1)
    if not len(names):
        return out
    n = reference.max() + 1
    kept = reference >= 0
    shared = np.array([
        np.bincount(reference[mine], weights[mine], minlength=n) for mine in (kept & (labels == m) for m in names)
    ])  # fmt: skip
    rows, columns = linear_sum_assignment(-shared)
    number = np.full(len(names), -1)
    number[rows] = columns
    number[number < 0] = reference.max() + 1 + np.arange((number < 0).sum())
    out[labels >= 0] = number[np.searchsorted(names, labels[labels >= 0])]
    return out
