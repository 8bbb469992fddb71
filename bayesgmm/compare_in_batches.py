"""A table in batches that is to be compared: refused what it cannot be compared with, then read once for all fits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bayesgmm.data.batches import Batches
from bayesgmm.em.in_batches import refuse_in_batches
from bayesgmm.errors import InputError
from bayesgmm.fit_in_batches import PreparedBatches, prepare_batches
from bayesgmm.model.structure import Kind

__all__ = ["prepare_comparison"]


def prepare_comparison(
    batches: Batches, kinds: Iterable[Kind], options: dict[str, Any], n_components: int, *, sample_weight: Any,
    secondary: bool, checkpoint: Any,
) -> PreparedBatches:  # fmt: skip
    """One pass over the rows, after what is refused; `options` are those of each fit.

    Raises
    ------
    InputError
        One line that says what to do.
    """
    for kind in kinds:
        refuse_in_batches(sample_weight=sample_weight, component=kind.component, noise=kind.noise)
    if secondary:
        raise InputError("secondary: these scores take rows in memory: leave it out, or compare a sample of the rows.")
    if checkpoint is not None and options["random_seed"] is None:
        raise InputError("checkpoint: a table in batches needs random_seed, by which its sample is found again.")
    wanted = {name: options[name] for name in ("prior", "standardize", "inference", "random_seed")}
    return prepare_batches(batches, n_components=n_components, **wanted)
