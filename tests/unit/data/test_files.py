"""A file is written whole or not at all, whatever the disk, the path or a kill does; each fault is one line."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bayesgmm.data.files import as_path, check_writable, read_whole, write_whole
from bayesgmm.errors import InputError
from bayesgmm.visible import visible

OLD = b"earlier result"
# A writer that stops between the last byte and its place, until it is killed.
STOPPED_WRITER = """
import os, sys, time
from bayesgmm.data.files import write_whole
os.fsync = lambda handle: (print("written", flush=True), time.sleep(60))
write_whole(sys.argv[1], b"new")
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "result"
    path.write_bytes(OLD)
    return path


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def nobody() -> Iterator[None]:
    """A user without rights, where the tests run as one who has all."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert visible(text) == text
    return text


def test_parts_are_one_file(target: Path) -> None:
    write_whole(target, b"ab", memoryview(b"cd"), b"")
    assert target.read_bytes() == b"abcd"
    assert list(target.parent.iterdir()) == [target]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_stays_a_link(target: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    write_whole(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"


def test_a_full_disk_keeps_the_earlier_file(target: Path) -> None:
    with largest_file(1000), pytest.raises(InputError, match="make room") as error:
        write_whole(target, bytes(2000))
    one_line(error)
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_an_interruption_keeps_the_earlier_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, b"new")
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(target: Path) -> None:
    def parts() -> set[Path]:
        return set(target.parent.glob(".bayesgmm-*.part"))

    def stopped_writer() -> tuple[subprocess.Popen[str], Path]:
        before = parts()
        command = [sys.executable, "-c", STOPPED_WRITER, str(target)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        (part,) = parts() - before
        return process, part

    dead, left = stopped_writer()
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert left.exists()
    live, writing = stopped_writer()
    try:
        assert parts() == {writing}, "the writer removed what was left"
        (target.parent / ".bayesgmm-of-version-1.part").write_bytes(b"half")
        write_whole(target, b"newer")
        assert parts() == {writing}
        assert target.read_bytes() == b"newer"
    finally:
        live.kill()
        live.communicate()
    write_whole(target, b"newest")
    assert list(target.parent.iterdir()) == [target]


PATHS = [
    "",
    "a\0b",
    "a\ud800b",
    None,
    5,
    b"bytes",
    "/proc/x.nc",
    "/sys/x.nc",
    "/dev/null",
    "n" * 300,
    "no/where",
    "result/x",
]


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_a_path_that_cannot_be_written_is_one_line(path: object, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(target.parent)
    for act in (check_writable, lambda p: write_whole(p, b"new")):
        with pytest.raises(InputError) as error:
            act(path)
        one_line(error)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("path", [*PATHS, "/proc/kmsg", "/dev/zero"], ids=ascii)
def test_a_path_that_cannot_be_read_is_one_line(path: object, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(target.parent)
    with pytest.raises(InputError) as error:
        read_whole(path, b"early", "a result")
    one_line(error)


def test_read_whole(target: Path) -> None:
    assert read_whole(target, b"earlier", "a result") == OLD
    with pytest.raises(InputError, match="not a result"):
        read_whole(target, b"later", "a result")
    target.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_whole(target, b"earlier", "a result")


def test_no_permission_is_said(target: Path) -> None:
    target.chmod(0)
    with nobody(), pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        read_whole(target, OLD, "a result")
    target.parent.chmod(0o500)
    try:
        with nobody(), pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
            check_writable(target)
    finally:
        target.parent.chmod(0o700)


def test_a_name_in_a_message_stays_in_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two\\nlines\\u202e") as error:
        check_writable(tmp_path / "two\nlines\u202e" / "x")
    one_line(error)
    assert as_path(tmp_path) == tmp_path
