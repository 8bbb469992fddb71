"""The parameters of each component as named scalars, for tables.

Covariances are shown as standard deviations and correlations, the units a reader thinks in. One row a
distinct number: a tied covariance appears once, a diagonal or spherical one has no correlations. (A
spherical covariance of standardised columns is not spherical in the original units, so each feature has its
own standard deviation.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.structure import Structure, get_structure

__all__ = ["component_scalars"]

Array = NDArray[np.float64]


def component_scalars(
    head: Array, means: Array, covariances: Array, feature_names: Sequence[str], covariance_type: str | Structure
) -> dict[str, Array]:
    """Scalar parameters by name: ``weights[k]``, ``means[k, f]``, ``sd[k, f]``, ``corr[k, f, g]``.

    Of t components ``df`` or ``df[k]`` too, and `sd` and `corr` are those of the scale matrix; of a noise component
    ``noise_weight``.

    Parameters
    ----------
    head, means, covariances : arrays (..., H), (..., K, D), (..., K, D, D)
        One mixture, or draws along the leading axes; the first their weights, then what else the head of a mixture has
        (`kernels.row_model`).
    feature_names : sequence of D strings
    covariance_type : str or Structure
        With ``"tied"`` the names are ``sd[f]`` and ``corr[f, g]``.

    Returns
    -------
    dict of str to array (...)

    Examples
    --------
    >>> import numpy as np
    >>> from bayesgmm.posterior.scalars import component_scalars
    >>> cov = np.array([[[4.0, 1.0], [1.0, 1.0]]])
    >>> s = component_scalars(np.ones(1), np.zeros((1, 2)), cov, ["a", "b"], "full")
    >>> {name: float(value) for name, value in s.items() if not name.startswith("means")}
    {'weights[0]': 1.0, 'sd[0, a]': 2.0, 'sd[0, b]': 1.0, 'corr[0, a, b]': 0.5}
    """
    structure = get_structure(covariance_type)
    n_components, n_features = means.shape[-2:]
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))  # (..., K, D)
    matrices = range(structure.n_matrices(n_components))
    label = {k: "" if structure.shared else f"{k}, " for k in matrices}
    out = {f"weights[{k}]": head[..., k] for k in range(n_components)}
    if structure.has_background:
        out["noise_weight"] = head[..., n_components]
    n_df, first = structure.n_df(n_components), structure.n_classes(n_components)
    each = structure.component == "t_each"
    out |= {f"df[{k}]" if each else "df": head[..., first + k] for k in range(n_df)}
    for k in range(n_components):
        for d, name in enumerate(feature_names):
            out[f"means[{k}, {name}]"] = means[..., k, d]
    for k in matrices:
        for d, name in enumerate(feature_names):
            out[f"sd[{label[k]}{name}]"] = sd[..., k, d]
    if not structure.correlated:
        return out
    for k in matrices:
        for d in range(n_features):
            for e in range(d + 1, n_features):
                value = covariances[..., k, d, e] / (sd[..., k, d] * sd[..., k, e])
                out[f"corr[{label[k]}{feature_names[d]}, {feature_names[e]}]"] = value
    return out
