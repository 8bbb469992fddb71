"""Values that rule the scale of their column are named, by row."""

from __future__ import annotations

import numpy as np

import bayesgmm as bg
from bayesgmm.data.far_values import far_values


def two_clusters(*more: float) -> np.ndarray:
    x = np.random.default_rng(0).normal(np.repeat([0.0, 8.0], 150), 1.0)
    return np.append(x, more)[:, None]


def test_a_typing_error_and_a_code_are_named_and_heavy_tails_are_not() -> None:
    assert far_values(bg.prepare_table(np.random.default_rng(1).standard_t(2, size=(5000, 2)))) == []
    (one,) = far_values(bg.prepare_table(two_clusters(1e5), feature_names=["dose"]))
    assert one.sentence.startswith(
        "column 'dose' holds 100000 (observation 300, counted from 0), 1e+04 interquartile ranges from its median"
    )
    assert not one.lost
    (code,) = far_values(bg.prepare_table(two_clusters(*[999999.0] * 20)))
    assert "holds 999999 (observation 300, counted from 0) and 19 more such values" in code.sentence


def test_rows_of_no_weight_do_not_count() -> None:
    x = two_clusters(1e9)
    assert far_values(bg.prepare_table(x, sample_weight=np.append(np.ones(300), 0.0))) == []


def test_a_column_of_one_value_mostly_has_no_spread_to_compare_with() -> None:
    assert far_values(bg.prepare_table(np.append(np.zeros(90), np.arange(10.0))[:, None])) == []
