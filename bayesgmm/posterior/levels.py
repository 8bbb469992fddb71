"""Components that stand for one recorded value of a column: a level, not a cluster.

Where a column is recorded in coarse steps (answers from 1 to 5, counts, codes) a component can sit on a single value.
Its variance there is then that of rounding and hardly more, and nothing is known of its spread in that column. Where
its rows are few, or components share a covariance, its variance is larger all the same; then its rows tell, nearly all
of which have the one value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.rows import as_rows
from bayesgmm.kernels.streaming import mean_responsibilities
from bayesgmm.model.params import inverse_cholesky
from bayesgmm.posterior.tree import known_of, observed_rows, read_draws, structure_of

if TYPE_CHECKING:
    import xarray

__all__ = ["levels", "rounding_steps"]

Array = NDArray[np.float64]

_ON_FLOOR = 1.32  # times the sd that rounding adds: 95 % of the rows about a value have it
_SURE = 0.5
_NEARLY_ALL, _FEWEST_ROWS = 0.95, 8


def rounding_steps(tree: xarray.DataTree) -> NDArray[np.float64]:
    """(D,) recording steps that enter the prior, in original units; zeros for a fit that was saved without them."""
    constant: Any = tree["constant_data"] if "constant_data" in tree.children else {}
    n_features = tree["posterior"].sizes["feature"]
    return np.asarray(constant["step"].values, dtype=np.float64) if "step" in constant else np.zeros(n_features)


def levels(tree: xarray.DataTree) -> list[str]:
    """A sentence for each column in which components stand for a value.

    A component counts where most draws have its sd below 1.32 times that of rounding, step / sqrt(12), or where 95 % of
    its rows, eight at least, have one value.
    """
    steps, posterior = rounding_steps(tree), tree["posterior"].to_dataset()
    if posterior.sizes["component"] == 1:
        return []
    variance = np.diagonal(posterior["covariances"].values, axis1=-2, axis2=-1)  # (C, S, K, D)
    on_floor = (variance < _ON_FLOOR**2 * steps**2 / 12.0).mean(axis=(0, 1)) > _SURE  # (K, D)
    means = posterior["means"].values.mean(axis=(0, 1))
    sd = np.sqrt(np.median(variance, axis=(0, 1)))
    agreed, share = _agreed_values(tree)
    sentences = []
    for j, name in enumerate(posterior["feature"].values):
        held = np.flatnonzero(on_floor[:, j])
        if len(held):
            values = np.unique(steps[j] * np.rint(means[held, j] / steps[j]) + 0.0)  # no minus zero
            rounding = steps[j] / np.sqrt(12.0)
            sentences.append(
                f"In column {name!s} {_components(held)} {'has' if len(held) == 1 else 'have'} hardly more spread than "
                f"rounding gives (sd {_listed(sd[held, j])}; rounding alone {rounding:.3g}): {_stand_for(held, values)}"
            )
        held = np.flatnonzero(~np.isnan(agreed[:, j]) & ~on_floor[:, j])
        if len(held):
            least = int(100.0 * share[held, j].min())
            sentences.append(
                f"In column {name!s} {'at least ' if least < 100 else ''}{least} % of the observations of "
                f"{_components(held)} agree, so that {'its' if len(held) == 1 else 'their'} spread there "
                f"(sd {_listed(sd[held, j])}) comes from the prior rather than the data: "
                f"{_stand_for(held, np.unique(agreed[held, j]))}"
            )
    return sentences


def _agreed_values(tree: xarray.DataTree) -> tuple[Array, Array]:
    """The value (K, D) that nearly all rows of a component have, NaN where there is none, and the share that has it.

    A row counts for the component that is likeliest to be its own under the mixture of the posterior means, in the
    columns of which it has a cell.
    """
    draws = read_draws(tree)
    head, means, covariances = (a.mean(axis=(0, 1)) for a in (draws.heads, draws.means, draws.covariances))
    agreed, share = np.full(means.shape, np.nan), np.zeros(means.shape)
    rows, row_weights, _ = observed_rows(tree)
    seen = ~np.isnan(rows)
    most = [np.unique(x[s], return_counts=True)[1].max(initial=0) for x, s in zip(rows.T, seen.T, strict=True)]
    columns = np.flatnonzero(np.array(most) >= _FEWEST_ROWS)
    if not len(columns):
        return agreed, share
    owner = _likeliest(tree, head, means, covariances)
    weights = np.ones(len(rows)) if row_weights is None else row_weights
    for k in range(len(means)):
        for j in columns:
            own = (owner == k) & seen[:, j]
            total = weights[own].sum()
            if total < _FEWEST_ROWS:
                continue
            values, where = np.unique(rows[own, j], return_inverse=True)
            found = np.bincount(where, weights[own]) / total
            if found.max() >= _NEARLY_ALL:
                agreed[k, j], share[k, j] = values[found.argmax()], found.max()
    return agreed, share


def _likeliest(tree: xarray.DataTree, head: Array, means: Array, covariances: Array) -> NDArray[np.int64]:
    """(N,) component, or the background after them, of the largest share of each row."""
    scaling = inverse_cholesky(np.linalg.cholesky(covariances))
    row_model = structure_of(tree).row_model
    rows = as_rows(observed_rows(tree)[0], known_of(tree))
    shares = mean_responsibilities(rows, head[None], means[None], scaling[None], row_model=row_model)
    return np.asarray(shares.argmax(axis=1))


def _components(held: NDArray[Any]) -> str:
    return f"component{'s' * (len(held) > 1)} {_listed(held)}"


def _stand_for(held: NDArray[Any], values: Array) -> str:
    return (
        f"{'it stands' if len(held) == 1 else 'they stand'} for the recorded value{'s' * (len(values) > 1)} "
        f"{_listed(values)}, and a level of a column is no cluster."
    )


def _listed(numbers: NDArray[Any]) -> str:
    return ", ".join(f"{x:.6g}" if np.abs(x) >= 1.0 else f"{x:.3g}" for x in numbers)
