"""The ladder from NUTS to Gibbs: which stage runs when, with what, and that each says what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference import draws_within_memory, empty_modes, modes
from bayesgmm.inference.empty_modes import EmptyMode
from bayesgmm.inference.escalation import draw_posterior
from bayesgmm.inference.gibbs import sample as gibbs
from bayesgmm.inference.nuts import sample as nuts
from bayesgmm.inference.request import Request
from bayesgmm.model.draws import Draws
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.diagnostics import gate
from bayesgmm.posterior.diagnostics.gate import Judge
from bayesgmm.progress import working

K = 2


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a run."""

    ok: bool = True
    shortfall: float = 1.0
    disagreement: float = 1.0  # R-hat
    log_posterior: float = 0.0

    @property
    def values(self) -> dict[str, np.ndarray]:
        return {"log_posterior": np.full((4, 500), self.log_posterior)}


PASSES, FAR_OFF, DISAGREES = Verdict(), Verdict(False, 40.0, 1.02), Verdict(False, np.inf, 1.3)
NEARLY = Verdict(False, 3.0, 1.02)


@dataclass
class Stages:
    """Samplers that are only asked for, and a gate that says what it is told to, run after run."""

    verdicts: list[Verdict]
    diverging: list[bool] = field(default_factory=list)
    below_best: float = 0.0  # of the mode at which every second chain starts
    partial: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def run(self, name: str) -> Callable[..., Draws]:
        def sample(*problem: Any, **options: Any) -> Draws:
            number = len(self.asked)
            self.asked.append({"sampler": name, **options})
            shape = (options["chains"], options["draws"])
            bad = number < len(self.diverging) and self.diverging[number]
            stats = {"diverging": np.full(shape, bad), "n_steps": np.ones(shape)}
            modes = pd.DataFrame({"below_best": [0.0, self.below_best], "laplace_log_evidence": [0.0, 0.0]})
            arrays = np.zeros((*shape, K)), np.zeros((*shape, K, 1)), np.zeros((*shape, K, 1, 1)), np.zeros(shape)
            start = np.arange(shape[0]) % 2 if "mode_window" not in options else np.zeros(shape[0], dtype=np.int64)
            return Draws(*arrays, stats, start, modes, 0.0, self.partial, name)

        return sample

    @property
    def samplers(self) -> list[str]:
        return [str(a["sampler"]) for a in self.asked]


class Answers:
    """A judge that has its answers ready."""

    ess_min = 400.0

    def __init__(self, verdicts: list[Verdict]) -> None:
        self.left = list(verdicts)

    def __call__(self, draws: Draws) -> Verdict:
        return self.left.pop(0)


@pytest.fixture(scope="module")
def request_() -> Request:
    table = bg.prepare_table(np.random.default_rng(0).normal(size=(60, 1)))
    structure = get_structure("full")
    _, candidates = fit_em_candidates(table, K, structure=structure, n_init=2, random_seed=0)
    return Request(
        Problem(table, structure, bg.MixturePrior().resolve(table)), candidates, draws=500, tune=300, chains=4, cores=1,
        random_seed=1, progressbar=False, target_accept=0.8, batch_size=None, judge=Judge(table, structure),
    )  # fmt: skip


@pytest.fixture
def ladder(request_: Request, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Draws, Stages]]:
    """Runs the ladder where samplers and gate are `Stages`, and modes with empty components are those given."""

    def climb(
        *verdicts: Verdict, empty: tuple[EmptyMode, ...] = (), escalate: bool = True, draws: int = 500, **told: Any
    ) -> tuple[Draws, Stages]:
        stages = Stages(list(verdicts), **told)
        monkeypatch.setattr(nuts, "sample_nuts", stages.run("nuts"))
        monkeypatch.setattr(gibbs, "sample_gibbs", stages.run("gibbs"))
        monkeypatch.setattr(empty_modes, "empty_modes", lambda *_, **__: list(empty))
        judge = Answers(stages.verdicts)
        found, _ = draw_posterior(replace(request_, draws=draws, judge=judge), escalate=escalate)
        assert not judge.left, "the gate was asked less often than expected"
        return found, stages

    return climb


def test_a_run_that_passes_is_all(ladder) -> None:
    draws, stages = ladder(PASSES)
    assert draws.notes == () and stages.samplers == ["nuts"]
    (asked,) = stages.asked
    assert (asked["draws"], asked["tune"], asked["target_accept"]) == (500, 300, 0.8)
    assert "adaptation" not in asked and "mode_window" not in asked


def test_nothing_is_run_again_without_escalation_or_where_no_run_could_pass(ladder) -> None:
    for options in ({"escalate": False}, {"draws": 100}):
        draws, stages = ladder(**options)
        assert stages.samplers == ["nuts"] and draws.notes == ()


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (Verdict(False, 3.0, 1.5), "nuts"), (Verdict(False, 3.0, 1.2), "gibbs"), (PASSES, "gibbs"),
        (Verdict(False, 3.0, 1.5, log_posterior=8.0), "gibbs"),  # NUTS had agreed on a part of the posterior
    ],
)  # fmt: skip
def test_what_did_not_pass_is_replaced_by_what_is_better_only(ladder, after: Verdict, kept: str) -> None:
    draws, stages = ladder(DISAGREES, after)
    assert stages.samplers == ["nuts", "gibbs"] and draws.method == kept
    said = "NUTS did not meet the convergence criteria, ended with a larger R-hat (1.50 after 1.30)"
    assert any(said in note for note in draws.notes) == (kept == "nuts")


def test_an_interrupted_run_is_kept(ladder) -> None:
    draws, stages = ladder(DISAGREES, partial=True)
    assert draws.partial and stages.samplers == ["nuts"]


@pytest.mark.parametrize("first", [NEARLY, PASSES])
def test_a_run_that_is_short_or_diverges_runs_on(ladder, first: Verdict) -> None:
    draws, stages = ladder(first, PASSES, diverging=[True])
    assert stages.samplers == ["nuts", "nuts"]
    again, times = stages.asked[1], {NEARLY: 3, PASSES: 2}[first]  # as much as it fell short, twice at least
    assert (again["draws"], again["tune"], again["target_accept"]) == (500 * times, 300, 0.9)
    assert draws.shape[:2] == (4, 500)
    (said,) = draws.notes
    assert f"run again, {times} times as long with smaller steps" in said


def test_where_that_does_not_do_gibbs_follows_and_all_is_said(ladder) -> None:
    for second, bad in ((DISAGREES, []), (PASSES, [False, True])):
        draws, stages = ladder(NEARLY, second, PASSES, diverging=bad)
        assert stages.samplers == ["nuts", "nuts", "gibbs"]
        longer, then = draws.notes
        assert "3 times as long" in longer and "Gibbs sampling with moves between modes" in then
        assert stages.asked[2]["draws"] == 500 and stages.asked[2]["empty"] == []


@pytest.mark.parametrize("first", [FAR_OFF, DISAGREES])
def test_what_a_longer_run_would_not_mend_goes_to_gibbs_at_once(ladder, first: Verdict) -> None:
    draws, stages = ladder(first, PASSES)
    assert stages.samplers == ["nuts", "gibbs"]
    assert draws.notes == (
        "NUTS did not meet the convergence criteria; Gibbs sampling with moves between modes was used.",
    )


def test_chains_that_sat_in_a_negligible_mode_start_elsewhere(ladder) -> None:
    draws, stages = ladder(DISAGREES, PASSES, below_best=12.0)
    assert stages.samplers == ["nuts", "nuts"] and stages.asked[1]["mode_window"] == nuts.NEGLIGIBLE
    assert "started 12.0 nats below" in draws.notes[0] and "6e-06" in draws.notes[0]
    # A mode that holds enough is not left out for being stuck in, nor one where the gate passes all the same.
    assert ladder(DISAGREES, PASSES, below_best=6.0)[1].samplers == ["nuts", "gibbs"]
    assert ladder(PASSES, below_best=12.0)[1].samplers == ["nuts"]


def test_chains_that_start_elsewhere_stay_there_when_they_run_longer(ladder) -> None:
    draws, stages = ladder(DISAGREES, NEARLY, PASSES, below_best=12.0)
    assert stages.samplers == ["nuts", "nuts", "nuts"]
    assert stages.asked[2]["mode_window"] == nuts.NEGLIGIBLE and stages.asked[2]["target_accept"] == 0.9
    assert len(draws.notes) == 2 and "run again from modes" in draws.notes[0]


def test_modes_with_empty_components_call_for_gibbs_if_they_matter(ladder, request_: Request) -> None:
    best = request_.modes[0]
    for nats, runs in ((-5.0, ["nuts"]), (-4.0, ["gibbs"]), (0.0, ["gibbs"]), (np.nan, ["nuts"])):
        mode = EmptyMode(1, best.params, best.log_evidence + nats)
        verdicts = [PASSES] if runs == ["nuts"] else []  # Gibbs judges itself
        draws, stages = ladder(*verdicts, empty=(mode,))
        assert stages.samplers == runs
    draws, stages = ladder(empty=(EmptyMode(1, best.params, best.log_evidence),))
    assert stages.asked[0]["empty"][0].log_evidence == best.log_evidence
    assert "of the posterior probability (Laplace approximation) lies where one component is empty" in draws.notes[0]


def test_a_fit_that_passes_is_judged_once_from_modes_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look before sampling, the sampler, the tree and the diagnosis share what one of them found."""
    judged, found = [], []
    invariants, find = gate.label_invariants, modes.find_modes
    monkeypatch.setattr(gate, "label_invariants", lambda *a, **kw: judged.append(1) or invariants(*a, **kw))
    monkeypatch.setattr(modes, "find_modes", lambda *a: found.append(a[1][0].n_components) or find(*a))
    monkeypatch.setattr(empty_modes, "find_modes", modes.find_modes)
    fit = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(bg.datasets.load_faithful())
    assert fit.diagnose().ok and fit.posterior_.attrs["notes"] == ""
    assert judged == [1] and sorted(found) == [1, 2]


def test_modes_with_empty_components_are_found_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before sampling and by pilot chains; what was done is in the tree, the diagnosis and the report."""
    calls, find = [], empty_modes.empty_modes
    monkeypatch.setattr(empty_modes, "empty_modes", lambda *a, **kw: calls.append(1) or find(*a, **kw))
    rows = np.random.default_rng(0).normal(size=(60, 1))
    fit = bg.BayesianGMM(2, draws=200, tune=100, random_seed=1, progressbar=False).fit(rows)
    assert calls == [1]
    said = "of the posterior probability (Laplace approximation) lies where one component is empty"
    assert said in fit.posterior_.attrs["notes"] and fit.posterior_.attrs["method"].startswith("Gibbs")
    assert said in " ".join(fit.diagnose().advice)
    assert said in bg.report(fit, tmp_path / "report.html").read_text()


def test_draws_are_as_many_as_memory_allows(ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 bytes of 6 copies of K = 2 numbers of a draw of one of 4 chains; twice the gate's 400 are made all the same
    for room, made in ((300, 300), (10, 200)):
        monkeypatch.setattr(draws_within_memory, "_MEMORY", 8.0 * 6 * K * 4 * room)
        draws, stages = ladder(PASSES)
        assert stages.asked[0]["draws"] == made == draws.shape[1]
        (said,) = draws.notes
        assert "covariances of 500 draws per chain, 2 components and D = 1 would take" in said
        assert f"{made} draws per chain" in said
    monkeypatch.setattr(draws_within_memory, "_MEMORY", 8.0 * 6 * K * 4 * 500)
    draws, _ = ladder(PASSES)
    assert draws.notes == () and draws.shape[1] == 500


@pytest.mark.parametrize("rough", [True, False])
def test_sampling_again_does_not_end_where_chains_roughly_agree(ladder, rough: bool) -> None:
    """A fit that is sampled again has a limit of work too, but ends before only when its gate passes."""
    with working(max_work=1e9, rough=rough):
        _, stages = ladder(DISAGREES, PASSES, PASSES)
    assert stages.samplers == ["nuts", "gibbs"]
    assert (stages.asked[1]["max_work"], stages.asked[1]["rough"]) == (1e9, rough)


def test_modes_with_fewer_components_are_found_once_for_all_fits_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table, asked = bg.prepare_table(np.random.default_rng(0).normal(size=(60, 1))), list[int]()
    given = Problem(table, get_structure("full"), bg.MixturePrior().resolve(table))

    def counted(table: bg.Table, k: int, **options: Any) -> Any:
        asked.append(k)
        return fit_em_candidates(table, k, **options)

    monkeypatch.setattr(empty_modes, "fit_em_candidates", counted)
    first = empty_modes.empty_modes(given, 3, random_seed=1)
    again = empty_modes.empty_modes(given, 4, random_seed=1)
    assert asked == [2, 1, 3]
    params = {id(mode.params) for mode in first}
    assert params == {id(mode.params) for mode in again if mode.params.n_components < 3}
    other = bg.MixturePrior(mean_scale=9.0).resolve(table)  # another prior, structure or seed is another question
    empty_modes.empty_modes(given._replace(prior=other), 2, random_seed=1)
    empty_modes.empty_modes(given._replace(structure=get_structure("diag")), 2, random_seed=1)
    empty_modes.empty_modes(given, 2, random_seed=2)
    assert asked == [2, 1, 3, 1, 1, 1]
