"""The figure of a comparison shows the numbers of its table."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.comparison import Comparison
from bayesgmm.errors import InputError


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rows = bg.datasets.load_faithful().iloc[::4]
    return bg.compare_components(rows, [1, 2], draws=300, tune=200, random_seed=1, progressbar=False)


def test_panels_show_the_table(comparison: Comparison) -> None:
    axes = comparison.plot()
    assert axes.shape == (2, 2)
    (points,) = [c for c in axes[0, 0].containers if hasattr(c, "has_yerr")]
    np.testing.assert_allclose(points.lines[0].get_ydata(), comparison.details["elpd_diff"])
    bars = [bar.get_height() for bar in axes[0, 1].containers[1]]
    np.testing.assert_allclose(bars, comparison.details["probability"])
    np.testing.assert_allclose(axes[1, 0].lines[0].get_ydata(), comparison.details["n_clusters"])
    bic = comparison.details["bic"]
    np.testing.assert_allclose(axes[1, 1].lines[0].get_ydata(), bic - bic.min())
    ring = [line for line in axes[0, 0].lines if line.get_gid() == "recommended"]
    assert [float(line.get_xdata()[0]) for line in ring] == [comparison.recommendation.n_components]
    assert comparison.recommendation.headline in axes[0, 0].figure.get_suptitle()
    plt.close(axes[0, 0].figure)


def test_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="compare_components"):
        bg.plot_comparison(3)  # type: ignore[arg-type]
