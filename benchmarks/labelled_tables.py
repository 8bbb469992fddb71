"""Tables with known classes: how well the clusters of a comparison agree with them, and those of mclust.

    python benchmarks/labelled_tables.py [--tables iris thyroid ...] [--write docs/labelled_tables.md]

`compare_components(X, "auto")` with its defaults, on the columns as they are; the classes are seen by no method. The
adjusted Rand index (Hubert and Arabie 1985) of the classes with the components of the recommended fit, and with
`cmp.labels_`, the clusters that the headline stands for; and with the classification of `Mclust(X)` (all its models, 1
to 9 components, the best BIC) and with its components combined by `clustCombiOptim(clustCombi(.))`, in R.
Each table is one line of a CSV file, appended at once; a run that was stopped continues.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg

HERE = Path(__file__).parent
LABELLED = {"penguins": "Species", "thyroid": "Diagnosis", "diabetes": "class", "wdbc3": "Diagnosis",
            "banknote": "Status"}  # fmt: skip
TABLES = ("iris", "wine", *LABELLED)
SIX = TABLES[:6]  # the others are further tables
R_CODE = """
suppressMessages(library(mclust)); X <- as.matrix(read.csv("{path}"))
m <- Mclust(X, verbose = FALSE); o <- clustCombiOptim(clustCombi(m), plot = FALSE)
cat(m$modelName, "\\n"); cat(m$classification, "\\n"); cat(o$cluster.combi, "\\n")
"""


def table(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Columns and class of each row."""
    if name in LABELLED:
        frame = pd.read_csv(HERE / "data" / f"{name}.csv").dropna()
        return frame.drop(columns=LABELLED[name]).select_dtypes("number"), frame[LABELLED[name]].to_numpy()
    loaded = {"iris": load_iris, "wine": load_wine}[name](as_frame=True)
    return loaded.data, loaded.target.to_numpy()


def by_mclust(X: pd.DataFrame) -> tuple[str, np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        X.to_csv(path, index=False)
        code = R_CODE.format(path=path)
        model, *labels = subprocess.run(
            ["Rscript", "-e", code], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    alone, combined = (np.array(line.split(), dtype=int) for line in labels)
    return model.strip(), alone, combined


def row_of(name: str) -> dict[str, object]:
    X, classes = table(name)
    began = time.perf_counter()
    found = bg.compare_components(X, "auto", random_seed=1, progressbar=False)
    seconds = time.perf_counter() - began
    said, best = found.recommendation, found.best
    merged = found.candidates[said.label].merging
    model, alone, combined = by_mclust(X)
    score = {
        "components": best.labels_, "clusters": found.labels_, "mclust": alone, "combined": combined
    }  # fmt: skip
    return {
        "table": name, "rows": len(X), "columns": X.shape[1], "classes": len(set(classes)), "K": said.n_components,
        "numbers": " ".join(map(str, merged.numbers)), "shown": len(set(found.labels_)), "model": model,
        "mclust_K": len(set(alone)), "combined_K": len(set(combined)),
        **{f"ari_{kind}": round(adjusted_rand_score(classes, labels), 3) for kind, labels in score.items()},
        "ranked": f"{int(found.details['ranked'].sum())}/{len(found.fits)}", "seconds": round(seconds),
    }  # fmt: skip


def page(results: pd.DataFrame) -> str:
    results = results.set_index("table").loc[[n for n in TABLES if n in set(results["table"])]]
    lines = ["| table | classes | ours: K | clusters | components | clusters | mclust | model, K | combined | K |",
             "| --- | ---: | ---: | --- | ---: | ---: | ---: | --- | ---: | ---: |"]  # fmt: skip
    for name, r in results.iterrows():
        numbers = str(r["numbers"]).split()
        stated = " to ".join(dict.fromkeys((numbers[0], numbers[-1])))
        lines.append(
            f"| {name}, {r['rows']} × {r['columns']} | {r['classes']} | {r['K']} | {stated} | "
            f"{r['ari_components']:.2f} | {r['ari_clusters']:.2f} | {r['ari_mclust']:.2f} | "
            f"{r['model']}, {r['mclust_K']} | {r['ari_combined']:.2f} | {r['combined_K']} |"
        )
    columns = [f"ari_{kind}" for kind in ("components", "clusters", "mclust", "combined")]
    means = results.loc[[n for n in SIX if n in results.index], columns].mean()
    intro = (__doc__ or "").split("\n\n", 2)[2].split("Each table")[0].strip()
    return f"""# Tables with known classes

{intro}

{chr(10).join(lines)}

*clusters* (the first) is what the headline says: where it depends on how far apart clusters must be, between which
numbers; the partition scored is the finest of those. Mean of the first {min(len(SIX), len(results))} tables: components
**{means.iloc[0]:.3f}**, clusters **{means.iloc[1]:.3f}**, mclust {means.iloc[2]:.3f}, combined {means.iloc[3]:.3f}.
No class enters a rule, and no constant is tuned to a table: what the constants mean is said in
[How many clusters](how_many.md).

Made by `python benchmarks/labelled_tables.py --write docs/labelled_tables.md`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=TABLES, choices=TABLES)
    parser.add_argument("--out", type=Path, default=HERE / "labelled_tables.csv")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    done = set(pd.read_csv(options.out)["table"]) if options.out.exists() else set()
    for name in options.tables:
        if name in done:
            continue
        row = row_of(name)
        fresh = not options.out.exists()
        with options.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    if options.write is not None:
        options.write.write_text(page(pd.read_csv(options.out)))


if __name__ == "__main__":
    main()
