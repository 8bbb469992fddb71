"""What happens to a fit when cells are missing at random, and when they are not.

    python benchmarks/missing_at_random.py

Two clusters of 60 and 40 % of 500 rows, means (0, 0) and (1.5, 4), sds 1, correlation 0.5. Cells of the second column
are lost by four mechanisms; each table is fitted with its gaps, and without the rows that have one. For each mechanism:
the posterior means of the smaller cluster's weight and of its mean in the second column, averaged over tables, the
share of 95 % intervals that hold the truth, and how much too high the cells that were lost are on average put.
Posterior by Laplace's approximation, some minutes in all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import bayesgmm as bg

Array = NDArray[np.float64]

N, TABLES, WEIGHT, MEAN = 500, 40, 0.4, 4.0

# Probability that the second cell is lost, from both cells and whether the row is of the smaller cluster.
MECHANISMS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "completely at random": lambda x, y, z: np.full(len(x), 0.35),
    "by the first column": lambda x, y, z: 1.0 / (1.0 + np.exp(-3.0 * (x - 1.2))),
    "by the cluster": lambda x, y, z: np.where(z > 0, 0.7, 0.1),
    "by its own value": lambda x, y, z: np.where(y > 4.0, 0.9, 0.2),
}


def simulated(rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows (N, 2) and whether each is of the smaller cluster (N,)."""
    z = (rng.random(N) < WEIGHT).astype(float)
    noise = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], N)
    return noise + z[:, None] * np.array([1.5, MEAN]), z


def fitted(rows: Array) -> tuple[bg.BayesianGMM, Array]:
    """A fit, and its draws (S, 2) of the weight and the second mean of the component with the larger one."""
    fit = bg.BayesianGMM(2, inference="laplace", draws=250, random_seed=1, progressbar=False).fit(rows)
    posterior = fit.posterior_["posterior"].to_dataset().stack(sample=["chain", "draw"])
    upper = posterior["means"].isel(feature=1).transpose("sample", "component").values
    weight = posterior["weights"].transpose("sample", "component").values
    k = upper.mean(axis=0).argmax()
    return fit, np.column_stack([weight[:, k], upper[:, k]])


def main() -> None:
    warnings.simplefilter("ignore")
    print(
        "| lost | cells | rows | weight, truth 0.40 | 95 % intervals | mean, truth 4.00 | 95 % intervals | lost cells |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, probability in MECHANISMS.items():
        means: dict[str, list[Array]] = {"all": [], "complete": []}
        held: dict[str, list[Array]] = {"all": [], "complete": []}
        lost, off = [], []
        for table in range(TABLES):
            rng = np.random.default_rng([7, table])
            rows, z = simulated(rng)
            gaps = rng.random(N) < probability(rows[:, 0], rows[:, 1], z)
            gapped = rows.copy()
            gapped[gaps, 1] = np.nan
            lost.append(gaps.mean())
            for which, given in (("all", gapped), ("complete", gapped[~gaps])):
                fit, draws = fitted(given)
                low, high = np.quantile(draws, [0.025, 0.975], axis=0)
                truth = np.array([WEIGHT, MEAN])
                means[which].append(draws.mean(axis=0))
                held[which].append((low <= truth) & (truth <= high))
                if which == "all":
                    off.append(float(np.mean(fit.missing_cells()["mean"].to_numpy() - rows[gaps, 1])))
        for which in ("all", "complete"):
            m, h = np.mean(means[which], axis=0), np.mean(held[which], axis=0)
            cells = f"{np.mean(off):+.2f}" if which == "all" else ""
            found = f"{m[0]:.2f} | {h[0]:.0%} | {m[1]:.2f} | {h[1]:.0%}"
            print(f"| {name} | {np.mean(lost):.0%} | {which} | {found} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
