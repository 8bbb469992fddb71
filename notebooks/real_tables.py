# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Real tables
#
# Tables come with text, identifiers, codes and gaps. This notebook takes the Palmer penguins from the file as it was
# published, fits them with their gaps, then loses more cells on purpose, so that what is filled in can be compared
# with what was measured. [Missing cells](../missing_cells.md) has the assumption and where it fails,
# [Tables as they are](../files.md) what is recognised of a file.

# %%
import subprocess
import sys
import tempfile
import warnings
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg

blue, red, grey = "#0072b2", "#d55e00", "#777777"

path = files("bayesgmm") / "datasets_files" / "penguins.csv"
print(path.read_text()[:330])

# %% [markdown]
# ## From the file
#
# What is not a measurement is left out, and said; the species is named as the label, so it is not fitted.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    penguins, species = bg.read_csv(str(path), label="Species")
for warning in said:
    print(str(warning.message).split("penguins.csv: ")[1])
penguins.describe().loc[["count", "mean", "std", "min", "max"]].round(1)

# %% [markdown]
# Three components that share one covariance, gaps included:

# %%
options = {"random_seed": 1, "progressbar": False}
tied = {"covariance_type": "tied", **options}
published = bg.BayesianGMM(3, **tied).fit(penguins)
print(published.diagnose().verdict)
published.table_.patterns

# %% [markdown]
# Two birds were not measured at all. Such a row has no density to count by: it changes nothing, and its probabilities
# are the weights of the components. Dropping the two would give the same posterior.

# %%
unmeasured = penguins.isna().all(axis=1)
print("weights of the components", published.weights_.round(3))
pd.DataFrame(published.predict_proba(penguins[unmeasured]), index=penguins.index[unmeasured]).round(3)

# %% [markdown]
# ## More gaps
#
# Of the measured birds every cell is now lost with probability 0.2, completely at random. What was measured stays
# known, so every answer can be compared with that from the full table.

# %%
measured = penguins[~unmeasured].reset_index(drop=True)
known = species[~unmeasured].reset_index(drop=True)
lost = np.random.default_rng(4).random(measured.shape) < 0.2
gapped = measured.mask(lost)
complete = gapped.dropna()
print(f"{lost.mean():.0%} of the cells are lost; {len(complete)} of {len(gapped)} rows are complete")

# %%
full = bg.BayesianGMM(3, **tied).fit(measured)
gaps = bg.BayesianGMM(3, **tied).fit(gapped)
rows = bg.BayesianGMM(3, **tied).fit(complete)
fits = {"every cell": full, "cells that are left": gaps, "complete rows only": rows}
for name, fit in fits.items():
    print(f"{name}: {fit.diagnose().verdict}")
gaps.table_.patterns.head(6)


# %% [markdown]
# The components of the three fits are put in one order, that of body mass and then of bill length.


# %%
def ordered(fit):
    """Means (draws, 3, 4) of the components: the heaviest last, the other two by bill length."""
    means = fit.posterior_["posterior"]["means"].stack(sample=("chain", "draw"))
    means = means.transpose("sample", "component", "feature").values
    bill, mass = means[..., 0].mean(axis=0), means[..., 3].mean(axis=0)
    heavy = int(mass.argmax())
    return means[:, [*sorted(set(range(3)) - {heavy}, key=lambda k: bill[k]), heavy]]


figure, axes = plt.subplots(1, 4, figsize=(10, 3.4), layout="constrained")
colours = dict(zip(fits, (grey, blue, red), strict=True))
for j, (ax, column) in enumerate(zip(axes, measured.columns, strict=True)):
    for shift, (name, fit) in zip((-0.2, 0.0, 0.2), fits.items(), strict=True):
        low, middle, high = np.quantile(ordered(fit)[..., j], [0.025, 0.5, 0.975], axis=0)
        at = np.arange(3) + shift
        ax.vlines(at, low, high, color=colours[name], linewidth=2)
        ax.plot(at, middle, "o", color=colours[name], markersize=4, label=name)
    ax.set_xticks(range(3), ["small", "long bill", "heavy"])
    ax.set_title(column, loc="left", fontsize=10)
axes[0].set_ylabel("component mean, 95 % interval")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# Since cells were lost completely at random, complete rows are merely fewer. How wide the intervals are, as the mean
# ratio to those of the fit of every cell, and how well the components agree with the species:

# %%
width = {name: np.ptp(np.quantile(ordered(fit), [0.025, 0.975], axis=0), axis=0).ravel() for name, fit in fits.items()}
pd.DataFrame(
    {
        "rows": {name: fit.table_.n_rows for name, fit in fits.items()},
        "width of intervals": {name: np.mean(w / width["every cell"]) for name, w in width.items()},
        "adjusted Rand index": {
            "every cell": adjusted_rand_score(known, full.labels_),
            "cells that are left": adjusted_rand_score(known, gaps.labels_),
            "complete rows only": adjusted_rand_score(known[complete.index], rows.labels_),
        },
    }
).round(2)

# %% [markdown]
# The index of the complete rows is that of the birds that are left, the others have no label. To fit complete rows and
# then ask for the gapped ones works too, since new rows may lack cells:

# %%
print(f"all birds, by the fit of complete rows: {adjusted_rand_score(known, rows.predict(gapped)):.2f}")

# %% [markdown]
# ## What the lost cells may have been
#
# Each lost cell has a distribution: that of the cell given the cells beside it, averaged over components and the
# posterior.

# %%
cells = gaps.missing_cells()
cells["measured"] = [measured.loc[row, column] for row, column in cells.index]
cells["held"] = (cells["lower"] <= cells["measured"]) & (cells["measured"] <= cells["upper"])
print(f"{cells['held'].mean():.0%} of the 95 % intervals hold what was measured")
cells.head(6).round(1)

# %%
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for ax, column in zip(axes, measured.columns, strict=True):
    of = cells.xs(column, level="column")
    ax.vlines(of["measured"], of["lower"], of["upper"], color=blue, linewidth=0.6, alpha=0.5)
    ax.plot(of["measured"], of["mean"], "o", color=blue, markersize=2.5)
    ends = [measured[column].min(), measured[column].max()]
    ax.plot(ends, ends, color=grey, linewidth=1)
    ax.set_title(column, loc="left", fontsize=10)
    ax.set_xlabel("measured")
axes[0].set_ylabel("mean and 95 % interval")
plt.show()

# %% [markdown]
# ## A further analysis: multiple imputation
#
# Another program may want a table without gaps. Filling in the mean makes the table look more orderly than it is;
# `fit.impute` draws several tables, each from one draw of the posterior. The analysis is done on each, and Rubin's
# rules combine the answers. Here: by how many grams body mass grows with a millimetre of flipper, by least squares.

# %%


def slope(table):
    """Slope of body mass on flipper length, and its squared standard error."""
    x, y = table[:, 2] - table[:, 2].mean(), table[:, 3] - table[:, 3].mean()
    b = x @ y / (x @ x)
    return b, ((y - b * x) ** 2).sum() / (len(x) - 2) / (x @ x)


def rubin(estimates, variances):
    """Estimate and standard error of m completed tables (Rubin 1987)."""
    m, between = len(estimates), np.var(estimates, ddof=1)
    return np.mean(estimates), np.sqrt(np.mean(variances) + (1 + 1 / m) * between)


b, v = np.transpose([slope(table) for table in gaps.impute(draws=50)])
filled = gapped.fillna(gapped.mean())
answers = {
    "every cell": slope(measured.to_numpy()),
    "50 imputed tables": rubin(b, v),
    "complete rows only": slope(complete.to_numpy()),
    "column means filled in": slope(filled.to_numpy()),
}
found = {name: (x, y if name == "50 imputed tables" else np.sqrt(y)) for name, (x, y) in answers.items()}
pd.DataFrame(found, index=["g per mm", "standard error"]).T.round(2)

# %% [markdown]
# Columns that the analysis uses must have been in the fit: an imputed cell knows of no column that was not.
#
# ## Codes, identifiers, answers from 1 to 5
#
# Here is a made-up table of 240 patients as somebody might export it. A column has numbers that name the patients,
# another text; no measurement of cholesterol is written −999, and one of blood pressure n/a.

# %%
rng = np.random.default_rng(3)
ill = rng.random(240) < 0.45
age = np.where(ill, 62, 35) + rng.normal(0, 7, 240)
patients = pd.DataFrame(
    {
        "patient_id": 10_001 + np.arange(240),
        "clinic": rng.choice(["north", "south"], 240),
        "age": age.round(1),
        "systolic": np.where(ill, 148, 121) + rng.normal(0, 9, 240).round(),
        "cholesterol": (np.where(ill, 6.1, 4.8) + rng.normal(0, 0.6, 240)).round(2),
        "satisfaction": np.clip(np.rint(np.where(ill, 2.3, 3.9) + rng.normal(0, 0.8, 240)), 1, 5).astype(int),
    }
).astype(object)
patients.loc[rng.random(240) < 0.15, "cholesterol"] = -999
patients.loc[rng.random(240) < 0.1, "systolic"] = "n/a"
folder = tempfile.TemporaryDirectory()
patients.to_csv(Path(folder.name) / "visits.csv", index=False)


def fit_file(*options):
    """What the command line says of the file before the fit, and the first lines after it."""
    command = [sys.executable, "-m", "bayesgmm", "fit", "visits.csv", "--components", "2", "--inference", "laplace"]
    run = subprocess.run([*command, *options], cwd=folder.name, capture_output=True, text=True)
    said = [line for line in run.stderr.splitlines() if line.startswith("bayesgmm")]
    print("\n".join([*said, *run.stdout.splitlines()[:3]]))


fit_file()

# %% [markdown]
# Left as it is, −999 would be a measurement, and one of the two components would sit on it. The line says what to do:

# %%
fit_file("--missing", "cholesterol=-999")

# %% [markdown]
# In Python the same is `bg.read_csv("visits.csv", missing=["cholesterol=-999"])`, or
# `table["cholesterol"].replace(-999, np.nan)` in pandas. Answers from 1 to 5 are kept and taken for measurements that
# were rounded to whole numbers: a component that narrows to one answer is named a level, not a cluster. Whether
# satisfaction belongs among the measurements is for you to say; `--exclude satisfaction` leaves it out.

# %%
read, _ = bg.read_csv(
    Path(folder.name) / "visits.csv",
    columns=["age", "systolic", "cholesterol", "satisfaction"],
    missing=["cholesterol=-999"],
)
visits = bg.BayesianGMM(2, **options).fit(read)
print(visits.diagnose().verdict)
print(f"adjusted Rand index with who is ill: {adjusted_rand_score(ill, visits.labels_):.2f}")
visits.missing_cells().head(4).round(1)

# %% [markdown]
# ## Rows that belong to no cluster
#
# Old Faithful again, among 90 points of clutter that fall anywhere. Two normal components take the clutter for rows of
# theirs; with `noise=True` a row may belong to a background instead, uniform over the box of the data.

# %%
eruptions = bg.datasets.load_faithful()
low, high = eruptions.min() - [1, 10], eruptions.max() + [1, 10]
clutter = pd.DataFrame(np.random.default_rng(5).uniform(low, high, (90, 2)), columns=eruptions.columns)
clutter = clutter.round({"eruptions": 3, "waiting": 0})  # recorded as the others are
cluttered = pd.concat([eruptions, clutter], ignore_index=True)
is_clutter = np.arange(len(cluttered)) >= len(eruptions)

plain = bg.BayesianGMM(2, **options).fit(cluttered)
noisy = bg.BayesianGMM(2, noise=True, **options).fit(cluttered)
heavy = bg.BayesianGMM(2, component="t", **options).fit(cluttered)
alone = bg.BayesianGMM(2, **options).fit(eruptions)
kinds = {"without clutter": alone, "normal": plain, "normal, and noise": noisy, "t": heavy}
pd.DataFrame(
    {
        name: {
            "sd of eruptions, short": np.sqrt(fit.covariances_[0, 0, 0]),
            "sd of eruptions, long": np.sqrt(fit.covariances_[1, 0, 0]),
            "elpd": np.nan if fit is alone else fit.loo().elpd,
        }
        for name, fit in kinds.items()
    }
).T.round(2)

# %%
share = noisy.summary().loc["noise_weight"]
low, high = share["ci_2.5%"], share["ci_97.5%"]
print(f"share of noise {share['mean']:.3f} [{low:.3f}, {high:.3f}]; true {is_clutter.mean():.3f}")
print(noisy.assignment())
right = (noisy.labels_ == -1) == is_clutter
print(f"{right.mean():.0%} of the rows are rightly called clutter or not")

# %% [markdown]
# Clutter that falls into a cluster looks like its rows, and stays there: its share is known, which rows it is in part.
# [Outliers, heavy tails, background noise](../outliers.md) says when to take which.

# %%
bg.plot_clusters(noisy)
plt.show()
