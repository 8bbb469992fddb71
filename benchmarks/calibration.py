"""Is the posterior calibrated? Ranks of prior draws among draws of their fits; the table goes to docs/calibration.md.

    python benchmarks/calibration.py [--simulations 300] [--structures full,tied,diag,spherical,EEI] [--columns 1,2,3]
        [--components 2,3] [--inference nuts,laplace] [--mutant jacobian,dirichlet,data,rounding]
        [--results benchmarks/calibration.jsonl] [--write docs/calibration.md]

Cells are structures, numbers of columns and of components; those that are the same model in one column are run once.
Without options everything is run, mutants too (hours, on one core); options choose among it, and `--simulations 0` only
writes the page. Results are appended as they come, 25 simulations a line, and simulations that the file holds are not
run again. What is simulated and ranked stands in `calibration_model.py`, how ranks are judged in
`calibration_ranks.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from calibration_model import MUTANTS, STRUCTURES, Cell, simulate

__all__ = ["MUTANT_CELLS", "cells", "main", "run"]

HERE = Path(__file__).parent
CHUNK = 25  # simulations a line
ONE_COLUMN = ("full", "tied")  # diag and spherical are full there, EEI is tied
INFERENCES = ("nuts", "laplace", "gibbs")
# The mutant of the weights' prior where that prior says most, with few rows a component and little overlap.
MUTANT_CELLS = tuple(
    Cell("EEI", 3, 3, mutant=mutant) if mutant == "dirichlet" else Cell("full", 2, 2, mutant=mutant)
    for mutant in MUTANTS
)  # fmt: skip

Record = dict[str, Any]


def cells(inference: str = "nuts") -> list[Cell]:
    """The distinct cells of the table."""
    return [
        Cell(structure, d, k, inference)
        for structure in STRUCTURES for d in (1, 2, 3) for k in (2, 3) if d > 1 or structure in ONE_COLUMN
    ]  # fmt: skip


def run(cell: Cell, first: int, n: int) -> Record:
    """Simulations `first` to ``first + n - 1`` of a cell, as one line of the results."""
    began = time.perf_counter()
    outcomes = [simulate(cell, simulation) for simulation in range(first, first + n)]
    columns = {name: [outcome[name] for outcome in outcomes] for name in outcomes[0]}
    return asdict(cell) | {"first": first, "seconds": round(time.perf_counter() - began, 1)} | columns


def read(path: Path) -> dict[Cell, Record]:
    """The results of every cell, its lines put together in the order of their simulations."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    out: dict[Cell, Record] = defaultdict(lambda: defaultdict(list))
    for line in sorted(lines, key=lambda line: line["first"]):
        record = out[Cell(*(line[name] for name in Cell.__dataclass_fields__))]
        if len(record["ranks"]) != line["first"]:
            raise SystemExit(f"{path}: simulations of a cell are there twice or missing before {line['first']}.")
        for name in ("ranks", "passed", "gibbs", "pareto_k"):
            record[name] += line[name]
        record["seconds"].append(line["seconds"])
    return out


def extend(chosen: Iterable[Cell], simulations: int, path: Path) -> None:
    """Run what the file does not hold, and append it."""
    done = {cell: len(record["ranks"]) for cell, record in read(path).items()}
    for cell in chosen:
        for first in range(done.get(cell, 0), simulations, CHUNK):
            record = run(cell, first, min(CHUNK, simulations - first))
            with path.open("a") as file:
                file.write(json.dumps(record, separators=(",", ":")) + "\n")
        if simulations:
            print(cell, f"mean ranks {np.mean(read(path)[cell]['ranks'], axis=0).round(1)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--structures", default=",".join(STRUCTURES))
    parser.add_argument("--columns", default="1,2,3")
    parser.add_argument("--components", default="2,3")
    parser.add_argument("--inference", help="of nuts, laplace, gibbs; no mutants then, unless they are named")
    parser.add_argument("--mutant", help="names of mutants; no other cells then, unless --inference names them")
    parser.add_argument("--results", type=Path, default=HERE / "calibration.jsonl")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    inferences, mutants = arguments.inference, arguments.mutant
    if inferences is None and mutants is None:
        inferences, mutants = "nuts,laplace", ",".join(MUTANTS)
    unknown = set((inferences or "").split(",")) - {"", *INFERENCES} | set((mutants or "").split(",")) - {"", *MUTANTS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    chosen = [
        cell for inference in (inferences.split(",") if inferences else ()) for cell in cells(inference)
        if cell.structure in arguments.structures.split(",")
        and str(cell.n_features) in arguments.columns.split(",")
        and str(cell.n_components) in arguments.components.split(",")
    ]  # fmt: skip
    chosen += [cell for cell in MUTANT_CELLS if cell.mutant in (mutants or "").split(",")]
    extend(chosen, arguments.simulations, arguments.results)
    if arguments.write:
        from calibration_page import write

        write(read(arguments.results), arguments.write)


if __name__ == "__main__":
    main()
