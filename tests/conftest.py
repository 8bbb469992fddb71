"""The order of the test files: sweeps of Gibbs sampling take half a minute to compile, and one process does it for all.

It begins with the session; files that may sample by sweeps come last, when they are compiled. With
`--no-loadscope-reorder` (in `pyproject.toml`) files are given to the workers in this order.
"""

from __future__ import annotations

import pytest

from bayesgmm.inference import first_use

FIRST = {"data", "kernels", "em", "model"}  # folders whose tests do not sample


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        first_use.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in FIRST)


@pytest.fixture(scope="module", autouse=True)
def _sweeps_are_compiled(request: pytest.FixtureRequest) -> None:
    if request.path.parent.name not in FIRST:
        first_use.finish()
