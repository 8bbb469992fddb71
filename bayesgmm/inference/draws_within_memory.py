"""How many draws memory holds: the covariance matrices of all of them are there several times at once."""

from __future__ import annotations

__all__ = ["draws_within_memory"]

_MEMORY, _COPIES = 2e9, 6  # bytes of all covariance matrices of all draws, and how often they are there at once
_WORTH = 2  # where memory limits draws, all chains together times what the criteria ask for


def draws_within_memory(draws: int, chains: int, n_components: int, d: int, ess_min: float) -> tuple[int, str]:
    """As many draws of each chain as memory allows, or the criteria need, and a sentence if they are fewer than asked
    for.

    >>> draws_within_memory(1000, 4, 3, 2, 400.0)
    (1000, '')
    """
    one = 8.0 * _COPIES * chains * n_components * d**2
    most = max(int(_WORTH * ess_min / chains), int(_MEMORY / one))
    if most >= draws:
        return draws, ""
    said = (
        f"The covariances of {draws} draws per chain, {n_components} components and D = {d} would take "
        f"{one * draws / 1e9:.1f} GB of memory: {most} draws per chain were kept."
    )
    return most, said
