"""Compiling on a new machine: one process does it, others wait, and something is done meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayesgmm.inference import first_use
from bayesgmm.warm_up import compile_the_rest


class Process:
    """One that goes on until it is told to stop."""

    pid = os.getpid()
    done = False

    def poll(self) -> int | None:
        return 0 if self.done else None

    def terminate(self) -> None:
        self.done = True

    def wait(self) -> None:
        pass


def test_one_process_compiles_and_others_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Process] = []
    monkeypatch.setattr(first_use, "_folders", lambda: [tmp_path])
    monkeypatch.setattr(first_use, "_started", [])
    monkeypatch.setattr(first_use.subprocess, "Popen", lambda *_, **__: started.append(Process()) or started[-1])
    first_use.begin()
    first_use.begin()
    assert len(started) == 1 and (tmp_path / "sweeps.compiling").read_text() == str(os.getpid())
    monkeypatch.setattr(first_use, "_started", [])  # as in another process
    first_use.begin()
    assert len(started) == 1
    first_use.finish(lambda: (tmp_path / "sweeps.compiling").unlink())  # ends, since nobody compiles any more
    first_use.finish(lambda: pytest.fail("there is nothing to wait for"))
    (tmp_path / "sweeps.compiling").write_text("999999999")  # of a process that was killed
    first_use.finish(lambda: pytest.fail("nobody is at work"))
    first_use.begin()
    assert len(started) == 2
    started[-1].terminate()
    first_use.finish(lambda: pytest.fail("it has ended"))
    assert not (tmp_path / "sweeps.compiling").exists()


def test_nothing_is_started_where_the_sweeps_are_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(first_use, "_folders", lambda: [tmp_path])
    monkeypatch.setattr(first_use, "_started", [])
    monkeypatch.setattr(first_use.subprocess, "Popen", lambda *_, **__: pytest.fail("they are there"))
    (tmp_path / "sweeps.sweep_many-9.py313.nbi").touch()
    first_use.begin()
    source = Path(first_use.sys.modules[first_use.sweep_many.py_func.__module__].__file__ or "")
    os.utime(tmp_path / "sweeps.sweep_many-9.py313.nbi", (0.0, source.stat().st_mtime - 10.0))
    assert not first_use._is_compiled()  # older than the source


def test_a_process_takes_its_claim_back_and_a_dead_one_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(first_use, "_folders", lambda: [tmp_path])
    monkeypatch.setattr(first_use, "_started", [])
    claim = tmp_path / "sweeps.compiling"
    claim.write_text(str(os.getpid()))
    assert first_use._working()
    first_use.compile_and_say()
    assert not claim.exists() and not first_use._working()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked for its exit status
    claim.write_text(str(child.pid))
    assert not first_use._working()
    child.wait()


def test_what_is_compiled_meanwhile_runs() -> None:
    compile_the_rest()
