"""A signal at any moment of the command line: exit code 130, one sentence that is true, and nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.interruption import watch

LAUNCH = "from bayesgmm.__main__ import main; main()"  # what the console script does
TALK = "from bayesgmm import progress as p; p._QUIET = p._PAUSE = p._EVERY = -1.0; "  # all there is, at once
PROGRESS = re.compile(r"\[ *\d+ s\] ")


def _listen() -> None:
    """A shell that starts the tests in the background has SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """The command line in a process of its own, in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, code: str = LAUNCH, **environment: str) -> None:
        self.folder, self.began = folder, time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = folder / "stdout", folder / "stderr"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments], stdout=out, stderr=err, cwd=folder,
                env=os.environ | environment, start_new_session=True, preexec_fn=_listen,
            )  # fmt: skip

    def ends(self) -> int:
        return self.process.wait(240)

    def wait_for_draws(self) -> None:
        while not re.search(r"NUTS, [1-9]\d%", self.err.read_text()) and self.process.poll() is None:
            time.sleep(0.02)

    def said(self) -> list[str]:
        return [line for line in self.err.read_text().splitlines() if not PROGRESS.match(line)]

    def interrupted(self, number: int = signal.SIGINT, *, group: bool = False) -> str:
        """Signal, wait, check, and give the sentence; empty if the run had ended."""
        if self.process.poll() is None:  # a process that has ended is not there any more
            (os.killpg if group else os.kill)(self.process.pid, number)
        code, said, printed = self.ends(), self.said(), self.out.read_text()
        assert code in (0, 3, 128 + number), (code, said)
        if code != 128 + number:
            assert said == []
            return ""
        assert len(said) == 1 and said[0].startswith("bayesgmm: interrupted; "), said
        sentence = said[0]
        assert ("was printed" in sentence) == (printed != ""), (sentence, printed)
        for name, made in (("report.html", "the report was written"), ("fit.nc", "the fit was saved")):
            assert (self.folder / name).exists() == (made in sentence), sentence
        kept = re.search(r"(\d+) finished fits? (is|are) kept", sentence)
        assert len(list(self.folder.glob("kept/*.nc"))) == (int(kept[1]) if kept else 0), sentence
        assert not list(self.folder.glob(".bayesgmm-*")), "an unfinished file"
        return sentence


def test_while_it_is_imported(tmp_path: Path) -> None:
    run = Run(tmp_path, "demo", "--out", "report.html")
    time.sleep(0.3)
    assert run.interrupted() == "bayesgmm: interrupted; nothing was written"


LONG = ["-k", "2", "--tune", "50", "--draws", "5000"]  # of 4000 rows


def test_a_fit_while_it_samples_prints_the_draws_it_has(tmp_path: Path) -> None:
    run = Run(tmp_path, "fit", str(table(tmp_path, 2000)), *LONG, "--save", "fit.nc", code=TALK + LAUNCH)
    run.wait_for_draws()
    assert run.interrupted() == ("bayesgmm: interrupted; the result so far was printed, the fit was saved to fit.nc")
    assert "ended before it was done" in run.out.read_text()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    run = Run(tmp_path, "fit", str(table(tmp_path, 2000)), *LONG, code=TALK + LAUNCH)
    run.wait_for_draws()
    os.kill(run.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    assert run.interrupted(signal.SIGTERM) == "bayesgmm: interrupted; nothing was written"


def test_a_comparison_prints_the_fits_it_has(tmp_path: Path) -> None:
    run = Run(tmp_path, "compare", str(table(tmp_path, 60)), "-k", "1:3", "--checkpoint", "kept")
    while not (tmp_path / "kept" / "full-1.nc").exists():
        time.sleep(0.02)
    said = run.interrupted(group=True)
    assert said == "bayesgmm: interrupted; the answer so far was printed, 1 finished fit is kept in kept"
    assert "so this is the best answer so far" in run.out.read_text()


def test_while_llvm_asks_for_compiled_code(tmp_path: Path) -> None:
    """An exception there is dropped, LLVM goes on without the code, and Numba writes to where it is not."""
    code = (
        "import os; from numba.core.codegen import CPUCodeLibrary as C; asked, find = [], C._object_getbuffer_hook\n"
        "def hook(module):\n    asked.append(0)\n    if len(asked) == 12: os.kill(os.getpid(), 2)\n"
        "    return find(module)\n"
        "C._object_getbuffer_hook = staticmethod(hook)\n"
    )
    run = Run(tmp_path, "demo", code=code + LAUNCH)
    assert run.ends() == 130 and run.said() == ["bayesgmm: interrupted; nothing was written"]


def test_a_reader_that_has_gone_is_no_fault(tmp_path: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", LAUNCH, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()
    _, said = run.communicate()
    assert [line for line in said.decode().splitlines() if not PROGRESS.match(line)] == []


def test_what_was_short_is_brought_to_its_end() -> None:
    done: list[bool] = []

    def finish() -> None:
        with watch:
            watch._interrupt(None)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        finish()
    assert done and not watch.code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cache", "times", "command"),
    [
        ("warm", 70, ["fit", "-k", "2", "--out", "report.html", "--save", "fit.nc"]),
        ("warm", 90, ["compare", "-k", "1:3", "--out", "report.html", "--checkpoint", "kept"]),
        ("warm", 20, ["compare", "-k", "1:3", "--jobs", "2", "--checkpoint", "kept"]),
        ("cold", 20, ["fit", "-k", "2", "--save", "fit.nc"]),
    ],
    ids=["fit", "compare", "compare in two processes", "fit while it compiles"],
)
def test_at_any_time(tmp_path: Path, cache: str, times: int, command: list[str]) -> None:
    """Moments are uniform from where the package is entered, 0.1 s after the start of Python, to the end."""
    given = [command[0], str(table(tmp_path, 60)), *command[1:]]
    rng, sentences = np.random.default_rng(times), dict[str, int]()

    def begin(name: str) -> Run:
        folder = tmp_path / name
        environment = {"NUMBA_CACHE_DIR": str(folder / "cache")} if cache == "cold" else {}
        return Run(folder, *given, **environment)

    whole = begin("whole")
    assert whole.ends() in (0, 3), whole.said()
    longest = time.monotonic() - whole.began
    for i in range(times):
        run = begin(str(i))
        time.sleep(0.1 + rng.random() * (longest - 0.1))
        sentence = run.interrupted(group=bool(i % 2))
        sentences[sentence] = sentences.get(sentence, 0) + 1
    assert sentences.get("", 0) < times / 4  # runs that had ended
    print(f"{longest:.1f} s", *(f"{n} x {said or 'had ended'}" for said, n in sentences.items()), sep="\n")


def table(folder: Path, size: int) -> Path:
    """Two groups of so many rows."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, (size, 2)), rng.normal(6, 1, (size, 2))])
    path = folder / "groups.csv"
    path.write_text("height,width\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in rows))
    return path
