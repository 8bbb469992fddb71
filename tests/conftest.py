"""The order of the test files: the sweeps of Gibbs sampling take minutes to compile, and one worker does it for both.

Every other file that samples by them comes last, when they are compiled. With `--no-loadscope-reorder` (in
`pyproject.toml`) files are given to the workers in this order.
"""

from __future__ import annotations

import pytest

FIRST = "test_augmentation"
LAST = {
    "test_compare", "test_compare_exact", "test_escalation", "test_estimator", "test_evidence_exact", "test_jumps",
    "test_loo", "test_loo_exact", "test_left_out", "test_mode_shares", "test_moves_alone", "test_posterior_truth",
    "test_report", "test_robustness", "test_two_samplers",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: 0 if item.path.stem == FIRST else 2 if item.path.stem in LAST else 1)
