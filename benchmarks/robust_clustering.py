"""Clusters with heavy tails, outliers and background noise: how many rows each method puts right, and which K it takes.

    python benchmarks/robust_clustering.py [--tables 5] [--designs NAME ...] [--write docs/robust_clustering.md]

Three clusters of 500 rows in all (35, 40 and 25 %, elongated, of which two are near each other), in kinds of designs
that Coretto and Hennig (2016, JASA 111, 1648-1659; arXiv 1406.0808) compare robust methods on: no outliers, noise all
around, noise on one side, a few outliers at one far place, t clusters, one t cluster among normal ones, in 2 and 10
columns. Parameters are those below, not the paper's.

A row is right if it is given to the cluster it is from, clusters matched as well as may be; a row of noise if it is
given to none. Rows of a t cluster are of the cluster, however far out. Fits with the right K = 3 are scored; which K a
method takes is that of its own criterion among 1 to 4: BIC for mclust, the recommendation of `compare_components` for
one kind of mixture, or for all kinds together ("best by LOO"). mclust with noise starts from a random quarter of the
rows as noise, as its manual has it, and without from its own; of three such starts the best BIC counts.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

import bayesgmm as bg

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

N, K, LARGEST = 500, 3, 4
SHARES = (0.35, 0.40, 0.25)
KINDS = {"normal": ("normal", False), "t": ("t", False), "noise": ("normal", True)}
R_CODE = """
suppressMessages(library(mclust)); X <- as.matrix(read.csv("{path}")); set.seed({seed})
best <- function(G, noisy) {{ out <- NULL
  for (i in 1:(if (noisy) 3 else 1)) {{
    start <- if (noisy) list(noise = sample(c(TRUE, FALSE), nrow(X), TRUE, c(1, 3))) else NULL
    m <- tryCatch(suppressWarnings(Mclust(X, G = G, initialization = start, verbose = FALSE)), error = function(e) NULL)
    if (!is.null(m) && (is.null(out) || m$bic > out$bic)) out <- m }}; out }}
for (noisy in c(FALSE, TRUE)) {{ a <- best(3, noisy); b <- best(1:4, noisy)
  cat(if (is.null(b)) NA else b$G, if (is.null(a)) rep(NA, nrow(X)) else a$classification, "\\n") }}
"""


def clusters(rng: np.random.Generator, d: int, df: tuple[float, float, float]) -> tuple[Array, Labels]:
    """Rows of three clusters, normal where the degrees of freedom are infinite."""
    truth = rng.choice(K, N, p=SHARES)
    centres = np.zeros((K, d))
    centres[1, :2], centres[2, :2] = (6.0, 0.0), (8.0, 6.0)
    rows = np.empty((N, d))
    for k, angle in enumerate((0.3, 1.2, 2.3)):
        own = truth == k
        z = rng.standard_normal((own.sum(), d))
        if np.isfinite(df[k]):
            z *= np.sqrt(df[k] / rng.chisquare(df[k], own.sum()))[:, None]
        z[:, 0] *= 2.0
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        z[:, :2] = z[:, :2] @ turn.T
        rows[own] = centres[k] + z
    return rows, truth


def noisy(rows: Array, truth: Labels, rng: np.random.Generator, share: float, low: Array, high: Array) -> None:
    """Put so many rows into a box instead."""
    chosen = rng.choice(N, int(share * N), replace=False)
    rows[chosen] = rng.uniform(low, high, (len(chosen), rows.shape[1]))
    truth[chosen] = -1


def design(name: str, rng: np.random.Generator) -> tuple[Array, Labels]:
    """Rows (N, D), and the cluster of each, -1 for noise."""
    d, inf = (10 if name.endswith("10") else 2), np.inf
    df = {"t": (3.0, 3.0, 3.0), "one t": (3.0, inf, inf)}.get(name.split(",")[0], (inf, inf, inf))
    rows, truth = clusters(rng, d, df)
    one = np.ones(d)
    if name.startswith("wide noise"):
        noisy(rows, truth, rng, 0.1, -25.0 * one, 35.0 * one)
    elif name.startswith("side noise"):
        noisy(rows, truth, rng, 0.1, np.r_[8.0, -8.0 * one[1:]], np.r_[30.0, 15.0 * one[1:]])
    elif name.startswith("far place"):
        noisy(rows, truth, rng, 0.01, 60.0 * one, 62.0 * one)
    return rows, truth


DESIGNS = ("no outliers", "wide noise", "side noise", "far place", "t", "one t", "wide noise, 10", "t, 10")


def wrong(truth: Labels, given: Labels) -> float:
    """Share of rows not given to where they are from; clusters matched by the assignment with fewest such rows."""
    table = np.zeros((K, max(int(given.max()) + 1, K)))
    own = (truth >= 0) & (given >= 0)
    np.add.at(table, (truth[own], given[own]), 1)
    rows, columns = linear_sum_assignment(-table)
    right = table[rows, columns].sum() + ((truth < 0) & (given < 0)).sum()
    return float(1.0 - right / len(truth))


def ours(rows: Array, seed: int) -> dict[str, tuple[Labels, int]]:
    """Labels at K = 3 and the K that is recommended, of each kind of mixture and of the best kind."""
    found, fits = {}, {}
    candidates = {}
    for name, (component, noise) in KINDS.items():
        cmp = bg.compare_components(
            rows, range(1, LARGEST + 1), component=component, noise=noise, inference="auto",
            random_seed=seed, progressbar=False,
        )  # fmt: skip
        found[name] = cmp.fits[K].labels_, cmp.recommendation.n_components
        fits |= {(name, k): fit for k, fit in cmp.fits.items()}
        candidates |= {f"{name} {k}": c for k, c in cmp.candidates.items()}
    elpd = {name: candidates[f"{name} {K}"].loo.elpd for name in KINDS}
    from bayesgmm.model_selection.recommend import recommend

    label = str(recommend(candidates).label)
    found["best by LOO"] = found[max(elpd, key=lambda name: elpd[name])][0], int(label.split()[-1])
    return found


def mclust(rows: Array, seed: int) -> dict[str, tuple[Labels, int] | None]:
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        pd.DataFrame(rows).to_csv(file.name, index=False)
        done = subprocess.run(
            ["Rscript", "-e", R_CODE.format(path=file.name, seed=seed)], capture_output=True, text=True
        )
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    out: dict[str, tuple[Labels, int] | None] = {}
    for name, line in zip(("mclust", "mclust, noise"), lines, strict=True):
        failed = "NA" in line
        out[name] = None if failed else (np.array(line[1:], dtype=np.int64) - 1, int(line[0]))
    return out


METHODS: tuple[Callable[[Array, int], dict[str, tuple[Labels, int] | None]], ...] = (ours, mclust)  # type: ignore[assignment]


def measure(names: list[str], tables: int, path: Path) -> pd.DataFrame:
    """All methods on tables of these designs; those that the file holds are not run again."""
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["design", "table", "method", "wrong", "k"])
    for seed in range(tables):
        for name in names:
            if ((done["design"] == name) & (done["table"] == seed)).any():
                continue
            x, truth = design(name, np.random.default_rng([DESIGNS.index(name), seed]))
            rows = []
            for method in METHODS:
                began = time.perf_counter()
                for which, result in method(x, seed).items():
                    error, k = (np.nan, 0) if result is None else (wrong(truth, result[0]), result[1])
                    rows.append({"design": name, "table": seed, "method": which, "wrong": round(error, 4), "k": k})
                    print(f"{name:16s} {seed:3d} {which:14s} {error:.3f} K = {k}", flush=True)
                print(f"    {time.perf_counter() - began:.0f} s", flush=True)
            done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
            done.to_csv(path, index=False)
    return done[done["design"].isin(names)]


def grid(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    head = ["design", *map(str, table.columns)]
    lines = [head, ["---"] * len(head), *([str(row.Index), *map(str, row[1:])] for row in table.itertuples())]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def page(found: pd.DataFrame) -> str:
    methods, order = list(dict.fromkeys(found["method"])), [d for d in DESIGNS if d in set(found["design"])]
    grouped = found.groupby(["design", "method"])
    error = (100.0 * grouped["wrong"].median()).round(1).unstack().loc[order, methods]
    right = grouped["k"].agg(lambda k: int((k == K).sum())).unstack().loc[order, methods]
    right.insert(0, "tables", grouped["table"].nunique().unstack().loc[order].max(axis=1))
    return "\n\n".join([
        "# Robust clustering: a simulation study", __doc__.split("\n\n", 2)[2].strip(),
        "## Rows put wrong", "Percentage at K = 3, median over tables.", grid(error),
        "## The number of components", "Tables in which the method's own criterion takes K = 3.", grid(right),
        "Made by `python benchmarks/robust_clustering.py --write docs/robust_clustering.md`; every table is in "
        "`benchmarks/robust_clustering.csv`.", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=5)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    text = page(measure(args.designs, args.tables, args.results))
    print(text)
    if args.write:
        args.write.write_text(text)


if __name__ == "__main__":
    main()
