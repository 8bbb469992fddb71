"""From a cold process to relabelled draws: bayesgmm beside pm.Mixture with the same priors.

    python benchmarks/nuts_vs_pymc.py [--repeats 3]

Each run is a new Python process, timed from its start to a relabelled DataTree (ours) or to the end of
pm.sample (PyMC, not even relabelled), both with warm disk caches: an uncounted first run fills them. The same
label-invariant gate judges both. Prints one row a run and the ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

CASES = {"iris K=3": ("iris", 3), "faithful K=2": ("faithful", 2)}


def load(name: str):
    from bayesgmm import datasets

    return datasets.load_faithful() if name == "faithful" else datasets.load_iris()[0]


def run_ours(name: str, k: int) -> dict:
    began = time.perf_counter()
    import bayesgmm as bg

    fit = bg.BayesianGMM(k, random_seed=1, progressbar=False).fit(load(name))
    seconds = time.perf_counter() - began
    return judge(fit.posterior_, seconds, float(fit.posterior_["sample_stats"]["n_steps"].sum()))


def run_pymc(name: str, k: int) -> dict:
    began = time.perf_counter()
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt

    from bayesgmm.data import prepare_table
    from bayesgmm.prior import MixturePrior

    table = prepare_table(load(name))
    prior = MixturePrior().resolve(table)
    d = table.n_features
    with pm.Model():
        weights = pm.Dirichlet("weights", np.full(k, prior.concentration))
        means = pm.Normal("means", prior.mean_loc, prior.mean_scale, shape=(k, d))
        true = pm.LogNormal("sds_true", prior.sd_parameters[0], prior.sd_parameters[1], shape=(k, d))
        sds = pt.sqrt(true**2 + prior.floor)
        corr = pm.LKJCorr("corr", n=d, eta=prior.lkj_eta, shape=(k, d, d))
        chol = pm.Deterministic("chol", sds[:, :, None] * corr)
        components = [pm.MvNormal.dist(mu=means[j], chol=chol[j]) for j in range(k)]
        pm.Mixture("obs", w=weights, comp_dists=components, observed=table.standardized)
        tree = pm.sample(draws=1000, tune=1000, chains=4, cores=2, random_seed=1, progressbar=False,
                         nuts_sampler="pymc", compute_convergence_checks=False)  # fmt: skip
    seconds = time.perf_counter() - began

    import pandas as pd

    from bayesgmm.draws import Draws
    from bayesgmm.posterior import build_tree
    from bayesgmm.structure import get_structure

    posterior, stats = tree["posterior"], tree["sample_stats"]
    draws = Draws(posterior["weights"].values, posterior["means"].values, posterior["chol"].values,
                  np.zeros(posterior["weights"].shape[:2]), {"diverging": stats["diverging"].values},
                  np.zeros(4, dtype=np.int64), pd.DataFrame(), seconds, False, "pm.Mixture")  # fmt: skip
    judged = build_tree(draws, table, get_structure("full"), prior, inference="pm.Mixture", random_seed=1,
                        standardize=True)  # fmt: skip
    return judge(judged, seconds, float(stats["n_steps"].sum()))


def judge(tree, seconds: float, gradients: float) -> dict:
    from bayesgmm.diagnostics import diagnose

    diagnosis = diagnose(tree)
    gate = diagnosis.table
    return {
        "seconds": seconds, "gradients": gradients, "gradients_per_draw": gradients / 4000,
        "min_ess": float(gate[["ess_bulk", "ess_tail"]].min().min()), "max_r_hat": float(gate["r_hat"].max()),
        "divergences": diagnosis.n_divergences, "gate": bool(diagnosis.ok),
    }  # fmt: skip


def measure(which: str, name: str, k: int) -> dict:
    began = time.perf_counter()
    command = [sys.executable, __file__, "--one", which, name, str(k)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1]) | {"process": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WHICH", "DATA", "K"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        which, name, k = options.one
        print(json.dumps((run_ours if which == "ours" else run_pymc)(name, int(k))))
        return
    for title, (name, k) in CASES.items():
        results: dict[str, list[dict]] = {"ours": [], "pymc": []}
        for repeat in range(options.repeats + 1):
            for which in results:
                result = measure(which, name, k)
                if repeat:
                    results[which].append(result)
                print(f"{title:14} {which:5} {'warm-up' if not repeat else 'counted'} {result['seconds']:7.2f} s  "
                      f"{result['gradients_per_draw']:6.1f} gradients a draw  min ESS {result['min_ess']:6.0f}  "
                      f"max R-hat {result['max_r_hat']:.4f}  divergences {result['divergences']}  "
                      f"gate {'passed' if result['gate'] else 'FAILED'}", flush=True)  # fmt: skip
        median = {w: statistics.median(r["seconds"] for r in rows) for w, rows in results.items()}
        per_gradient = {
            w: statistics.median(r["min_ess"] / r["gradients"] for r in rows) for w, rows in results.items()
        }
        print(f"{title:14} wall time PyMC / ours {median['pymc'] / median['ours']:.1f}, "
              f"min ESS per gradient ours / PyMC {per_gradient['ours'] / per_gradient['pymc']:.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
