"""Laplace and ADVI beside NUTS: how far means and sds are off, the Pareto k, and the time.

    python benchmarks/approximations.py [--case iris-2 ...]

One process; all methods start at the best EM optimum alone (approximations weigh modes by their evidence, chains do
not), whose time is left out, and end with 4 x 1000 draws, relabelled. "fails" says that NUTS did not pass the gate.
ADVI's draws are resampled by importance weights where k < 0.7; "as it is", never. "mean": largest difference of
posterior means in sds of NUTS; "sd": range of ratios of sds to those of NUTS; over weights, means and covariances. The
bars: mean at most 0.1 and sd within 0.9 to 1.1 for Laplace and full-rank ADVI wherever k < 0.7. N=100,000: Laplace in a
tenth of the time of NUTS, which is timed on a tenth of the rows and extrapolated.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from large_blobs import blobs

import bayesgmm as bg
from bayesgmm.em.candidates import fit_em_candidates
from bayesgmm.inference.approximate.advi import sample_advi
from bayesgmm.inference.approximate.laplace import sample_laplace
from bayesgmm.inference.modes import find_modes
from bayesgmm.inference.nuts.sample import sample_nuts
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.build import build_tree
from bayesgmm.posterior.diagnostics.gate import Judge

CASES = {
    "faithful-2": (lambda: bg.datasets.load_faithful(), 2),
    "iris-2": (lambda: bg.datasets.load_iris()[0], 2),
    "iris-3": (lambda: bg.datasets.load_iris()[0], 3),
    "blobs-10000x5-5": (lambda: blobs(10_000, 5, 5, 1.0, 3.0, 3), 5),
}
SURPLUS = {"faithful-4": (lambda: bg.datasets.load_faithful(), 4)}
LARGE = "blobs-100000x8-8"
LONG = "blobs-100000x2-2"  # 4 x 4000 draws, so that differences of 0.05 sd and 3 % are not Monte Carlo error
METHODS = {
    "laplace": sample_laplace,
    "advi": lambda *a, **k: sample_advi(*a, method="advi", **k),
    "advi, as it is": lambda *a, **k: sample_advi(*a, method="advi", correct=False, **k),
    "fullrank_advi": lambda *a, **k: sample_advi(*a, method="fullrank_advi", **k),
    "full, as it is": lambda *a, **k: sample_advi(*a, method="fullrank_advi", correct=False, **k),
}


def problem_of(rows, k: int):
    table, structure = bg.prepare_table(rows), get_structure("full")
    _, candidates = fit_em_candidates(
        table, k, structure=structure, n_init=5 if len(rows) > 1000 else 20, random_seed=1
    )
    return Problem(table, structure, bg.MixturePrior().resolve(table)), candidates[:1]


def timed(sample, problem, **options):
    began = time.perf_counter()
    draws = sample(problem[0], find_modes(*problem), random_seed=1, progressbar=False, **options)
    return draws, time.perf_counter() - began


def values_of(draws, problem, inference: str) -> np.ndarray:
    tree = build_tree(draws, problem[0], inference=inference, random_seed=1, standardize=True, log_likelihood=False)
    posterior = tree["posterior"]
    flat = [posterior[v].values.reshape(draws.shape[0] * draws.shape[1], -1) for v in ("weights", "means")]
    lower = np.tril_indices(draws.shape[3])
    flat.append(posterior["covariances"].values[..., lower[0], lower[1]].reshape(len(flat[0]), -1))
    return np.concatenate(flat, axis=1)


def row(case: str, method: str, seconds: float, draws=None, values=None, exact=None) -> None:
    text = f"{case:18} {method:14} {seconds:8.1f}"
    if values is not None:
        shift = np.abs(values.mean(0) - exact.mean(0)) / exact.std(0)
        ratio = values.std(0) / exact.std(0)
        k, ess = draws.extra["pareto_k"], draws.extra["importance_ess"]
        text += f" {k:6.2f} {ess:7.0f} {shift.max():7.3f} {ratio.min():6.2f} {np.median(ratio):6.2f} {ratio.max():6.2f}"
        if "compile_time" in draws.extra:
            text += f"   compiled in {draws.extra['compile_time']:.1f} s, {len(draws.extra['elbo'])} iterations"
    print(text, flush=True)


def compare(case: str, rows, k: int) -> None:
    problem = problem_of(rows, k)
    nuts, seconds = timed(sample_nuts, problem)
    exact = values_of(nuts, problem, "nuts")
    row(case, "nuts" if Judge(*problem[0][:2])(nuts).ok else "nuts, fails", seconds)
    for method, sample in METHODS.items():
        draws, seconds = timed(sample, problem)
        row(case, method, seconds, draws, values_of(draws, problem, method.split(",")[0]), exact)


def large() -> None:
    problem = problem_of(blobs(100_000, 8, 8, 1.0, 3.0, 5), 8)
    draws, seconds = timed(sample_laplace, problem)
    row(LARGE, "laplace", seconds)
    print(
        f"{'':18} Pareto k {draws.extra['pareto_k']:.2f}, worth {draws.extra['importance_ess']:.0f} draws", flush=True
    )
    # Gradients a draw depend on the geometry, hardly on N, and a gradient costs N: a whole run on a tenth of the rows.
    tenth = problem_of(blobs(10_000, 8, 8, 1.0, 3.0, 5), 8)
    nuts, part = timed(sample_nuts, tenth)
    steps = float(nuts.stats["n_steps"].mean())
    row(LARGE, "nuts", 10.0 * part)
    print(f"{'':18} extrapolated from {part:.1f} s for 4 x (500 + 1000) on 10,000 rows; {steps:.1f} gradients a draw; "
          f"Laplace takes {seconds / (10.0 * part):.3f} of it", flush=True)  # fmt: skip


def long() -> None:
    problem = problem_of(blobs(100_000, 2, 2, 1.0, 3.0, 3), 2)
    nuts, seconds = timed(sample_nuts, problem, draws=4000)
    exact = values_of(nuts, problem, "nuts")
    row(LONG, "nuts" if Judge(*problem[0][:2])(nuts).ok else "nuts, fails", seconds)
    draws, seconds = timed(sample_laplace, problem, draws=4000)
    row(LONG, "laplace", seconds, draws, values_of(draws, problem, "laplace"), exact)
    error = (2.0 / len(exact)) ** 0.5
    print(
        f"{'':18} Monte Carlo error of a mean's difference {error:.3f} sd, of a ratio {error / 2**0.5:.3f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*CASES, *SURPLUS, LARGE, LONG], action="append")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for sample in (sample_laplace, sample_nuts):  # compile, or read from the disk, once
        timed(sample, problem_of(np.random.default_rng(0).normal(size=(50, 2)), 1), draws=50)
    head = f"{'data':18} {'method':14} {'seconds':>8} {'k':>6} {'ess':>7}"
    print(f"{head} {'mean':>7} {'sd min':>6} {'median':>6} {'max':>6}")
    for case, (load, k) in {**CASES, **SURPLUS}.items():
        if not options.case or case in options.case:
            compare(case, load(), k)
    if not options.case or LARGE in options.case:
        large()
    if not options.case or LONG in options.case:
        long()


if __name__ == "__main__":
    main()
