"""Time and peak memory against the number of rows, for EM, Laplace, ADVI and NUTS (D = 5, K = 5).

    python benchmarks/scaling.py [--rows 1000 10000 ...] [--method em ...] [--write docs/scaling.md]

Every cell is a process of its own. "seconds": EM (5 starts), or from EM optima to draws (EM left out). "memory": what
the fit adds at its peak to the process that holds the caller's array, in multiples of the data, N x D doubles: the
table's own copy of the rows and their weights, everything EM and the sampler make of them, and the draws. Laplace:
4 x 1000 draws. ADVI: mean-field, mini-batches of 1000 rows, as for large N it should be, and the weights of 4 x 1000
draws, which take all rows. NUTS: 4 x (500 + 1000); above 10,000 rows 4 x (50 + 50), whose sampling time is multiplied
by 15. Slopes are those of log seconds by log N, by least squares. Peaks are read from /proc (Linux).

``--write`` makes a page of the documentation of it, and its figure in ``_static`` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np

ROWS = (1_000, 10_000, 100_000, 1_000_000)
D = K = 5
METHODS = {"em": "EM", "laplace": "Laplace", "advi": "ADVI", "nuts": "NUTS"}
NUTS_IN_FULL = 10_000
MIB = 2.0**20


def memory(name: str) -> float:
    """Resident memory of this process in bytes: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024.0 * float(line.split()[1]) for line in lines if line.startswith(name + ":"))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def cell(method: str, n: int) -> dict[str, float]:
    import bayesgmm as bg
    from bayesgmm.em.candidates import fit_em_candidates
    from bayesgmm.inference.approximate.advi import sample_advi
    from bayesgmm.inference.approximate.laplace import sample_laplace
    from bayesgmm.inference.modes import find_modes
    from bayesgmm.inference.nuts.sample import sample_nuts
    from bayesgmm.model.structure import get_structure

    structure, options = get_structure("full"), {"random_seed": 1, "progressbar": False}

    def run(rows: np.ndarray, draws: int) -> float:
        table = bg.prepare_table(rows)
        began = time.perf_counter()
        _, candidates = fit_em_candidates(table, K, structure=structure, n_init=5, random_seed=1)
        if method == "em":
            return time.perf_counter() - began
        began, prior = time.perf_counter(), bg.MixturePrior().resolve(table)
        from bayesgmm.model.problem import Problem

        given = Problem(table, structure, prior)
        problem = (given, find_modes(given, candidates))
        if method == "laplace":
            sample_laplace(*problem, draws=draws, **options)
        elif method == "advi":
            sample_advi(*problem, batch_size=min(1000, len(rows)), draws=draws, **options)
        elif draws < 1000 or len(rows) <= NUTS_IN_FULL:
            sample_nuts(*problem, draws=draws, tune=draws // 2, **options)
        else:
            short = sample_nuts(*problem, draws=50, tune=50, **options)
            return time.perf_counter() - began + 14.0 * short.seconds
        return time.perf_counter() - began

    def make(size: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        centres = 3.0 * rng.normal(size=(K, D))
        rows = rng.normal(size=(size, D))
        rows += centres[rng.integers(K, size=size)]
        return rows

    run(make(300), 25)  # imports and compiled code are in memory before anything is measured
    rows = make(n)
    before = memory("VmRSS")
    forget_peak()
    seconds = run(rows, 1000)
    return {"seconds": seconds, "bytes": memory("VmHWM") - before}


def slope(points: list[tuple[int, float, float]]) -> float:
    n, seconds, _ = np.log(points).T
    return float(np.polyfit(n, seconds, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--write", type=Path, help="write a page of the documentation here")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        warnings.simplefilter("ignore")
        print(json.dumps(cell(options.cell[0], int(options.cell[1]))))
        return
    print(f"{'method':8} {'N':>9} {'seconds':>9} {'MiB':>8} {'memory / data':>14}")
    found: dict[str, list[tuple[int, float, float]]] = {}
    loads = []
    for method in options.method:
        for n in options.rows:
            loads.append(os.getloadavg()[0])
            command = [sys.executable, __file__, "--cell", method, str(n)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            found.setdefault(method, []).append((n, result["seconds"], result["bytes"]))
            share = result["bytes"] / (8.0 * n * D)
            print(f"{method:8} {n:9,} {result['seconds']:9.2f} {result['bytes'] / MIB:8.1f} {share:14.1f}", flush=True)
        if len(options.rows) > 1:
            print(f"{method:8} slope {slope(found[method]):.2f}", flush=True)
    if options.write:
        draw(found, options.write.parent / "_static" / f"{options.write.stem}.png")
        options.write.write_text(page(found, loads, options.write.stem))


def page(found: dict[str, list[tuple[int, float, float]]], loads: list[float], name: str) -> str:
    rows = [n for n, _, _ in next(iter(found.values()))]
    head = [f"N = {n:,}" for n in rows]
    times, sizes = [], []
    for method, points in found.items():
        label = METHODS[method]
        known = [
            f"{float(f'{seconds:.3g}'):,g}{' *' if method == 'nuts' and n > NUTS_IN_FULL else ''}"
            for n, seconds, _ in points
        ]  # fmt: skip
        times.append([label, *known, f"{slope(points):.2f}"])
        shares = [f" ({size / (8.0 * n * D):.1f} ×)" if n >= 100_000 else "" for n, _, size in points]
        sizes.append([label, *(f"{size / MIB:.0f}{share}" for (*_, size), share in zip(points, shares, strict=True))])
    system = f"{os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}"
    return f"""# Time and memory

D = {D} columns, K = {K} components, full covariances; {system}, {date.today():%d %B %Y}.
The machine had a load average of {min(loads):.1f} to {max(loads):.1f} when the cells began; above 1, other work ran
on it. Reproduce this page with

```
python benchmarks/scaling.py --write docs/{name}.md
```

![Seconds and memory against the number of rows](_static/{name}.png)

**Seconds.** EM: five starts. The others: from the optima of EM to 4 × 1000 draws, importance weights of an
approximation included; ADVI is mean-field on mini-batches of 1,000 rows. The slope is that of log seconds by log N.

{markdown(["", *head, "slope"], times)}

\\* Extrapolated from 4 × (50 + 50) draws to 4 × (500 + 1000).

**Peak memory, MiB**, and from 100,000 rows in multiples of the data, N × D doubles. It is what a fit adds to the
process that holds the caller's array, which comes on top: the table's own copy of the rows and their weights,
everything made of them, and the draws. For few rows it is the draws (ADVI weighs up to 16,000 then); for NUTS above
10,000 rows it is that of 4 × (50 + 50) draws, and 4 × 1000 take some 10 MiB more than those.

{markdown(["", *head], sizes)}

Rows of Laplace are those of every draw with every row, as small tables take it. Above 50,000 rows `BayesianGMM` takes a
bounded number of passes instead, which for a million rows is faster and takes less memory: [Large tables,
measured](large_tables.md).
"""


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(found: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained")
    for method, points in found.items():
        n, seconds, size = np.array(points).T
        (line,) = left.loglog(n, seconds, "o-", label=f"{METHODS[method]}, slope {slope(points):.2f}")
        measured = n <= NUTS_IN_FULL if method == "nuts" else n > 0
        left.loglog(n[~measured], seconds[~measured], "o", color=line.get_color(), markerfacecolor="white")
        right.loglog(n, size / MIB, "o-", label=METHODS[method])
    n = np.array([p[0] for p in next(iter(found.values()))], dtype=float)
    right.loglog(n, 3.0 * 8.0 * D * n / MIB, "--", color="0.5", label="3 × data")
    left.set(xlabel="rows", ylabel="seconds", title="time (hollow: extrapolated)")
    right.set(xlabel="rows", ylabel="MiB added at the peak", title="memory")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
