"""What samplers ask of the judge of their draws; the judge itself is handed in, since inference knows no posterior."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.draws import Draws

__all__ = ["Judge", "Judgement"]


class Judgement(Protocol):
    """What a round is judged by: quantities of the draws, arrays (chains, draws), whether they meet the convergence
    criteria, if not how many times as long a run would, as far as that can be told, how far chains disagree, and
    whether they pass roughly."""

    @property
    def values(self) -> dict[str, NDArray[np.float64]]: ...

    @property
    def ok(self) -> bool: ...

    @property
    def shortfall(self) -> float: ...

    @property
    def disagreement(self) -> float: ...

    @property
    def rough(self) -> bool: ...


class Judge(Protocol):
    """Judges draws; `ess_min` is the effective draws that it asks for."""

    @property
    def ess_min(self) -> float: ...

    def __call__(self, draws: Draws, /) -> Judgement: ...
