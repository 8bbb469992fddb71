"""What is to be sampled and how, with what samplers share: the modes of the posterior, found once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bayesgmm.inference.judging import Judge
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem

if TYPE_CHECKING:
    from bayesgmm.em.of_blocks import Block
    from bayesgmm.inference.empty_modes import EmptyMode
    from bayesgmm.inference.modes import Mode

__all__ = ["Request"]


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be sampled, and how."""

    problem: Problem
    candidates: Sequence[MixtureParams]
    draws: int
    tune: int
    chains: int
    cores: int | None
    random_seed: int | None
    progressbar: bool
    target_accept: float
    batch_size: int | None
    judge: Judge  # the convergence criteria
    meanwhile: Callable[[], object] = lambda: None  # done while another process compiles the Gibbs sampler
    blocks: Iterable[Block] | None = None  # all rows on the model's scale, where the table holds some of them

    @property
    def can_pass(self) -> bool:
        """There are draws enough for the convergence criteria to be met at all."""
        return self.draws * self.chains > self.judge.ess_min

    @property
    def options(self) -> dict[str, Any]:
        names = ("draws", "tune", "chains", "cores", "random_seed", "progressbar")
        return {name: getattr(self, name) for name in names}

    @property
    def gradient_work(self) -> float:
        """Multiply-adds of a gradient, roughly: of its pass over the rows, and of its matrices, as much as 4 D rows."""
        table, structure, _ = self.problem
        rows = table.n_rows + 4.0 * table.n_features
        return 2.0 * rows * self.n_components * structure.row_work(table.n_features)

    @property
    def n_components(self) -> int:
        return self.candidates[0].n_components

    @cached_property
    def is_large(self) -> bool:
        """Approximations take a bounded number of passes over the rows."""
        from bayesgmm.inference.approximate.large import is_large

        table, structure, _ = self.problem
        return self.blocks is not None or is_large(table, structure.component)

    @cached_property
    def modes(self) -> list[Mode]:
        """Of the posterior, best first: found once, whichever samplers start there."""
        from bayesgmm.inference.modes import find_modes

        return find_modes(self.problem, self.candidates)

    @cached_property
    def empty_modes(self) -> list[EmptyMode]:
        """Modes with components empty: found once, asked for before sampling and by the pilot chains."""
        from bayesgmm.inference.empty_modes import empty_modes

        return empty_modes(self.problem, self.n_components, random_seed=self.random_seed)
