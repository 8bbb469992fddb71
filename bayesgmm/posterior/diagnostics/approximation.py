"""Can the draws of an approximation stand for the posterior? By its Pareto k and what its weights are worth.

Where they cannot, and the rows are too many for a sampler, the draws are those given a random sample of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesgmm.model.proposals.importance import PARETO_K_MAX
from bayesgmm.posterior.diagnostics.convergence import ESS_MIN

__all__ = ["APPROXIMATIONS", "approximation_fault", "sample_in_words"]

_SE_MAX = 0.5  # of log weights that are estimated from some of the rows: it adds its square to their variance
APPROXIMATIONS = ("laplace", "advi", "fullrank_advi")


def approximation_fault(attributes: Mapping[Any, Any]) -> str | None:
    """Why the draws of an approximation cannot stand for the posterior, in words; None where they can.

    Parameters
    ----------
    attributes : mapping
        Of a fit's ``posterior_``: ``inference``, ``pareto_k``, ``importance_ess`` and, of a large table,
        ``log_weight_se`` and ``surplus``, a clause where a component may be empty.

    Notes
    -----
    Pareto k is an estimate: where a handful of draws carry all the weight it may come out below 0.7, so these draws
    must be worth as many independent ones as the criteria ask of a sampler.

    Examples
    --------
    >>> approximation_fault({"inference": "laplace", "pareto_k": 0.9, "importance_ess": 30.0})
    'the approximation (laplace) has Pareto k 0.90 (0.7 at most)'
    >>> approximation_fault({"inference": "fullrank_advi", "pareto_k": 0.64, "importance_ess": 30.0})
    'the importance weights of the approximation (fullrank_advi) are worth 30 draws (400 at least)'
    >>> approximation_fault({"inference": "nuts"})
    """
    inference = str(attributes.get("inference", ""))
    if inference not in APPROXIMATIONS:
        return None
    if "pareto_k" not in attributes:
        return f"these are draws of an approximation ({inference}) whose error is not known"
    if "surplus" in attributes:
        return str(attributes["surplus"])
    if not attributes["pareto_k"] < PARETO_K_MAX:
        return f"the approximation ({inference}) has Pareto k {attributes['pareto_k']:.2f} ({PARETO_K_MAX} at most)"
    if not attributes.get("log_weight_se", 0.0) < _SE_MAX:
        return (
            f"the log weights of the approximation ({inference}) have a standard error of "
            f"{attributes['log_weight_se']:.2g} ({_SE_MAX} at most)"
        )
    worth = float(attributes.get("importance_ess", np.inf))
    if not worth >= ESS_MIN:
        least = f"{ESS_MIN:.0f} at least"
        return f"the importance weights of the approximation ({inference}) are worth {worth:.0f} draws ({least})"
    return None


def sample_in_words(attributes: Mapping[Any, Any]) -> str:
    """That the posterior is that of a random sample of the rows, and why, in sentences; empty where it is of all.

    Examples
    --------
    >>> sample_in_words({"sample_rows": 10, "sample_of_rows": 2000, "why_a_sample": "All are too many."})[:58]
    'This is the posterior of a random sample of 10 of 2,000 ob'
    >>> sample_in_words({})
    ''
    """
    if "sample_of_rows" not in attributes:
        return ""
    n, n_all = int(attributes["sample_rows"]), int(attributes["sample_of_rows"])
    return (
        f"This is the posterior of a random sample of {n:,} of {n_all:,} observations: its intervals are those of so "
        f"many. {attributes['why_a_sample']}"
    )
