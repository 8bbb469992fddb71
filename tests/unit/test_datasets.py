"""The shipped data are the published numbers."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from bayesgmm.data.read_csv import read_file
from bayesgmm.data.table import prepare_table
from bayesgmm.datasets import load_faithful, load_galaxies, load_iris, load_penguins


def test_faithful() -> None:
    faithful = load_faithful()
    assert faithful.shape == (272, 2)
    assert list(faithful) == ["eruptions", "waiting"]
    # R: colMeans(faithful), sapply(faithful, sd)
    np.testing.assert_allclose(faithful.mean(), [3.487783, 70.897059], rtol=1e-6)
    np.testing.assert_allclose(faithful.std(), [1.141371, 13.594974], rtol=1e-6)


def test_galaxies() -> None:
    corrected, misprinted = load_galaxies()["velocity"], load_galaxies(corrected=False)["velocity"]
    assert len(corrected) == 82
    assert corrected.is_monotonic_increasing
    assert (corrected.min(), corrected.max()) == (9.172, 34.279)
    # R: mean(MASS::galaxies) is 20828.17
    assert round(1000 * misprinted.mean(), 2) == 20828.17
    changed = np.flatnonzero(corrected != misprinted)
    assert changed.tolist() == [77]
    assert (corrected[77], misprinted[77]) == (26.960, 26.690)


def test_iris() -> None:
    measurements, species = load_iris()
    assert measurements.shape == (150, 4)
    assert species.name == "species"
    assert species.value_counts().to_dict() == {"setosa": 50, "versicolor": 50, "virginica": 50}
    # R: colMeans(iris[, 1:4])
    np.testing.assert_allclose(measurements.mean(), [5.843333, 3.057333, 3.758, 1.199333], rtol=1e-6)


def test_penguins() -> None:
    measurements, species = load_penguins()
    assert measurements.shape == (344, 4) and measurements.isna().sum().tolist() == [2, 2, 2, 2]
    # R: table(penguins$species), colMeans(penguins[, 3:6], na.rm = TRUE)
    assert species.value_counts().to_dict() == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    np.testing.assert_allclose(measurements.mean(), [43.92193, 17.15117, 200.9152, 4201.754], rtol=1e-6)
    complete, of_them = load_penguins(missing=False)
    assert complete.shape == (342, 4) and len(of_them) == 342 and not complete.isna().to_numpy().any()


def test_the_file_of_the_penguins_is_read_without_options() -> None:
    table = read_file(str(files("bayesgmm").joinpath("datasets_files", "penguins.csv")))
    assert table.notes == [
        "left out: 'Species', 'Island' and 'Sex' (text), 'Year' (years); to take a number in, name it with --columns"
    ]
    assert table.lacking is not None and table.lacking.startswith("2 of 344 rows have cells without a value")
    np.testing.assert_array_equal(table.data, load_penguins()[0])


def test_each_call_gives_a_copy() -> None:
    for load in (load_faithful, load_galaxies, lambda: load_iris()[0]):
        frame = load()
        frame.iloc[0, 0] = -1
        assert load().to_numpy().min() > 0


def test_the_tables_are_accepted() -> None:
    for frame in (load_faithful(), load_galaxies(), load_iris()[0], load_penguins(missing=False)[0]):
        assert prepare_table(frame).n_rows == len(frame)


def test_the_source_is_stated() -> None:
    text = files("bayesgmm").joinpath("datasets_files", "README.md").read_text(encoding="utf-8")
    assert "faithful.csv" in text
    assert "galaxies.csv" in text
    assert "penguins.csv" in text
