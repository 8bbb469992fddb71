"""What a call shows while it works, how its seconds are added up, and that samplers end when the time is up."""

from __future__ import annotations

import io
import sys
import time
import warnings

import pytest

import bayesgmm as bg
from bayesgmm import progress
from bayesgmm.progress import out_of_time, patient, sampling_progress, stage, time_left, work_allowed, working


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(progress.time, "perf_counter", lambda: self.now)


def test_seconds_of_stages_leave_out_those_of_stages_within(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with working("K = 2") as work:
        with stage("LOO"):
            clock.now += 1.0
            with working(), stage("repairs"):
                clock.now += 5.0
            clock.now += 2.0
        with stage("LOO"):
            clock.now += 0.5
    assert work.seconds == {"LOO": 3.5, "repairs": 5.0}


def test_the_narrower_limit_holds_and_patience_lifts_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert not out_of_time() and work_allowed(3.0) == 3.0 and time_left() == float("inf")
    with working(max_seconds=10.0, max_work=5.0), working(max_seconds=60.0, max_work=2.0):
        assert work_allowed(3.0) == 2.0 and work_allowed(1.0) == 1.0 and time_left() == 10.0
        clock.now += 10.0
        assert out_of_time()
        with patient():
            assert not out_of_time()
        assert out_of_time()
    assert not out_of_time()


def test_plain_lines_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(progress, "_can_show", lambda: False)
    with working("K = 3", progressbar=True):
        with stage("EM"):
            clock.now += 3.0
        with stage("draws"), sampling_progress(True, 2, 100, "Gibbs") as report:
            report(0, 50, 0)
            clock.now += 11.0
            report(1, 100, 2)
            report(0, 60, 2)
        with stage("at once"):
            pass
    assert out.getvalue().splitlines() == [
        "[    3 s] K = 3: draws",  # nothing of the first two seconds
        "[   14 s] K = 3: Gibbs, 75%, 2 divergences",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("TERM", "xterm")
    with working("K = 3", progressbar=True), sampling_progress(True, 1, 40, "NUTS") as report:
        report(0, 30, 1)
        time.sleep(0.25)
    assert "K = 3: NUTS" in out.getvalue() and "30/40 draws, 1 divergences" in out.getvalue()


def test_nothing_is_shown_that_was_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with working("K = 3"), stage("EM"), sampling_progress(False, 1, 40, "NUTS") as report:
        report(0, 30, 1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("inference", ["nuts", "gibbs"])
def test_samplers_end_with_what_they_have_when_the_time_is_up(inference: str) -> None:
    model = bg.BayesianGMM(
        2, inference=inference, draws=200_000, tune=100, random_seed=1, log_likelihood=False, escalate=False,
        progressbar=False,
    )  # fmt: skip
    rows = bg.datasets.load_faithful().iloc[::8]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.NotConvergedWarning)
        bg.BayesianGMM(2, inference=inference, draws=50, tune=50, random_seed=1, progressbar=False).fit(
            rows
        )  # compiled
        with working(max_seconds=0.8):
            fit = model.fit(rows)
    assert fit.posterior_.attrs["partial"] == 1
    assert 4 <= fit.posterior_["posterior"].sizes["draw"] < 200_000
    assert "ended before it was done" in str(fit.diagnose())
