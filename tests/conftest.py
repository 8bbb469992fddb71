"""The order of the test files: sweeps of Gibbs sampling take half a minute to compile, and one process does it for all.

It begins with the session; files that sample by sweeps come last, when they are compiled. With
`--no-loadscope-reorder` (in `pyproject.toml`) files are given to the workers in this order.
"""

from __future__ import annotations

import pytest

from bayesgmm.inference import first_use

LAST = {
    "test_augmentation", "test_compare", "test_compare_exact", "test_effort", "test_escalation", "test_estimator",
    "test_evidence_exact", "test_fuzz", "test_installations", "test_interrupts", "test_jumps", "test_left_out",
    "test_loo", "test_loo_exact", "test_mode_shares", "test_moves_alone", "test_posterior_truth", "test_progress",
    "test_report", "test_robustness", "test_two_samplers",
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        first_use.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem in LAST)


@pytest.fixture(scope="module", autouse=True)
def _sweeps_are_compiled(request: pytest.FixtureRequest) -> None:
    if request.path.stem in LAST:
        first_use.finish()
