"""The page of `calibration.py`: table, mutants and figure from the recorded ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from calibration import MUTANT_CELLS, cells
from calibration_model import CONCENTRATION, KEPT, MUTANTS, QUANTITIES, RANKS, STEP, Cell, N
from calibration_ranks import SMALLEST, bands, cell_p_value, holm, p_values

__all__ = ["counted", "write"]

PARETO_K_MAX = 0.7
ALPHA = 0.05
FULL = 300  # simulations of a cell, as planned
FEWEST = 20  # simulations of a cell that are worth a line
FIGURE = "_static/calibration.svg"
SHOWN = ("jacobian", Cell("full", 2, 2))  # the mutant beside the cell that it is a mutant of
NAMES = {"nuts": "NUTS", "laplace": "Laplace", "gibbs": "Gibbs"}
SYMBOLS = ("log L", "log p", "Σw²", "mean", "log\\|V\\|", "Σlog\\|V_k\\|")  # of the quantities, in tables

Record = dict[str, Any]


def counted(cell: Cell, record: Record) -> np.ndarray:
    """Ranks (n, Q) that count: all, or of approximations those that importance weights can correct."""
    ranks = np.array(record["ranks"])
    if cell.inference != "laplace":
        return ranks
    return ranks[np.array(record["pareto_k"], dtype=float) < PARETO_K_MAX]


def write(records: dict[Cell, Record], path: Path) -> None:
    """The page, and its figure beside it."""
    planned = [cell for inference in ("nuts", "laplace") for cell in cells(inference)]
    also = [cell for cell in cells("gibbs") if cell in records]
    ranks = {cell: counted(cell, records[cell]) for cell in planned + also if cell in records}
    there = [cell for cell in ranks if len(ranks[cell]) >= FEWEST]
    p = {cell: p_values(ranks[cell], RANKS) for cell in there}
    adjusted = dict(zip(there, holm(np.array([cell_p_value(ranks[cell], RANKS) for cell in there])), strict=True))
    mutants = [cell for cell in MUTANT_CELLS if cell in records]
    lines = [*_head(adjusted, np.concatenate([p[cell] for cell in there]), records, planned), "## Cells", ""]
    lines += [
        "In one column diag and spherical are full, and EEI is tied. The last columns are the "
        "percentages of fits that met the convergence criteria and that had k̂ < 0.7.",
        "",
        "| inference | structure | D | K | runs | in band | adjusted p | smallest p | of | converged, % | k̂ < 0.7, % |",
        "|" + " --- |" * 11,
    ]
    lines += [_line(cell, records[cell], p[cell], adjusted[cell]) for cell in there]
    lines += ["", *_missing(planned, records, there), *_pooled(ranks, there)]
    lines += [*_mutant_lines(mutants, records), *_tail()]
    if SHOWN[1] in there and any(cell.mutant == SHOWN[0] for cell in mutants):
        mutant = next(cell for cell in mutants if cell.mutant == SHOWN[0])
        draw(ranks[SHOWN[1]], counted(mutant, records[mutant]), path.parent / FIGURE)
    path.write_text("\n".join(lines) + "\n")


def number(p: float, times: int = 1) -> str:
    """A p-value, or so many times one; what simulation cannot tell from 0 is below its smallest."""
    return f"< {times * SMALLEST:.0e}".replace("e-0", "e-") if p < 1.01 * times * SMALLEST else f"{p:.2g}"


def share(values: list[int]) -> str:
    return f"{100 * np.mean(values):.3g}"


def _line(cell: Cell, record: Record, p: np.ndarray, adjusted: float) -> str:
    good = np.array([k is not None and k < PARETO_K_MAX for k in record["pareto_k"]])
    columns = [
        NAMES[cell.inference], cell.structure, str(cell.n_features), str(cell.n_components), str(len(record["ranks"])),
        "yes" if adjusted >= ALPHA else "**no**", number(adjusted), number(p.min()), SYMBOLS[int(p.argmin())],
        share(record["passed"]), share(good.tolist()) if cell.inference == "laplace" else "",
    ]  # fmt: skip
    return "| " + " | ".join(columns) + " |"


def _head(adjusted: dict[Cell, float], p: np.ndarray, records: dict[Cell, Record], planned: list[Cell]) -> list[str]:
    inside = sum(x >= ALPHA for x in adjusted.values())
    nuts = [records[cell] for cell in adjusted if cell.inference == "nuts"]
    fits = sum(len(r["ranks"]) for r in nuts)
    unconverged, gibbs = sum(fits_of(r, "passed", 0) for r in nuts), sum(fits_of(r, "gibbs", 1) for r in nuts)
    every = [s for cell in adjusted for s in records[cell]["seconds"]]
    done = sum(cell in adjusted for cell in planned)
    short = sum(len(records[cell]["ranks"]) < FULL for cell in planned if cell in adjusted)
    return [
        "# Calibration", "",
        "If a mixture is drawn from the prior and rows from that mixture, then its rank among draws of the posterior "
        "given these rows is uniform, for every function of mixture and rows. A sampler, a density or a prior that "
        "is not the one stated shows as ranks that are not uniform (simulation-based calibration, Talts et al. 2018).",
        "",
        f"**{inside} of {len(adjusted)} cells that were run are in their band** ({done} of {len(planned)} planned "
        f"cells were run, {short} of them with fewer than {FULL} simulations). "
        f"Of the {len(p)} p-values in them, {np.mean(p < 0.05):.1%} are below 0.05. "
        f"Of {fits} fits by NUTS, {unconverged} did not meet the convergence criteria at the end (they count like the "
        f"others), and {gibbs} were escalated to Gibbs sweeps on the way.", "",
        "## What was done", "",
        f"- **Prior**: fixed numbers, no numbers from the data. Weights Dirichlet({CONCENTRATION:g}), means normal "
        "with sd 6, correlations LKJ(2); standard deviations log-normal(0, 0.3) for full, diag and spherical, "
        "variances inverse-gamma(5, 5) for tied and EEI.",
        f"- **Rounding**: the last column has a recording step of {STEP:g}, so that the variance that rounding adds, "
        f"{STEP:g}²/12 = {STEP**2 / 12:.2f}, is about half that of a component. The model adds that variance to normal "
        "rows (spherical: its average over the columns), and the rows were simulated so; they were not rounded (see "
        "the limits).",
        f"- **Fit**: {N} rows, `BayesianGMM(K, covariance_type=..., prior=..., standardize=False)` with its default "
        f"escalation, four chains of 500 draws; {KEPT} equally spaced draws are kept, which the convergence "
        "criteria (ESS above 400 of 2000) make nearly independent. No simulation is left out of NUTS or Gibbs cells, "
        "whether or not it met them.",
        "- **NUTS** stands for `inference=\"nuts\"` as it comes: what does not meet the convergence criteria is "
        "run longer or by Gibbs sweeps.",
        "- **Laplace with PSIS**: simulations with k̂ < 0.7 count. To select by a function of the rows and of the "
        "draws leaves ranks uniform where the draws are from the posterior, so it is no excuse for a fault.",
        "- **Quantities**, none depending on labels: "
        + ", ".join(f"{name} ({symbol})" for name, symbol in zip(QUANTITIES, SYMBOLS, strict=True))
        + ". The first two depend on the rows, without which a sampler that ignores them would pass (Modrák et al. "
        "2023). They are computed from the definition of the model, without the package.",
        "- **Bands**: the empirical distribution function of the ranks with simultaneous bands of Säilynoja, Bürkner "
        "and Vehtari (2022), stated as the p-value at which the curve touches its band, from 200,000 simulations of "
        "uniform ranks. A cell's p is six times the smallest of its six (Bonferroni, since they depend on each other); "
        "the adjusted p is that after Holm's correction over all cells in the table. So the chance that any cell at "
        f"all is called out of band by accident is at most {100 * ALPHA:g} %.", "",
        f"Command: `python benchmarks/calibration.py --write docs/calibration.md`; {sum(every) / 60:.0f} minutes of "
        "one core for what is in this table. It takes up where it stopped; the ranks are in "
        "`benchmarks/calibration.jsonl`.", "",
        f"![Ranks of a cell and of a mutant, with simultaneous bands]({FIGURE})", "",
        "*Share of ranks below each value, less what uniform ranks would give, for the six quantities of full "
        "covariances, D = 2, K = 2. Grey: where all six lines stay with probability 95 %. Left: the package. Right: "
        "the same data with the Jacobian left out.*", "",
    ]  # fmt: skip


def _pooled(ranks: dict[Cell, np.ndarray], there: list[Cell]) -> list[str]:
    lines = [
        "## All cells together", "",
        "Ranks of all cells of one inference in one sample, which shows what is too small to show in a cell. These "
        "p-values are simultaneous over the ranks, and not corrected for their number.", "",
        "| inference | runs | " + " | ".join(SYMBOLS) + " |", "|" + " --- |" * (2 + len(QUANTITIES)),
    ]  # fmt: skip
    for inference in dict.fromkeys(cell.inference for cell in there):
        pooled = np.concatenate([ranks[cell] for cell in there if cell.inference == inference])
        values = " | ".join(number(p) for p in p_values(pooled, RANKS))
        lines.append(f"| {NAMES[inference]} | {len(pooled)} | {values} |")
    return [*lines, ""]


def fits_of(record: Record, name: str, value: int) -> int:
    return record[name].count(value)


def _missing(planned: list[Cell], records: dict[Cell, Record], there: list[Cell]) -> list[str]:
    lines = []
    for inference in dict.fromkeys(cell.inference for cell in planned):
        missing = [cell for cell in planned if cell.inference == inference and cell not in records]
        places = {
            s: ", ".join(f"{c.n_features}/{c.n_components}" for c in missing if c.structure == s)
            for s in dict.fromkeys(cell.structure for cell in missing)
        }
        if places:
            said = "; ".join(f"{s} {where}" for s, where in places.items())
            lines += [f"**Not run yet**, {NAMES[inference]} (D/K): {said}. The command resumes there.", ""]
    few = [
        f"{NAMES[c.inference]} {c.structure} {c.n_features}/{c.n_components} ({len(records[c]['ranks'])} run)"
        for c in planned if c in records and c not in there
    ]  # fmt: skip
    if few:
        lines += [f"Of these fewer than {FEWEST} simulations count (D/K): " + "; ".join(few) + ".", ""]
    return lines


def _mutant_lines(mutants: list[Cell], records: dict[Cell, Record]) -> list[str]:
    lines = [
        "## Mutants", "", "Faults made on purpose, which the same p-value must find (below 0.001).", "",
        "| mutant | cell | runs | six times the smallest p | found by | found |", "|" + " --- |" * 6,
    ]  # fmt: skip
    for cell in mutants:
        ranks = counted(cell, records[cell])
        p, least = p_values(ranks, RANKS), cell_p_value(ranks, RANKS)
        found = [name for name, value in zip(SYMBOLS, p, strict=True) if len(p) * value < 1e-3]
        where = f"{cell.structure}, D = {cell.n_features}, K = {cell.n_components}"
        lines.append(
            f"| {MUTANTS[cell.mutant]} | {where} | {len(ranks)} | {number(least, len(p))} "
            f"| {', '.join(found) or 'none'} | {'yes' if least < 1e-3 else '**no**'} |"
        )
    return [
        *lines, "",
        "The wrong Jacobian is made by the prior that it is equivalent to: who samples u = log s and forgets ds/du = s "
        "samples p(s)/s, a log-normal of mean μ − σ²; for correlations r = tanh u, LKJ of η − 1. All mutants are fits "
        "by the whole public path, except the one that ignores the data, which needs no fit.", "",
    ]  # fmt: skip


def _tail() -> list[str]:
    return [
        "## Limits", "",
        "- With 300 simulations and 24 cells a quantity leaves its band with probability one half if its posterior is "
        "shifted by a quarter of its standard deviation, or if its standard deviation is 0.8 or 1.3 times what it "
        "should be (found by simulating ranks); with 100 simulations, by 0.43, or 0.7 times. Less can stay inside.",
        "- Cells with fewer than 300 simulations are cut short for want of time, not for what they showed.",
        "- Data come from the prior, so from mixtures as the prior has them: mostly separate, all components probably "
        "occupied. That says nothing of a wrong number of components, other prior families, or rows that are not "
        "normal; `docs/convergence.md` is about convergence on real tables.",
        "- Rows that really are rounded follow the model only as far as rounding is the same as added variance.",
        "- Where it says that a fit met the convergence criteria, that is after the default escalation. One that does "
        "not counts here, as it must, and a user would be warned.",
        "- Modes with empty components that each hold less than a hundredth of the posterior may be left out by NUTS, "
        "by design (`inference.escalation`); that moves ranks by about one in a hundred, which no cell can show.",
        "- k̂ does not see a mode that the approximation has left out altogether; ranks do.", "",
    ]  # fmt: skip


def draw(ranks: np.ndarray, wrong: np.ndarray, path: Path) -> None:
    """The figure: differences of empirical distribution functions, with their simultaneous bands."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "calibration"
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 4.0), sharey=True)
    grid = np.arange(1, RANKS) / RANKS
    for axis, values, title in zip(axes, (ranks, wrong), ("the package", "mutant: Jacobian left out"), strict=True):
        lower, upper = bands(len(values), RANKS, 1.0 - ALPHA / len(QUANTITIES))
        axis.fill_between(grid, lower - grid, upper - grid, color="0.85", lw=0)
        for j, name in enumerate(QUANTITIES):
            below = (values[:, j, None] < np.arange(1, RANKS)).mean(axis=0)
            axis.plot(grid, below - grid, lw=1.2, label=name)
        axis.axhline(0.0, color="0.4", lw=0.6)
        axis.set(title=f"{title}, {len(values)} simulations", xlabel="rank, as a share")
    axes[0].set_ylabel("share of ranks below, less uniform")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
