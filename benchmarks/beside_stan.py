"""Stan beside this package: single chains of the same mixture with the same priors, the same judge of both.

    python benchmarks/beside_stan.py

Palmer penguins, 342 complete rows of four columns, K = 3, full covariances. Takes R with rstan (``apt-get install
r-cran-rstan libboost-dev`` on Debian). Each chain has 1000 iterations of warm-up and 1000 draws, from three seeds.
Stan's draws are relabelled here; label-invariant quantities judge both. Ours includes EM and diagnosis.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from nuts_vs_pymc import judge

import bayesgmm as bg
from bayesgmm.data.table import prepare_table
from bayesgmm.model.draws import Draws
from bayesgmm.model.prior import MixturePrior
from bayesgmm.model.problem import Problem
from bayesgmm.model.structure import get_structure
from bayesgmm.posterior.build import build_tree

K, SEEDS = 3, (1, 2, 3)


def run_stan(problem: Problem) -> list[dict]:
    """A chain from each seed: seconds, gradients and what the judge says of its draws."""
    table, prior, d = problem.table, problem.prior, problem.table.n_features
    data = {"N": table.n_rows, "D": d, "K": K, "y": table.standardized, "loc": prior.mean_loc,
            "scale": prior.mean_scale, "sd_mu": prior.sd_parameters[0], "rounding": prior.floor, "eta": prior.lkj_eta,
            "sd_sigma": float(np.ravel(prior.sd_parameters[1])[0])}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder) / "data.R", str(Path(__file__).with_suffix(".R"))
        source.write_text("\n".join(f"{name} <- {_dumped(value, d)}" for name, value in data.items()) + "\n")
        command = ["Rscript", script, str(source), folder, *map(str, SEEDS)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        out = []
        for line in done.stdout.splitlines()[-len(SEEDS) :]:
            seed, compiling, sampling, gradients, version = line.split()
            frame = pd.read_csv(Path(folder) / f"{seed}.csv")
            result = judge(_tree(frame, problem, float(sampling)), float(sampling), float(gradients))
            out.append({"name": f"rstan {version}", "compiling": float(compiling), **result})
    return out


def _tree(frame: pd.DataFrame, problem: Problem, seconds: float):
    """Draws of Stan as those of a fit, relabelled."""
    d = problem.table.n_features
    components, names = range(1, K + 1), range(1, d + 1)
    weights = frame[[f"w[{k}]" for k in components]].to_numpy()[None]
    means = np.stack([frame[[f"mu[{k},{j}]" for j in names]] for k in components], axis=1)[None]
    chol = np.stack([frame[[f"chol[{k},{i},{j}]" for i in names for j in names]] for k in components], axis=1)
    draws = Draws(weights, means, chol.reshape(1, -1, K, d, d), np.zeros((1, len(frame))),
                  {"diverging": frame["diverging"].to_numpy()[None] > 0}, np.zeros(1, dtype=np.int64), pd.DataFrame(),
                  seconds, False, "Stan")  # fmt: skip
    return build_tree(draws, problem, inference="Stan", random_seed=1, standardize=True)


def run_ours(rows: pd.DataFrame, seed: int) -> dict:
    began = time.perf_counter()
    fit = bg.BayesianGMM(
        K, draws=1000, tune=1000, chains=1, random_seed=seed, progressbar=False, escalate=False
    ).fit(rows)  # fmt: skip
    seconds, gradients = time.perf_counter() - began, float(fit.posterior_["sample_stats"]["n_steps"].sum())
    return {"name": "bayesgmm", "compiling": 0.0, **judge(fit.posterior_, seconds, gradients)}


def _dumped(value: object, d: int) -> str:
    """A number, a vector or a matrix in R's notation."""
    if isinstance(value, (int, float)):
        return repr(value)
    array = np.asarray(value, dtype=float)
    if array.ndim < 2:
        return f"c({', '.join(map(repr, np.broadcast_to(array, d).tolist()))})"
    numbers = ", ".join(map(repr, array.ravel(order="F").tolist()))
    return f"structure(c({numbers}), .Dim = c({array.shape[0]}L, {array.shape[1]}L))"


def main() -> None:
    rows = bg.datasets.load_penguins()[0].dropna()
    table, structure = prepare_table(rows), get_structure("full")
    run_ours(rows, 1)  # loads what was compiled before
    stan = run_stan(Problem(table, structure, MixturePrior().resolve(table)))
    for r in [*stan, *(run_ours(rows, seed) for seed in SEEDS)]:
        print(f"{r['name']:12} compiling {r['compiling']:5.1f} s, fitting {r['seconds']:6.1f} s, gradients a draw "
              f"{r['gradients'] / 1000:5.1f}; smallest ESS without labels {r['ess']:5.0f}, "
              f"{r['ess'] / r['seconds']:5.2f} a second; relabelled {r['ess_relabelled']:5.0f}; R-hat "
              f"{r['r_hat']:.3f}; divergences {r['divergences']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
