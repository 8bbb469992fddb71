"""The order of the test files: sweeps of Gibbs sampling take half a minute to compile, and one process does it for all.

It begins with the session; files that may sample by sweeps come last, when they are compiled. Neighbours in the
alphabet, which often need the same kernel, are far apart in time, so that it is not compiled in both workers at once.
With `--no-loadscope-reorder` (in `pyproject.toml`) files are given to the workers in this order.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bayesgmm.inference import first_use

FIRST = {"data", "kernels", "em", "model"}  # folders whose tests do not sample


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        first_use.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = _apart(sorted({item.path for item in items}))
    items.sort(key=lambda item: (item.path.parent.name not in FIRST, place[item.path]))


def _apart(files: list[Path]) -> dict[Path, int]:
    """Places in an order in which neighbours are far apart: every so many of them, round after round."""
    n = len(files)
    step = next(s for s in range(max(1, round(0.382 * n)), n + 1) if math.gcd(s, n) == 1) if n else 1
    return {files[i * step % n]: i for i in range(n)}


@pytest.fixture(scope="module", autouse=True)
def _sweeps_are_compiled(request: pytest.FixtureRequest) -> None:
    if request.path.parent.name not in FIRST:
        first_use.finish()
