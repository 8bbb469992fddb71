"""What a run will take, said before it starts if it is much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayesgmm.cli.reading import say

if TYPE_CHECKING:
    from bayesgmm.estimator import BayesianGMM

__all__ = ["expected_cost", "say_cost"]

_GRADIENTS = 7  # a draw, where clusters separate
_WORK_A_SECOND = 1.5e9  # multiply-adds of one processor
_COPIES = 6  # of the draws of covariances
_LONG, _MUCH = 120.0, 4e9  # seconds and bytes from which it is said
_SAMPLED = ("nuts", "gibbs", "auto")


def expected_cost(
    shape: tuple[int, int], n_components: Sequence[int], *, draws: int, tune: int, chains: int, cores: int,
    full: bool = True,
) -> tuple[float, float]:  # fmt: skip
    """Seconds and bytes of fits by sampling, to a factor of about three.

    >>> seconds, size = expected_cost((97_000, 12), [20], draws=1000, tune=500, chains=4, cores=2)
    >>> round(seconds / 60), round(size / 1e9)
    (65, 4)
    """
    n_rows, n_features = shape
    seconds, size = 0.0, 0.0
    for k in n_components:
        work = n_rows * k * n_features * (n_features if full else 1)
        seconds += _GRADIENTS * work * (draws + tune) * chains / _WORK_A_SECOND / max(1, min(cores, chains))
        size = max(size, 8.0 * draws * chains * (n_rows + _COPIES * k * n_features**2))
    return seconds, size


def say_cost(shape: tuple[int, int], n_components: Sequence[int], estimator: BayesianGMM, times: float = 1.0) -> None:
    """A line if the run is long or large; `times` is what is done besides each fit."""
    from bayesgmm.kernels.threads import available_cores

    numbers = (*n_components, estimator.draws, estimator.tune, estimator.chains)
    if estimator.inference not in _SAMPLED or not all(isinstance(n, int) and n > 0 for n in numbers):
        return  # short, or refused in a moment
    seconds, size = expected_cost(
        shape, n_components, draws=estimator.draws, tune=estimator.tune, chains=estimator.chains,
        cores=available_cores(), full=estimator.covariance_type in ("full", "tied"),
    )  # fmt: skip
    seconds *= times
    if seconds < _LONG and size < _MUCH:
        return
    time = f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"
    say(
        f"expected to take roughly {time} and {size / 1e9:.1f} GB of memory; fewer draws (--draws, --chains), "
        "fewer observations or --inference laplace take less"
    )
