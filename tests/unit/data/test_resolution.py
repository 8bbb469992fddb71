"""The recording step: found on rounded columns of every kind, never on continuous ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayesgmm.data.resolution import column_resolution, recording_step
from bayesgmm.datasets import load_faithful, load_galaxies, load_iris
from bayesgmm.errors import InputError


def rounded(decimals: int, n: int = 200, seed: int = 1) -> NDArray[np.float64]:
    return np.round(np.random.default_rng(seed).normal(size=n), decimals)


def test_iris_is_recorded_to_a_millimetre() -> None:
    measurements, _ = load_iris()
    assert [recording_step(measurements[name]) for name in measurements] == [0.1] * 4


def test_faithful_takes_the_finest_step_that_explains_every_value() -> None:
    faithful = load_faithful()
    # 3.966 and 3.967 are the same second, written two ways: the lattice of 1/60 min does not hold them both.
    assert recording_step(faithful["eruptions"]) == 0.001
    assert recording_step(faithful["waiting"]) == 1.0


def test_galaxies_never_repeat() -> None:
    assert recording_step(load_galaxies()["velocity"]) == 0.0
    assert recording_step(1000 * load_galaxies()["velocity"]) == 0.0


def test_a_row_of_weight_two_repeats() -> None:
    velocity = load_galaxies()["velocity"].to_numpy()
    weights = np.ones(82)
    weights[3] = 2
    assert recording_step(velocity, weights) == recording_step(np.append(velocity, velocity[3])) == 0.001


def test_rows_of_weight_zero_are_ignored() -> None:
    column = np.concatenate([rounded(1), np.random.default_rng(2).normal(size=50)])
    weights = np.repeat([1.0, 0.0], [200, 50])
    assert recording_step(column, weights) == 0.1
    assert recording_step(column) == 0.0


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0, 60.0, 1e6])
@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_rounded_normal_data_in_any_unit(unit: float, decimals: int) -> None:
    step = recording_step(rounded(decimals) * unit)
    assert step == pytest.approx(unit * 10.0**-decimals, rel=1e-9)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_float32_keeps_the_decimal_step(decimals: int) -> None:
    narrow = rounded(decimals).astype(np.float32)
    assert recording_step(narrow) == 10.0**-decimals
    assert recording_step(narrow.astype(np.float64)) == 10.0**-decimals


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_standardising_scales_the_step(dtype: type) -> None:
    column = rounded(2) + 20
    standardised: NDArray[np.floating] = ((column - column.mean()) / column.std()).astype(dtype)
    assert recording_step(standardised) == pytest.approx(0.01 / column.std(), rel=1e-6)


@pytest.mark.parametrize("step", [0.25, 0.5, 2.54, 5 / 9, 1 / 60])
def test_steps_that_are_no_powers_of_ten(step: float) -> None:
    counts = np.random.default_rng(3).poisson(30, size=100)
    assert recording_step(counts * step) == pytest.approx(step, rel=1e-9)


def test_integer_counts() -> None:
    assert recording_step(np.random.default_rng(4).poisson(4, size=60)) == 1.0


def test_the_step_is_a_common_divisor_not_just_the_smallest_gap() -> None:
    assert recording_step([0.0, 0.2, 0.5, 0.7, 0.7, 1.2]) == 0.1


def test_a_step_small_beside_the_range() -> None:
    cents = np.round(np.random.default_rng(5).lognormal(8, 2, size=2000), 2)
    assert len(np.unique(cents)) < len(cents)
    assert recording_step(cents) == 0.01


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("offset", "unit"), [(0, 1.0), (100, 1.0), (100, 1e-4), (1, 1e6)])
def test_copies_of_continuous_rows_are_no_rounding(seed: int, dtype: type, offset: float, unit: float) -> None:
    rng = np.random.default_rng(seed)
    continuous: NDArray[np.floating] = (offset + unit * rng.normal(size=rng.integers(4, 60))).astype(dtype)
    assert recording_step(np.append(continuous, continuous[0])) == 0.0
    assert recording_step(rng.choice(continuous, size=2 * len(continuous))) == 0.0


def test_distinct_continuous_values() -> None:
    assert recording_step(np.random.default_rng(6).normal(size=1000)) == 0.0
    assert recording_step(np.random.default_rng(6).random(size=1000, dtype=np.float32)) == 0.0


def test_two_values_are_a_lattice_only_when_they_come_back_often() -> None:
    assert recording_step([0, 1] * 20) == 1.0
    assert recording_step([0.0, 0.0, 1.37]) == 0.0


@pytest.mark.parametrize("column", [[], [3.0], [3.0, 3.0, 3.0], [0.0, 0.0]])
def test_columns_without_gaps(column: list[float]) -> None:
    assert recording_step(column) == 0.0


@pytest.fixture
def columns() -> NDArray[np.float64]:
    return np.column_stack([rounded(1), np.random.default_rng(7).normal(size=200)])


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("auto", [0.1, 0]),
        (None, [0, 0]),
        (0.5, [0.5, 0.5]),
        (np.float32(0.5), [0.5, 0.5]),
        (np.array(0.5), [0.5, 0.5]),
        (1, [1, 1]),
        ([0.2, 0], [0.2, 0]),
        (np.array([0.2, 0.3]), [0.2, 0.3]),
        ({"b": 0.3}, [0.1, 0.3]),
        ({}, [0.1, 0]),
    ],
)
def test_stated_resolution(columns: NDArray[np.float64], stated: object, expected: list[float]) -> None:
    steps = column_resolution(stated, columns, np.ones(200), ["a", "b"])  # type: ignore[arg-type]
    np.testing.assert_array_equal(steps, expected)
    assert steps.dtype == np.float64


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ("fine", "'fine'"),
        ({"c": 1.0}, "'c'.*a, b"),
        ({"a": None}, "'a'"),
        ({"a": -1.0}, "'a'.*-1.0"),
        ([0.1], "1 steps for 2 columns"),
        ([[0.1, 0.1]], "1 steps for 2 columns"),
        ([0.1, np.nan], "'b'.*nan"),
        (np.inf, "'a'.*inf"),
        (["x", "y"], "'a'.*'x'"),
        (True, "'a'.*True"),
    ],
)
def test_stated_resolution_that_makes_no_sense(columns: NDArray[np.float64], stated: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        column_resolution(stated, columns, np.ones(200), ["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize("far", [1e4, 1e6, 1e9, 1e12])
def test_one_value_far_outside_makes_no_lattice_of_the_others(far: float) -> None:
    values = np.random.default_rng(0).normal(size=300)
    assert recording_step(np.append(values, far)) == 0.0
    assert recording_step(np.append(np.round(values, 1), far)) == 0.1  # of the others, which is on their lattice too
