"""R-hat and ESS tables on sequences whose convergence is known."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayesgmm.posterior.diagnostics.convergence import convergence_table, ess_of_means, group_chains, r_hat
from bayesgmm.posterior.diagnostics.gate import Gate


def autoregressive(n_chains, n_draws, phi, seed=0):
    """AR(1) chains of unit variance, started in equilibrium: ESS = n (1 - phi) / (1 + phi)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_chains, n_draws))
    for t in range(1, n_draws):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * x[:, t]
    return x


def test_numbers_are_arviz_ones():
    import arviz_stats as az

    x = autoregressive(4, 500, 0.5)
    row = convergence_table({"x": x}).loc["x"]
    assert row["r_hat"] == pytest.approx(float(az.rhat(x)))
    assert row["ess_bulk"] == pytest.approx(float(az.ess(x, method="bulk")))
    assert row["ess_tail"] == pytest.approx(float(az.ess(x, method="tail", prob=(0.05, 0.95))))
    assert row["mean"] == pytest.approx(x.mean())
    assert row["ok"]


def test_each_threshold_can_fail_alone():
    rng = np.random.default_rng(1)
    shifted = rng.normal(size=(4, 2000)) + np.array([0.0, 0.0, 0.0, 0.4])[:, None]
    slow = autoregressive(4, 1000, 0.97)
    table = convergence_table({"shifted": shifted, "slow": slow, "fine": rng.normal(size=(4, 500))})
    assert table["ok"].tolist() == [False, False, True]
    assert table.loc["shifted", "r_hat"] > 1.01
    assert table.loc["slow", "ess_bulk"] < 400


def test_what_cannot_be_judged_is_noted():
    x = np.random.default_rng(0).normal(size=(4, 100))
    broken = x.copy()
    broken[1, 3] = np.nan
    values = {"one": np.full((4, 100), 0.1), "p": 1.0 - 1e-9 * np.abs(x), "broken": broken}
    table = convergence_table(values, negligible={"p": 1e-6})
    assert table["note"].tolist() == ["constant", "constant", "not finite"]
    assert table["ok"].tolist() == [True, True, False]
    short = convergence_table({"x": x[:, :3]})
    assert not short["ok"].any()
    assert "fewer than 4" in short["note"].iloc[0]


def test_chains_stuck_at_different_constants_fail():
    x = np.array([[0.0], [1.0]]) + np.zeros((2, 100))
    table = convergence_table({"x": x})
    assert not table["ok"].any()
    assert table["r_hat"].iloc[0] > 1.1
    assert group_chains(x[None]) == [[0], [1]]


def test_a_decided_pair_is_not_judged_but_a_chain_apart_is():
    rare = np.ones((4, 500))
    rare[0, 40:55] = 0.0  # apart for a while in one chain: 0.75 % of the draws
    often = rare.copy()
    often[0, :25] = 0.0  # 2 %
    alone = np.ones((4, 500))
    alone[0] = 1e-3
    table = Gate({f"co_clustering[{i}, 9]": x for i, x in enumerate((rare, often, alone))} | {"ll": rare}).table
    assert table["ok"].tolist() == [True, False, False, False]
    assert table["note"].tolist() == ["decided", "", "", ""]


def test_one_chain_compares_its_halves():
    rng = np.random.default_rng(2)
    assert r_hat(rng.normal(size=(1, 4000))) < 1.01
    assert r_hat(rng.normal(size=(1, 4000)) + np.linspace(0, 2, 4000)) > 1.1
    # A change of scale, not of location, shows in the folded ranks.
    assert r_hat(rng.normal(size=(1, 4000)) * np.repeat([1.0, 3.0], 2000)) > 1.1


def test_stationary_chains_apart_are_grouped():
    x = np.random.default_rng(0).normal(size=(3, 4, 300))
    x[1] += np.array([0.0, 5.0, 0.0, 5.0])[:, None]
    assert group_chains(x) == [[0, 2], [1, 3]]


def test_agreeing_or_wandering_chains_are_not():
    rng = np.random.default_rng(0)
    assert group_chains(rng.normal(size=(5, 4, 300))) is None
    assert group_chains(np.cumsum(rng.normal(size=(5, 4, 300)), axis=-1)) is None
    assert group_chains(autoregressive(4, 500, 0.95)[None]) is None
    assert group_chains(rng.normal(size=(5, 1, 300))) is None


@pytest.mark.parametrize("shape", [(4, 1000), (4, 250), (2, 101)])
def test_effective_sample_sizes_of_many_means_are_arviz_s(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, *shape))
    slow = rng.uniform(-0.6, 0.99, size=(60, 1))
    for t in range(1, shape[1]):
        x[..., t] += slow * x[..., t - 1]
    x[40:50] = np.exp(x[40:50])
    x[50:, 0] += 3.0  # chains that disagree
    x[0] = 7.0
    expected = [array_stats.ess(v, method="mean") for v in x]
    np.testing.assert_allclose(ess_of_means(x), expected, rtol=1e-9)


def test_a_gate_that_fails_may_pass_roughly() -> None:
    rng = np.random.default_rng(3)
    independent, slow = rng.normal(size=(4, 1000)), rng.normal(size=(4, 1000))
    for t in range(1, 1000):
        slow[:, t] += 0.95 * slow[:, t - 1]
    assert Gate({"x": independent}).rough and Gate({"x": independent}).ok
    roughly = Gate({"x": independent, "y": slow, "one": np.ones((4, 1000))})
    assert roughly.rough and not roughly.ok
    apart = slow + np.array([[0.0], [0.0], [0.0], [4.0 * slow.std()]])
    assert not Gate({"y": apart}).rough and not Gate({"y": np.full((4, 1000), np.nan)}).rough


def test_chains_that_mix_slowly_are_not_modes() -> None:
    """Short, slow chains of many quantities lie a standard deviation apart by chance; modes lie further."""
    rng = np.random.default_rng(0)
    slow = rng.normal(size=(40, 4, 100))
    for t in range(1, 100):
        slow[..., t] = 0.9 * slow[..., t - 1] + np.sqrt(1 - 0.9**2) * slow[..., t]
    assert group_chains(slow) is None
    slow[0] = rng.normal(size=(4, 100)) + [[0.0], [0.0], [0.0], [5.0]]
    assert group_chains(slow) == [[0, 1, 2], [3]]
