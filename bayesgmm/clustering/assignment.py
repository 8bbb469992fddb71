"""Who belongs where: the component of every row, how sure that is, and what would make it surer.

The responsibility r_ik(theta) of a row is a probability that is itself uncertain. Its posterior mean is the probability
of the component; the spread over draws is the part that comes from not knowing the parameters. In entropies (nats):

    H(E r) = E H(r) + mutual information,

total = overlap of the components, which more data do not lessen, + uncertainty of the parameters, which they do
(Depeweg et al. 2018, for the names; the identity is that of Lindley 1956).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_probability, check_seed
from bayesgmm.clustering.label_counts import copies_of, count_labels
from bayesgmm.data.copies import are_whole
from bayesgmm.kernels.draw_blocks import as_merge, blocks_of_rows
from bayesgmm.posterior.tree import model_rows, named_rows, posterior_arrays
from bayesgmm.record import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["Assignment", "assignment"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Assignment(Record):
    """The component of every row, with its uncertainty.

    Attributes
    ----------
    table : DataFrame (N rows)
        ``label`` (most probable component), ``probability`` with ``lower`` and ``upper``, the interval of its
        responsibility over the draws; ``second`` and ``second_probability``; ``entropy`` = ``overlap`` +
        ``parameter`` in nats; ``ambiguous``: the label alone holds less than `ci_prob`, so that two components or
        more are needed to hold it; ``contested``: the intervals of the two most probable components meet, so that
        even which of them is the more probable is open. Where there is a noise component its label is -1, and
        ``noise_probability`` is a column.
    probabilities, lower, upper : DataFrames (N, K)
        Mean responsibility of each component, and its equal-tailed interval; that of noise, if any, last, under -1.
    components : DataFrame (K rows)
        ``size`` (mean number of rows), with ``size_lower`` and ``size_upper``; ``n_rows`` that have the label;
        ``average``, ``smallest`` and ``largest`` probability of the label among them; ``n_ambiguous``. A row of weight
        a counts a times, one of weight 0 not at all.
    weights : Series (N,)
        Copies of each row, 1 for new rows.
    ci_prob : float
    level : {"component", "cluster"}
        What a column stands for: a cluster, when components were merged.
    """

    table: pd.DataFrame
    probabilities: pd.DataFrame
    lower: pd.DataFrame
    upper: pd.DataFrame
    components: pd.DataFrame
    weights: pd.Series[float]
    ci_prob: float
    level: str = "component"

    @property
    def classes(self) -> list[int]:
        """Numbers of the components or clusters, and -1 if there is noise: the columns of `probabilities`."""
        return [int(number) for number in self.probabilities.columns.to_list()]

    @property
    def n_rows(self) -> float:
        """Number of rows, by their weights."""
        return _as_count(self.weights.sum())

    @property
    def n_ambiguous(self) -> float:
        """Number of ambiguous rows, by their weights."""
        return _as_count(self.weights.to_numpy() @ self.table["ambiguous"].to_numpy(dtype=np.float64))

    @property
    def parameter_share(self) -> float:
        """Share of the rows' total entropy that more data would lessen; 0 where there is none."""
        entropy, parameter = (float(self.weights.to_numpy() @ self.table[name]) for name in ("entropy", "parameter"))
        return parameter / entropy if entropy > 0.0 else 0.0

    def __str__(self) -> str:
        n, parts = self.n_rows, []
        for k, row in self.components.iterrows():
            name = "noise" if k == -1 else k
            parts.append(f"{name}: {row['size']:.0f} [{row['size_lower']:.0f}, {row['size_upper']:.0f}]")
        m = int((self.components.index >= 0).sum())
        noise = " and noise" * (m < len(parts))
        sentence = (
            f"{n:,.15g} observation{'s' * (n != 1)} in {m} {self.level}{'s' * (m > 1)}{noise} (sizes with "
            f"{100 * self.ci_prob:g} % credible intervals: {'; '.join(parts)}); "
        )
        if len(parts) == 1:
            return sentence + "there is nothing to assign."
        return sentence + (
            f"{self.n_ambiguous:,.15g} {'is' if self.n_ambiguous == 1 else 'are'} ambiguous; "
            f"{100 * (1.0 - self.parameter_share):.0f} % of the classification entropy is overlap of the "
            f"{self.level}s and {100 * self.parameter_share:.0f} % is parameter uncertainty."
        )


def assignment(
    tree: xarray.DataTree,
    rows: Any = None,
    ci_prob: float = 0.95,
    *,
    row_names: Sequence[Any] | pd.Index[Any] | None = None,
    merge: ArrayLike | None = None,
    random_seed: int | None = 0,
) -> Assignment:
    """Component of each row, its probability with an interval, and the two parts of its uncertainty.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    rows : DataFrame or array (N, D), optional
        New rows in original units, in the order of the fitted columns; by default the fitted rows. The index of a
        DataFrame names the rows.
    ci_prob : float
        Probability of the equal-tailed intervals, and of the set of components that defines `ambiguous`.
    row_names : sequence (N,), optional
        Names of the rows.
    merge : int array_like (K,), optional
        Cluster 0..M-1 of each component: responsibilities of one cluster are summed in every draw.
    random_seed : int or None
        Of the label draws that the intervals of the sizes come from; each copy of a row has a label of its own.

    Returns
    -------
    Assignment

    Raises
    ------
    InputError
        Rows that do not fit the columns, or an option out of range.

    Notes
    -----
    Works on blocks of rows: memory is about 200 MB plus the tables, whatever the number of rows.

    References
    ----------
    Lindley (1956), Annals of Mathematical Statistics 27, 986-1005.
    Depeweg, Hernández-Lobato, Doshi-Velez, Udluft (2018), ICML, PMLR 80, 1184-1193.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.assignment import assignment
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> found = assignment(fit.posterior_)
    >>> found.table.loc[found.table["probability"].idxmin(), ["label", "second"]].tolist()
    [0, 1]
    >>> found.components["n_rows"].tolist()
    [97, 175]
    """
    check_probability(ci_prob)
    check_seed(random_seed)
    values, names, weight = named_rows(tree, rows, row_names)
    a = posterior_arrays(tree)
    clusters = as_merge(merge, a.n_components)
    n_draws, n = len(a.weights), len(values)
    numbers = list(range(a.n_components if clusters is None else int(clusters.max()) + 1))
    numbers += [-1] * (a.n_classes - a.n_components)
    k = len(numbers)
    mean, bounds, overlap = np.empty((n, k)), np.empty((2, n, k)), np.empty(n)
    sizes = np.zeros((n_draws, k))
    copies, fraction = copies_of(weight)
    tails = [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
    rng = np.random.default_rng(random_seed)
    packed = model_rows(tree, a, None if rows is None else values)
    for where, r, _ in blocks_of_rows(packed, a.weights, a.means, a.scaling, row_model=a.row_model, merge=clusters):
        mean[where] = r.mean(axis=0)
        overlap[where] = _entropy(r).mean(axis=0)
        sizes += count_labels(r, copies[where], fraction[where], rng).sum(axis=1)
        bounds[:, where] = np.quantile(r, tails, axis=0, overwrite_input=True)
    mean /= mean.sum(axis=1, keepdims=True)
    name = "component" if clusters is None else "cluster"
    labels = pd.Index(numbers, name=name) if -1 in numbers else pd.RangeIndex(k, name=name)
    table = _row_table(mean, bounds, overlap, ci_prob, np.array(numbers)).set_index(names)
    lower, upper = (pd.DataFrame(b, index=names, columns=labels) for b in bounds)
    return Assignment(
        table=table,
        probabilities=pd.DataFrame(mean, index=names, columns=labels),
        lower=lower,
        upper=upper,
        components=_component_table(table, weight, sizes, tails, labels),
        weights=pd.Series(weight, index=names, name="weight"),
        ci_prob=ci_prob,
        level=str(labels.name),
    )


def _entropy(p: Array) -> Array:
    """Entropy along the last axis, nats."""
    return -(p * np.log(np.maximum(p, 1e-300))).sum(axis=-1)


def _row_table(mean: Array, bounds: Array, overlap: Array, ci_prob: float, numbers: NDArray[np.int64]) -> pd.DataFrame:
    n, k = mean.shape
    at = np.arange(n)
    order = np.argsort(-mean, axis=1, kind="stable")
    first = order[:, 0]
    total = _entropy(mean)
    overlap = np.minimum(overlap, total)  # Jensen; rounding may undo it
    table = pd.DataFrame(
        {
            "label": numbers[first],
            "probability": mean[at, first],
            "lower": bounds[0, at, first],
            "upper": bounds[1, at, first],
        }
    )
    second = order[:, 1] if k > 1 else first
    table["second"] = pd.array(numbers[second], dtype="Int64") if k > 1 else pd.array([pd.NA] * n, dtype="Int64")
    table["second_probability"] = mean[at, second] if k > 1 else 0.0
    table["entropy"], table["overlap"], table["parameter"] = total, overlap, total - overlap
    table["ambiguous"] = table["probability"] < ci_prob if k > 1 else False
    table["contested"] = bounds[1, at, second] >= bounds[0, at, first] if k > 1 else False
    if -1 in numbers:
        table["noise_probability"] = mean[:, -1]
    return table


def _as_count(number: float) -> float:
    """A whole number where it is one."""
    return int(number) if number == np.floor(number) else float(number)


def _component_table(
    table: pd.DataFrame, weight: Array, sizes: Array, tails: list[float], labels: pd.Index[Any]
) -> pd.DataFrame:
    lower, upper = np.quantile(sizes, tails, axis=0)
    used = weight > 0.0
    table, weight = table[used], weight[used]
    label = table["label"].to_numpy()
    label = np.where(label < 0, len(labels) - 1, label)  # of noise

    def count(weights: Array) -> NDArray[Any]:
        total = np.bincount(label, weights, len(labels))
        return total.astype(np.int64) if are_whole(total) else total

    n_rows = count(weight)
    average = np.bincount(label, weight * table["probability"].to_numpy(), len(labels))
    grouped = table.groupby("label")
    out = pd.DataFrame({"size": sizes.mean(axis=0), "size_lower": lower, "size_upper": upper}, index=labels)
    out["n_rows"] = n_rows
    out["average"] = np.divide(average, n_rows, out=np.full(len(labels), np.nan), where=n_rows > 0)
    for name, how in (("smallest", "min"), ("largest", "max")):
        out[name] = grouped["probability"].agg(how).reindex(labels).to_numpy()
    out["n_ambiguous"] = count(weight * table["ambiguous"].to_numpy(dtype=np.float64))
    return out
