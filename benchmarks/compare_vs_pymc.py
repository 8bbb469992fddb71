"""How many clusters has Old Faithful: bayesgmm's comparison beside pm.Mixture, pm.sample and az.compare.

    python benchmarks/compare_vs_pymc.py [--largest 6] [--only ours|pymc]

Both fit K = 1..6 with four chains of 1000 draws and the same priors, each in a cold process of its own (ours
with its kernels on disk, PyMC with an empty compile directory), and say which K they would take: ours its
recommendation, PyMC the first row of az.compare. The bar is a fifth of PyMC's wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time


def run_ours(largest: int) -> dict:
    began = time.perf_counter()
    import bayesgmm as bg

    found = bg.compare_components(
        bg.datasets.load_faithful(), range(1, largest + 1), random_seed=1, progressbar=False
    )  # fmt: skip
    said = str(found)
    table = found.details[["elpd_loo", "elpd_diff", "diff_se", "probability", "converged", "seconds"]]
    return {"seconds": time.perf_counter() - began, "says": said, "table": table.to_string()}


def run_pymc(largest: int) -> dict:
    began = time.perf_counter()
    import arviz as az
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt

    from bayesgmm.data.table import prepare_table
    from bayesgmm.datasets import load_faithful
    from bayesgmm.model.prior import MixturePrior

    table = prepare_table(load_faithful())
    prior = MixturePrior().resolve(table)
    d = table.n_features
    trees, seconds, worst = {}, {}, {}
    for k in range(1, largest + 1):
        start = time.perf_counter()
        with pm.Model():
            means = pm.Normal("means", np.asarray(prior.mean_loc), np.asarray(prior.mean_scale), shape=(k, d))
            parts = []
            for j in range(k):
                factor, _, _ = pm.LKJCholeskyCov(
                    f"chol_{j}", n=d, eta=prior.lkj_eta, sd_dist=pm.LogNormal.dist(np.log(0.5), 0.7, shape=d)
                )
                parts.append(pm.MvNormal.dist(means[j], chol=factor))
            if k == 1:
                pm.MvNormal("obs", means[0], chol=factor, observed=table.standardized)
            else:
                weights = pm.Dirichlet("weights", np.full(k, prior.concentration))
                pm.Mixture("obs", w=pt.as_tensor(weights), comp_dists=parts, observed=table.standardized)
            tree = pm.sample(draws=1000, tune=1000, chains=4, random_seed=1, progressbar=False)
            pm.compute_log_likelihood(tree, progressbar=False)
        trees[str(k)] = tree
        seconds[k] = time.perf_counter() - start
        total = tree["log_likelihood"]["obs"].sum([n for n in tree["log_likelihood"]["obs"].dims if "obs" in n])
        worst[k] = float(az.rhat(total.rename("total").to_dataset())["total"])
    compared = az.compare(trees, round_to="none")
    return {
        "seconds": time.perf_counter() - began,
        "says": f"K = {compared.index[0]} is the first row of az.compare; R-hat of the log-likelihood {worst}",
        "table": f"{compared.to_string()}\nseconds {seconds}",
    }


def in_new_process(which: str, largest: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={folder}"}
        command = [sys.executable, __file__, "--one", which, "--largest", str(largest)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=6)
    parser.add_argument("--only", choices=["ours", "pymc"])
    parser.add_argument("--one", choices=["ours", "pymc"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps((run_ours if options.one == "ours" else run_pymc)(options.largest)))
        return
    results = {}
    for which in [options.only] if options.only else ["ours", "pymc"]:
        results[which] = in_new_process(which, options.largest)
        print(f"{which}: {results[which]['seconds']:.0f} s\n{results[which]['says']}\n{results[which]['table']}\n")
    if len(results) == 2:
        print(f"ours takes {results['ours']['seconds'] / results['pymc']['seconds']:.2f} of the time of PyMC")


if __name__ == "__main__":
    main()
