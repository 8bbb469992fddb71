"""What a terminal gets to see of a table's names."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.reporting.agreement import agreement
from bayesgmm.reporting.text import comparison_text, fit_text

ESCAPE = "\x1b[2J\u202ered"  # clears the screen, then writes from right to left


def table() -> pd.DataFrame:
    rows = np.round(np.random.default_rng(0).normal(size=(60, 2)), 1)
    names = pd.Index([f"{ESCAPE}{i}" for i in range(60)])
    return pd.DataFrame(rows, columns=[f"a{ESCAPE}", "two\nlines"], index=names)


def shown(text: str) -> None:
    assert "\x1b" not in text and "\u202e" not in text
    assert "a\\x1b[2J\\u202ered, two\\nlines)" in text.splitlines()[0]
    assert text.splitlines()[0].startswith("file\\x07.csv: 60 observations of 2 variables")


def test_names_cannot_command_the_terminal() -> None:
    options = {"inference": "laplace", "draws": 400, "random_seed": 1, "progressbar": False}
    fit = bg.BayesianGMM(1, **options).fit(table())  # type: ignore[arg-type]
    classes = pd.Series(["a\x1b[2J", "b"] * 30, name="kind\x07")
    shown(fit_text(fit, "file\x07.csv", agreement(classes, fit.labels_, "component")))


def test_names_in_a_comparison_cannot_either() -> None:
    compared = bg.compare_components(table(), [1], inference="laplace", draws=400, random_seed=1, progressbar=False)
    shown(comparison_text(compared, "file\x07.csv", table()))
