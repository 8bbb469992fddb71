"""What row weights are, in words."""

from __future__ import annotations

from bayesgmm.data.table import Table

__all__ = ["survey_in_words", "weights_in_words"]


def weights_in_words(table: Table) -> list[str]:
    """What the weights of rows are, where they are not all one."""
    used = table.weights[table.weights > 0.0]
    if len(used) == table.n_rows and (used == 1.0).all():
        return []
    ignored = table.n_rows - len(used)
    words = (
        f"Observations are weighted: weights from {used.min():.4g} to {used.max():.4g}, {used.sum():.6g} in total"
        + (f"; {ignored:,} of weight 0 are ignored." if ignored else ".")
    )  # fmt: skip
    survey = survey_in_words(table)
    return [words, survey] if survey else [words]


def survey_in_words(table: Table) -> str:
    """What survey weights do to the results, in a sentence; empty for other tables."""
    if table.weight_type != "survey":
        return ""
    used = int((table.weights > 0.0).sum())
    return (
        f"Survey weights: the {used:,} observations count as {table.weights.sum():,.1f} (Kish's effective sample "
        "size), and the intervals are approximate: they do not know the design of the survey beyond its weights."
    )
