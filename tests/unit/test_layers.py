"""Imports go downwards: the table of rooms, and what each may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bayesgmm"
BASE = {"arguments", "errors", "progress", "record", "visible", "wording"}
# A room, and the rooms and modules it may import besides itself and the base.
MAY_IMPORT = {
    "data": set(),
    "kernels": set(),
    "model": {"data", "kernels"},
    "em": {"data", "kernels", "model"},
    "inference": {"data", "kernels", "model", "em"},
    "posterior": {"data", "kernels", "model"},
    "clustering": {"data", "kernels", "model", "posterior"},
    "model_selection": {"data", "kernels", "model", "em", "posterior", "clustering"},
    "reporting": {"data", "kernels", "model", "posterior", "clustering", "model_selection"},
}  # fmt: skip
SHELL = {
    "__init__", "__main__", "checkpoint", "compare", "compare_fits", "compare_in_batches", "compare_plan", "comparison",
    "datasets", "estimator", "fit_in_batches", "fit_options", "fitted", "fitted_base", "fitted_box", "fitted_clusters",
    "fitted_distributions", "fitted_predictions", "fitted_scores", "interruption", "priors", "storage", "warm_up",
}  # fmt: skip
MAY_IMPORT["cli"] = MAY_IMPORT.keys() - {"inference"} | SHELL
THIRD_PARTY = {
    "pymc": {"inference", "model"},
    "pytensor": {"inference", "model"},
    "nutpie": {"inference"},
    "matplotlib": {"reporting"},
    "jinja2": {"reporting"},
    "typer": {"cli"},
    "dask": {"data"},
    "arviz": {"posterior", "model_selection", "reporting", "estimator"},
}


def imports(path: Path) -> Iterator[str]:
    """What is imported anywhere in the file, within functions and for the type checker too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_top_holds_rooms_and_a_thin_shell() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and list(p.glob("*.py"))}
    assert folders == set(MAY_IMPORT)
    assert {p.stem for p in PACKAGE.glob("*.py")} == SHELL | BASE


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    here = home(path)
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "bayesgmm" and rest and here not in SHELL:
            allowed = BASE if here in BASE else BASE | {here} | MAY_IMPORT[here]
            assert rest[0] in allowed, f"{here} imports {name}"
        elif first in THIRD_PARTY:
            assert here in THIRD_PARTY[first], f"{here} imports {first}"


def test_no_circle() -> None:
    """No module imports itself through others, not even within a function."""
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in modules()}
    edges = {n: {m for i in imports(p) for m in (i, i.rpartition(".")[0]) if m in names} for n, p in names.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in edges[name] - {name}:
                visit(other, (*above, name))
            done.add(name)

    for name in names:
        visit(name, ())


def test_import_is_lazy() -> None:
    """`import bayesgmm`, and the command line until it has read its input, load none of the heavy packages."""
    heavy = (
        "('pymc', 'nutpie', 'arviz', 'pytensor', 'matplotlib', 'sklearn', 'numba', 'pandas', 'xarray', 'narwhals', "
        "'polars', 'pyarrow', 'dask', 'distributed')"
    )
    code = f"import sys, bayesgmm, bayesgmm.cli; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
