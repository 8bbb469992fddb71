"""What escalation costs where nothing needs it: fits that pass by NUTS, with `escalate` on and off in turn.

    python benchmarks/escalation_cost.py [--sets iris faithful ...] [--repeats 5]

The cells are those of the convergence grid (`convergence_grid.py`) in which NUTS passed at once. Printed are the median
seconds of a fit with escalation and without, their ratio, and what the look for modes with empty components takes of
it; at the end the quartiles of the ratios, by the number of components.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from convergence_grid import SEEDS, data_sets, how

import bayesgmm as bg
from bayesgmm.inference import escalation


def seconds(rows: np.ndarray, k: int, structure: str, escalate: bool) -> float:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = bg.BayesianGMM(
            k, covariance_type=structure, escalate=escalate, random_seed=SEEDS[0], progressbar=False
        ).fit(rows)
    taken = time.perf_counter() - began
    return np.nan if fit.posterior_.attrs["notes"] else taken  # it escalated, so what that costs is not asked here


def looks() -> list[float]:
    """Seconds of each look for modes with empty components from here on."""
    taken, look = list[float](), escalation._empty_components

    def timed(request: escalation.Request) -> str | None:
        _ = request.modes  # samplers need them as well: found once, they are not part of the cost
        began = time.perf_counter()
        said = look(request)
        taken.append(time.perf_counter() - began)
        return said

    escalation._empty_components = timed
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    records = [json.loads(line) for line in Path(__file__).with_name("convergence_grid.jsonl").read_text().splitlines()]
    sets, looked = data_sets(), looks()
    ratios: dict[int, list[float]] = {}
    print(f"{'data':24} {'structure':9} {'K':>2} {'on':>7} {'off':>7} {'ratio':>6} {'look':>7}   medians, seconds")
    for record in records:
        name, structure, k = record["set"], record["structure"], record["k"]
        if how(record["runs"][0]) != "NUTS" or (arguments.sets and name not in arguments.sets):
            continue
        seconds(sets[name], k, structure, True)  # whatever is loaded once
        looked.clear()
        pairs = []
        for i in range(arguments.repeats):
            one, other = (seconds(sets[name], k, structure, escalate) for escalate in (i % 2 == 0, i % 2 == 1))
            pairs.append((one, other) if i % 2 == 0 else (other, one))
        on, off = np.median(pairs, axis=0)
        if np.isnan(on):
            print(f"{name:24} {structure:9} {k:2} escalated on this machine", flush=True)
            continue
        ratios.setdefault(k, []).append(on / off)
        cost = f"{on:7.2f} {off:7.2f} {on / off:6.2f} {np.median(looked):7.3f}"
        print(f"{name:24} {structure:9} {k:2} {cost}", flush=True)
    for k, of_k in sorted(ratios.items()):
        low, middle, high = np.quantile(of_k, [0.25, 0.5, 0.75])
        print(f"K = {k}: ratio {middle:.2f} ({low:.2f} to {high:.2f}), {len(of_k)} cells")


if __name__ == "__main__":
    main()
