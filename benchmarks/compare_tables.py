"""How long `compare_components` takes on ordinary tables: K = 1..6, full covariances, medians of several runs.

    python benchmarks/compare_tables.py [--tables faithful,penguins,...] [--repeats 3] [--effort default|full]
        [--max-seconds S] [--write docs/speed.md]

Each run is a process of its own with compiled kernels in the cache; its seconds are those of the call, with the imports
that it needs and without those of the package. Stages are those of the median run. Beside it `mclust` in R on the same
table, the same K and structure "VVV", where R has it, and what version 0.1.0 took.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent / "data"
TABLES = ("faithful", "penguins", "thyroid", "diabetes", "wdbc3", "banknote", "wine")
BARS = {"faithful": 12.0, "wine": 120.0}  # seconds; 45 for the others
# Of version 0.1.0 on two cores, some of them busy.
BEFORE = {"penguins": "over 600, stopped", "thyroid": "840", "banknote": "720, with compiling", "wdbc3": "300"}
SHOWN = {
    "EM": "EM", "draws": "draws", "LOO": "LOO", "repairs of LOO": "repairs", "log evidence": "evidence",
    "merging": "merging",
}  # fmt: skip
MCLUST = """
suppressMessages(library(mclust)); x <- as.matrix(read.csv("{path}"))
t <- system.time(m <- Mclust(x, G = 1:6, modelNames = "VVV", verbose = FALSE)); cat(t[["elapsed"]], m$G)
"""


def table(name: str) -> pd.DataFrame:
    if name == "faithful":
        from bayesgmm.datasets import load_faithful

        return load_faithful()
    if name == "wine":
        from sklearn.datasets import load_wine

        return load_wine(as_frame=True).data
    return pd.read_csv(DATA / f"{name}.csv").iloc[:, 1:]


def run(name: str, effort: str, max_seconds: float | None) -> dict:
    """One comparison, in this process."""
    import bayesgmm as bg

    rows = table(name)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        comparison = bg.compare_components(
            rows, range(1, 7), effort=effort, max_seconds=max_seconds, random_seed=1, progressbar=False
        )
    seconds = time.perf_counter() - began
    stages = comparison.stages.reindex(columns=list(SHOWN), fill_value=0.0).rename(columns=SHOWN)
    stages["all"], stages["status"] = comparison.details["seconds"], comparison.details["status"]
    return {
        "seconds": seconds, "headline": comparison.recommendation.headline, "shape": list(rows.shape),
        "stages": json.loads(stages.to_json(orient="index")),
    }  # fmt: skip


def mclust(name: str) -> str:
    """Seconds and number of components of mclust, or a dash."""
    if shutil.which("Rscript") is None:
        return "-"
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        table(name).to_csv(file.name, index=False)
        done = subprocess.run(["Rscript", "-e", MCLUST.format(path=file.name)], capture_output=True, text=True)
    if done.returncode:
        return "-"
    seconds, k = done.stdout.split()
    return f"{float(seconds):.1f} (K = {k})"


def measure(name: str, args: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--one", name, "--effort", args.effort]
    if args.max_seconds is not None:
        command += ["--max-seconds", str(args.max_seconds)]
    runs = []
    for _ in range(args.repeats):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    runs.sort(key=lambda r: r["seconds"])
    return runs[len(runs) // 2] | {"all": [round(r["seconds"], 1) for r in runs], "mclust": mclust(name)}


def lines(name: str, found: dict) -> list[str]:
    n, d = found["shape"]
    bar = BARS.get(name, 45.0)
    out = [
        f"## {name}, {n} x {d}: {found['seconds']:.1f} s",
        "",
        f"Runs {', '.join(map(str, found['all']))} s; bar {bar:g} s "
        f"{'kept' if found['seconds'] <= bar else 'missed'}; "
        f"version 0.1.0: {BEFORE.get(name, 'not measured')}; mclust: {found['mclust']}. {found['headline']}",
        "",
        "| K | " + " | ".join(SHOWN.values()) + " | all | status |",
        "| --- |" + " --- |" * (len(SHOWN) + 2),
    ]
    for k, row in found["stages"].items():
        cells = [f"{row[column]:.2f}" for column in [*SHOWN.values(), "all"]]
        out.append(f"| {k} | {' | '.join(cells)} | {row['status']} |")
    return [*out, ""]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--effort", default="default")
    parser.add_argument("--max-seconds", type=float)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run(args.one, args.effort, args.max_seconds)))
        return
    text = []
    for name in args.tables.split(","):
        found = lines(name, measure(name, args))
        print("\n".join(found), flush=True)
        text += found
    if args.write:
        head = "# Seconds of a comparison\n\nBy `benchmarks/compare_tables.py`, on two cores.\n\n"
        args.write.write_text(head + "\n".join(text))


if __name__ == "__main__":
    main()
