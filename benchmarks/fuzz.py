"""Any table with any options: does it end in an answer that judges itself, or in one sentence that refuses it?

    python benchmarks/fuzz.py [--examples 500] [--seed 1] [--write docs/robustness.md] [--only SEED]

Examples are those of `tests/property/_fuzz.py`, of the seeds `1000 * seed`, `1000 * seed + 1`, ... Each is run in a
worker process that is ended after four times the time limit. `--only` runs one example and prints it. Ends with exit
code 1 if there was any fault.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "property"))

from _fuzz import CALLS, LIMIT, Case, Outcome, example, run
from _fuzz_tables import TableRecipe

__all__ = ["Finished", "main"]

_FIRST = 300.0  # seconds that a worker may take to start, since it may have to compile


@dataclass(frozen=True)
class Finished:
    """An example with its seed and its outcome."""

    seed: int
    case: Case
    outcome: Outcome


def _work(pipe: Connection) -> None:
    """Run what comes through the pipe; a fit of every kind first, so that no example pays for what is compiled."""
    table = TableRecipe(("normal clusters",), 40, 2, "numpy", "float64", "all", "none", 0)
    for call in CALLS:
        run(Case(call, table, 2, "full", (), True, draws=50, chains=1, n_init=2, scores=True, again=False))
    pipe.send(None)
    while True:
        pipe.send(run(pipe.recv()))


class Worker:
    """A process that runs examples, and is replaced when one takes too long or ends it."""

    def __init__(self) -> None:
        self.pipe, theirs = mp.Pipe()
        self.process = mp.get_context("spawn").Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        if not self.pipe.poll(_FIRST):
            raise SystemExit("the worker did not start")
        self.pipe.recv()

    def outcome(self, case: Case) -> Outcome | None:
        """None if there is none, and the worker has been ended."""
        self.pipe.send(case)
        try:
            if self.pipe.poll(4 * LIMIT):
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        self.process.kill()
        return None


def campaign(seeds: range) -> list[Finished]:
    """Every example with its outcome, one after the other."""
    worker, found = Worker(), list[Finished]()
    for seed in seeds:
        case = example(seed)
        began = time.perf_counter()
        outcome = worker.outcome(case)
        if outcome is None:
            seconds = time.perf_counter() - began
            fault = f"was ended after {seconds:.0f} seconds" if seconds > LIMIT else "ended the process"
            outcome, worker = Outcome("fault", "", (fault,), seconds), Worker()
        found.append(Finished(seed, case, outcome))
        if outcome.faults:
            print(f"fault, seed {seed}: {'; '.join(outcome.faults)}\n    {case}", flush=True)
    worker.process.kill()
    return found


def counts(found: list[Finished]) -> dict[str, int]:
    """Number of examples of each ending."""
    out: dict[str, Any] = {}
    for one in found:
        out[one.outcome.ending] = out.get(one.outcome.ending, 0) + 1
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    if arguments.only is not None:
        case = example(arguments.only)
        print(case, run(case), sep="\n")
        return 0
    first = 1000 * arguments.seed
    found = campaign(range(first, first + arguments.examples))
    slowest = max(found, key=lambda one: one.outcome.seconds)
    print(counts(found), f"slowest: seed {slowest.seed}, {slowest.outcome.seconds:.1f} s")
    if arguments.write:
        from fuzz_page import write

        write(
            found, f"python benchmarks/fuzz.py --examples {arguments.examples} --seed {arguments.seed}", arguments.write
        )
    return int(any(one.outcome.faults for one in found))


if __name__ == "__main__":
    sys.exit(main())
