"""The table of parameters on a terminal can be read: digits where intervals differ, and few correlations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.reporting.numbers import to_sd
from bayesgmm.reporting.parameters import notable, parameter_text


def summary(means: list[float], sds: list[float], names: list[str]) -> pd.DataFrame:
    mean, sd = np.array(means), np.array(sds)
    columns = {"mle": mean, "mean": mean, "sd": sd, "ci_2.5%": mean - 2 * sd, "ci_97.5%": mean + 2 * sd}
    rest = {"ess_bulk": 1234.0, "ess_tail": 1000.0, "r_hat": 1.0, "mcse_mean": 0.0, "ok": True}
    return pd.DataFrame(columns | rest, index=pd.Index(names, name="parameter"))


def test_bounds_of_large_values_differ() -> None:
    text = parameter_text(summary([1.7e9, 1.7e12, 1e-7], [7000.0, 2e8, 3e-9], ["means[0, t]", "means[0, ms]", "w"]))
    first, second, third = (line.split() for line in text.splitlines()[-3:])
    assert first[4:8] == ["7000", "1699986000", "1700014000", "1,234"]
    assert second[5:7] == ["1699600000000", "1700400000000"]
    assert third[4:6] == ["9.40e-08", "1.060e-07"]


@pytest.mark.parametrize(
    ("x", "sd", "text"),
    [(0.0, 0.5, "0.00"), (-12.5, 30.0, "-12"), (5.0, np.nan, "5"), (np.nan, 1.0, "–"), (2e20, 1e18, "2.000e+20")],
)
def test_digits_follow_the_standard_deviation(x: float, sd: float, text: str) -> None:
    assert to_sd(x, sd) == text


def test_many_correlations_are_cut_to_the_strong_ones() -> None:
    names = [f"corr[{k}, a, b{j}]" for k in range(3) for j in range(40)]
    means = [0.9 if j % 2 else 0.2 for j in range(120)]
    table = summary([1.0, *means], [0.1] * 121, ["means[0, a]", *names])
    shown = notable(table)
    assert shown[0] == "means[0, a]" and len(shown) == 21
    text = parameter_text(table)
    assert "100 correlations are not shown" in text and "--json" in text
    few = table.iloc[:30]
    assert notable(few) == list(few.index) and "not shown" not in parameter_text(few)


def test_a_maximum_of_the_likelihood_far_from_the_posterior_is_said() -> None:
    from bayesgmm.reporting.text import fit_text

    fit = bg.BayesianGMM(2, inference="laplace", draws=500, n_init=3, random_seed=1, progressbar=False)
    fit.fit(bg.datasets.load_faithful())
    assert "another solution" not in fit_text(fit, "faithful.csv", None)
    other = replace(fit.em_.params, weights=np.array([0.05, 0.95]))
    fit.em_ = replace(fit.em_, params=other)
    assert "(column mle) is another solution than the posterior's: weights[" in fit_text(fit, "faithful.csv", None)
