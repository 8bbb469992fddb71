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
# # Anomalies and densities
#
# A mixture is also an estimate of a density. With its posterior come the predictive density of a new row, a score of
# how unusual a row is, and the distribution of some columns given others, all averaged over the uncertainty of the
# parameters. Old Faithful, again: how long eruptions last and how long people wait for the next.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg

draws = 500 if os.environ.get("BAYESGMM_QUICK") else 1000
blue, red, grey = "#0072b2", "#d55e00", "#777777"

X = bg.datasets.load_faithful()
fit = bg.BayesianGMM(n_components=2, draws=draws, random_seed=1, progressbar=False).fit(X)
print(fit.diagnose().verdict)

# %% [markdown]
# ## How unusual is a row?
#
# The score is minus the log posterior predictive density, per original unit (here per minute²), so its absolute value
# depends on the units. Two numbers do not: the `rank` among the rows of the fit, 1 the most unusual, and the
# `tail_probability`, how often a row from the fitted distribution is at least as unusual. `lower` and `upper` bound
# the log density over the draws: where they are far apart the model does not know its density well.

# %%
scores = fit.outlier_score()
X.join(scores).sort_values("rank").head(6).round(3)

# %% [markdown]
# With 272 rows, tail probabilities of a few thousandths are to be expected. New rows are measured on the
# same scale; the eruption of 3 minutes that is followed by 100 minutes of waiting is not:

# %%
new = pd.DataFrame(
    {"eruptions": [4.4, 3.0, 3.0], "waiting": [81.0, 70.0, 100.0]}, index=["usual", "between the clusters", "odd"]
)
new.join(fit.outlier_score(new)).round(4)

# %% [markdown]
# ## The density, and the region that holds 90 % of it
#
# `fit.score_samples` gives the log density at any row. The highest-density region is the smallest set that
# holds the given probability.

# %%
region = bg.highest_density_region(fit.marginal(), 0.9)
print(region)
print(f"{region.contains(X).mean():.1%} of the rows are inside")

x, y = np.linspace(1.3, 5.4, 120), np.linspace(38, 102, 120)
grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
density = fit.score_samples(pd.DataFrame(grid, columns=X.columns)).reshape(120, 120)

unusual = scores["rank"] <= 6
figure, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
ax.contourf(x, y, np.exp(density), levels=12, cmap="Greys", alpha=0.6)
ax.contour(x, y, density, levels=[region.log_level], colors=blue, linewidths=1.2, linestyles="-")
ax.scatter(*X.to_numpy().T, s=8, color="black", linewidths=0)
ax.scatter(*X[unusual].to_numpy().T, s=60, facecolors="none", edgecolors=red)
for name in X.index[unusual]:
    ax.annotate(
        str(name), X.loc[name], xytext=(5, -9 if name == 5 else 4), textcoords="offset points", color=red, fontsize=8
    )
ax.set(xlabel="eruptions (minutes)", ylabel="waiting (minutes)")
ax.set_title("90 % region (blue), the six most unusual eruptions (red)", loc="left", fontsize=10)
plt.show()
# %% [markdown]
# One column at a time, the region is a union of intervals, two of them here. An equal-tailed interval would
# include the gap between:

# %%
waiting = fit.marginal("waiting")
print(bg.highest_density_region(waiting, 0.9))
print(waiting.summary(ci_prob=0.9).round(1))

# %% [markdown]
# ## Given that an eruption lasted two minutes, how long is the wait?
#
# The conditional distribution of a mixture is a mixture; the known value also says which component, and which
# parameters, are likely.

# %%
for minutes in (2.0, 3.0, 4.5):
    print(fit.conditional({"eruptions": minutes}))

# %%
at = np.linspace(1.5, 5.2, 75)
quantiles = np.array(
    [fit.conditional({"eruptions": float(m)}).quantile([0.05, 0.5, 0.95])["waiting"].to_numpy() for m in at]
)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].scatter(*X.to_numpy().T, s=7, color=grey, linewidths=0)
axes[0].fill_between(at, quantiles[:, 0], quantiles[:, 2], color=blue, alpha=0.2, linewidth=0, label="90 % interval")
axes[0].plot(at, quantiles[:, 1], color=blue, label="median")
axes[0].set(xlabel="eruptions (minutes)", ylabel="waiting (minutes)")
axes[0].legend(frameon=False, fontsize=8, loc="lower right")

minutes = np.linspace(40, 100, 200)
for known, colour in ((2.0, blue), (3.0, grey), (4.5, red)):
    given = fit.conditional({"eruptions": known})
    axes[1].plot(minutes, np.exp(given.log_density(minutes)), color=colour, label=f"after {known:g} minutes")
axes[1].set(xlabel="waiting (minutes)", ylabel="density", xlim=(40, 118))
axes[1].legend(frameon=False, fontsize=8)
plt.show()
# %% [markdown]
# Far from all rows the answer leans on few draws, and says so:

# %%
print(fit.conditional({"eruptions": 9.0}))

# %% [markdown]
# ## Does the density fit?
#
# Rows from the posterior predictive distribution, to compare with the data. `component` is where each came from.

# %%
rows, component = fit.sample(len(X), random_seed=1)
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), sharex=True, sharey=True, layout="constrained")
axes[0].scatter(*X.to_numpy().T, s=7, color="black", linewidths=0)
axes[0].set_title("Data", loc="left", fontsize=10)
axes[1].scatter(*rows.T, s=7, c=np.where(component == 0, blue, red), linewidths=0)
axes[1].set_title("Simulated", loc="left", fontsize=10)
axes[0].set_ylabel("waiting (minutes)")
for ax in axes:
    ax.set_xlabel("eruptions (minutes)")
plt.show()

# %% [markdown]
# Leave-one-out, each row is predicted from all the others; the sum of these log densities is the number to compare
# with other models.

# %%
print(fit.loo())
