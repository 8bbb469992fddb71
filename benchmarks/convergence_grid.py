"""Does every K converge? Data sets, K = 1..6, structures, two seeds; the table goes to docs/evidence.md.

    python benchmarks/convergence_grid.py --results grid.jsonl [--sets iris wine13] [--structures full,diag]
        [--components 1,2,3,4,5,6] [--plain] [--pymc 4] [--write docs/evidence.md]

A cell passes when the gate passes (R-hat < 1.01, bulk and tail ESS > 400, no divergences) from both seeds and they
agree within Monte Carlo error (|z| < 4) on log-likelihood, sorted weights and occupied components. Results are
appended to the file as they come, and cells that it holds already are not run again. `--plain` also runs NUTS without
escalation; `--pymc n` also runs PyMC's NUTS on the `build_model` face for the first n cells with K > 1 (a minute or
more each).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from arviz_stats.base import array_stats
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg
from bayesgmm.empty_components import log_empty_probability
from bayesgmm.tree import posterior_arrays

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
        log_empty_probability(a.to_model(fit.table_.values), a.weights, a.means, a.scaling, diagonal=a.diagonal)
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


def cell(rows: np.ndarray, k: int, structure: str, plain: bool, pymc: bool) -> dict[str, Any]:
    runs = [run(rows, k, structure, seed) for seed in SEEDS]
    out: dict[str, Any] = {"runs": runs, "z": agree(runs[0]["summary"], runs[1]["summary"])}
    out["passed"] = bool(all(r["ok"] for r in runs) and out["z"] < TOLERANCE)
    if plain:
        out["plain"] = run(rows, k, structure, SEEDS[0], escalate=False)
    if pymc:
        out["pymc"] = run(rows, k, structure, SEEDS[0], escalate=False, sampler="pymc")
    return out


def how(run: dict[str, Any]) -> str:
    return ("Gibbs" if run["method"].startswith("Gibbs") else "NUTS") + ("+" if run["notes"] else "")


def write(records: list[dict[str, Any]], path: Path) -> None:
    """The table, with how many cells passed."""
    passed = sum(r["passed"] for r in records)
    seconds = np.array([max(run["seconds"] for run in r["runs"]) for r in records])
    plain = [r["plain"]["ok"] for r in records if "plain" in r]
    # Plain NUTS may pass its gate and yet sample a part of the posterior: compare it with the cell's own answer.
    same = [
        r["plain"]["ok"] and agree(r["plain"]["summary"], r["runs"][0]["summary"]) < TOLERANCE
        for r in records
        if "plain" in r and r["passed"]
    ]
    pymc = [r["pymc"]["ok"] for r in records if "pymc" in r]
    lines = [
        "# Evidence", "", "By `benchmarks/convergence_grid.py`, which says what a cell is and when it passes.", "",
        f"**{passed} of {len(records)} cells pass**; seconds a fit (the slower seed): median {np.median(seconds):.1f}, "
        f"90 % {np.quantile(seconds, 0.9):.0f}, longest {seconds.max():.0f}.", "",
    ]  # fmt: skip
    if plain:
        lines += [
            f"NUTS without escalation passes the gate in {sum(plain)} of {len(plain)} cells; of the cells that pass, "
            f"it gives the same posterior in {sum(same)} of {len(same)}: elsewhere it fails, or its chains agree on a "
            "part of the posterior.", "",
        ]  # fmt: skip
    if pymc:
        lines += [f"PyMC's NUTS on `build_model` passes the gate in {sum(pymc)} of {len(pymc)} cells tried.", ""]
    lines += [
        "| data | structure | K | passed | largest z | R-hat | ESS | seconds | sampler | plain NUTS |",
        "|" + " --- |" * 10,
    ]
    for r in records:
        runs = r["runs"]
        line = [
            r["set"], r["structure"], str(r["k"]), "yes" if r["passed"] else "**no**", f"{r['z']:.1f}",
            f"{max(x['r_hat'] for x in runs):.3f}", f"{min(x['ess'] for x in runs):.0f}",
            f"{max(x['seconds'] for x in runs):.1f}", ", ".join(how(x) for x in runs),
            "" if "plain" not in r else "passes" if r["plain"]["ok"] else "fails",
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
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--structures", default="full,diag")
    parser.add_argument("--components", default="1,2,3,4,5,6")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--pymc", type=int, default=0)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    sets = data_sets()
    names = arguments.sets or list(sets)
    records = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()] if arguments.results.exists() else []
    )
    done = {(r["set"], r["structure"], r["k"]) for r in records}
    for structure in arguments.structures.split(","):
        for k in map(int, arguments.components.split(",")):
            for name in names:
                if (name, structure, k) in done:
                    continue
                pymc = k > 1 and sum("pymc" in r for r in records) < arguments.pymc
                record = {"set": name, "structure": structure, "k": k}
                record |= cell(sets[name], k, structure, arguments.plain, pymc)
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
