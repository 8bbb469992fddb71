"""What the documentation and the package say of each other."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import bayesgmm as bg

ROOT = Path(__file__).parents[2]


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.M) == [project["version"]] == [bg.__version__]
    assert f"license: {project['license']}" in citation


def test_everything_public_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    listed = set(re.findall(r"^   ~?bayesgmm\.([\w.]+)$", page, re.M))
    names = {name for name in bg.__all__ if not inspect.ismodule(getattr(bg, name))}
    names |= {f"{module}.{name}" for module in ("datasets", "priors") for name in getattr(bg, module).__all__}
    assert not names - listed


def test_every_method_of_a_fit_says_what_it_takes_and_returns() -> None:
    for name, method in inspect.getmembers(bg.BayesianGMM, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("bayesgmm"):
            continue
        text = inspect.getdoc(method) or ""
        for argument in inspect.signature(method).parameters:
            assert argument in {"self", "fit_params"} or re.search(rf"\b{argument}\b", text), f"{name}: {argument}"
        assert "Returns\n-" in text or name in {"fit", "fit_predict", "save"}, name
