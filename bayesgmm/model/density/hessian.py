"""Second derivatives of a log density, from its gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.threads import over_threads

__all__ = ["hessian"]

Array = NDArray[np.float64]


def hessian(gradient: Callable[[Array], Array], x: Array, *, cores: int | None = 1, step: float = 1e-4) -> Array:
    """Hessian (n, n) at x (n,) by central differences of the gradient, a column a thread at a time.

    >>> hessian(lambda x: -x, np.zeros(2)).round(6)
    array([[-1.,  0.],
           [ 0., -1.]])
    """
    n = len(x)
    full = np.empty((n, n))

    def work(columns: slice) -> None:
        for i in range(columns.start, columns.stop):
            shift = np.zeros(n)
            shift[i] = step
            full[i] = (gradient(x + shift) - gradient(x - shift)) / (2.0 * step)

    over_threads(work, n, cores)
    return 0.5 * (full + full.T)
