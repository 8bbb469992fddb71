"""Missing cells from the posterior: completed tables, and mean, sd and interval of each cell.

A cell is drawn given a draw of the parameters and the cells of its row that were observed: the component from its
responsibilities, the cell from that component's conditional normal, or t; of a row of noise, from anywhere in its
column. The draws are multiple imputations (Rubin 1987)
under the mixture and the assumption that cells are missing at random: which cells of a row are missing may depend on
the cells that are observed in it, but, these given, neither on the missing values nor on the component.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.arguments import check_count, check_probability, check_seed
from bayesgmm.kernels.draw_blocks import BLOCK_BYTES, responsibilities_of_draws
from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.spacing import evenly_spaced
from bayesgmm.model.conditional import given_observed, squared_distances
from bayesgmm.posterior.tree import PosteriorArrays, known_of, observed_rows, posterior_arrays

if TYPE_CHECKING:
    import xarray

__all__ = ["expected_rows", "impute", "missing_cells"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST = 10_000
_NORMAL = 1e12  # degrees of freedom that stand for none


def impute(tree: xarray.DataTree, draws: int = 20, *, random_seed: int | None = 0) -> Array:
    """Completed tables, each from one draw of the posterior.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    draws : int
        Number of tables m, from draws evenly spaced among those of the posterior; if more than there are, some are
        used again, with new draws of the cells.
    random_seed : int or None

    Returns
    -------
    array (m, N, D)
        The fitted rows in original units; observed cells are as they were. Imputed cells are draws of normals: not
        rounded to a recording step, nor kept within bounds.

    Raises
    ------
    InputError
        If `draws` is not a number from 1 to 10,000.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, Wiley.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.datasets.load_faithful()
    >>> X.loc[3, "waiting"] = None
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(X)
    >>> tables = fit.impute(draws=200)
    >>> tables.shape, tables[:, 3, 1].mean().round()
    ((200, 272, 2), np.float64(55.0))
    """
    check_count(draws, "draws", most=_MOST)
    check_seed(random_seed)
    rows, known, a = observed_rows(tree)[0], known_of(tree), posterior_arrays(tree)
    index = evenly_spaced(len(a.weights), draws)
    index = np.sort(np.resize(index, draws))
    out, noise = np.repeat(rows[None], draws, axis=0), _box(rows, a)
    rng = np.random.default_rng(random_seed)
    for where, observed in _patterns(rows):
        z = a.to_model(rows[where])
        for some in _blocks(draws, z.size * a.n_classes):
            given = _given(a, index[some], z, observed, None if known is None else known[where], noise)
            drawn = _draw(rng, given)
            missing = np.flatnonzero(~observed)
            out[some, where[:, None], missing] = a.center[missing] + a.scale[missing] * drawn
    return out


def missing_cells(tree: xarray.DataTree, ci_prob: float = 0.95, *, random_seed: int | None = 0) -> pd.DataFrame:
    """Mean, sd and interval of every missing cell.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``.
    ci_prob : float
        Probability of the equal-tailed intervals.
    random_seed : int or None
        Of the draws that the intervals come from.

    Returns
    -------
    DataFrame (a row a missing cell)
        Index ``row``, ``column``; ``mean``, ``sd`` (of the mixture over components and draws of the parameters, without
        drawing cells), ``lower``, ``upper`` (from one draw of the cell for each draw of the parameters); original
        units.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.datasets.load_faithful()
    >>> X.loc[3, "waiting"] = None
    >>> fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(X)
    >>> fit.missing_cells().loc[(3, "waiting"), ["mean", "sd"]].round(0).tolist()
    [56.0, 6.0]
    """
    check_probability(ci_prob)
    check_seed(random_seed)
    (rows, _, names), known = observed_rows(tree), known_of(tree)
    a, columns = posterior_arrays(tree), tree["posterior"].to_dataset()["feature"].values
    rng, tails = np.random.default_rng(random_seed), [0.5 * (1.0 - ci_prob), 0.5 * (1.0 + ci_prob)]
    every, noise = np.arange(len(a.weights)), _box(rows, a)
    parts: list[pd.DataFrame] = []
    for pattern, observed in _patterns(rows):
        missing = np.flatnonzero(~observed)
        for some in _blocks(len(pattern), len(every) * a.n_classes * len(observed)):
            where = pattern[some]
            given = _given(a, every, a.to_model(rows[where]), observed, None if known is None else known[where], noise)
            expected = np.einsum("snk,sknj->nj", given.r, given.mean) / len(every)
            variance = given.variance + np.square(given.mean - expected)
            sd = np.sqrt(np.einsum("snk,sknj->nj", given.r, variance) / len(every))
            low, high = np.quantile(_draw(rng, given), tails, axis=0)
            center, scale = a.center[missing], a.scale[missing]
            table = {"mean": center + scale * expected, "sd": scale * sd,
                     "lower": center + scale * low, "upper": center + scale * high}  # fmt: skip
            labels = [(row, j) for row in where for j in missing]
            parts.append(pd.DataFrame({name: x.ravel() for name, x in table.items()},
                                      index=pd.MultiIndex.from_tuples(labels)))  # fmt: skip
    if not parts:
        empty = pd.MultiIndex.from_arrays([[], []], names=["row", "column"])
        return pd.DataFrame(columns=["mean", "sd", "lower", "upper"], index=empty, dtype=float)
    out = pd.concat(parts).sort_index()
    at = out.index.to_frame(index=False).to_numpy(dtype=int)
    out.index = pd.MultiIndex.from_arrays([names[at[:, 0]], columns[at[:, 1]]], names=["row", "column"])
    return out


def expected_rows(tree: xarray.DataTree) -> Array:
    """(N, D) the fitted rows in original units, the posterior mean where a cell is missing."""
    rows = observed_rows(tree)[0]
    gaps = np.isnan(rows)
    if gaps.any():
        rows = rows.copy()
        rows[gaps] = missing_cells(tree)["mean"].to_numpy()  # in the order of rows and columns, both
    return rows


def _patterns(rows: Array) -> Iterator[tuple[IntArray, NDArray[np.bool_]]]:
    """Rows of each pattern with missing cells, and which cells they have."""
    _, order, first, patterns, _ = as_rows(rows)
    for p, observed in enumerate(patterns.astype(bool)):
        if not observed.all():
            yield order[first[p] : first[p + 1]], observed


def _blocks(n: int, numbers: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // (8 * max(numbers, 1)))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


class _Given(NamedTuple):
    """The M missing cells of n rows of one pattern in R classes, the background last, under S draws."""

    r: Array  # (S, n, R) responsibilities
    mean: Array  # (S, R, n, M)
    root: Array  # (S, R, M, M), of the scale matrix
    stretch: Array  # (S, R, n) by which a row multiplies it
    df: Array | None  # (S, R) of t components
    n_components: int

    @property
    def variance(self) -> Array:
        """(S, R, n, M)"""
        spread = np.square(self.root).sum(axis=3)
        if self.df is not None:
            spread = spread * (self.df / (self.df - 2.0))[..., None]
        return spread[:, :, None, :] * self.stretch[..., None]


def _box(rows: Array, a: PosteriorArrays) -> tuple[Array, Array] | None:
    """Ends (D,) of the columns on the model's scale, within which the background is uniform; None without one."""
    if a.n_classes == a.n_components:
        return None
    return (np.nanmin(rows, axis=0) - a.center) / a.scale, (np.nanmax(rows, axis=0) - a.center) / a.scale


def _given(
    a: PosteriorArrays, draws: IntArray, z: Array, observed: NDArray[np.bool_], known: IntArray | None,
    noise: tuple[Array, Array] | None,
) -> _Given:  # fmt: skip
    """What is known of the missing cells of rows z (n, D) of one pattern."""
    weights, means, factors = a.weights[draws], a.means[draws], a.cholesky[draws]
    packed, scaling = as_rows(z, known), np.ascontiguousarray(a.scaling[draws])
    r = responsibilities_of_draws(packed, weights, means, scaling, row_model=a.row_model)
    covariances, seen = factors @ factors.mT, z[:, observed]
    mean, spread = given_observed(means, covariances, observed, seen)
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    stretch, df = np.ones(mean.shape[:3]), None
    if a.df is not None:
        before = a.df[draws]
        df = before + observed.sum()
        stretch = (before[..., None] + squared_distances(means, covariances, observed, seen)) / df[..., None]
    if noise is not None:
        low, high = (end[~observed] for end in noise)
        s, _, n, m = mean.shape
        mean = np.append(mean, np.broadcast_to(0.5 * (low + high), (s, 1, n, m)), axis=1)
        root = np.append(root, np.broadcast_to(np.diag((high - low) / np.sqrt(12.0)), (s, 1, m, m)), axis=1)
        stretch = np.append(stretch, np.ones((s, 1, n)), axis=1)
        df = None if df is None else np.append(df, np.full((s, 1), _NORMAL), axis=1)
    return _Given(r, mean, root, stretch, df, a.n_components)


def _draw(rng: np.random.Generator, given: _Given) -> Array:
    """(S, n, M) one value of each missing cell for each draw."""
    s, n, k = given.r.shape
    component = np.minimum((given.r.cumsum(axis=2) < rng.random((s, n, 1))).sum(axis=2), k - 1)
    at, row = np.arange(s)[:, None], np.arange(n)
    z = rng.standard_normal((s, n, given.mean.shape[3]))
    if given.df is not None:
        df = given.df[at, component]
        z *= np.sqrt(df / rng.chisquare(df))[..., None]
    if k > given.n_components:
        noise = component == k - 1
        z[noise] = rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), z[noise].shape)
    z *= np.sqrt(given.stretch[at, component, row])[..., None]
    return np.asarray(given.mean[at, component, row] + np.einsum("snij,snj->sni", given.root[at, component], z))
