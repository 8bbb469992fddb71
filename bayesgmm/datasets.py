"""The data sets of the mixture literature, ready to fit."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from bayesgmm.arguments import check_flag

__all__ = ["load_faithful", "load_galaxies", "load_iris", "load_penguins"]

# The 78th velocity as misprinted in widespread copies, in 1000 km/s.
_MISPRINTED_ROW, _MISPRINTED_VELOCITY = 77, 26.69


def load_faithful() -> pd.DataFrame:
    """Eruptions of the Old Faithful geyser in Yellowstone National Park.

    Returns
    -------
    DataFrame of shape (272, 2)
        `eruptions`, the duration of an eruption, and `waiting`, the time to the next one, both in minutes.

    Notes
    -----
    Durations were timed in seconds and written in minutes with three decimals.
    Source: Härdle (1991), Azzalini and Bowman (1990); the version of R's `faithful`.

    Examples
    --------
    >>> load_faithful().head(2)
       eruptions  waiting
    0        3.6       79
    1        1.8       54
    """
    return _read("faithful.csv")


def load_galaxies(*, corrected: bool = True) -> pd.DataFrame:
    """Velocities of 82 galaxies in the Corona Borealis region.

    Parameters
    ----------
    corrected : bool
        Whether the 78th velocity is 26.960 as published, or 26.690 as misprinted in the copy of R's MASS that many
        papers analyse.

    Returns
    -------
    DataFrame of shape (82, 1)
        `velocity` in 1000 km/s, in increasing order.

    Notes
    -----
    Source: Postman, Huchra and Geller (1986), Roeder (1990).

    Examples
    --------
    >>> load_galaxies().head(2)
       velocity
    0     9.172
    1     9.350
    >>> float(load_galaxies(corrected=False).loc[77, "velocity"])
    26.69
    """
    check_flag(corrected, "corrected")
    galaxies = _read("galaxies.csv")
    if not corrected:
        galaxies.loc[_MISPRINTED_ROW, "velocity"] = _MISPRINTED_VELOCITY
    return galaxies


def load_iris() -> tuple[pd.DataFrame, pd.Series[str]]:
    """Fisher's irises: four measurements of 150 flowers of three species, from scikit-learn.

    Returns
    -------
    measurements : DataFrame of shape (150, 4)
        Length and width of sepal and petal, in cm.
    species : Series of str of length 150
        setosa, versicolor or virginica.

    Examples
    --------
    >>> measurements, species = load_iris()
    >>> measurements.shape, list(species.unique())
    ((150, 4), ['setosa', 'versicolor', 'virginica'])
    """
    from sklearn.datasets import load_iris as load

    bunch = load(as_frame=True)
    species = pd.Series(bunch.target_names[bunch.target], index=bunch.data.index, name="species", dtype=object)
    return bunch.data, species


def load_penguins(*, missing: bool = True) -> tuple[pd.DataFrame, pd.Series[str]]:
    """Palmer penguins: four measurements of 344 birds of three species, as they were published.

    Parameters
    ----------
    missing : bool
        Whether to keep the two birds that were not measured, whose values are NaN.

    Returns
    -------
    measurements : DataFrame of shape (344, 4), or (342, 4) without `missing`
        Length and depth of the bill and length of the flipper, in mm, and body mass, in g.
    species : Series of str of the same length
        Adelie, Chinstrap or Gentoo.

    Notes
    -----
    Source: Gorman, Williams and Fraser (2014); Horst, Hill and Gorman (2020), CC0.

    Examples
    --------
    >>> measurements, species = load_penguins()
    >>> measurements.isna().sum().tolist(), list(species.unique())
    ([2, 2, 2, 2], ['Adelie', 'Gentoo', 'Chinstrap'])
    """
    check_flag(missing, "missing")
    penguins = _read("penguins.csv")
    if not missing:
        penguins = penguins.dropna(subset=list(penguins.columns[2:6])).reset_index(drop=True)
    return penguins.iloc[:, 2:6], penguins["Species"].astype(object).rename("species")


def _read(name: str) -> pd.DataFrame:
    with files("bayesgmm").joinpath("datasets_files", name).open("r", encoding="utf-8") as file:
        return pd.read_csv(file)
