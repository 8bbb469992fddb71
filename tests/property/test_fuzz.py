"""Any table with any options ends in an answer that is finite and judges itself, or in one sentence that refuses it.

`benchmarks/fuzz.py` runs more of these examples and writes `docs/robustness.md`.
"""

from __future__ import annotations

import pytest
from _fuzz import LIMIT, Case, cases, example, run
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_or_one_sentence(seed: int) -> None:
    case = example(seed, ("fit_em", "laplace"))
    outcome = run(case)
    if outcome.seconds > LIMIT:  # kernels may have been compiled
        outcome = run(case)
    assert not outcome.faults, f"{case}: {outcome}"


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_an_answer_or_one_sentence_many_times(case: Case) -> None:
    assert not (outcome := run(case)).faults, str(outcome)
