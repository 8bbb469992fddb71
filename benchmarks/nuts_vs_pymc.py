"""From a cold process to relabelled draws: bayesgmm beside pm.Mixture with the same priors.

    python benchmarks/nuts_vs_pymc.py [--repeats 3]

Each run is a new Python process, timed from its start to a relabelled, diagnosed fit (ours) or to the end of
pm.sample (PyMC's NUTS, not even relabelled). Three conditions:

- first: nothing of this kind was run before on this machine by PyMC (an empty compile directory); ours has its
  kernels on disk, as after any earlier fit of any table;
- rows: the same columns and K, other rows (one left out), compile directories as the earlier runs left them;
- again: the same table once more.

The same label-invariant quantities judge both. ESS is the smallest of bulk and tail: over the gate, over the component
parameters as sampled (labels as the chains left them), and over the component parameters relabelled.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

CASES = {"iris K=3": ("iris", 3), "faithful K=2": ("faithful", 2)}


def load(name: str, leave_out: int):
    from bayesgmm import datasets

    frame = datasets.load_faithful() if name == "faithful" else datasets.load_iris()[0]
    return frame if leave_out < 0 else frame.drop(index=frame.index[leave_out])


def run_ours(name: str, k: int, leave_out: int) -> dict:
    began = time.perf_counter()
    import bayesgmm as bg

    fit = bg.BayesianGMM(k, random_seed=1, progressbar=False).fit(load(name, leave_out))
    seconds = time.perf_counter() - began
    return judge(fit.posterior_, seconds, float(fit.posterior_["sample_stats"]["n_steps"].sum()))


def run_pymc(name: str, k: int, leave_out: int) -> dict:
    began = time.perf_counter()
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt

    from bayesgmm.data.table import prepare_table
    from bayesgmm.model.prior import MixturePrior

    table = prepare_table(load(name, leave_out))
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

    from bayesgmm.model.draws import Draws
    from bayesgmm.model.structure import get_structure
    from bayesgmm.posterior.build import build_tree

    posterior, stats = tree["posterior"], tree["sample_stats"]
    draws = Draws(posterior["weights"].values, posterior["means"].values, posterior["chol"].values,
                  np.zeros(posterior["weights"].shape[:2]), {"diverging": stats["diverging"].values},
                  np.zeros(4, dtype=np.int64), pd.DataFrame(), seconds, False, "pm.Mixture")  # fmt: skip
    from bayesgmm.model.problem import Problem

    judged = build_tree(draws, Problem(table, get_structure("full"), prior), inference="pm.Mixture", random_seed=1,
                        standardize=True)  # fmt: skip
    return judge(judged, seconds, float(stats["n_steps"].sum()))


def judge(tree, seconds: float, gradients: float) -> dict:
    import numpy as np
    from arviz_stats.base import array_stats

    from bayesgmm.posterior.diagnostics.diagnose import diagnose

    diagnosis = diagnose(tree)
    posterior = tree["posterior"]
    order = np.argsort(tree["sample_stats"]["permutation"].values, axis=-1)
    raw = np.take_along_axis(posterior["means"].values, order[..., None], axis=2)
    raw_ess = min(float(array_stats.ess(raw[..., k, j], chain_axis=0, draw_axis=1, method="bulk"))
                  for k in range(raw.shape[2]) for j in range(raw.shape[3]))  # fmt: skip
    ess = ["ess_bulk", "ess_tail"]
    return {
        "seconds": seconds, "gradients": gradients, "ess": float(diagnosis.table[ess].min().min()),
        "ess_raw": raw_ess, "ess_relabelled": float(diagnosis.components[ess].min().min()),
        "r_hat": float(diagnosis.table["r_hat"].max()), "divergences": diagnosis.n_divergences,
        "gate": bool(diagnosis.ok),
    }  # fmt: skip


def measure(which: str, name: str, k: int, leave_out: int, environment: dict[str, str]) -> dict:
    command = [sys.executable, __file__, "--one", which, name, str(k), str(leave_out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return json.loads(done.stdout.splitlines()[-1])


def show(title: str, condition: str, which: str, r: dict) -> None:
    print(f"{title:13} {condition:6} {which:5} {r['seconds']:7.2f} s {r['gradients'] / 4000:6.1f} gradients a draw  "
          f"min ESS gate {r['ess']:5.0f}, raw {r['ess_raw']:5.0f}, relabelled {r['ess_relabelled']:5.0f}  "
          f"R-hat {r['r_hat']:.4f}  divergences {r['divergences']}  gate {'passed' if r['gate'] else 'FAILED'}",
          flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        which, name, k, leave_out = options.one
        print(json.dumps((run_ours if which == "ours" else run_pymc)(name, int(k), int(leave_out))))
        return
    for title, (name, k) in CASES.items():
        measure("ours", name, k, -1, {})
        results: dict[tuple[str, str], list[dict]] = {}
        with tempfile.TemporaryDirectory() as folder:
            environment = {"PYTENSOR_FLAGS": f"base_compiledir={folder}", "NUMBA_CACHE_DIR": folder}
            plan = [("first", -1)] + [("rows", r) for r in range(options.repeats)] + [("again", -1)] * options.repeats
            for condition, leave_out in plan:
                for which in ("ours", "pymc"):
                    r = measure(which, name, k, leave_out, environment if which == "pymc" else {})
                    results.setdefault((condition, which), []).append(r)
                    show(title, condition, which, r)

        def median(condition: str, which: str, of, results=results) -> float:
            return statistics.median(of(r) for r in results[condition, which])

        for condition in ("first", "rows", "again"):
            seconds = [median(condition, which, lambda r: r["seconds"]) for which in ("pymc", "ours")]
            print(f"{title:13} {condition:6} wall time PyMC / ours {seconds[0] / seconds[1]:.1f}")
        for kind in ("ess", "ess_raw", "ess_relabelled"):
            rate = [median("again", which, lambda r, kind=kind: r[kind] / r["gradients"]) for which in ("ours", "pymc")]
            print(f"{title:13} {kind} per gradient ours / PyMC {rate[0] / rate[1]:.1f}", flush=True)


if __name__ == "__main__":
    main()
