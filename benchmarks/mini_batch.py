"""How far one pass of mini-batch EM ends from the maximum of the likelihood, and what it takes.

    python benchmarks/mini_batch.py [--rows 50000 200000 1000000] [--seeds 3] [--write docs/mini_batch.md]

Three overlapping components in four columns (44 free parameters); rows in random order, 256 a step. Distances are nats
of log-likelihood of all rows below the maximum, found by `fit_em`: of the fit of the first 5,000 rows, of the mixture
after one pass, and of the parameters that the rows were drawn with, which are half the number of free parameters below
it on average. Medians over the seeds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import multivariate_normal

import bayesgmm as bg

WEIGHTS, SDS, D = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.7, 1.3]), 4
MEANS = np.zeros((3, D))
MEANS[1, 0] = MEANS[2, 1] = 2.5


def log_likelihood(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, X: np.ndarray) -> float:
    each = [np.log(w) + multivariate_normal(m, c).logpdf(X)
            for w, m, c in zip(weights, means, covariances, strict=True)]  # fmt: skip
    return float(np.logaddexp.reduce(each, axis=0).sum())


def measured(n: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    z = rng.choice(3, n, p=WEIGHTS)
    X = MEANS[z] + SDS[z, None] * rng.normal(size=(n, D))

    def below(p: bg.MixtureParams) -> float:
        return best.log_likelihood - log_likelihood(p.weights, p.means, p.covariances, X)

    began = time.perf_counter()
    best = bg.fit_em(bg.Batches(X), 3, random_seed=seed)
    passes = time.perf_counter() - began
    first = bg.fit_em(X[:5000], 3, random_seed=seed)
    began = time.perf_counter()
    once = bg.MiniBatchEM(3, first_rows=5000, random_seed=seed).partial_fit(X).result()
    seconds = time.perf_counter() - began
    truth = log_likelihood(WEIGHTS, MEANS, SDS[:, None, None] ** 2 * np.eye(D), X)
    return {
        "rows": n, "first rows": below(first.params), "one pass": below(once.params),
        "parameters drawn with": best.log_likelihood - truth, "seconds, one pass": seconds,
        "seconds, fit_em in batches": passes, "its passes": best.n_iter,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    measured(options.rows[0], 0)  # kernels are compiled
    results = pd.DataFrame([measured(n, seed) for n in options.rows for seed in range(1, options.seeds + 1)])
    table = results.groupby("rows", as_index=False).median()
    head = list(table.columns)
    lines = [f"| {' | '.join(head)} |", f"|{' ---: |' * len(head)}"]
    for row in table.itertuples(index=False):
        n, *distances, seconds, passes, count = row
        cells = [f"{n:,.0f}", *(f"{x:,.1f}" for x in distances), f"{seconds:.1f}", f"{passes:.1f}", f"{count:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    print("\n".join(lines))
    if options.write is not None:
        told = (__doc__ or "").split("\n\n", 2)[2]
        options.write.write_text(
            f"# Mini-batch EM, measured\n\n{chr(10).join(lines)}\n\n{told}\n"
            "Made by `python benchmarks/mini_batch.py --write docs/mini_batch.md`.\n"
        )


if __name__ == "__main__":
    main()
