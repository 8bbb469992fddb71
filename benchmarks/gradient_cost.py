"""What a gradient costs inside the sampler, beside the kernel's own time.

    python benchmarks/gradient_cost.py

One chain on one core; median of several. The bar: at most 1.5 times the kernel plus 3 microseconds.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from numba import njit

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts.nutpie import Chain, run_chains
from bayesgmm.kernels.row_model import NORMAL, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.model.density.log_posterior import log_posterior_gradient
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure


@njit
def repeat_gradient(x, gradient, ints, floats, n):
    for _ in range(n):
        log_posterior_gradient(x, gradient, ints, floats)


@njit
def repeat_kernel(features, weights, log_norm, means, scaling, counts, sums, outers, n):
    for _ in range(n):
        mixture_pass(features, weights, log_norm, means, scaling, NORMAL, counts, sums, outers,
                     np.empty(0), np.empty((0, 0)))  # fmt: skip


def microseconds(function, *arguments, n: int) -> float:
    function(*arguments, 2)
    times = []
    for _ in range(7):
        began = time.perf_counter()
        function(*arguments, n)
        times.append((time.perf_counter() - began) / n * 1e6)
    return statistics.median(times)


def main() -> None:
    rng = np.random.default_rng(0)
    blobs = rng.normal(size=(10_000, 5)) + 4.0 * np.repeat(rng.normal(size=(5, 5)), 2000, axis=0)
    cases = {
        "faithful K=2": (bg.datasets.load_faithful(), 2),
        "iris K=3": (bg.datasets.load_iris()[0], 3),
        "10,000 x 5, K=5": (blobs, 5),
    }
    print(f"{'data':18} {'kernel':>9} {'gradient':>9} {'in sampler':>10} {'limit':>8}   microseconds")
    for title, (data, k) in cases.items():
        table = bg.prepare_table(data)
        prior, structure = bg.MixturePrior().resolve(table), get_structure("full")
        _, candidates = fit_em_candidates(table, k, structure=structure, n_init=5, random_seed=0)
        mode = find_modes(Problem(table, structure, prior), candidates[:1])[0]
        density, d = mode.density, table.n_features
        n = 20 if table.n_rows > 1000 else 2000
        features = np.ascontiguousarray(table.standardized.T)
        log_norm = np.empty(k)
        log_normalizers(np.log(mode.params.weights), mode.params.scaling, NORMAL, log_norm)
        kernel = microseconds(repeat_kernel, features, table.weights, log_norm, np.array(mode.params.means),
                              mode.params.scaling, np.empty(k), np.empty((k, d)), np.empty((k, d, d)), n=n)  # fmt: skip
        gradient = microseconds(repeat_gradient, np.full(density.n_dim, 0.01), np.empty(density.n_dim), density.ints,
                                density.floats, n=n)  # fmt: skip
        draws, tune = (300, 200) if table.n_rows > 1000 else (4000, 500)
        times = []
        for seed in range(3):
            chain = Chain(density, rng.normal(size=density.n_dim), seed)
            began = time.perf_counter()
            results, _ = run_chains([chain], draws=draws, tune=tune, cores=1, target_accept=0.8, adaptation="diag")
            seconds = time.perf_counter() - began
            gradients = results[0].stats["n_steps"].sum() * (draws + tune) / draws
            times.append(seconds / gradients * 1e6)
        limit = 1.5 * kernel + 3.0
        print(f"{title:18} {kernel:9.2f} {gradient:9.2f} {statistics.median(times):10.2f} {limit:8.2f}", flush=True)


if __name__ == "__main__":
    main()
