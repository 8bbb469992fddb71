"""The page of `fuzz.py`: endings by kind of input, seconds, and every sentence of refusal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _fuzz import CALLS, LIMIT, REFUSED, RELIABLE, UNRELIABLE
from _fuzz_tables import CONTAINERS, DTYPES, KINDS, WEIGHTS

if TYPE_CHECKING:
    from fuzz import Finished

__all__ = ["pattern", "write"]

ENDINGS = RELIABLE, UNRELIABLE, REFUSED, "fault"
Groups = Callable[["Finished"], Iterable[str]]


def write(found: list[Finished], command: str, path: Path) -> None:
    """The page."""
    lines = [*_head(found, command)]
    for title, text, order, groups in _TABLES:
        lines += ["", f"## {title}", "", text, "", *_table(found, order, groups)]
    lines += [*_faults(found), *_slowest(found), *_refusals(found), *_tail()]
    path.write_text("\n".join(lines) + "\n")


def pattern(sentence: str) -> str:
    """A refusal without its names and numbers.

    >>> pattern("Column 'x1' is constant (1 in every row): drop the column.")
    "Column '…' is constant (# in every row): drop the column."
    """
    without = re.sub(r"'[^']*'", "'…'", sentence)
    without = re.sub(r"(?:'…', |x\d+, |c\d+, )+(?='…'|x\d|c\d)", "", without)
    without = re.sub(r"(?<![A-Za-z…])[-+±]?(?:\d[\d.,]*(?:e[-+]?\d+)?|inf\b|nan\b)(?<![.,])", "#", without)
    return re.sub(r"\b[xc]#?\d*(?:, [xc]\d+)+\b|\b[xc]\d+\b", "…", without)


def _kinds(one: Finished) -> Iterable[str]:
    return dict.fromkeys(one.case.table.kinds)


def _components(one: Finished) -> Iterable[str]:
    k = one.case.n_components
    return ["1" if k == 1 else "2 to 4" if k < 5 else "5 to 12" if k < 13 else "100"]


def _rows(one: Finished) -> Iterable[str]:
    n = one.case.table.n_rows
    return ["0" if n == 0 else "1 to 11" if n < 12 else "12 to 60"]


def _prior(one: Finished) -> Iterable[str]:
    return dict.fromkeys(name for name, _ in one.case.prior) or ["default"]


_TABLES: tuple[tuple[str, str, tuple[str, ...], Groups], ...] = (
    (
        "By what is called", "`laplace`, `gibbs`, `nuts` and `auto` are `BayesianGMM(..., inference=...).fit`.", CALLS,
        lambda one: [one.case.call],
    ),
    (
        "By the values", "A table can be of two kinds, and counts in both lines.", tuple(KINDS), _kinds,
    ),
    (
        "By the type of the cells", "Of all columns, or of the last one beside columns of float64.", DTYPES,
        lambda one: [one.case.table.dtype],
    ),
    ("By container", "", CONTAINERS, lambda one: [one.case.table.container]),
    ("By row weights", "", tuple(WEIGHTS), lambda one: [one.case.table.weights]),
    (
        "By what of the prior is stated", "Some of the values are impossible (a negative shape) or absurd (a mean at "
        "1e300) on purpose.", ("default", "mean_loc", "mean_scale", "sd", "lkj_eta", "concentration", "resolution"),
        _prior,
    ),
    ("By number of components", "", ("1", "2 to 4", "5 to 12", "100"), _components),
    ("By number of rows", "", ("0", "1 to 11", "12 to 60"), _rows),
)  # fmt: skip


def _table(found: list[Finished], order: Iterable[str], groups: Groups) -> list[str]:
    counted: dict[str, Counter[str]] = {name: Counter() for name in order}
    for one in found:
        for name in groups(one):
            counted[name][one.outcome.ending] += 1
    columns = [ending for ending in ENDINGS if ending != "fault" or any(c["fault"] for c in counted.values())]
    lines = ["| | examples | " + " | ".join(columns) + " |", "|" + " --- |" * (2 + len(columns))]
    for name, ended in counted.items():
        lines.append(f"| {name} | {ended.total()} | " + " | ".join(str(ended[column]) for column in columns) + " |")
    return lines


def _head(found: list[Finished], command: str) -> list[str]:
    ended = Counter(one.outcome.ending for one in found)
    seconds = np.array([one.outcome.seconds for one in found])
    answered = seconds[[one.outcome.ending in (RELIABLE, UNRELIABLE) for one in found]]
    refused = seconds[[one.outcome.ending == REFUSED for one in found]]
    return [
        "# Robustness", "",
        "Tables and options are drawn at random, odd ones on purpose, and each call must end in one of three ways: "
        "with a finite answer that calls itself reliable, with a finite answer that says that it is not to be relied "
        "on and why, or with an `InputError` of one line that says what to do. Anything else is a fault: another "
        "exception, a warning of NumPy or another library, a NaN or an infinite number in a result, probabilities that "
        f"do not sum to one, other numbers from the same seed, or more than {LIMIT:g} seconds of processor time.", "",
        f"**{len(found)} examples: {ended[RELIABLE]} answered and reliable, {ended[UNRELIABLE]} answered and said to "
        f"be not reliable, {ended[REFUSED]} refused in one line, {ended['fault'] or 'no'} "
        f"fault{'s' * (ended['fault'] != 1)}.** "
        f"An answer took {np.median(answered):.2g} seconds (median; 95 % of them less than "
        f"{np.quantile(answered, 0.95):.2g}, the longest {answered.max():.3g}), a refusal {np.median(refused):.1g} "
        f"(the longest {refused.max():.2g}) of processor time, with all that is asked of a result.", "",
        f"Command: `{command}`. Examples are drawn by [hypothesis](https://hypothesis.readthedocs.io) from the "
        "strategies in `tests/property/_fuzz.py` and `_fuzz_tables.py`, each from a seed of its own and independent of "
        "the others. Twenty such examples of `fit_em` and Laplace are in the default test suite, several hundred of "
        "all in `pytest -m slow`.",
        "",
        "## What is checked", "",
        "- **Of `fit_em`**: likelihood, criteria, trace and parameters are finite; it is reliable where it converged.",
        "- **Of a fit**: draws, pointwise log-likelihood, the diagnosis, summary, assignment and outlier score are "
        "finite; `predict`, `predict_proba` and `score_samples` of the same table, and of points up to 1e9 standard "
        "deviations away; partition, merging and, for a third, LOO, WAIC and the marginal likelihood. It is reliable "
        "where `diagnose().ok`.",
        "- **Of `compare_components`**: headline and table, of K = 1 and one more; it is reliable where all its fits "
        "are.",
        "- **For a quarter**: the same call again gives the same numbers, to the last bit.",
        "- Many fits are not reliable for want of draws: 50 to 500 draws of one or two chains are asked for, and an "
        "effective sample size of 400 is the criterion.",
    ]  # fmt: skip


def _faults(found: list[Finished]) -> list[str]:
    faulty = [one for one in found if one.outcome.faults]
    if not faulty:
        return []
    return ["", "## Faults", "", *(f"- Seed {one.seed}: {_plain('; '.join(one.outcome.faults))}" for one in faulty)]


def _slowest(found: list[Finished]) -> list[str]:
    lines = [
        "", "## The slowest", "",
        "| seconds | seed | call | rows | columns | K | values | ending |", "|" + " --- |" * 8,
    ]  # fmt: skip
    for one in sorted(found, key=lambda one: -one.outcome.seconds)[:8]:
        case = one.case
        cells = [
            f"{one.outcome.seconds:.1f}", one.seed, case.call + ", with scores" * case.scores + ", twice" * case.again,
            case.table.n_rows, case.table.n_columns, case.n_components, ", ".join(_kinds(one)), one.outcome.ending,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _refusals(found: list[Finished]) -> list[str]:
    sentences = [one.outcome.sentence for one in found if one.outcome.ending == REFUSED]
    first, number = dict[str, str](), Counter(map(pattern, sentences))
    for sentence in sentences:
        first.setdefault(pattern(sentence), sentence)
    return [
        "", "## Every refusal", "",
        f"One of each of the {len(number)} different sentences, and how often it was given with other names and "
        "numbers.", "", "| times | sentence |", "| --- | --- |",
        *(f"| {times} | {_plain(first[p])} |" for p, times in number.most_common()),
    ]  # fmt: skip


def _plain(text: str) -> str:
    return re.sub(r"([|<>*_\[\]`$])", r"\\\1", text)


def _tail() -> list[str]:
    return [
        "", "## What was not tried", "",
        "- More than 60 rows, 5 columns or 12 components (but for 100, which is refused here), so nothing about "
        "memory.",
        "- Variational inference (`advi`, `fullrank_advi`) and `sampler=\"pymc\"`, which compile for longer than the "
        "limit; more than two chains; several processes.",
        "- Samplers do at most 1e10 multiply-adds a run here, half of what `compare_components` lets them do at first. "
        "A fit alone may do a hundred times as many where its chains do not agree, some two minutes on two cores.",
        "- Known labels (`y`), survey weights and `missing=\"error\"`.",
        "- Plots, reports, files, the command line; wrong arguments of every public function are in "
        "`tests/unit/test_arguments.py`.",
        "- Whether an answer is right. What is checked is that it is finite and consistent and judges itself; that the "
        "posterior is the one of the model is in [](calibration.md) and `tests/statistical`.",
    ]  # fmt: skip
