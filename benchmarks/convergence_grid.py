"""Does every K converge? Data sets, K = 1..6, structures, two seeds; the table goes to docs/convergence.md.

    python benchmarks/convergence_grid.py --results benchmarks/convergence_grid.jsonl [--sets iris wine13]
        [--structures full,diag] [--components 1,2,3,4,5,6] [--beside plain|pymc] [--cpu-seconds 360]
        [--write docs/convergence.md]

A cell passes when the convergence criteria are met (R-hat < 1.01, bulk and tail ESS > 400, no divergences) from both
seeds and they agree within Monte Carlo error (|z| < 4) on log-likelihood, sorted weights and occupied components.
Results are appended to the file as they come, and cells that it holds already are not run again. `--beside` runs no new
cells, but beside those that are there NUTS without escalation (`plain`) or PyMC's NUTS on the `build_model` face
(`pymc`, a minute or more each, on one core). A run that needs more than `--cpu-seconds` is stopped and recorded as not
finished, which is not a pass.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from arviz_stats.base import array_stats
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg
from bayesgmm.kernels.threads import available_cores
from bayesgmm.model_selection.evidence.empty_components import log_empty_probability
from bayesgmm.posterior.tree import posterior_arrays

REFERENCE = Path(__file__).parents[1] / "tests" / "reference" / "em"
SEEDS = (1, 2)
TOLERANCE = 4.0  # standard errors


def principal_components(rows: np.ndarray, n: int) -> np.ndarray:
    return PCA(n, random_state=0).fit_transform(StandardScaler().fit_transform(rows))


def blobs(means: np.ndarray, sd: float, n: int, rng: np.random.Generator, p: list[float] | None = None) -> np.ndarray:
    return means[rng.choice(len(means), n, p=p)] + sd * rng.standard_normal((n, means.shape[1]))


def data_sets() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    faithful = np.asarray(bg.datasets.load_faithful())
    return {
        "iris": np.asarray(bg.datasets.load_iris()[0]),
        "wine13": load_wine().data,
        "wine, 4 PCs": principal_components(load_wine().data, 4),
        "breast cancer, 4 PCs": principal_components(load_breast_cancer().data, 4),
        "faithful": faithful,
        "eruptions": faithful[:, :1],
        "galaxies": np.asarray(bg.datasets.load_galaxies()),
        "galaxies, uncorrected": np.loadtxt(REFERENCE / "galaxies_MASS.csv", skiprows=1, ndmin=2),
        "tight clusters": blobs(np.array([[-1.0, -1], [1, 1], [-1, 1]]), 0.02, 300, rng),
        "10 columns, 4 clusters": blobs(3 * rng.standard_normal((4, 10)), 1.0, 500, rng),
        "weights 95/5": blobs(np.array([[0.0, 0], [3, 3]]), 1.0, 400, rng, [0.95, 0.05]),
        "heavy overlap": blobs(np.array([[-1.0, 0], [1, 0], [0, 1.5]]), 1.0, 500, rng),
        "20,000 rows": blobs(4 * rng.standard_normal((4, 2)), 1.0, 20_000, rng),
    }


def summarise(fit: bg.BayesianGMM) -> dict[str, list[float]]:
    """Mean and Monte Carlo error of log-likelihood, sorted weights and occupied components."""
    posterior = fit.posterior_["posterior"].to_dataset()
    log_likelihood = posterior["log_likelihood_total"].values
    weights = np.sort(posterior["weights"].values, axis=-1)[..., ::-1]
    a = posterior_arrays(fit.posterior_)
    empty = np.exp(
        log_empty_probability(a.to_model(fit.table_.values), a.weights, a.means, a.scaling, row_model=a.row_model)
    )
    k = weights.shape[-1]
    values = {"log_likelihood": log_likelihood, "occupied": k * (1.0 - empty.reshape(log_likelihood.shape))}
    values |= {f"weight {j}": weights[..., j] for j in range(k - 1)}
    out = {}
    for name, x in values.items():
        ess = float(array_stats.ess(x, method="mean")) if np.ptp(x) > 1e-9 else np.inf
        out[name] = [float(x.mean()), float(x.std()) / np.sqrt(ess)]
    return out


def run(rows: np.ndarray, k: int, structure: str, seed: int, **options: Any) -> dict[str, Any]:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = bg.BayesianGMM(k, covariance_type=structure, random_seed=seed, progressbar=False, **options).fit(rows)
    seconds = time.perf_counter() - began
    diagnosis = fit.diagnose()
    table = diagnosis.table
    return {
        "ok": diagnosis.ok, "seconds": seconds, "r_hat": float(table["r_hat"].max()),
        "ess": float(table[["ess_bulk", "ess_tail"]].min().min()), "verdict": diagnosis.verdict,
        "method": fit.posterior_.attrs["method"], "notes": fit.posterior_.attrs["notes"],
        "summary": summarise(fit),
    }  # fmt: skip


def agree(a: dict[str, list[float]], b: dict[str, list[float]]) -> float:
    """Largest difference between two seeds in standard errors; differences below 1e-4 do not count."""
    z = [abs(x[0] - y[0]) / max(np.hypot(x[1], y[1]), 2.5e-5) for x, y in zip(a.values(), b.values(), strict=True)]
    return float(max(z))


def cell(rows: np.ndarray, k: int, structure: str) -> dict[str, Any]:
    runs = [run(rows, k, structure, seed) for seed in SEEDS]
    z = agree(runs[0]["summary"], runs[1]["summary"])
    return {"runs": runs, "z": z, "passed": bool(all(r["ok"] for r in runs) and z < TOLERANCE)}


BESIDE = {"plain": {"escalate": False}, "pymc": {"escalate": False, "sampler": "pymc", "cores": 1}}


def run_within(cpu_seconds: int | None, rows: np.ndarray, k: int, structure: str, key: str) -> dict[str, Any]:
    """One run of another sampler; if its processor time is limited, in a process of its own that may use no more."""
    if cpu_seconds is None:
        return run(rows, k, structure, SEEDS[0], **BESIDE[key])
    limit = (resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    spawn, began = multiprocessing.get_context("spawn"), time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=resource.setrlimit, initargs=limit) as pool:
        try:
            return pool.submit(run, rows, k, structure, SEEDS[0], **BESIDE[key]).result()
        except BrokenProcessPool:
            if time.perf_counter() - began < cpu_seconds / available_cores():
                raise  # it was not stopped by its limit
            return {"ok": False, "verdict": f"Not finished in {cpu_seconds} seconds of processor time."}


def how(run: dict[str, Any]) -> str:
    return ("Gibbs" if run["method"].startswith("Gibbs") else "NUTS") + ("+" if run["notes"] else "")


def outcome(beside: dict[str, Any] | None) -> str:
    if beside is None:
        return ""
    return "not finished" if "summary" not in beside else "passes" if beside["ok"] else "fails"


def write(records: list[dict[str, Any]], path: Path) -> None:
    """The table, with how many cells passed."""
    passed = sum(r["passed"] for r in records)
    seconds = np.array([max(run["seconds"] for run in r["runs"]) for r in records])
    there = {(r["set"], r["structure"], r["k"]) for r in records}
    wanted = [(name, s, k) for name in data_sets() for s in ("full", "diag") for k in range(1, 7)]
    missing = [f"{name}, {s}, K = {k}" for name, s, k in wanted if (name, s, k) not in there]
    not_run = f", {len(missing)} were not run with the present code" if missing else ""
    lines = [
        "# Convergence benchmark", "",
        "By `benchmarks/convergence_grid.py`, which says what a cell is and when it passes.", "",
        f"**{passed} of {len(wanted)} cells pass{not_run}**; seconds a fit (the slower seed): median "
        f"{np.median(seconds):.1f}, 90 % {np.quantile(seconds, 0.9):.0f}, longest {seconds.max():.0f}. The records of "
        "every run, with what the sampler did, are in `benchmarks/convergence_grid.jsonl`.", "",
    ]  # fmt: skip
    for key, name in (("plain", "NUTS without escalation"), ("pymc", "PyMC's NUTS on `build_model`")):
        tried = [r for r in records if key in r]
        # It may meet the criteria though its chains agree on a part of the posterior only: compare with the cell's own.
        same = [
            "summary" in r[key] and agree(r[key]["summary"], r["runs"][0]["summary"]) < TOLERANCE
            for r in tried if r["passed"]
        ]  # fmt: skip
        passed_too = [r[key]["ok"] for r in tried if r["passed"]]
        stopped = [r[key]["verdict"] for r in tried if outcome(r[key]) == "not finished"]
        said = f" In {len(stopped)} of the other cells: {stopped[0][0].lower() + stopped[0][1:]}" if stopped else ""
        if tried:
            lines += [
                f"{name} was run on {len(tried)} cells; it meets the convergence criteria in "
                f"{sum(r[key]["ok"] for r in tried)}. Of the {len(same)} that pass here it meets them and gives the "
                "same posterior in "
                f"{sum(x and y for x, y in zip(same, passed_too, strict=True))}.{said}", "",
            ]  # fmt: skip
    lines += [
        "| data | structure | K | passed | largest z | R-hat | ESS | seconds | sampler | plain NUTS | PyMC |",
        "|" + " --- |" * 11,
    ]
    for r in records:
        runs = r["runs"]
        line = [
            r["set"], r["structure"], str(r["k"]), "yes" if r["passed"] else "**no**", f"{r['z']:.1f}",
            f"{max(x['r_hat'] for x in runs):.3f}", f"{min(x['ess'] for x in runs):.0f}",
            f"{max(x['seconds'] for x in runs):.1f}", ", ".join(how(x) for x in runs),
            *(outcome(r.get(key)) for key in BESIDE),
        ]  # fmt: skip
        lines.append("| " + " | ".join(line) + " |")
    failed = [r for r in records if not r["passed"]]
    if failed:
        lines += ["", "Where a cell does not pass:", ""]
        for r in failed:
            said = next(
                (x["verdict"] for x in r["runs"] if not x["ok"]), f"both seeds pass and differ, z = {r['z']:.0f}"
            )
            lines.append(f"- {r['set']}, {r['structure']}, K = {r['k']}: {said}")
    if missing:
        lines += ["", "Not run with the present code: " + "; ".join(missing) + "."]
    newest = max(r.get("date", "") for r in records)
    older = [
        f"{r['set']}, {r['structure']}, K = {r['k']}" for r in records
        if r.get("date", "") < newest and "Gibbs" in " ".join(how(x) for x in r["runs"])
    ]  # fmt: skip
    if older:
        lines += ["", f"Gibbs cells run before {newest}, with an earlier sampler: " + "; ".join(older) + "."]
    path.write_text("\n".join(lines) + "\n")


def run_beside(
    sets: dict[str, np.ndarray], records: list[dict[str, Any]], wanted: set[tuple[str, str, int]], key: str, path: Path,
    cpu_seconds: int | None,
) -> None:  # fmt: skip
    """Another sampler on cells that have been run, added to their records."""
    for r in records:
        if (r["set"], r["structure"], r["k"]) in wanted and key not in r:
            r[key] = run_within(cpu_seconds, sets[r["set"]], r["k"], r["structure"], key)
            path.write_text("".join(json.dumps(x) + "\n" for x in records))
            print(key, r["set"], r["structure"], r["k"], outcome(r[key]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--structures", default="full,diag")
    parser.add_argument("--components", default="1,2,3,4,5,6")
    parser.add_argument("--beside", choices=list(BESIDE))
    parser.add_argument("--cpu-seconds", type=int)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    sets = data_sets()
    names = arguments.sets or list(sets)
    records = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    )
    if arguments.beside:
        wanted = {(n, s, int(k)) for n in names for s in arguments.structures.split(",")
                  for k in arguments.components.split(",")}  # fmt: skip
        run_beside(sets, records, wanted, arguments.beside, arguments.results, arguments.cpu_seconds)
        names = []
    done = {(r["set"], r["structure"], r["k"]) for r in records}
    for structure in arguments.structures.split(","):
        for k in map(int, arguments.components.split(",")):
            for name in names:
                if (name, structure, k) in done:
                    continue
                record = {"set": name, "structure": structure, "k": k} | cell(sets[name], k, structure)
                record["date"] = date.today().isoformat()
                records.append(record)
                with arguments.results.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                seconds = [round(r["seconds"], 1) for r in record["runs"]]
                print(
                    name,
                    structure,
                    f"K={k}",
                    "pass" if record["passed"] else "FAIL",
                    f"z={record['z']:.1f}",
                    seconds,
                    flush=True,
                )
    if arguments.write:
        order = {name: i for i, name in enumerate(sets)}
        write(sorted(records, key=lambda r: (order[r["set"]], r["structure"] != "full", r["k"])), arguments.write)


if __name__ == "__main__":
    main()
