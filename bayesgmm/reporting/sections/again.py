"""How to make the report again: a whole script, and the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bayesgmm.data.quoted import choosing
from bayesgmm.model.prior import MixturePrior
from bayesgmm.reporting.as_code import as_code, call, changed_options
from bayesgmm.reporting.document.blocks import Block, Code, Heading, Section, Text
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["again"]

_QUIET = ("progressbar", "cores")  # results do not depend on them
_COMMAND = {"covariance_type": "covariance", "component": "component", "inference": "inference", "random_seed": "seed",
            "draws": "draws", "tune": "tune", "chains": "chains"}  # fmt: skip


def again(subject: Subject) -> Section:
    """The script, then the command line and what it cannot say."""
    blocks: list[Block] = [Heading("Python"), Code(script(subject), "python"), Heading("Command line")]
    line, lacking = command(subject)
    blocks.append(Code(line, "bash"))
    if lacking:
        blocks.append(Text(f"The command line has no option for {', '.join(lacking)}: use the script."))
    return Section("again", "How to make it again", tuple(blocks))


def script(subject: Subject) -> str:
    """Python from the file to the report."""
    fit, told = subject.fit, subject.told
    lines = ["import bayesgmm as bg", "", *_loading(subject)]
    weighted = fit.table_.weights.min() != fit.table_.weights.max() or fit.table_.weights[0] != 1.0
    known = fit.table_.known is not None
    given = {"sample_weight": "weights"} if weighted else {}
    if known:
        lines.append("y = ...  # the class of each observation, None where it is not known")
    options = _fit_options(subject)
    if subject.compared is None:
        estimator = call("bg.BayesianGMM", [], options)
        arguments = ["data", *["y"] * known, *(f"{n}={v}" for n, v in given.items())]
        lines += [f"fit = {estimator}.fit({', '.join(arguments)})", "print(fit.diagnose())"]
    else:
        made = call("bg.compare_components", ["data", str(_numbers(subject)), *(f"{n}={v}" for n, v in given.items())],
                    options)  # fmt: skip
        lines += [f"fit = {made}", "print(fit)"]
    about: dict[str, Any] = {} if subject.ci_prob == 0.95 else {"ci_prob": subject.ci_prob}
    if told.source:
        about["source"] = told.source
    report = call("bg.report", ["fit", "'report.html'", *["labels=labels"] * (told.labels is not None)], about)
    return "\n".join([*lines, report, ""])


def _loading(subject: Subject) -> list[str]:
    """Lines that make ``data``, and ``weights`` and ``labels`` where there are any."""
    fit, told = subject.fit, subject.told
    table, out = fit.table_, []
    if told.loading is not None:
        out.append(told.loading)
    else:
        if told.source is None:
            out.append("# The file of the observations: give its name.")
        columns = [*table.feature_names, *([told.weights] if told.weights else [])]
        options: dict[str, Any] = {"columns": columns}
        if told.labels is not None:
            options["label"] = str(told.labels.name)
        options |= told.reading
        made = call("bg.read_csv", [as_code(told.source or "data.csv")], options)
        out.append(f"data, {'labels' if told.labels is not None else '_'} = {made}")
    if told.weights:
        out.append(f"weights = data.pop({told.weights!r})")
    elif table.weights.min() != table.weights.max() or table.weights[0] != 1.0:
        out.append("weights = ...  # the weight of each observation")
    return out


def _fit_options(subject: Subject) -> dict[str, Any]:
    """What the estimator, or the comparison, was given besides the table."""
    if subject.compared is None:
        first = {"n_components": subject.fit.n_components}
        return first | changed_options(subject.fit, ("n_components", *_QUIET))
    options = changed_options(subject.fit, ("n_components", "covariance_type", "component", "noise", *_QUIET))
    kinds = [candidate.kind for candidate in subject.compared.candidates.values()]
    for name, default in (("covariance_type", "full"), ("component", "normal"), ("noise", False)):
        several = list(dict.fromkeys(getattr(kind, name) for kind in kinds))
        if several != [default]:
            options[name] = several[0] if len(several) == 1 else several
    if "within_ss" in subject.compared.details:
        options["secondary"] = True
    return options


def _numbers(subject: Subject) -> list[int]:
    return sorted({int(fit.n_components) for fit in subject.fits.values()})


def _stated_steps(prior: Any) -> Mapping[str, float]:
    """Recording steps by column, where they are all that a prior states."""
    if prior is None or prior != replace(MixturePrior(), resolution=prior.resolution):
        return {}
    return prior.resolution if isinstance(prior.resolution, Mapping) else {}


def command(subject: Subject) -> tuple[str, list[str]]:
    """The command line, and the options that it cannot say."""
    told, options = subject.told, _fit_options(subject)
    if told.command is not None:
        return told.command, []
    parts = ["bayesgmm", "fit" if subject.compared is None else "compare", shlex.quote(told.source or "data.csv")]
    parts.append(f"--components {','.join(map(str, _numbers(subject)))}")
    options.pop("n_components", None)
    parts.append(choosing(subject.fit.table_.feature_names))
    lacking = [name for name in options if name not in _COMMAND and name not in ("noise", "secondary", "weight_type")]
    steps = _stated_steps(options.get("prior"))
    if steps:
        lacking.remove("prior")
        parts += [f"--resolution {shlex.quote(f'{name}={step:g}')}" for name, step in steps.items()]
    for name, option in _COMMAND.items():
        if name in options and options[name] is not None:
            value = options[name]
            parts.append(f"--{option} {','.join(map(str, value)) if isinstance(value, list) else value}")
    noise = options.get("noise", False)
    if noise:
        parts.append(
            "--noise" if subject.compared is None else f"--noise {'both' if isinstance(noise, list) else 'yes'}"
        )
    if options.get("secondary"):
        parts.append("--secondary")
    weights = subject.fit.table_.weights
    if told.weights:
        survey = subject.fit.table_.weight_type == "survey"
        parts.append(f"--{'survey-' * survey}weights {shlex.quote(told.weights)}")
    elif weights.min() != weights.max() or weights[0] != 1.0:
        lacking.append("weights that are no column of the file")
    if subject.fit.table_.known is not None:
        lacking.append("known labels")
    if told.labels is not None:
        parts.append(f"--label {shlex.quote(str(told.labels.name))}")
    return " ".join([*parts, "--out report.html"]), lacking
