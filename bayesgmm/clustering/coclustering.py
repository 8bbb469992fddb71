"""Probability that two rows share a component, without drawing labels.

Given the parameters the labels of two rows are independent, so P(z_i = z_j | y) = E sum_k r_ik r_jk, an average over
draws of products of responsibilities (1 on the diagonal): less noisy than counting label draws. Beyond 5,000 rows the
matrix is not made; a factor F (N, rank) stands for it, with the matrix near F F' off the diagonal. It is the Nystrom
approximation on the range that two passes over the draws find (Halko, Martinsson, Tropp 2011, section 5.4); what it
leaves out is positive semi-definite, so its largest diagonal element bounds the error of every pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr, solve_triangular

from bayesgmm.arguments import as_numbers, check_count, shown
from bayesgmm.errors import InputError
from bayesgmm.kernels.draw_blocks import as_merge, blocks_of_draws
from bayesgmm.kernels.rows import Rows, as_rows, count_rows
from bayesgmm.posterior.tree import PosteriorArrays, known_of, model_rows, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["MAX_MATRIX_ROWS", "CoClusteringFactor", "coclustering", "coclustering_factor", "display_order"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_MATRIX_ROWS = 5000
_DOUBLE_ROWS = 1000


def coclustering(
    tree: xarray.DataTree, *, rows: ArrayLike | None = None, X: Array | None = None, merge: ArrayLike | None = None
) -> Array:
    """Matrix of the probabilities that two rows belong together.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    rows : int array_like (n,), optional
        Positions of the rows wanted, at most 5,000; by default all.
    X : array (N, D), optional
        New rows in original units, in place of the fitted ones.
    merge : int array_like (K,), optional
        Cluster of each component; responsibilities of one cluster are summed.

    Returns
    -------
    array (n, n)
        Symmetric, 1 on the diagonal; summed in single precision (errors below 1e-5) above 1,000 rows.

    Raises
    ------
    InputError
        If more than 5,000 rows are asked for.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.coclustering import coclustering
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> coclustering(fit.posterior_, rows=[0, 1, 2]).round(1)
    array([[1., 0., 1.],
           [0., 1., 0.],
           [1., 0., 1.]])
    """
    values, known = observed_rows(tree)[0] if X is None else X, known_of(tree) if X is None else None
    index = _chosen_rows(len(values), rows)
    values, known = values[index], None if known is None else known[index]
    if len(values) > MAX_MATRIX_ROWS:
        raise InputError(
            f"the co-clustering matrix of {len(values):,} rows is too large: name at most {MAX_MATRIX_ROWS:,} rows "
            "with rows=, or use coclustering_factor."
        )
    a = posterior_arrays(tree)
    precision: Any = np.float64 if len(values) <= _DOUBLE_ROWS else np.float32
    total = np.zeros((len(values), len(values)), dtype=precision)
    for _, r in _blocks(as_rows(a.to_model(values), known), a, merge):
        flat = r.transpose(1, 0, 2).reshape(len(values), -1).astype(precision)  # (n, s K)
        total += flat @ flat.T
    out = total.astype(np.float64)
    out /= len(a.weights)
    np.fill_diagonal(out, 1.0)
    return np.clip(out, 0.0, 1.0, out=out)


@dataclass(frozen=True, eq=False)
class CoClusteringFactor:
    """A factor F of the co-clustering matrix: row i and row j belong together with probability F_i . F_j.

    Attributes
    ----------
    factor : array (N, rank)
    error : float
        Bound on the error of every pair.
    """

    factor: Array
    error: float

    def matrix(self, rows: Sequence[int] | IntArray, columns: Sequence[int] | IntArray | None = None) -> Array:
        """Probabilities of rows (n,) with columns (m,), by default the same rows; 1 for a row with itself."""
        i = np.asarray(rows)
        j = i if columns is None else np.asarray(columns)
        out = np.clip(self.factor[i] @ self.factor[j].T, 0.0, 1.0)
        out[i[:, None] == j] = 1.0
        return out


def coclustering_factor(
    tree: xarray.DataTree, *, rank: int | None = None, X: Array | None = None, merge: ArrayLike | None = None,
    random_seed: int = 0,
) -> CoClusteringFactor:  # fmt: skip
    """Low-rank factor of the co-clustering matrix, for any number of rows.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    rank : int, optional
        Columns of the factor; by default 10 K, at most the number of rows.
    X, merge
        As in `coclustering`.
    random_seed : int
        Of the random directions that the range is found with.

    Returns
    -------
    CoClusteringFactor
        Two passes over the draws; memory N x rank.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.clustering.coclustering import coclustering_factor
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    >>> factor = coclustering_factor(fit.posterior_)
    >>> factor.factor.shape, factor.error < 0.01
    ((272, 20), True)
    """
    a = posterior_arrays(tree)
    values = model_rows(tree, a, X)
    n, n_draws = count_rows(values), len(a.weights)
    size = 10 * a.n_components if rank is None else rank
    check_count(size, "rank")
    size = min(size, n)
    test = np.random.default_rng(random_seed).standard_normal((n, size))
    basis = qr(_product(values, a, merge, test)[0] / n_draws, mode="economic")[0]
    image, diagonal = _product(values, a, merge, basis)
    core = basis.T @ image / n_draws
    core = 0.5 * (core + core.T) + 1e-12 * np.trace(core) * np.eye(size)
    factor = solve_triangular(np.linalg.cholesky(core), image.T / n_draws, lower=True).T
    left = diagonal / n_draws - np.square(factor).sum(axis=1)
    return CoClusteringFactor(factor, float(max(left.max(), 0.0)))


def display_order(similarity: Array) -> IntArray:
    """Order of the rows in which similar ones stand together (optimal leaf ordering, Bar-Joseph et al. 2001).

    Parameters
    ----------
    similarity : array (n, n)

    Returns
    -------
    int array (n,)

    Notes
    -----
    Average linkage of 1 - similarity; the leaves are ordered optimally up to 1,500 rows, above as the tree has them.

    Examples
    --------
    >>> import numpy as np
    >>> display_order(np.array([[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]]))
    array([1, 2, 0])
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(similarity) < 3:
        return np.arange(len(similarity))
    distance = squareform(np.maximum(1.0 - similarity, 0.0), checks=False)
    tree = linkage(distance, "average", optimal_ordering=len(similarity) <= 1500)
    return leaves_list(tree).astype(np.int64)


def _chosen_rows(n_rows: int, rows: ArrayLike | None) -> IntArray:
    if rows is None:
        return np.arange(n_rows)
    what = "positions of rows: whole numbers from 0"
    given = as_numbers(rows, "rows", f"be {what}")
    index = np.asarray(rows)
    if given.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
        raise InputError(f"rows={shown(rows)} must be {what}.")
    outside = index[(index < 0) | (index >= n_rows)]
    if len(outside):
        raise InputError(f"rows: there is no row {outside[0]}; the positions go from 0 to {n_rows - 1}.")
    return index.astype(np.int64)


def _blocks(values: Rows, a: PosteriorArrays, merge: ArrayLike | None) -> Any:
    """Blocks of draws with the responsibilities (s, N, K) of components or clusters: noise is none."""
    clusters = as_merge(merge, a.n_components)
    k = a.n_components if clusters is None else int(clusters.max()) + 1
    found = blocks_of_draws(values, a.weights, a.means, a.scaling, row_model=a.row_model, merge=clusters)
    return ((where, r[:, :, :k]) for where, r in found)


def _product(values: Rows, a: PosteriorArrays, merge: ArrayLike | None, right: Array) -> tuple[Array, Array]:
    """Sum over draws of R R' right (N, rank), and of the diagonal of R R' (N,)."""
    n = count_rows(values)
    out, diagonal = np.zeros((n, right.shape[1])), np.zeros(n)
    for _, r in _blocks(values, a, merge):
        flat = r.transpose(1, 0, 2).reshape(n, -1)
        out += flat @ (flat.T @ right)
        diagonal += np.square(flat).sum(axis=1)
    return out, diagonal
