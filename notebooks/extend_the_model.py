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
# # Extending the PyMC model
#
# `build_model` gives the mixture as a `pymc.Model`: named variables to read, and a place to add what a table does not
# know. Here an earlier study of the geyser reported how long its long eruptions last, and that is to count too.

# %%
import os

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

import bayesgmm as bg

quick = bool(os.environ.get("BAYESGMM_QUICK"))  # then fewer draws, and less compiling
X = bg.datasets.load_faithful()[["eruptions"]][::5]  # 55 durations, so that the study matters
table = bg.prepare_table(X)  # mean 0 and sd 1: the scale of the model
model = bg.build_model(table, n_components=2)
{v.name: model.named_vars_to_dims.get(v.name) for v in model.free_RVs}

# %% [markdown]
# Everything is there by name, also what follows from the free variables, and can be evaluated, drawn from the prior, or
# held fixed by `pm.do`:

# %%
[v.name for v in model.deterministics]

# %% [markdown]
# ## What is to be added
#
# The study: long eruptions last 4.40 minutes on average, with a standard error of 0.05. Components have no order, so
# the statement must not name one: the *larger* of the two mean durations is the long one. The model is of
# standardised columns; `table.center` and `table.scale` lead back to minutes.

# %%
with model:
    minutes = table.center[0] + table.scale[0] * model["means"][:, 0]
    long_eruptions = pm.Deterministic("long_eruptions", minutes.max())
    pm.Normal("earlier_study", mu=long_eruptions, sigma=0.05, observed=4.40)

# %% [markdown]
# ## Sampling
#
# PyMC compiles this graph anew, since it is a new model; that takes longer than the sampling of 55 rows. The chains
# start at the maximum-likelihood estimate, without jitter, for a reason that every mixture has: from random starts
# chains name the components differently, and R-hat of `means` is then large although nothing is wrong. There are few
# draws (2 × 300).

# %%
em = bg.fit_em(table, 2, random_seed=1).params.rescale(-table.center / table.scale, 1.0 / table.scale)
with model:
    tree = pm.sample(
        draws=100 if quick else 300,
        tune=100 if quick else 300,
        chains=2,
        random_seed=1,
        progressbar=False,
        initvals={"means": em.means, "weights": em.weights},
        init="adapt_diag",
        compile_kwargs={"mode": "FAST_COMPILE"} if quick else None,
    )
az.summary(tree, var_names=["long_eruptions", "weights", "means"], round_to=2)

# %% [markdown]
# ## What it changed
#
# The same table without the study, by `BayesianGMM`, which samples the same model without its addition:

# %%
fit = bg.BayesianGMM(2, draws=500, random_seed=1, progressbar=False).fit(X)
alone = fit.posterior_["posterior"]["means"].sel(feature="eruptions").max("component")
both = tree["posterior"]["long_eruptions"]
pd.DataFrame(
    {"mean": [float(alone.mean()), float(both.mean())], "sd": [float(alone.std()), float(both.std())]},
    index=["durations", "durations and the study"],
).round(3)

# %% [markdown]
# The two sources meet between each other, each weighted by its precision. For two independent normal estimates
# the mean and sd would be

# %%
precision = np.array([1.0 / float(alone.var()), 1.0 / 0.05**2])
print(np.average([float(alone.mean()), 4.40], weights=precision).round(3), (precision.sum() ** -0.5).round(3))

# %% [markdown]
# ## What else
#
# - Other priors: `bg.build_model(X, 2, prior=...)`, see [Priors](priors).
# - Known parameters: `pm.do(model, {"means": ...})`, in [What is known beforehand](../known_labels.md).
# - Missing cells, row weights, t components and noise are in the model as they are in a fit.
# - Draws of an extended model are PyMC's own. What a fit adds, relabelling, a verdict that labels do not matter to,
#   evidence, rests on components being exchangeable, which an extension may end; statements that do not depend on
#   labels, such as `long_eruptions`, are safe.
