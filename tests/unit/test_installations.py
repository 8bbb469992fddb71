"""Where nothing can be written to, or what is there is damaged: fits run, and say once what cannot be kept."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bayesgmm
from bayesgmm.kernels import cache
from bayesgmm.kernels.folders import private_folder

NOWHERE = "/proc/nowhere"
NO_TEMPORARY_FILES = f"import tempfile; tempfile.tempdir = {NOWHERE!r}; "
LAUNCH = "from bayesgmm.__main__ import main; main()"
# The superuser may write anywhere, unless this is taken away.
WITHOUT_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []


def run(package: Path, folder: Path, code: str, *arguments: str) -> tuple[list[str], str]:
    """Run the command line without rights to the package and without a home; lines on standard error, and output."""
    if WITHOUT_RIGHTS and shutil.which(WITHOUT_RIGHTS[0]) is None:
        pytest.skip("the superuser, and no setpriv")
    nothing = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), NOWHERE)
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")} | nothing
    done = subprocess.run(
        [*WITHOUT_RIGHTS, sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=folder, env=environment | {"PYTHONPATH": str(package)},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not re.match(r"\[ *\d+ s\] ", line)]
    assert done.returncode == 0, said
    return said, done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, with what was compiled; read-only once it is locked."""
    place = tmp_path / "installed"
    shutil.copytree(Path(bayesgmm.__file__).parent, place / "bayesgmm")
    yield place
    lock(place, 0o755, 0o644)


def lock(place: Path, folders: int = 0o555, files: int = 0o444) -> None:
    place.chmod(folders)
    for path in place.rglob("*"):
        path.chmod(folders if path.is_dir() else files)


@pytest.mark.slow
def test_a_package_that_was_compiled_and_is_read_only(installed: Path, tmp_path: Path) -> None:
    """Nothing is compiled or kept elsewhere; matplotlib has no home either."""
    run(installed, tmp_path, LAUNCH, "demo", "--out", "report.html")  # compiles what is not there yet
    lock(installed)
    here = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; "
    said, printed = run(installed, tmp_path, here + LAUNCH, "demo", "--out", "again.html")
    assert said == [] and "The chains converged" in printed and (tmp_path / "again.html").exists()
    assert not list(tmp_path.glob("bayesgmm-*/*/*.nbi"))


def test_pytensor_has_no_home(installed: Path, tmp_path: Path) -> None:
    code = (
        f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; import bayesgmm as bg; "
        "bg.build_model(bg.datasets.load_faithful(), 2); import pytensor; print(pytensor.config.compiledir)"
    )
    said, printed = run(installed, tmp_path, code)
    assert "PyTensor compiles into" in said[0] and "PYTENSOR_FLAGS=base_compiledir" in said[0]
    assert printed.startswith(f"{tmp_path}/bayesgmm-")


@pytest.mark.slow
def test_a_read_only_package_that_was_never_compiled(installed: Path, tmp_path: Path) -> None:
    """Without a place for temporary files nothing is kept; with one, it is kept there and read again."""
    for path in list(installed.rglob("__pycache__")):
        shutil.rmtree(path)
    lock(installed)
    said, printed = run(installed, tmp_path, NO_TEMPORARY_FILES + LAUNCH, "demo")
    assert len(said) == 1 and said[0].startswith("bayesgmm: compiled kernels cannot be kept in "), said
    assert (
        said[0].endswith("set NUMBA_CACHE_DIR to a folder that can be written to.")
        and "The chains converged" in printed
    )
    here = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; "
    said, printed = run(installed, tmp_path, here + LAUNCH, "demo")
    assert len(said) == 1 and said[0].startswith(f"bayesgmm: compiled kernels are kept in {tmp_path}/bayesgmm-"), said
    assert "The chains converged" in printed
    assert run(installed, tmp_path, here + LAUNCH, "demo")[0] == []


@pytest.mark.slow
def test_two_at_once_that_have_nothing_compiled(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", LAUNCH, "demo"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    first, second = (process.communicate()[0] for process in both)
    assert first == second and "The chains converged" in first
    assert [process.returncode for process in both] == [0, 0]


SOURCE = "from bayesgmm.kernels.compiled import compiled\n\n@compiled\ndef twice(x):\n    return 2 * x\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports a compiled one anew, as another process would."""
    path = tmp_path / "kernel.py"
    path.write_text(SOURCE)
    monkeypatch.setattr(cache, "_said", [])

    def imported() -> Any:
        spec = importlib.util.spec_from_file_location("kernel", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.twice

    return imported


def kept(tmp_path: Path, ending: str) -> list[Path]:
    return sorted((tmp_path / "__pycache__").glob(f"*.{ending}"))


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_files_are_made_anew(kernel: Any, tmp_path: Path, ending: str) -> None:
    assert kernel()(3) == 6
    (file,) = kept(tmp_path, ending)
    whole = file.read_bytes()
    for damaged in (whole[:40], b"", b"nothing of the kind"):
        file.write_bytes(damaged)
        found = kernel()
        assert found(3) == 6 and not found.stats.cache_hits
        again = kernel()
        assert again(3) == 6 and again.stats.cache_hits


def test_code_of_an_older_source_is_not_taken_for_this_one(kernel: Any, tmp_path: Path) -> None:
    """The index is written last, so that whoever is interrupted between the two leaves nothing wrong."""
    assert kernel()(3) == 6
    (tmp_path / "kernel.py").write_text(SOURCE.replace("2 *", "5 *"))
    assert kernel()(3) == 15 and len(kept(tmp_path, "nbc")) == 2


def test_a_full_disk_is_said_once(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache._Files, "_save_data", full)
    with pytest.warns(UserWarning, match=r"cannot be kept in .* \(No space left on device\): set NUMBA_CACHE_DIR"):
        assert kernel()(3) == 6
    assert kernel()(3) == 6  # warnings are errors in tests


def test_only_a_folder_that_is_ours_alone_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> str | None:
        private_folder.cache_clear()
        return private_folder()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = Path(found() or "")
    assert path.parent == tmp_path and path.stat().st_mode & 0o777 == 0o700 and found() == str(path)
    path.chmod(0o770)
    assert found() is None
    path.chmod(0o700)
    tmp_path.chmod(0o777)  # others could put another one in its place
    assert found() is None
    tmp_path.chmod(0o1777)
    assert found() == str(path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert found() is None
    path.unlink()
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    assert found() is None
    if os.geteuid() == 0:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        path.mkdir(0o700)
        os.chown(path, 65534, 65534)
        assert found() is None
    private_folder.cache_clear()


def test_a_warning_is_one_line() -> None:
    from bayesgmm.__main__ import as_line

    assert as_line(UserWarning("first\n  second"), UserWarning, "file.py", 1) == "bayesgmm: first second\n"
