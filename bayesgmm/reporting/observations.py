"""How many observations a fit is of, and what their weights are, in words; of a table in batches, what was kept."""

from __future__ import annotations

from typing import Any

from bayesgmm.data.weighting import weights_in_words
from bayesgmm.posterior.diagnostics.approximation import sample_in_words

__all__ = ["observations_of"]


def observations_of(fit: Any) -> tuple[int, list[str]]:
    """Number of observations, and sentences about them."""
    table, n_rows = fit.table_, fit.posterior_.attrs.get("rows_in_batches")
    if sampled := sample_in_words(fit.posterior_.attrs):
        return table.n_rows, [sampled]
    if n_rows is None:
        return table.n_rows, weights_in_words(table)
    kept = (
        f"They were read in batches; what is said and drawn of single ones is of a random sample of {table.n_rows:,}."
    )
    return int(n_rows), [kept]
