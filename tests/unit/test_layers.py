"""Imports go downwards: a module may import only from its own layer or those below."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bayesgmm"

LAYERS = {
    "numerics": {
        "acceleration", "approximation", "augmentation", "block_math", "bridge", "coordinates", "criteria", "data",
        "compiled", "decoupled", "delimited", "density", "draw_blocks", "draws", "em", "em_problem", "em_result",
        "em_steps", "errors", "input_checks", "kernels", "local_proposal", "log_posterior", "log_prior", "mode_bridge",
        "option_checks", "packed", "params", "partition_loss", "partition_search", "prior", "priors",
        "progress", "proposal", "read", "relabel", "resolution", "scalars", "search", "spacing", "spikes", "starts",
        "streaming", "structure", "tables", "threads", "triangular",
    },
    "model": {
        "inference", "likelihood_op", "model",
    },
    "analysis": {
        "assignment", "candidate", "clusterings", "coclustering", "convergence", "credible_ball",
        "diagnostics",
        "elpd", "empty_components", "evidence", "gate", "highest_density", "invariants", "kfold", "label_draws",
        "loo", "merging", "merging_core", "mode_shares",
        "occupancy", "outliers", "partition", "posterior", "posterior_partition",
        "predict", "prior_sensitivity", "ranking", "recommend", "secondary", "summary",
        "symmetric", "tree", "verdicts", "waic",
    },
    "showing": {
        "plots", "reporting",
    },
    "shell": {
        "__init__", "__main__", "checkpoint", "cli", "cli_compare", "compare", "comparison", "datasets",
        "escalation", "estimator", "fitted", "storage", "warm_up",
    },
}  # fmt: skip
# Analysis stands beside the model, not above it: it must not know how draws were made.
MAY_IMPORT = {
    "numerics": {"numerics"},
    "model": {"numerics", "model"},
    "analysis": {"numerics", "analysis"},
    "showing": {"numerics", "analysis", "showing"},
    "shell": set(LAYERS),
}
THIRD_PARTY = {
    "pymc": {"model"},
    "pytensor": {"model"},
    "nutpie": {"model"},
    "matplotlib": {"showing"},
    "jinja2": {"showing"},
    "typer": {"shell"},
    "arviz": {"analysis", "showing", "shell"},
}
# The one function of the shell that the showing layer may use: writing a file whole or not at all.
ALLOWED = {("reporting", "storage")}


def layer_of(module: str) -> str:
    found = [layer for layer, modules in LAYERS.items() if module in modules]
    assert len(found) == 1, f"{module} must be listed in exactly one layer"
    return found[0]


def top_module(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names imported anywhere in the file, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    checking = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "bayesgmm" else {node.module}
            )
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    module = top_module(path)
    layer = layer_of(module)
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "bayesgmm" and rest:
            target = rest[0]
            if (PACKAGE / f"{target}.py").exists() or (PACKAGE / target).is_dir():
                allowed = layer_of(target) in MAY_IMPORT[layer] or (module, target) in ALLOWED
                assert allowed, f"{module} ({layer}) imports {target} ({layer_of(target)})"
        elif first in THIRD_PARTY:
            assert layer in THIRD_PARTY[first], f"{module} ({layer}) imports {first}"


def test_import_is_lazy() -> None:
    """`import bayesgmm` loads none of the heavy packages."""
    heavy = "('pymc', 'nutpie', 'arviz', 'pytensor', 'matplotlib', 'sklearn', 'numba', 'pandas', 'xarray')"
    code = f"import sys, bayesgmm; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
