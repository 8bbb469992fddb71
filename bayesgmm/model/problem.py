"""A problem: a table, a covariance structure and the prior's numbers for them."""

from __future__ import annotations

from typing import NamedTuple

from bayesgmm.data.table import Table
from bayesgmm.model.prior import ResolvedPrior
from bayesgmm.model.structure import Structure

__all__ = ["Problem"]


class Problem(NamedTuple):
    """What a posterior is the posterior of, but for the number of components."""

    table: Table
    structure: Structure
    prior: ResolvedPrior
