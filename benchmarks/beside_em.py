"""Maximum likelihood by four ways: bayesgmm, scikit-learn as it comes and with 20 starts, mclust.

    python benchmarks/beside_em.py [--repeats 5]        (takes Rscript with mclust)

The log-likelihood that each ends at, full covariances, and the seconds of the call in a process that is warm (medians).
mclust's start is its own, one hierarchical clustering. `docs/start/beside.md` has the table.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

import bayesgmm as bg

MCLUST = """
suppressPackageStartupMessages(library(mclust))
a <- commandArgs(TRUE); X <- as.matrix(read.csv(a[1])); seconds <- c()
for (i in 0:as.integer(a[3])) {
  t <- system.time(f <- Mclust(X, G = as.integer(a[2]), modelNames = "VVV", verbose = FALSE))[["elapsed"]]
  if (i > 0) seconds <- c(seconds, t)
}
cat(if (is.null(f)) NA else f$loglik, median(seconds))
"""


def tables() -> dict[str, tuple[np.ndarray, int]]:
    """Rows (N, D) and K of each table."""
    data = Path(__file__).parent / "data"
    rng = np.random.default_rng(0)
    centres = 3.0 * rng.normal(size=(5, 5))
    labelled = {name: pd.read_csv(data / f"{name}.csv").iloc[:, 1:].to_numpy(float) for name in ("thyroid", "banknote")}
    return {
        "faithful": (bg.datasets.load_faithful().to_numpy(float), 3),
        "iris": (load_iris().data, 3),
        "thyroid": (labelled["thyroid"], 3),
        "banknote": (labelled["banknote"], 3),
        "simulated": (centres[rng.integers(5, size=5000)] + rng.normal(size=(5000, 5)), 5),
    }


def ours(rows: np.ndarray, k: int) -> float:
    return bg.fit_em(rows, k, random_seed=1).log_likelihood


def scikit_learn(rows: np.ndarray, k: int, n_init: int) -> float:
    return len(rows) * GaussianMixture(k, n_init=n_init, random_state=1).fit(rows).score(rows)


def timed(work: Callable[[], float], repeats: int) -> tuple[float, float]:
    """What `work` returns, and the median of its seconds."""
    value, seconds = work(), []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return value, statistics.median(seconds)


def mclust(rows: np.ndarray, k: int, repeats: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        script, table = Path(folder) / "em.R", Path(folder) / "rows.csv"
        script.write_text(MCLUST)
        pd.DataFrame(rows).to_csv(table, index=False)
        command = ["Rscript", script, table, str(k), str(repeats)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    value, seconds = said.stdout.split()
    return float(value) if value != "NA" else float("nan"), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")
    print("| table | rows × columns | K | bayesgmm | scikit-learn | scikit-learn, 20 starts | mclust |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (rows, k) in tables().items():
        works = [partial(ours, rows, k), *(partial(scikit_learn, rows, k, n_init) for n_init in (1, 20))]
        found = [timed(work, repeats) for work in works] + [mclust(rows, k, repeats)]
        cells = " | ".join(
            f"{value:.1f} ({seconds:.2f}\N{NO-BREAK SPACE}s)".replace("-", "−") for value, seconds in found
        )
        print(f"| {name} | {len(rows):,} × {rows.shape[1]} | {k} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
