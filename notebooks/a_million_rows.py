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
# # A million rows
#
# A table of a million rows in a folder of Parquet files, which is never all in memory: the maximum of the likelihood,
# the posterior, the number of components, and the probabilities of every row, written to a file.
#
# How the parts work, and how far each can be trusted: [Fit a large table](../howto/large_tables.md). Times and memory:
# [Large tables, measured](../large_tables.md).

# %%
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg

quick = bool(os.environ.get("BAYESGMM_QUICK"))  # then there are fewer rows
n_files, rows_each = (3, 12_000) if quick else (10, 100_000)
options = {"inference": "laplace", "draws": 500, "n_init": 5, "random_seed": 1, "progressbar": False}

# %% [markdown]
# ## The table
#
# Simulated, so that the answer is known: five normal components in four columns. The last two have one centre, a wide
# and a narrow one: they describe a single cluster, which is not normal.

# %%
centres = np.array([[0.0, 0, 0, 0], [6.0, 1, 0, -1], [0.0, 6, 2, 0], [-5.0, -4, 3, 2], [-5.0, -4, 3, 2]])
sds = np.array([1.0, 1.0, 1.2, 2.0, 0.6])
shares = np.array([0.35, 0.25, 0.2, 0.12, 0.08])
columns = ["a", "b", "c", "d"]

folder = Path("table")
folder.mkdir(exist_ok=True)
rng = np.random.default_rng(1)
for number in range(n_files):
    component = rng.choice(5, size=rows_each, p=shares)
    rows = centres[component] + sds[component, None] * rng.normal(size=(rows_each, 4))
    pd.DataFrame(rows, columns=columns).to_parquet(folder / f"{number:02d}.parquet")

batches = bg.Batches(folder)

# %% [markdown]
# ## Maximum likelihood
#
# One pass checks every cell and keeps a random sample of 50,000 rows. EM starts there, and goes on over all rows.

# %%
began = time.perf_counter()
em = bg.fit_em(batches, 5, n_init=5, random_seed=1)
print(f"{time.perf_counter() - began:.0f} s, {em.n_iter} iterations, BIC {em.bic:,.0f}")
print(em.params.weights.round(3))

# %% [markdown]
# ## The posterior
#
# With so many rows the posterior is close to normal. Laplace's approximation takes some ten passes over the rows,
# however many draws are asked for, and its importance weights say whether it can be trusted.

# %%
began = time.perf_counter()
fit = bg.BayesianGMM(5, **options).fit(batches)
print(f"{time.perf_counter() - began:.0f} s, Pareto k {fit.posterior_.attrs['pareto_k']:.2f}")
print(fit.diagnose().verdict)
fit.summary().loc[lambda t: t.index.str.startswith("weights"), ["mle", "mean", "sd"]].astype(float).round(5)

# %% [markdown]
# ## How many components?
#
# The table is read, scaled and sampled once. Each K has its own EM and posterior; BIC, ICL and the evidence are of all
# rows, the expected log predictive density (elpd) is estimated from the sample, with its standard error.

# %%
began = time.perf_counter()
comparison = bg.compare_components(batches, [4, 5] if quick else [3, 4, 5, 6], **options)
print(f"{time.perf_counter() - began:.0f} s")
print(comparison)

# %%
comparison.table

# %% [markdown]
# With more components than the data hold, the posterior is not normal, however many rows there are. Such a fit has no
# evidence and no elpd; it is not ranked, and the text says so. Its BIC is there. If you want its posterior all the
# same, `inference="auto"` gives that of a random sample of 10,000 rows, and says that this is what it is.
#
# Five components, and four clusters: the two with one centre are put together, at any separation in question.

# %%
print(comparison.candidates[5].merging)
bg.plot_comparison(comparison)
plt.show()

# %% [markdown]
# Differences of elpd grow with the rows: with a million of them, any departure from normal components shows, and asks
# for more components. So look at the clusters, and at how far apart they are, before you believe in a sixth component
# of a real table; see [three questions about the number of clusters](../how_many.md).

# %% [markdown]
# ## Every row
#
# Predictions are written a batch at a time.

# %%
fit.predict_proba(batches, to="probabilities.parquet")
probability = pd.read_parquet("probabilities.parquet")
print(f"{len(probability):,} rows")
print(f"{(probability.max(axis=1) < 0.95).mean():.1%} have no component with a probability of 95 %")

# %% [markdown]
# `fit.table_` is the random sample: figures of single observations are of it. So are the labels of the comparison, by
# cluster.

# %%
bg.plot_clusters(fit)
plt.show()

# %%
np.bincount(comparison.labels_) / len(comparison.labels_)
