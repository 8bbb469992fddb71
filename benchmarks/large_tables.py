"""Large tables: EM and the posterior by Laplace, in memory and in batches, beside scikit-learn (D = 8, K = 8).

    python benchmarks/large_tables.py [--rows 100000 1000000] [--parquet 10000000 100000000] [--write page.md]

Every cell is a process of its own. "EM": seconds an iteration, in memory (one thread) and over batches of the array
(two), beside an iteration of scikit-learn's GaussianMixture in the same process. "posterior": from the table to the
diagnosis, EM, 4 x 1000 draws, importance weights and relabelling included. "memory": what the fit adds at its peak to
the process that holds the caller's array, or, of Parquet, the peak of the whole process. The bars: EM 8 times
scikit-learn's; the posterior of a million rows in 60 s; memory 0.3 times the table; ten million rows of Parquet in 10
minutes and 1 GB. Memory is read from /proc (Linux). "anchors": an iteration of faiss' k-means and of Spark's
GaussianMixture (local, two threads) over the same rows, if faiss-cpu, or pyspark with a Java, is installed.

Cells are kept in ``large_tables.json``, so that a long one need not be run again; one that is run replaces its
former. ``--write`` makes a page of the documentation of all, and its figure in ``_static`` beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from scaling import MIB, forget_peak, markdown, memory

D = K = 8
CELLS = ("em", "memory", "batches", "compare", "compare_batches")
ANCHORS = {"faiss": "faiss, k-means (float32)", "pyspark": "Spark 2 threads, GaussianMixture"}
SOURCES = {
    "memory": "array", "batches": "array in batches", "parquet": "folder of Parquet",
    "compare": "array, K = 7 and 8 compared", "compare_batches": "array in batches, K = 7 and 8 compared",
}  # fmt: skip
STEP = 250_000


def rows(first: int, last: int) -> np.ndarray:
    """Some rows of a table that is the same however it is made."""
    centres = 3.0 * np.random.default_rng(1).normal(size=(K, D))
    out = []
    for block in range(first // STEP, -(-last // STEP)):
        rng = np.random.default_rng([2, block])
        out.append(centres[rng.integers(K, size=STEP)] + rng.normal(size=(STEP, D)))
    made = np.concatenate(out)
    start = first - first // STEP * STEP
    return made[start : start + last - first]


def em(n: int) -> dict[str, Any]:
    from sklearn.mixture import GaussianMixture

    import bayesgmm as bg
    from bayesgmm.data.batches import ScaledBatches
    from bayesgmm.em.of_blocks import em_of_blocks
    from bayesgmm.em.state import State
    from bayesgmm.em.steps import em as iterate
    from bayesgmm.kernels.rows import rows_of
    from bayesgmm.model.structure import get_structure

    x = rows(0, n)
    start = bg.fit_em(x[:20_000], K, n_init=2, random_seed=1).params
    blocks = ScaledBatches(bg.Batches(x), np.zeros(D), np.ones(D))
    structure, features, weights = get_structure("full"), rows_of(np.ascontiguousarray(x.T)), np.ones(n)
    state = State(start.head, start.means, start.cholesky, start.scaling)
    ours, divided, theirs = [], [], []
    for _ in range(3):  # alternating
        began = time.perf_counter()
        iterate(features, weights, state, structure, max_iter=5, tol=1e-12)
        ours.append((time.perf_counter() - began) / 5)
        began = time.perf_counter()
        em_of_blocks(blocks, start, structure, max_iter=5, tol=1e-12)
        divided.append((time.perf_counter() - began) / 5)
        took = []
        for iterations in (1, 4):  # their difference leaves out how it begins
            model = GaussianMixture(
                K, weights_init=start.weights, means_init=start.means, init_params="random_from_data",
                precisions_init=np.linalg.inv(start.covariances), tol=0.0, max_iter=iterations, random_state=0,
            )  # fmt: skip
            began = time.perf_counter()
            model.fit(x)
            took.append(time.perf_counter() - began)
        theirs.append((took[1] - took[0]) / 3)
    found = {"seconds": ours, "batches": divided, "sklearn": theirs}
    return {name: float(np.median(values)) for name, values in found.items()}


def posterior(n: int, *, batches: bool, comparison: bool = False) -> dict[str, Any]:
    import bayesgmm as bg

    options: dict[str, Any] = {"inference": "laplace", "random_seed": 1, "progressbar": False}
    x = rows(0, n)
    wrap = bg.Batches if batches else (lambda table: table)
    bg.BayesianGMM(2, draws=100, **options).fit(wrap(x[:60_000]))  # imports and compiled code are in memory
    before = memory("VmRSS")
    forget_peak()
    began = time.perf_counter()
    if comparison:
        fit = bg.compare_components(wrap(x), [K - 1, K], **options).fits[K]
    else:
        fit = bg.BayesianGMM(K, **options).fit(wrap(x))
    said = fit.diagnose()
    return {
        "seconds": time.perf_counter() - began, "bytes": memory("VmHWM") - before, "ok": said.ok,
        "pareto_k": fit.posterior_.attrs["pareto_k"], "se": fit.posterior_.attrs.get("log_weight_se", 0.0),
    }  # fmt: skip


def parquet(n: int) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    import bayesgmm as bg

    with tempfile.TemporaryDirectory() as folder:
        for i, first in enumerate(range(0, n, STEP)):
            part = rows(first, min(first + STEP, n))
            table = pa.table({f"x{j}": column for j, column in enumerate(part.T, start=1)})
            pq.write_table(table, Path(folder) / f"{i:04}.parquet", row_group_size=65_536)
        forget_peak()
        began = time.perf_counter()
        fit = bg.BayesianGMM(K, inference="laplace", random_seed=1, progressbar=False).fit(bg.Batches(folder))
        said = fit.diagnose()
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": memory("VmHWM"), "ok": said.ok, "pareto_k": fit.posterior_.attrs["pareto_k"]}


def anchors(n: int) -> dict[str, Any]:
    """Seconds an iteration of programs that large tables are given to; their difference leaves out how one begins."""
    x, found = rows(0, n), {}
    if importlib.util.find_spec("faiss"):
        import faiss

        def kmeans(iterations: int) -> float:
            whole = faiss.Kmeans(D, K, niter=iterations, seed=1, max_points_per_centroid=n)
            began = time.perf_counter()
            whole.train(x.astype(np.float32))
            return time.perf_counter() - began

        found["faiss"] = float(np.median([(kmeans(21) - kmeans(1)) / 20 for _ in range(3)]))
    if importlib.util.find_spec("pyspark"):
        found["pyspark"] = spark(x)
    return found


def spark(x: np.ndarray) -> float:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    names = [f"x{j}" for j in range(D)]
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table(dict(zip(names, x.T, strict=True))), Path(folder) / "x.parquet", row_group_size=65_536)
        options = {"spark.driver.memory": "8g", "spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1"}
        build = SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1")
        for name, value in options.items():
            build = build.config(name, value)
        session = build.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        table = VectorAssembler(inputCols=names, outputCol="features").transform(session.read.parquet(folder))
        table = table.select("features").repartition(2).cache()
        table.count()

        def mixture(iterations: int) -> float:
            began = time.perf_counter()
            GaussianMixture(k=K, maxIter=iterations, tol=0.0, seed=1).fit(table)
            return time.perf_counter() - began

        mixture(2)
        found = float(np.median([(mixture(12) - mixture(2)) / 10 for _ in range(3)]))
        session.stop()
    return found


def cell(name: str, n: int) -> dict[str, Any]:
    if name == "em":
        return em(n)
    if name == "anchors":
        return anchors(n)
    if name == "parquet":
        return parquet(n)
    return posterior(n, batches=name.endswith("batches"), comparison=name.startswith("compare"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--parquet", type=int, nargs="*", default=[])
    parser.add_argument("--write", type=Path, help="write a page of the documentation here")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        warnings.simplefilter("ignore")
        print(json.dumps(cell(options.cell[0], int(options.cell[1])), default=float))
        return
    kept = Path(__file__).with_suffix(".json")
    cells = {(r["cell"], r["n"]): r for r in json.loads(kept.read_text())} if kept.exists() else {}
    wanted = [(name, n) for n in options.rows for name in CELLS] + [("parquet", n) for n in options.parquet]
    wanted += [("anchors", max(options.rows))] if options.rows and any(map(importlib.util.find_spec, ANCHORS)) else []
    for name, n in wanted:
        load = os.getloadavg()[0]
        command = [sys.executable, __file__, "--cell", name, str(n)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        cells[name, n] = {"cell": name, "n": n, "load": load} | json.loads(done.stdout.splitlines()[-1])
        print(cells[name, n], flush=True)
        kept.write_text(json.dumps(list(cells.values()), indent=1) + "\n")
    order = [*CELLS, "parquet", "anchors"]
    found = sorted(cells.values(), key=lambda r: (order.index(r["cell"]), r["n"]))
    if options.write:
        draw(found, options.write.parent / "_static" / f"{options.write.stem}.png")
        options.write.write_text(page(found, options.write.stem))


def page(found: list[dict[str, Any]], name: str) -> str:
    em_rows = [
        [
            f"{r['n']:,}", f"{r['seconds']:.3f}", f"{r['batches']:.3f}", f"{r['sklearn']:.3f}",
            f"{r['sklearn'] / r['seconds']:.1f}", f"{r['sklearn'] / r['batches']:.1f}",
        ]
        for r in found if r["cell"] == "em"
    ]  # fmt: skip
    others = []
    for r in found:
        if r["cell"] in ("em", "anchors"):
            continue
        source = SOURCES[r["cell"]]
        share = f"{r['bytes'] / (8.0 * D * r['n']):.2f}"
        others.append([
            f"{r['n']:,}", source, f"{r['seconds']:.0f}", f"{r['bytes'] / MIB:.0f}", share, f"{r['pareto_k']:.2f}",
            "yes" if r["ok"] else "no", f"{r['load']:.1f}",
        ])  # fmt: skip
    system = f"{os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}"
    return f"""# Large tables, measured

D = {D} columns, K = {K} components, full covariances; {system}, {date.today():%d %B %Y}.
Reproduce this page with

```
python benchmarks/large_tables.py --rows 100000 1000000 --parquet 10000000 100000000 --write docs/{name}.md
```

![Seconds of the posterior and memory against the number of rows](_static/{name}.png)

**An iteration of EM**, in seconds, beside scikit-learn's `GaussianMixture` from the same mixture in the same process:

{markdown(["rows", "in memory", "in batches", "scikit-learn", "ratio, in memory", "in batches"], em_rows)}

{anchored(found)}**The posterior by Laplace**, from the table to the diagnosis: EM, 4 × 1000 draws, importance
weights, relabelling; and two numbers of components compared: evidence, LOO, clusters. Memory is what the fit adds at
its peak to the process that holds the array; of Parquet, the peak of the whole process, Python and all libraries
included. It is mostly that of the draws, 4000 times K × D × D numbers in several copies, and of blocks of rows, which
do not grow with the table: the 4000 draws that the caller gets are 18 MiB, so that a share of 0.3 is out of reach below
ten million rows. The share is memory over the table's N × D doubles. The load is that of the machine when the cell
began. A hundred million rows were measured once, beside other work.

{markdown(["rows", "table", "seconds", "MiB", "share", "Pareto k", "diagnosis ok", "load"], others)}

{slopes(found)}
"""


def anchored(found: list[dict[str, Any]]) -> str:
    """What other programs take for an iteration, as a paragraph."""
    said = ""
    for r in (r for r in found if r["cell"] == "anchors"):
        ours = next(e["batches"] for e in found if e["cell"] == "em" and e["n"] == r["n"])
        lines = [[name, f"{r[key]:.3f}", f"{r[key] / ours:.1f}"] for key, name in ANCHORS.items() if key in r]
        table = markdown(["program", "seconds an iteration", "ours in batches is faster by"], lines)
        said += f"**Anchors**, {r['n']:,} rows. k-means has no covariances: what a pass costs at least.\n\n{table}\n\n"
    return said


def slopes(found: list[dict[str, Any]]) -> str:
    """By how much seconds grow where rows grow tenfold, from the smallest to the largest table of each kind."""
    said = []
    for name, label in SOURCES.items():
        points = sorted((r["n"], r["seconds"]) for r in found if r["cell"] == name)
        if len(points) > 1:
            (n, least), (most_n, most) = points[0], points[-1]
            slope = np.log10(most / least) / np.log10(most_n / n)
            said.append(f"{label} {slope:.2f} ({n:,} to {most_n:,} rows)")
    return f"Slope of log seconds in log rows, 1 is linear: {'; '.join(said)}." if said else ""


def draw(found: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained")
    labels = {
        "memory": "array",
        "batches": "array in batches",
        "parquet": "Parquet (whole process)",
        "compare": "K = 7, 8",
    }
    for name, label in labels.items():
        points = [(r["n"], r["seconds"], r["bytes"] / MIB) for r in found if r["cell"] == name]
        if points:
            n, seconds, size = np.array(points).T
            left.loglog(n, seconds, "o-", label=label)
            right.loglog(n, size, "o-", label=label)
    n = np.array(sorted({r["n"] for r in found}), dtype=float)
    right.loglog(n, 8.0 * D * n / MIB, "--", color="0.5", label="the table")
    left.set(xlabel="rows", ylabel="seconds", title="posterior by Laplace")
    right.set(xlabel="rows", ylabel="MiB", title="memory at the peak")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
