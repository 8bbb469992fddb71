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
# # Old Faithful: from the table to the report
#
# 272 eruptions of the Old Faithful geyser: how long each lasted and how long people waited for the next. Two kinds
# of eruption are known. This notebook fits two Gaussian clusters and asks of each number how sure we are of it.

# %%
import os

import arviz as az
import matplotlib.pyplot as plt

import bayesgmm as bg

quick = bool(os.environ.get("BAYESGMM_QUICK"))
draws = 300 if quick else 1000

X = bg.datasets.load_faithful()
X.describe().loc[["count", "mean", "std", "min", "max"]].round(2)

# %% [markdown]
# ## Maximum likelihood first
#
# EM from many starts. The table of starts says whether they agree: a likelihood that only one start in twenty
# reaches is a warning.

# %%
em = bg.fit_em(X, n_components=2, random_seed=1)
print(em)
em.starts.head()

# %% [markdown]
# ## The prior, in the units of the data
#
# Both columns were recorded in steps; the prior knows it, so that no cluster can shrink onto tied values.

# %%
print(bg.MixturePrior().resolve(bg.prepare_table(X)))

# %% [markdown]
# ## The posterior
#
# NUTS starts from the posterior mode that EM leads to, in coordinates in which the posterior is nearly a standard
# normal.

# %%
fit = bg.BayesianGMM(n_components=2, draws=draws, random_seed=1, progressbar=False).fit(X)
print(fit.diagnose())

# %% [markdown]
# Each parameter, its maximum-likelihood estimate beside its posterior:

# %%
fit.summary().round(3)

# %%
bg.plot_clusters(fit)
plt.show()
# %% [markdown]
# The thin ellipses are posterior draws: their spread is how sure we are of each cluster's shape.

# %%
bg.plot_diagnostics(fit)
plt.show()
# %% [markdown]
# ## Who belongs where
#
# Probabilities are averaged over the posterior, so they carry the uncertainty of the parameters. The least certain
# eruptions:

# %%
probability = fit.predict_proba(X).max(axis=1)
X.assign(component=fit.labels_, probability=probability.round(3)).sort_values("probability").head()

# %% [markdown]
# ## ArviZ on the posterior as it is

# %%
az.loo(fit.posterior_)

# %%
az.summary(fit.posterior_, var_names=["weights", "means"])

# %% [markdown]
# ## The report
#
# One self-contained file with the data, the model, the priors, the diagnostics in words, the tables and figures,
# the versions and the seed. The same file comes from `bayesgmm demo --out report.html`.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = bg.report(fit, Path(folder) / "report.html")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB")
