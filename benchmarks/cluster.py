"""EM and the posterior of a table on a cluster of two worker processes, beside two threads over the same array.

    python benchmarks/cluster.py [--rows 1000000] [--partitions 16]

D = 8, K = 3. "EM": seconds a pass of EM, the median of some. "posterior": from the table to the draws by Laplace, the
rows on the workers beforehand; the second of two fits, so that nothing is compiled in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

D, K = 8, 3


def table(n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    centres = 2.0 * rng.normal(size=(K, D))
    return centres[rng.integers(K, size=n)] + rng.normal(size=(n, D))


def seconds(call: Callable[[], Any], times: int) -> float:
    call()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def measured(batches: Any) -> tuple[float, float, Any]:
    import bayesgmm as bg
    from bayesgmm.data.batches import ScaledBatches
    from bayesgmm.em.of_blocks import e_step_of_blocks
    from bayesgmm.em.state import state_of
    from bayesgmm.model.structure import get_structure

    state, _ = state_of(np.full(K, 1.0 / K), 2.0 * np.eye(K, D), np.tile(np.eye(D), (K, 1, 1)), 1e-12)
    blocks = ScaledBatches(batches, np.zeros(D), np.ones(D))
    one = seconds(lambda: e_step_of_blocks(blocks, state, get_structure("full"), 2), 9)
    fits = []

    def fit() -> None:
        fits.append(bg.BayesianGMM(K, inference="laplace", n_init=5, random_seed=1, progressbar=False).fit(batches))

    return one, seconds(fit, 1), fits[-1]


def main() -> None:
    import dask.array as da
    from distributed import Client, LocalCluster

    import bayesgmm as bg

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    given = parser.parse_args()
    rows = table(given.rows)
    em_here, fit_here, here = measured(bg.Batches(rows))
    print(f"two threads: EM {em_here:.3f} s, posterior {fit_here:.1f} s", flush=True)
    size = -(-given.rows // given.partitions)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        em_there, fit_there, there = measured(bg.Batches(da.from_array(rows, chunks=(size, -1))))
    print(f"two workers: EM {em_there:.3f} s, posterior {fit_there:.1f} s", flush=True)
    print(f"ratio: EM {em_there / em_here:.2f}, posterior {fit_there / fit_here:.2f}")
    print(f"difference in log-likelihood: {there.em_.log_likelihood - here.em_.log_likelihood:.2g}")


if __name__ == "__main__":
    main()
