"""Components that stand for one recorded value of a column: a level, not a cluster.

Where a column is recorded in coarse steps (answers from 1 to 5, counts, codes) a component can sit on a single value.
Its variance there is then that of rounding and hardly more, and nothing is known of its spread in that column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray

__all__ = ["levels", "rounding_steps"]

_ON_FLOOR = 1.32  # times the sd that rounding adds: 95 % of the rows about a value have it
_SURE = 0.5


def rounding_steps(tree: xarray.DataTree) -> NDArray[np.float64]:
    """(D,) recording steps that enter the prior, in original units; zeros for a fit that was saved without them."""
    constant: Any = tree["constant_data"] if "constant_data" in tree.children else {}
    n_features = tree["posterior"].sizes["feature"]
    return np.asarray(constant["step"].values, dtype=np.float64) if "step" in constant else np.zeros(n_features)


def levels(tree: xarray.DataTree) -> list[str]:
    """A sentence for each column in which components sit on the rounding floor.

    A component counts where most draws have its sd below 1.32 times that of rounding, step / sqrt(12).
    """
    steps, posterior = rounding_steps(tree), tree["posterior"].to_dataset()
    if not steps.any() or posterior.sizes["component"] == 1:
        return []
    variance = np.diagonal(posterior["covariances"].values, axis1=-2, axis2=-1)  # (C, S, K, D)
    on_floor = (variance < _ON_FLOOR**2 * steps**2 / 12.0).mean(axis=(0, 1)) > _SURE  # (K, D)
    means = posterior["means"].values.mean(axis=(0, 1))
    sd = np.sqrt(np.median(variance, axis=(0, 1)))
    sentences = []
    for j in np.flatnonzero(on_floor.any(axis=0)):
        held = np.flatnonzero(on_floor[:, j])
        values = np.unique(steps[j] * np.rint(means[held, j] / steps[j]))
        floor = steps[j] / np.sqrt(12.0)
        sentences.append(
            f"In column {posterior['feature'].values[j]!s} component{'s' * (len(held) > 1)} {_listed(held)} "
            f"{'has' if len(held) == 1 else 'have'} hardly more spread than rounding gives (sd {_listed(sd[held, j])}; "
            f"rounding alone {floor:.3g}): {'it stands' if len(held) == 1 else 'they stand'} for the recorded "
            f"value{'s' * (len(values) > 1)} {_listed(values)}, and a level of a column is no cluster."
        )
    return sentences


def _listed(numbers: NDArray[Any]) -> str:
    return ", ".join(f"{x:.6g}" if np.abs(x) >= 1.0 else f"{x:.3g}" for x in numbers)
