"""Where a mixture has no posterior that could be summarised: a component can shrink onto copies of one value.

Let m rows agree in a column that has no recording step, and let a component of its own covariance sit on them. Their
density grows as sd^-(m - 1) when its sd in that column falls (the mean takes one row), so the posterior holds

    the integral of p(s) s^-(m - 1) ds,

which is infinite from m = 2 on where p is positive at zero. A lognormal prior, log s ~ N(mu, sigma^2), makes it finite,
but with its mass at log s = mu - (m - 1) sigma^2: ten copies are at 1 % of the sd that the prior expects, a hundred at
the twentieth power of that. What such a posterior says of sds, K and the next row is the far tail of a prior, which
nobody has stated. An inverse-gamma prior keeps variances from zero by itself. A covariance that components share cannot
shrink unless every row lies on one of K values, nor can one variance for all columns unless whole rows are copies. With
a recording step nothing shrinks below it.
"""

from __future__ import annotations

import math

import numpy as np

from bayesgmm.data.checks import distinct_rows
from bayesgmm.errors import InputError
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.scale_families import LogNormal

__all__ = ["check_bounded"]

_NARROW = 0.005  # of the sd that the prior expects
_FEW = 100  # distinct rows up to which they are counted


def check_bounded(problem: Problem, n_components: int) -> None:
    """Refuse a table for which so many components have no posterior to speak of.

    Raises
    ------
    InputError
        Names the columns, their values and the ways out.
    """
    table, structure, prior = problem
    rows, allowed = table.used_rows, _copies_allowed(prior)
    if n_components == 1 or math.isinf(allowed):
        return
    if structure.one_sd:  # it cannot shrink in one column alone
        copies = (
            0
            if prior.step.any()
            else int(np.unique(np.nan_to_num(rows, nan=np.inf), axis=0, return_counts=True)[1].max())
        )
        found = {prior.feature_names[0]: f"{copies} of {len(rows)} rows are copies of one"} if copies > allowed else {}
    else:
        found = {}
        for j in np.flatnonzero(prior.step == 0.0):
            values, counts = np.unique(rows[~np.isnan(rows[:, j]), j], return_counts=True)
            if counts.max() > allowed and not (structure.shared and len(values) > n_components):
                name = prior.feature_names[j]
                value = f"{values[counts.argmax()]:g} in {counts.max()} of {len(rows)} rows"
                found[name] = f"column {name!r} has the value {value}"
    if found:
        column = next(iter(found))
        fault = "the posterior is improper: there is nothing" if allowed == 1.0 else "there is no posterior"
        distinct = distinct_rows(rows, _FEW)
        few = f"only {distinct} of {len(rows)} rows are distinct; " if distinct < min(_FEW, len(rows) / 2) else ""
        raise InputError(
            f"{few}{'; '.join(found.values())}, at full precision: one of K = {n_components} components can shrink "
            f"onto them without limit, so {fault} to summarise. State the step in which they were recorded "
            f"(MixturePrior(resolution={{{column!r}: 0.01}}), or --resolution '{column}=0.01'), let components share a "
            "covariance (covariance_type='tied', or --covariance tied), keep variances from zero "
            "(MixturePrior(sd=priors.InverseGamma(3, 1))), or model these observations separately."
        )


def _copies_allowed(prior: ResolvedPrior) -> float:
    """Copies of one value up to which a component on them keeps a sensible sd under the prior."""
    if prior.family.positive_at_zero:
        return 1.0
    if not isinstance(prior.family, LogNormal):
        return math.inf
    return 1.0 - math.log(_NARROW) / float(np.square(prior.sd_parameters[1]).min())
