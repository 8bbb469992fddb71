"""Averages over K: densities and co-clustering against sums over the fits, a partition against its label draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.errors import InputError

OPTIONS = {"draws": 500, "n_init": 5, "random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def compared() -> bg.Comparison:
    rng = np.random.default_rng(5)
    rows = np.concatenate([rng.normal(0.0, 1.0, 25), rng.normal(4.0, 1.0, 25)])[:, None]
    return bg.compare_components(pd.DataFrame(rows, columns=["x"]), [1, 2], **OPTIONS)


@pytest.mark.parametrize("by", ["probability", "stacking"])
def test_an_average_is_the_sum_over_fits(compared: bg.Comparison, by: str) -> None:
    found = compared.average(by)
    p = compared.details["probability" if by == "probability" else "stacking_weight"]
    p = p[p >= 0.001] / p[p >= 0.001].sum()
    pd.testing.assert_series_equal(found.weights, p, check_names=False)
    X = pd.DataFrame({"x": [-1.0, 1.5, 9.0]})
    density = sum(p[k] * np.exp(compared.fits[k].score_samples(X)) for k in p.index)
    np.testing.assert_allclose(found.score_samples(X), np.log(density), rtol=1e-12)
    together = sum(p[k] * compared.fits[k].coclustering([0, 1, 30]) for k in p.index)
    np.testing.assert_allclose(found.coclustering([0, 1, 30]), together, rtol=1e-12)
    assert found.occupied.sum() == pytest.approx(1.0) and found.n_clusters.sum() == pytest.approx(1.0)
    assert ("posterior probabilities" in str(found)) == (by == "probability")


def test_the_partition_is_of_all_fits(compared: bg.Comparison) -> None:
    found, p = compared.average("probability"), compared.details["probability"]
    partition = found.partition()
    assert len(partition.draws) == pytest.approx(4000, abs=2)
    one = (partition.draws.max(axis=1) == 0).mean()  # draws in one cluster: those of K = 1, and few of K = 2
    assert p[1] <= one + 1e-3 and one < p[1] + 0.2 * p[2]
    similar = partition.similarity[:3, :3]
    np.testing.assert_allclose(similar, found.coclustering([0, 1, 2]), atol=4.0 * 0.5 / np.sqrt(1000.0))
    assert list(partition.labels.index) == list(range(50))


def test_what_cannot_be_averaged_is_said(compared: bg.Comparison) -> None:
    with pytest.raises(InputError, match="by='best' is unknown"):
        compared.average("best")
    weighted = bg.compare_components(np.arange(12.0)[:, None] ** 1.5, [1], sample_weight=np.arange(12) + 1, **OPTIONS)
    with pytest.raises(InputError, match="rows must have weight 1"):
        weighted.average().partition()


def test_labels_are_those_of_the_headline(compared: bg.Comparison) -> None:
    labels, answer = compared.labels_, compared.recommendation
    assert len(np.unique(labels)) <= answer.n_clusters
    np.testing.assert_array_equal(labels, compared.candidates[answer.label].merging.merge[compared.best.labels_])
