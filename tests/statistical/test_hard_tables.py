"""Tables that once gave a wrong answer under a confident sentence: each fit is right, or says that it is not.

Right is: the intervals of a fit that calls itself converged hold what the rows were drawn from. They are taken so wide
that all of them together would miss by chance once in ten thousand tables.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg

MISS = 1e-4  # of all intervals of a table together
pytestmark = pytest.mark.slow

Truth = tuple[np.ndarray, np.ndarray, np.ndarray]  # labels (N,), means (K, D), sds (K, D)


def fitted(rows: np.ndarray, k: int, **options: object) -> tuple[bg.BayesianGMM, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = bg.BayesianGMM(k, random_seed=1, progressbar=False, **options).fit(rows)  # type: ignore[arg-type]
    assert not [w for w in caught if issubclass(w.category, RuntimeWarning)]
    return fit, [str(w.message) for w in caught]


def right(fit: bg.BayesianGMM, truth: Truth) -> bool:
    """Whether the intervals of every component hold the parameters of the rows that it has."""
    labels, means, sds = truth
    if adjusted_rand_score(labels, fit.labels_) < 0.9:
        return False
    posterior = fit.posterior_["posterior"].to_dataset()
    spread = np.sqrt(np.diagonal(posterior["covariances"].values, axis1=-2, axis2=-1))
    for component in np.unique(fit.labels_):
        true = np.bincount(labels[fit.labels_ == component]).argmax()
        for draws, value in ((posterior["means"].values, means[true]), (spread, sds[true])):
            x = draws[:, :, component].reshape(-1, draws.shape[-1])
            z = np.abs(x.mean(axis=0) - value) / x.std(axis=0)
            if (z > np.sqrt(2.0 * np.log(2.0 * means.size / MISS))).any():
                return False
    return True


def right_or_said(rows: np.ndarray, truth: Truth, k: int, **options: object) -> str:
    """How it ended: "right", "said" (not converged or not reliable, in the verdict) or "refused", in one line."""
    try:
        fit, _ = fitted(rows, k, **options)
    except bg.InputError:
        return "refused"
    found = fit.diagnose()
    if found.ok:
        assert right(fit, truth), (found, fit.summary())
        return "right"
    assert found.verdict.startswith(("Not ", "Too few")), found.verdict
    return "said"


def coded(code: float, share: float, columns: list[int], seed: int, step: float = 0.1) -> tuple[np.ndarray, Truth]:
    """Three measurements, some replaced by a code in some columns: two components and no doubt about any row."""
    rng = np.random.default_rng(seed)
    mean, sd = np.array([20.0, 50.0, 100.0]), np.array([5.0, 10.0, 8.0])
    rows = np.round(rng.normal(mean, sd, size=(1200, 3)) / step) * step
    gap = rng.random(1200) < share
    rows[np.ix_(gap, np.array(columns))] = code
    held = np.array([mean, mean])
    held[1, columns] = code
    spread = np.array([sd, sd])
    spread[1, columns] = step / np.sqrt(12.0)
    return rows, (gap.astype(int), held, np.hypot(spread, [[step / np.sqrt(12.0)], [0.0]]))


@pytest.mark.parametrize("structure", ["full", "diag"])
@pytest.mark.parametrize(
    ("code", "share", "columns"),
    [(-200.0, 0.09, [0, 1]), (-1.0, 0.3, [0]), (999.0, 0.02, [0, 1, 2]), (-99999.0, 0.1, [2]), (0.0, 0.5, [0, 1])],
)
def test_codes_for_missing_values(code: float, share: float, columns: list[int], structure: str) -> None:
    """A component on a code sits on the rounding floor: its other columns have their spread all the same."""
    rows, truth = coded(code, share, columns, seed=5)
    fit, _ = fitted(rows, 2, covariance_type=structure)
    found = fit.diagnose()
    assert found.ok, found
    labels, means, sds = truth
    posterior = fit.posterior_["posterior"].to_dataset()
    spread = np.sqrt(np.diagonal(posterior["covariances"].values, axis1=-2, axis2=-1))
    on_floor = sds <= 0.1 / np.sqrt(12.0)
    assert adjusted_rand_score(labels, fit.labels_) == 1.0
    for component in range(2):
        true = labels[fit.labels_ == component][0]
        for draws, value in ((posterior["means"].values, means[true]), (spread, sds[true])):
            x = draws[:, :, component].reshape(-1, 3)
            free = ~on_floor[true]
            z = np.abs(x.mean(axis=0) - value)[free] / x.std(axis=0)[free]
            assert (z < 4.7).all(), (component, z)
            # On the floor the prior before rounding, which no sd of zero is from, adds less than a step to the sd
            # where there are rows enough: twenty rows leave it most of its say, with correlations near one.
            assert share < 0.05 or (np.abs(x.mean(axis=0) - value)[~free] < 0.1).all()
    assert share < 0.05 or any("level of a column is no cluster" in line for line in found.advice)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.6])
@pytest.mark.parametrize("structure", ["full", "diag", "tied"])
def test_spikes_of_one_value(share: float, structure: str) -> None:
    """At full precision they are refused, unless components share a covariance; in cents the answer is right."""
    rng = np.random.default_rng(1)
    zero = rng.random(800) < share
    rows = np.column_stack([np.where(zero, 0.0, rng.normal(30.0, 2.0, 800)), rng.normal(5.0, 1.0, 800)])
    truth = zero.astype(int), np.array([[30.0, 5.0], [0.0, 5.0]]), np.array([[2.0, 1.0], [0.01 / np.sqrt(12.0), 1.0]])
    if structure == "tied":
        sd = 2.0 * np.sqrt(1.0 - zero.mean())
        truth = truth[0], truth[1], np.array([[sd, 1.0], [sd, 1.0]])
    ended = right_or_said(rows, truth, 2, covariance_type=structure)
    assert ended == ("right" if structure == "tied" else "refused")
    if structure != "tied":
        fit, _ = fitted(np.round(rows, 2), 2, covariance_type=structure)
        assert fit.diagnose().ok and adjusted_rand_score(zero, fit.labels_) == 1.0
        table = fit.summary()
        spike = int(np.argmin(fit.means_[:, 0]))
        for name, value in ((f"sd[{1 - spike}, x1]", 2.0), (f"sd[{spike}, x2]", 1.0), (f"means[{spike}, x2]", 5.0)):
            assert abs(table["mean"][name] - value) < 4.7 * table["sd"][name]


@pytest.mark.parametrize("value", [1e3, 1e5, 1e6, 1e7, 1e9, 1e12])
def test_one_typing_error(value: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.append(np.repeat([0, 1], 150), 2)
    rows = np.append(rng.normal(np.repeat([0.0, 8.0], 150), 1.0), value)[:, None]
    fit, told = fitted(rows, 3)
    assert any(f"{value:g} (observation 300, counted from 0)" in line for line in told) == (value >= 1e5)
    found = adjusted_rand_score(labels[:300], fit.labels_[:300])
    assert found == 1.0 or not fit.diagnose().ok


@pytest.mark.parametrize("items", [3, 4, 6])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_answers_from_one_to_five(items: int, k: int) -> None:
    """Two profiles of answers: however many components, two clusters, or it is said that components are levels."""
    rng = np.random.default_rng(items)
    profile = np.repeat([0, 1], 200)
    rows = np.clip(np.rint(rng.normal(np.where(profile == 0, 2.0, 4.0)[:, None], 0.8, (400, items))), 1, 5)
    fit, _ = fitted(rows, k)
    found, merged = fit.diagnose(), fit.merging()
    if not found.ok or any("level of a column is no cluster" in line for line in found.advice):
        return
    assert merged.best == 2, (merged, found)
    known = fit.predict_proba(rows) @ np.eye(2)[merged.merge]
    assert adjusted_rand_score(profile, known.argmax(axis=1)) > 0.7


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("decimals", [None, 1])
def test_few_distinct_rows(k: int, decimals: int | None) -> None:
    rows = np.random.default_rng(2).normal(size=(10, 2)) * 3
    rows = np.repeat(rows if decimals is None else np.round(rows, decimals), 20, axis=0)
    if decimals is None:
        with pytest.raises(bg.InputError, match="full precision"):
            fitted(rows, k)
        return
    fit, told = fitted(rows, k)
    assert k == 2 or any("only 10 of the 200 rows are distinct" in line for line in told)
    found = fit.diagnose()
    if found.ok and k == 10:  # two rows may share a component, which then is none of a single one
        assert adjusted_rand_score(np.repeat(np.arange(10), 20), fit.labels_) > 0.8
    else:
        assert found.ok or found.verdict.startswith("Not ")


@pytest.mark.parametrize("columns", [100, 200])
def test_many_columns(columns: int) -> None:
    """Three clusters in hundreds of columns, few draws: right within intervals, and never "different modes"."""
    rng = np.random.default_rng(2)
    centres, labels = rng.normal(0.0, 1.5, size=(3, columns)), rng.integers(0, 3, 1000)
    rows = centres[labels] + rng.normal(size=(1000, columns))
    fit, _ = fitted(rows, 3, covariance_type="diag", draws=100, tune=200)
    assert "modes" not in fit.diagnose().verdict, fit.diagnose()
    assert right(fit, (labels, centres, np.ones((3, columns))))


@pytest.mark.parametrize(("rows", "structure"), [(61, "full"), (61, "diag"), (200, "full")])
def test_laplace_in_sixty_columns(rows: int, structure: str) -> None:
    """Noise in many columns: 3,781 parameters cannot be approximated, which is said, or refused without a maximum."""
    table = np.random.default_rng(0).normal(size=(rows, 60))
    truth = np.zeros(rows, dtype=int), np.zeros((1, 60)), np.ones((1, 60))
    ended = right_or_said(table, truth, 2, covariance_type=structure, inference="laplace")
    assert ended == ("refused" if (rows, structure) == (61, "full") else "said")


def test_half_zeros_in_three_columns() -> None:
    """Each column is zero in half the rows, in cents: the components that stand for zeros are levels, and named."""
    rng = np.random.default_rng(4)
    rows = np.round(np.where(rng.random((3000, 3)) < 0.5, 0.0, rng.lognormal(6.5, 1.3, (3000, 3))), 2)
    fit, _ = fitted(rows, 3)
    found = fit.diagnose()
    assert not found.ok or any("level of a column is no cluster" in line for line in found.advice), found
    if found.ok:  # the weights are those of the patterns of zeros that components stand for
        shares = np.bincount(fit.labels_, minlength=3) / 3000
        draws = fit.posterior_["posterior"]["weights"].values.reshape(-1, 3)
        assert (np.abs(draws.mean(axis=0) - shares) < 0.02).all()


@pytest.mark.parametrize("k", [1, 2])
def test_one_row_more_than_columns(k: int) -> None:
    """A posterior that the prior makes proper: means within the prior's reach of the rows' mean, and no warning."""
    rows = np.random.default_rng(0).normal(size=(6, 5))
    fit, _ = fitted(rows, k)
    found = fit.diagnose()
    assert found.ok or found.verdict.startswith(("Not ", "The density has converged"))
    mixed = np.einsum("csk,cskd->csd", *(fit.posterior_["posterior"][n].values for n in ("weights", "means")))
    sd = mixed.std(axis=(0, 1))
    assert (np.abs(mixed.mean(axis=(0, 1)) - rows.mean(axis=0)) < 2.0 * sd).all()


@pytest.mark.parametrize("width", [1e-2, 1e-4])
def test_columns_that_nearly_agree(width: float) -> None:
    """Two columns whose difference is of one hundredth, one ten-thousandth of their size: its mean and sd are right."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    x = rng.normal(6.0 * labels, 1.0)
    rows = np.column_stack([x, x + width * rng.normal(labels, 1.0)])
    fit, _ = fitted(rows, 2)
    assert fit.diagnose().ok and adjusted_rand_score(labels, fit.labels_) > 0.9
    posterior = fit.posterior_["posterior"].to_dataset()
    means, c = posterior["means"].values, posterior["covariances"].values
    first = int(np.argmin(fit.means_[:, 0]))
    for component, true in ((first, 0.0), (1 - first, 1.0)):
        gap = (means[:, :, component, 1] - means[:, :, component, 0]) / width
        sd = np.sqrt(c[:, :, component, 0, 0] + c[:, :, component, 1, 1] - 2.0 * c[:, :, component, 0, 1]) / width
        assert abs(gap.mean() - true) < 4.7 * gap.std() and abs(sd.mean() - 1.0) < 4.7 * sd.std()


@pytest.mark.parametrize("offset", [1e6, 1e12, 1e14, 1e15, -1e17])
def test_offsets(offset: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    rows = rng.normal(6.0 * labels[:, None], 1.0, size=(200, 2)) + offset
    truth = labels, np.array([[0.0, 0.0], [6.0, 6.0]]) + offset, np.ones((2, 2))
    assert right_or_said(rows, truth, 2) == ("right" if abs(offset) < 1e15 else "refused")


@pytest.mark.parametrize("n", [10, 80])
def test_as_many_components_as_rows(n: int) -> None:
    """Ten are fitted, and no more is said of them than their posterior says; eighty are refused in one line."""
    rows = np.random.default_rng(0).normal(size=(n, 2))
    if n == 80:
        with pytest.raises(bg.InputError, match="fewer than 2 rows a component"):
            fitted(rows, n)
        return
    fit, _ = fitted(rows, n)
    assert fit.merging().best <= 3
