"""Log evidence of many rows, from the importance weights of Laplace's approximation.

The mean of p(y | theta) p(theta) / q(theta) over draws of a normalised q is the evidence (Geweke 1989, Econometrica 57,
1317-1339). The draws and their weights are those of the posterior itself (`inference.approximate.large`), so no row is
read again. q covers one order of the components, or those that overlap; K! orders are alike. The weights have a Pareto
k, by which the draws are judged too: where it fails there is no evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import InputError
from bayesgmm.model.problem import Problem
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.posterior.tree import posterior_arrays, read_draws

if TYPE_CHECKING:
    import xarray

__all__ = ["evidence_of_weights"]


def evidence_of_weights(tree: xarray.DataTree, problem: Problem) -> Evidence:
    """Log evidence of a fit of a table in batches.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit's ``posterior_``, with the attributes ``log_evidence``, ``log_evidence_se`` and ``n_orders``.
    problem : Problem
        Its table, of which the weights count all rows, its structure and prior.

    Returns
    -------
    Evidence
        ``mcse`` has in it the error of log-likelihoods that are estimated from some of the rows.

    Raises
    ------
    InputError
        Of a fit by another method.
    """
    attributes = tree.attrs
    if "log_evidence" not in attributes:
        raise InputError("this fit has no importance weights of all rows: fit it again with inference='laplace'.")
    table, prior = problem.table, problem.prior
    a, shape = posterior_arrays(tree), read_draws(tree).log_likelihood.shape
    k, d = a.means.shape[1:]
    orders = int(attributes["n_orders"])
    of_all = f"from {int(attributes['n_proposals']):,} importance weights of all observations"
    return Evidence(
        value=float(attributes["log_evidence"]) - float(table.log_jacobian @ table.weights),
        mcse=float(attributes["log_evidence_se"]), omega=0.0,
        overlap=float(attributes["importance_ess"]) / float(attributes["n_proposals"]), n_components=k,
        n_permutations=orders, left_out=0.0,
        method=f"Laplace approximation, {of_all}, Pareto k {attributes['pareto_k']:.2f}",
        deviance=np.sum(((a.means - prior.mean_loc) / prior.mean_scale) ** 2, axis=(1, 2)).reshape(shape),
        n_means=k * d,
    )  # fmt: skip
