"""Time and peak memory against the number of rows, for EM, Laplace, ADVI and NUTS (D = 5, K = 5).

    python benchmarks/scaling.py [--rows 1000 10000 ...] [--method em ...] [--plot scaling.png]

Every cell is a process of its own. "seconds": EM (5 starts), or from EM optima to draws (EM left out). "memory": the
peak of the process above what it held before the data were made, in multiples of the data, N x D doubles; the rows, the
table and the packed posterior are each one of these. Laplace: 4 x 1000 draws. ADVI: mean-field, mini-batches of 1000
rows, as for large N it should be. NUTS: 4 x (50 + 50), scaled to 4 x (500 + 1000). Slopes are those of log seconds by
log N, by least squares.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

ROWS = (1_000, 10_000, 100_000, 1_000_000)
D = K = 5


def peak() -> float:
    """Peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def cell(method: str, n: int) -> dict[str, float]:
    import bayesgmm as bg
    from bayesgmm.em import fit_em_candidates
    from bayesgmm.inference.advi import sample_advi
    from bayesgmm.inference.laplace import sample_laplace
    from bayesgmm.inference.nuts import sample_nuts
    from bayesgmm.structure import get_structure

    structure, options = get_structure("full"), {"random_seed": 1, "progressbar": False}

    def run(rows: np.ndarray, length: int) -> float:
        table = bg.prepare_table(rows)
        began = time.perf_counter()
        _, candidates = fit_em_candidates(table, K, structure=structure, n_init=5, random_seed=1)
        if method == "em":
            return time.perf_counter() - began
        began, prior = time.perf_counter(), bg.MixturePrior().resolve(table)
        problem = (table, structure, prior, candidates)
        if method == "laplace":
            sample_laplace(*problem, draws=length, **options)
        elif method == "advi":
            sample_advi(*problem, batch_size=min(1000, len(rows)), **options)
        else:
            draws = sample_nuts(*problem, draws=50, tune=50, **options)
            return time.perf_counter() - began + 14.0 * draws.seconds
        return time.perf_counter() - began

    def make(size: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        centres = 3.0 * rng.normal(size=(K, D))
        rows = rng.normal(size=(size, D))
        rows += centres[rng.integers(K, size=size)]
        return rows

    run(make(200), 25)  # imports and compiled code are in memory before anything is measured
    before = peak()
    seconds = run(make(n), 1000)
    return {"seconds": seconds, "memory": (peak() - before) / (8.0 * n * D)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--method", nargs="+", default=["em", "laplace", "advi", "nuts"])
    parser.add_argument("--plot", help="write a figure here")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        warnings.simplefilter("ignore")
        print(json.dumps(cell(options.cell[0], int(options.cell[1]))))
        return
    print(f"{'method':8} {'N':>9} {'seconds':>9} {'memory / data':>14}")
    found: dict[str, list[tuple[int, float]]] = {}
    for method in options.method:
        for n in options.rows:
            command = [sys.executable, __file__, "--cell", method, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            found.setdefault(method, []).append((n, result["seconds"]))
            print(f"{method:8} {n:9,} {result['seconds']:9.2f} {result['memory']:14.1f}", flush=True)
        if len(options.rows) > 1:
            x, y = np.log(found[method]).T
            print(f"{method:8} slope {np.polyfit(x, y, 1)[0]:.2f}", flush=True)
    if options.plot:
        draw(found, options.plot)


def draw(found: dict[str, list[tuple[int, float]]], path: str) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
    for method, points in found.items():
        ax.loglog(*np.array(points).T, "o-", label=method)
    ax.set_xlabel("rows")
    ax.set_ylabel("seconds")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
