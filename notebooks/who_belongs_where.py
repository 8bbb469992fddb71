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
# # Who belongs where, and how sure
#
# 178 Italian wines from three cultivars, described by four chemical measurements. The cultivars are known but are not
# used for the fit, only at the end. The question of this notebook is not how many clusters there are, but which wine
# belongs to which, which wines could belong to two, and how different the whole segmentation could be.
# [Uncertainty of assignments](../assignment.md) has the definitions.

# %%
import os

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_wine

import bayesgmm as bg

draws = 500 if os.environ.get("BAYESGMM_QUICK") else 1000

wine = load_wine(as_frame=True)
cultivar = wine.target
X = wine.data[["alcohol", "flavanoids", "color_intensity", "proline"]].copy()
X.index = [f"w{i}" for i in X.index]

fit = bg.BayesianGMM(n_components=3, draws=draws, random_seed=1, progressbar=False).fit(X)
print(fit.diagnose())

# %%
bg.plot_clusters(fit)
plt.show()

# %% [markdown]
# ## Each wine
#
# The responsibility of a component for a wine is a probability that depends on the parameters, which are uncertain.
# Its mean over the posterior is the probability of the component; its interval over the draws says how well that
# probability is known.

# %%
assignment = fit.assignment()
print(assignment)

# %%
columns = ["label", "probability", "lower", "upper", "second", "ambiguous", "contested"]
assignment.table.sort_values("probability")[columns].head(8).round(3)

# %% [markdown]
# A row is `ambiguous` if its label alone holds less than 95 %, and `contested` if the intervals of its two most
# probable components meet: then not even the order of the two is settled. Per component, sizes with intervals:

# %%
assignment.components.round(2)

# %%
bg.plot_assignment(fit, result=assignment)
plt.show()

# %% [markdown]
# ## Would more data help?
#
# The uncertainty of a row splits in two. Overlap: even with known parameters the row lies between components; more
# wines would not help, another measurement might. Parameter uncertainty: the components themselves are not known well
# enough; more wines would help.

# %%
bg.plot_entropy_split(fit, result=assignment)
plt.show()

# %%
assignment.table.sort_values("parameter", ascending=False)[
    ["label", "probability", "entropy", "overlap", "parameter"]
].head(5).round(3)

# %% [markdown]
# Where in the plane of two measurements a wine would be uncertain (background), and how uncertain the wines
# are given all four measurements (size):

# %%
bg.plot_uncertainty_map(fit, ["flavanoids", "color_intensity"], result=assignment)
plt.show()

# %% [markdown]
# ## Pairs
#
# Whether two wines belong together does not depend on how components are numbered. The probabilities of all pairs:

# %%
bg.plot_coclustering(fit)
plt.show()

# %% [markdown]
# ## One segmentation, and how far the posterior strays from it
#
# Giving each wine its most probable component ignores that wines move together. The partition of least expected
# variation of information takes all pairs into account; its credible ball holds the partitions that have to be
# reckoned with.

# %%
partition = fit.partition()
print(partition)

# %%
bg.plot_credible_ball(fit, ["flavanoids", "color_intensity"], result=partition)
plt.show()

# %% [markdown]
# ## Against what is known
#
# The cultivars, and clusterings that people use, beside the estimate and beside the posterior. `vi` is the distance
# from the estimate, in nats; `mean` and the interval are over the posterior of partitions.

# %%
partition.agreement(cultivar).round(3)

# %%
others = bg.compare_clusterings(fit, ["k-means", "Ward", "DBSCAN", "spectral"], result=partition)
print(others)
others.table[["n_clusters", "ari", "vi", "vi_mean", "silhouette", "n_disagree"]].round(2)

# %% [markdown]
# The wines of which the mixture is sure and that k-means puts elsewhere:

# %%
others.disagreements("k-means").head(5).round(3)

# %% [markdown]
# DBSCAN with its usual settings finds one cluster. Methods within the credible ball cannot be told from the estimate by
# these data.
#
# Are the wines whose cultivar the partition misses those it called ambiguous?

# %%
majority = pd.crosstab(partition.labels.to_numpy(), cultivar).idxmax(axis=1)
wrong = pd.Series(majority[partition.labels].to_numpy() != cultivar.to_numpy(), index=X.index, name="misses cultivar")
pd.crosstab(assignment.table["ambiguous"], wrong)

# %% [markdown]
# ## New wines
#
# New rows keep their names and get the same answers; a wine between two clusters is said to be so.

# %%
centre = fit.means_.round(2)
new = pd.DataFrame([centre[0], (centre[0] + centre[1]) / 2], columns=X.columns, index=["typical", "in between"])
fit.assignment(new).table[columns].round(3)
