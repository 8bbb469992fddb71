"""Stan beside this package: one chain each of the same mixture with the same priors, the same judge of both.

    python benchmarks/beside_stan.py

Palmer penguins, 342 complete rows of four columns, K = 3, full covariances. Takes R with rstan
(``apt-get install r-cran-rstan`` on Debian). Stan's draws are relabelled here; label-invariant quantities judge both.
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

K, DRAWS = 3, 1000


def run_stan(problem: Problem) -> tuple[dict, str]:
    table, prior, d = problem.table, problem.prior, problem.table.n_features
    data = {"N": table.n_rows, "D": d, "K": K, "y": table.standardized, "loc": prior.mean_loc,
            "scale": prior.mean_scale, "sd_mu": prior.sd_parameters[0], "rounding": prior.floor, "eta": prior.lkj_eta,
            "sd_sigma": float(np.ravel(prior.sd_parameters[1])[0])}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "data.R", Path(folder) / "draws.csv"
        source.write_text("\n".join(f"{name} <- {_dumped(value, d)}" for name, value in data.items()) + "\n")
        script = str(Path(__file__).with_suffix(".R"))
        done = subprocess.run(["Rscript", script, str(source), str(out)], capture_output=True, text=True, check=True)
        frame = pd.read_csv(out)
    compiling, sampling, gradients, version = done.stdout.split()[-4:]
    names = [f"{j}" for j in range(1, d + 1)]
    weights = frame[[f"w[{k}]" for k in range(1, K + 1)]].to_numpy()[None]
    means = np.stack([frame[[f"mu[{k},{j}]" for j in names]] for k in range(1, K + 1)], axis=1)[None]
    chol = np.stack([frame[[f"chol[{k},{i},{j}]" for i in names for j in names]] for k in range(1, K + 1)], axis=1)
    draws = Draws(weights, means, chol.reshape(1, DRAWS, K, d, d), np.zeros((1, DRAWS)),
                  {"diverging": frame["diverging"].to_numpy()[None] > 0}, np.zeros(1, dtype=np.int64), pd.DataFrame(),
                  float(sampling), False, "Stan")  # fmt: skip
    tree = build_tree(draws, problem, inference="Stan", random_seed=1, standardize=True)
    return judge(tree, float(sampling), float(gradients)) | {"compiling": float(compiling)}, f"rstan {version}"


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
    stan, version = run_stan(Problem(table, structure, MixturePrior().resolve(table)))
    options = {"draws": DRAWS, "chains": 1, "random_seed": 1, "progressbar": False, "escalate": False}
    bg.BayesianGMM(K, **options).fit(rows)  # loads what was compiled
    began = time.perf_counter()
    fit = bg.BayesianGMM(K, **options).fit(rows)
    ours = judge(fit.posterior_, time.perf_counter() - began, float(fit.posterior_["sample_stats"]["n_steps"].sum()))
    for name, r in ((version, stan), ("bayesgmm", ours)):
        print(f"{name:12} compiling {r.get('compiling', 0.0):6.1f} s, sampling {r['seconds']:6.1f} s, gradients "
              f"{r['gradients']:8.0f}; smallest ESS without labels {r['ess']:5.0f}, {r['ess'] / r['seconds']:6.1f} a "
              f"second; relabelled {r['ess_relabelled']:5.0f}; R-hat {r['r_hat']:.3f}; divergences "
              f"{r['divergences']}")  # fmt: skip


if __name__ == "__main__":
    main()
