"""The prior record: defaults from the data, every hyperparameter adjustable, words in original units."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.table import prepare_table
from bayesgmm.errors import InputError
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.structure import get_structure
from bayesgmm.priors import Exponential, HalfCauchy, HalfNormal, InverseGamma, LogNormal

FAMILIES = (HalfNormal(0.7), HalfCauchy(0.7), Exponential(1.2), LogNormal(-0.3, 0.5), InverseGamma(2.5, 0.8))


@pytest.fixture
def frame():
    """Lengths in steps of 0.5, widths continuous."""
    rng = np.random.default_rng(11)
    length = np.round(2 * rng.normal(20.0, 4.0, 60)) / 2
    return pd.DataFrame({"length": length, "width": rng.normal(-3.0, 0.2, 60)})


@pytest.fixture
def table(frame):
    return prepare_table(frame)


def test_defaults_follow_the_range_and_sd_of_each_column(frame, table):
    numbers = MixturePrior().resolve(table)
    centre = table.center + table.scale * numbers.mean_loc
    np.testing.assert_allclose(centre, (frame.max() + frame.min()) / 2)
    np.testing.assert_allclose(table.scale * numbers.mean_scale, frame.max() - frame.min())
    assert isinstance(numbers.family, LogNormal)
    np.testing.assert_allclose(table.scale * np.exp(numbers.sd_parameters[0]), 0.5 * frame.std(ddof=0))
    np.testing.assert_allclose(numbers.sd_parameters[1], 0.7)
    assert (numbers.lkj_eta, numbers.concentration) == (2.0, 1.0)
    np.testing.assert_allclose(table.scale * numbers.step, [0.5, 0.0])
    assert numbers.rounded_columns() == ["length"]


def test_defaults_mean_the_same_without_standardizing(frame, table):
    raw = prepare_table(frame, standardize=False)
    numbers, unscaled = MixturePrior().resolve(table), MixturePrior().resolve(raw)
    np.testing.assert_allclose(unscaled.mean_loc, table.center + table.scale * numbers.mean_loc)
    np.testing.assert_allclose(unscaled.mean_scale, table.scale * numbers.mean_scale)
    median, unscaled_median = np.exp(numbers.sd_parameters[0]), np.exp(unscaled.sd_parameters[0])
    np.testing.assert_allclose(unscaled_median, table.scale * median)
    np.testing.assert_allclose(unscaled.step, table.scale * numbers.step)


def test_rows_of_weight_zero_do_not_shape_the_defaults(frame):
    outlier = pd.concat([frame, pd.DataFrame({"length": [900.0], "width": [70.0]})], ignore_index=True)
    with_outlier = MixturePrior().resolve(prepare_table(outlier, sample_weight=[1.0] * 60 + [0.0]))
    without = MixturePrior().resolve(prepare_table(frame))
    for name in ("mean_loc", "mean_scale", "sd_parameters", "step"):
        np.testing.assert_allclose(getattr(with_outlier, name), getattr(without, name), rtol=1e-12)


def test_every_hyperparameter_can_be_set_by_column(table):
    prior = MixturePrior(
        mean_loc=[0.1, -0.2], mean_scale=3.0, sd=HalfNormal([0.5, 0.8]), lkj_eta=4.0, concentration=0.5,
        resolution=[0.0, 0.3],
    )  # fmt: skip
    numbers = prior.resolve(table)
    np.testing.assert_array_equal(numbers.mean_loc, [0.1, -0.2])
    np.testing.assert_array_equal(numbers.mean_scale, [3.0, 3.0])
    np.testing.assert_array_equal(numbers.sd_parameters, [[0.5, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(numbers.floor, [0.0, 0.3**2 / 12])
    assert (numbers.lkj_eta, numbers.concentration) == (4.0, 0.5)
    assert MixturePrior(resolution=None).resolve(table).floor.tolist() == [0.0, 0.0]


def test_records_are_frozen(table):
    prior = MixturePrior()
    for record, field in ((prior, "lkj_eta"), (HalfNormal(1.0), "scale"), (prior.resolve(table), "step")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, 1.0)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_prints_in_original_units(table, family):
    numbers = MixturePrior(mean_loc=0.0, mean_scale=2.0, sd=family).resolve(table)
    lines = str(numbers).splitlines()
    (mean,) = [line for line in lines if line.startswith("length: component mean")]
    assert f"Normal({table.center[0]:.4g}, SD {2 * table.scale[0]:.4g})" in mean
    unit, sd = table.scale[1] ** 2, f"width: component sd / {table.scale[1]:.3g} ~"
    first, value = next(iter(family.hyperparameters().items()))
    said = {
        "LogNormal": f"width: component log(sd / {table.scale[1]:.3g}) ~ Normal(log {np.exp(value):.3g}, ",
        "InverseGamma": f"width: component variance / {unit:.3g} ~ InverseGamma(a={value:.4g}, b=",
    }.get(type(family).__name__, f"{sd} {type(family).__name__}({first}={value:.4g})")
    assert any(line.startswith(said) for line in lines)
    assert "the middle and the range of the data" not in mean
    assert str(MixturePrior().resolve(table)).count("): the middle and the range of the data") == table.n_features
    (steps,) = [line for line in lines if "resolution" in line]
    assert steps.startswith("length: apparent measurement resolution 0.5")
    assert f"{0.5 / np.sqrt(12):.4g}" in steps


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"lkj_eta": 0.0}, "lkj_eta"),
        ({"lkj_eta": [1.0, 2.0]}, "lkj_eta"),
        ({"concentration": -1.0}, "concentration"),
        ({"concentration": np.nan}, "concentration"),
        ({"sd": 1.0}, "priors.HalfNormal"),
        ({"resolution": "none"}, "resolution"),
        ({"mean_scale": 0.0}, "mean_scale"),
        ({"mean_scale": [1.0, 2.0, 3.0]}, "2 columns"),
        ({"mean_loc": np.inf}, "mean_loc"),
        ({"mean_loc": "low"}, "mean_loc"),
        (lambda: {"sd": HalfNormal(-1.0)}, "scale"),
        (lambda: {"sd": Exponential([1.0, 0.0])}, "rate"),
        (lambda: {"sd": LogNormal(0.0, -0.5)}, "sigma"),
        (lambda: {"sd": InverseGamma(1.0, np.nan)}, "b="),
    ],
)
def test_a_fault_is_told_in_one_line(table, arguments, named):
    with pytest.raises(InputError) as caught:
        MixturePrior(**(arguments() if callable(arguments) else arguments)).resolve(table)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_sd_for_all_columns_takes_their_average(table):
    spherical, full = get_structure("spherical"), get_structure("full")
    numbers = MixturePrior(sd=LogNormal([-1.0, 0.0], [0.5, 0.7]), resolution=[0.2, 0.4]).resolve(table)
    parameters = numbers.cells(spherical)
    np.testing.assert_allclose(parameters[:, 0], [-0.5, 0.6])
    np.testing.assert_allclose(numbers.rounding(spherical), np.full(2, (0.2**2 + 0.4**2) / 24))
    parameters = MixturePrior(sd=HalfNormal([0.5, 2.0])).resolve(table).cells(spherical)
    np.testing.assert_allclose(parameters[:, 0], [1.0, 0.0])
    np.testing.assert_array_equal(numbers.cells(full), numbers.sd_parameters)
    np.testing.assert_array_equal(numbers.rounding(full), numbers.floor)
