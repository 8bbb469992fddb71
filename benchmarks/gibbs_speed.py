"""One Gibbs sweep, alone and with its share of the jumps and walks of a round, beside the kernel's E-step.

    python benchmarks/gibbs_speed.py

E-step: one pass over the rows for responsibilities, likelihood and sufficient statistics. Medians of alternating runs
in one process, one thread. The bar: a sweep takes less than 1.5 times an E-step from 1,000 rows up. Jumps and walks are
moves of their own, made every sweep or two (`inference.gibbs.library`): each of them passes over the rows.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
from kernel_speed import seconds

import bayesgmm as bg
from bayesgmm.inference.gibbs.chains import GibbsProblem, Sweeps, no_library, run_chains, start_state
from bayesgmm.inference.gibbs.library import fit_library
from bayesgmm.inference.gibbs.pilots import in_order_by_rows
from bayesgmm.kernels.row_model import NORMAL, log_normalizers
from bayesgmm.kernels.row_pass import mixture_pass
from bayesgmm.model.params import MixtureParams
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure

SIZES = ((1_000, 4, 3), (10_000, 5, 5), (100_000, 8, 8), (100_000, 2, 4))
ROWS = 4_000_000  # times sweeps, in one run


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'N':>7} {'D':>2} {'K':>2} {'with':>12} {'sweep':>10} {'E-step':>10} {'ratio':>6}   milliseconds, median")
    for n, d, k in SIZES:
        centres = 3.0 * rng.normal(size=(k, d))
        rows = rng.normal(size=(n, d)) + centres[rng.integers(k, size=n)]
        table, structure = bg.prepare_table(rows), get_structure("full")
        problem = GibbsProblem.build(Problem(table, structure, bg.MixturePrior().resolve(table)))
        means = (centres - table.center) / table.scale
        covariances = np.tile(np.diag(1.0 / table.scale**2), (k, 1, 1))
        state = start_state(problem, MixtureParams(np.full(k, 1.0 / k), means, covariances, "full"))
        n_sweeps = ROWS // n
        options = {"draws": n_sweeps, "thin": 1, "cores": 1}
        alone = Sweeps(problem, 1.0, no_library(k, d))
        (warm,), _ = run_chains(alone, [state], np.random.SeedSequence(1).spawn(1), **options)
        log_norm, counts, sums, outers = np.empty(k), np.empty(k), np.empty((k, d)), np.empty((k, d, d))
        log_normalizers(np.log(state.weights), state.scaling, NORMAL, log_norm)
        given = (problem.target.rows, table.weights, log_norm, state.means, state.scaling, NORMAL, counts, sums,
                 outers, np.empty(0), np.empty((0, 0)))  # fmt: skip

        def steps(given=given, n_sweeps=n_sweeps) -> None:
            for _ in range(n_sweeps):
                mixture_pass(*given)

        repeats = 15 if n < 100_000 else 5
        library = [in_order_by_rows(problem, warm.sample)]
        for number, name in enumerate(("nothing", "jumps", "jumps, walks")):
            fitted = fit_library(problem, library, number=number) if number else alone.library
            jumping = replace(alone, library=fitted)

            def sweeps(jumping=jumping, state=state, options=options) -> None:
                run_chains(jumping, [state], np.random.SeedSequence(2).spawn(1), **options)

            times = [(seconds(sweeps), seconds(steps)) for _ in range(repeats + 1)][1:]
            mine, other = (statistics.median(t) / n_sweeps for t in zip(*times, strict=True))
            print(
                f"{n:7} {d:2} {k:2} {name:>12} {mine * 1e3:10.4f} {other * 1e3:10.4f} {mine / other:6.2f}", flush=True
            )


if __name__ == "__main__":
    main()
