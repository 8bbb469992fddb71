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
# # Choosing and changing priors
#
# What the default prior says, how to see what a prior says before any data, how to change it, and what a change
# changes, in the clusters and in the probability of their number. The velocities of 82 galaxies (in 1000 km/s), with
# few draws.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm

import bayesgmm as bg

blue, red, grey = "#0072b2", "#d55e00", "#777777"
X = bg.datasets.load_galaxies()
options = {"draws": 250, "random_seed": 1, "progressbar": False}

# %% [markdown]
# ## The default, in words
#
# It is scaled to the data: the means may be anywhere in the range of the column, a component is about half as wide as
# the column, and the recording step of the data, if there is one, keeps a component from shrinking onto equal values.

# %%
fit = bg.BayesianGMM(3, **options).fit(X)
print(fit.prior_)

# %% [markdown]
# ## What a prior says before data
#
# Read a prior by what it would expect to see. `build_model` is the same model in PyMC; 200 tables of 82 galaxies from
# the prior, with the default and with two others: components that are narrow, and means that keep to the middle.
# Numbers of `MixturePrior` are in units of standardised columns, here 4.5 thousand km/s.

# %% tags=["remove-stderr"]
priors = {
    "default": bg.MixturePrior(),
    "narrow components": bg.MixturePrior(sd=bg.priors.LogNormal(np.log(0.1), 0.5)),
    "means near the middle": bg.MixturePrior(mean_scale=0.5),
}
table = bg.prepare_table(X)
simulated = {}
for name, prior in priors.items():
    with bg.build_model(table, 3, prior=prior):
        drawn = pm.sample_prior_predictive(200, var_names=["obs"], random_seed=1)
    rows = drawn["prior_predictive"]["obs"].values.reshape(200, -1)  # (tables, galaxies)
    simulated[name] = table.center[0] + table.scale[0] * rows

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.0), sharex=True, layout="constrained")
for ax, (name, tables) in zip(axes, simulated.items(), strict=True):
    for i in range(8):
        ax.plot(tables[i], np.full(82, i), "|", color=blue, alpha=0.6)
    ax.plot(X["velocity"], np.full(82, -1.5), "|", color=red)
    ax.set_title(name, loc="left", fontsize=10)
    ax.set_xlim(-40, 80)
    ax.set_xlabel("velocity, 1000 km/s")
    ax.set_yticks([])
axes[0].set_ylabel("eight tables from the prior;\nthe data in red", fontsize=8)
plt.show()

# %% [markdown]
# The default expects tables several times as wide as the data, with negative velocities now and then: it is meant to
# leave room, not to describe galaxies. Who knows more can say so.
#
# ## What a change changes
#
# The same three components under each prior:

# %%
fits = {name: bg.BayesianGMM(3, prior=prior, **options).fit(X) for name, prior in priors.items() if name != "default"}
fits = {"default": fit, **fits}
numbers = {name: f.summary()["mean"] for name, f in fits.items()}
pd.DataFrame(numbers).round(2)

# %%
velocity = np.linspace(5, 40, 300)
figure, ax = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
ax.hist(X["velocity"], bins=40, density=True, color="0.88")
for (name, f), colour in zip(fits.items(), (blue, red, grey), strict=True):
    density = np.exp(f.score_samples(pd.DataFrame({"velocity": velocity})))
    ax.plot(velocity, density, color=colour, label=name)
ax.set_xlabel("velocity, 1000 km/s")
ax.set_ylabel("predictive density")
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# How wide the components are expected to be hardly matters to what 82 galaxies say. Means that may not leave the
# middle do: that prior contradicts the slow and the fast galaxies, and the fit describes them by one wide component. A
# prior that is wrong is not harmless.
#
# ## The number of components
#
# The evidence p(y | K) is an average over the prior, so it depends on how wide the prior is: a component that must be
# found in a wide space costs more. Every comparison shows this for the scale of the means, without a new fit:

# %%
cmp = bg.compare_components(X, [2, 3, 4], **options)
cmp.sensitivity.round(2)

# %% [markdown]
# If the most probable K differs between the columns, the prior decides and not the data, and both should be
# reported. The leave-one-out score hardly depends on the prior, and answers another question ([Three
# questions](../how_many.md)).
#
# Another family or another width of the components is a new fit:

# %%
name = "narrow components"
two = bg.BayesianGMM(2, prior=priors[name], **options).fit(X)
evidence = {
    "default": {k: cmp.fits[k].log_evidence().value for k in (2, 3)},
    name: {2: two.log_evidence().value, 3: fits[name].log_evidence().value},
}
pd.DataFrame(evidence).rename_axis("K").round(1)

# %% [markdown]
# The difference of two rows is the log Bayes factor, under that prior. A prior that expects narrow components wants
# more of them.
#
# ## In your own units
#
# With `standardize=False` the numbers are in units of the table. One number for all columns, or one for each:

# %%
known = bg.MixturePrior(
    mean_loc=20.0,  # thousand km/s
    mean_scale=10.0,
    sd=bg.priors.InverseGamma(3.0, 20.0),  # of the variances
    concentration=2.0,  # weights near one another
)
print(bg.BayesianGMM(3, prior=known, standardize=False, **options).fit(X).prior_)

# %% [markdown]
# [The method](../method.md) says why the default is lognormal and what half-normal priors do to tied values; to change
# more than numbers, see [Extending the PyMC model](extend_the_model).
