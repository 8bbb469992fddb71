"""Orders of the components that matter: those within groups of components that a proposal can exchange."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

__all__ = ["exchangeable", "orders_within"]


def exchangeable(
    strength: Mapping[tuple[int, int], float], n_components: int, *, least: float, most: int
) -> tuple[list[list[int]], float]:
    """Groups of components, and the strongest exchange that had to be left out.

    Pairs are put into one group, the most easily exchanged first, down to `least`, as long as no more than `most`
    orders within groups arise.

    >>> exchangeable({(0, 1): 0.9, (0, 2): 0.0, (1, 2): 0.5}, 3, least=0.1, most=2)
    ([[2], [0, 1]], 0.5)
    """
    groups, left_out = [[i] for i in range(n_components)], 0.0
    for pair in sorted(strength, key=lambda pair: -strength[pair]):
        if strength[pair] < least:
            break
        a, b = (next(g for g in groups if i in g) for i in pair)
        if a is b:
            continue
        merged = [g for g in groups if g is not a and g is not b] + [a + b]
        if math.prod(math.factorial(len(g)) for g in merged) > most:
            left_out = max(left_out, strength[pair])
            continue
        groups = merged
    return groups, left_out


def orders_within(groups: list[list[int]]) -> NDArray[np.int64]:
    """(P, K) all orders that permute components within their groups, the identity first.

    >>> orders_within([[0, 2], [1]])
    array([[0, 1, 2],
           [2, 1, 0]])
    """
    out = []
    for parts in product(*(permutations(g) for g in groups)):
        one = np.arange(sum(map(len, groups)))
        for group, part in zip(groups, parts, strict=True):
            one[group] = part
        out.append(one)
    return np.array(out, dtype=np.int64)
