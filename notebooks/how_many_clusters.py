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
# # How many clusters?
#
# Three small data sets that everyone has seen, and on each of them the usual criteria name different numbers. That is
# not because some criterion is broken. They answer different questions:
#
# 1. How many components does it take to *predict* new rows as well as can be done?
# 2. How many components are there, *if* every cluster is Gaussian and the prior is meant?
# 3. How many *clusters* are there, groups of rows that lie apart?
#
# `compare_components` fits every number of components K and answers each question separately.
# [Three questions about the number of clusters](../how_many.md) has the definitions.

# %%

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg

options = {"random_seed": 1, "progressbar": False}


# %% [markdown]
# ## Galaxies
#
# The velocities of 82 galaxies (in 1000 km/s), for thirty years the test case of this question. Published answers run
# from three components (Roeder and Wasserman 1997) to six (Richardson and Green 1997); the data and the authors' care
# are the same, the priors are not (Aitkin 2001; Grün, Malsiner-Walli and Frühwirth-Schnatter 2022).

# %%
galaxies = bg.datasets.load_galaxies()
of_galaxies = bg.compare_components(galaxies, range(1, 7), **options)
print(of_galaxies)

# %% [markdown]
# The whole comparison is one table, a row for each K (turned here). First what concerns prediction: `elpd_loo`, the
# difference to the best fit and the standard error of that difference, the largest Pareto k, and how each row's score
# was obtained.

# %%
table = of_galaxies.details
prediction = ["elpd_loo", "se", "elpd_diff", "diff_se"]
prediction += ["max_pareto_k", "loo_methods", "n_bad_rows"]
table[prediction].round(2).T

# %% [markdown]
# **The one-standard-error rule.** `se` is the standard error of a single score. It is large because rows differ, and it
# is the same rows for every K, so it says little about a comparison. `diff_se` is the standard error of the
# row-by-row difference, and that is the one to use: the answer to question 1 is the smallest K whose difference is
# within one `diff_se` of zero. Differences of less than 4 are never taken seriously, because standard errors of
# differences that small are themselves not reliable (Sivula et al. 2025).
#
# **Repairs.** Leave-one-out scores come from reweighting the posterior draws. Where a row's Pareto k is above 0.5 the
# weights are too uneven, and the row's score is computed again by short chains without the row (`bridge sampling`).
# Rows whose standard error stays above 0.1 would be counted in `n_bad_rows`.

# %%
bg.plot_comparison(of_galaxies)
plt.show()

# %% [markdown]
# ### p(K | y) and what it owes to the prior
#
# The second question is about evidence: the probability of the data under K components, averaged over the prior. The
# average goes down as the prior of the component means gets wider, by about the same amount for each component more,
# so a wide prior favours few components. Half, one and two times the default scale (the range of the data):

# %%
of_galaxies.sensitivity.round(2)

# %%
first = of_galaxies.sensitivity.idxmax()
for scale, k in first.items():
    print(f"{scale:g} x the prior scale: K = {k} is the most probable")

# %% [markdown]
# No K is certain at any scale, and the one that is ahead changes. The velocities do not say how many Gaussian
# components there are, so the prior does. That is why careful analyses of them have differed for thirty years.
#
# Each evidence comes from bridge sampling. A second estimate needs only the draws of K components: how often is one of
# them empty? Where both exist they should agree within their errors. The log Bayes factors of K − 1 against K:

# %%
evidence = ["log_evidence", "mcse", "log_bf_smaller"]
evidence += ["log_bf_empty", "log_bf_empty_mcse"]
table[evidence].round(2).T

# %% [markdown]
# ### Clusters, and occupied components
#
# Components are merged where they overlap, in every draw, so that the number of clusters has a posterior, too.
# For every K:

# %%
of_galaxies.clusters.round(2)

# %%
of_galaxies.occupied.round(2)

# %% [markdown]
# The number of occupied components goes up with K: a component more is used if it is offered. The number of clusters
# does not. Once there are three components or more, three clusters are the most probable number, whatever K. They
# are the few slow galaxies, the bulk, and the few fast ones. The alternative with some probability is two, which
# leaves the fast ones to the bulk.

# %%
best = of_galaxies.best
print(best.merging())
velocity = galaxies["velocity"]
grid = np.linspace(velocity.min() - 3.0, velocity.max() + 3.0, 400)
figure, ax = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
ax.hist(velocity, bins=40, density=True, color="0.85")
ax.plot(velocity, np.full(len(velocity), -0.004), "|", color="0.3")
fits = of_galaxies.fits
shown = {k: fits[k] for k in fits if k >= best.n_components}
colours = plt.cm.viridis(np.linspace(0.0, 0.85, len(shown)))
for (k, fit), colour in zip(shown.items(), colours, strict=True):
    density = np.exp(fit.score_samples(pd.DataFrame({"velocity": grid})))
    ax.plot(grid, density, color=colour, label=f"K = {k}")
ax.set_xlabel("velocity, 1000 km/s")
ax.set_ylabel("predictive density")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Where the curves differ is the bulk, which three components describe by one normal and four or more by a narrower
# peak with a shoulder. Whether new galaxies would follow it 82 rows do not say: the difference in elpd is within its
# standard error, so the smallest K is the answer to the first question. By the rule for clusters, too, the bulk is one.

# %% [markdown]
# ## Iris
#
# Four measurements of 150 flowers of three species. The species are not used, only looked at in the end.

# %%
iris, species = bg.datasets.load_iris()
of_iris = bg.compare_components(iris, range(1, 6), **options)
print(of_iris)

# %%
scores = ["log_likelihood", "bic", "icl", "elpd_loo", "elpd_diff", "diff_se"]
scores += ["log_evidence", "probability"]
of_iris.details[scores].round(2).T

# %% [markdown]
# BIC, ICL and the evidence say two, leave-one-out says three, and there are three species. What separates them is the
# price of a component. A third one in four columns has 15 parameters. BIC charges ½ log N for each and compares with
# the gain in log-likelihood:

# %%
t = of_iris.details
two, three = of_iris.candidates[2], of_iris.candidates[3]
parameters = three.n_parameters - two.n_parameters
print(f"parameters of the third component: {parameters}")
print(f"price by BIC:           {0.5 * parameters * np.log(len(iris)):.1f}")
print(f"gain in log-likelihood: {three.log_likelihood - two.log_likelihood:.1f}")
print(f"gain in log evidence:   {three.evidence.value - two.evidence.value:.1f}")
print(f"gain in elpd_loo:       {three.loo.elpd - two.loo.elpd:.1f}")

# %% [markdown]
# Leave-one-out charges what the parameters cost in prediction, no more. The evidence also charges for the width of the
# prior of the means, which by default is the range of the data. With half that width three is the more probable
# answer:

# %%
of_iris.sensitivity.round(2)

# %%
bg.plot_comparison(of_iris)
plt.show()

# %% [markdown]
# The clusters of the recommended fit, beside the species:

# %%
flowers = of_iris.best
partition = flowers.partition(level="cluster")
print(partition)
pd.crosstab(species, partition.labels.to_numpy(), colnames=["cluster"])

# %%
partition.agreement(species).round(2)

# %% [markdown]
# Setosa lies far from the others. Versicolor and virginica touch: they are two clusters in most draws and one in the
# rest, which is what the posterior of the number of clusters says.

# %%
of_iris.clusters.round(2)

# %% [markdown]
# ## Old Faithful
#
# 272 eruptions: how long each lasted and how long people waited for the next one. Everybody sees two clusters.

# %%
faithful = bg.datasets.load_faithful()
of_faithful = bg.compare_components(faithful, range(1, 7), **options)
print(of_faithful)

# %%
scores = ["elpd_diff", "diff_se", "probability", "bic", "icl"]
scores += ["n_clusters", "cluster_probability"]
of_faithful.details[scores].round(2).T

# %% [markdown]
# Prediction and evidence ask for three components, and here the most probable K is the same at all three scales:

# %%
of_faithful.sensitivity.round(2)

# %%
bg.plot_comparison(of_faithful)
plt.show()

# %% [markdown]
# Everybody sees two groups, and there are two. But a Gaussian each does not describe their shape, and a third component
# goes there. It overlaps with its neighbour, so the two make one cluster. BIC is nearly undecided (it is twice a log
# probability: a difference of 2 is one nat), and ICL, which is BIC with a penalty for rows that are not clearly
# assigned, does not pay for a component that overlaps. It counts the groups, at the price of a worse density.

# %%
t = of_faithful.details
print(f"BIC of K = 3 less BIC of K = 2: {t.bic[3] - t.bic[2]:.1f}")
print(f"ICL of K = 3 less ICL of K = 2: {t.icl[3] - t.icl[2]:.1f}")
print(f"elpd of K = 3 less that of K = 2: {t.elpd_loo[3] - t.elpd_loo[2]:.1f}")

# %%
eruptions = of_faithful.best
print(eruptions.merging())
bg.plot_clusters(eruptions)
plt.show()

# %% [markdown]
# Which of the two groups the component between them belongs to is itself uncertain:

# %%
eruptions.merging().together.round(2)

# %% [markdown]
# That there are two clusters is not. For every K:

# %%
of_faithful.clusters.round(2)

# %%
of_faithful.occupied.round(2)

# %% [markdown]
# A fourth component is empty part of the time. From here on everything can be asked at the level of clusters instead
# of components; the intervals of the sizes are wide because of the component in between:

# %%
print(eruptions.assignment(level="cluster"))

# %% [markdown]
# ### The same numbers from ArviZ
#
# The fits are ArviZ objects. Up to the repair of single rows, `az.compare` gives the table's numbers:

# %%
reference = az.compare(of_faithful.trees, round_to="none").rename(index=int)
own = of_faithful.details.loc[reference.index, ["elpd_loo", "se"]]
print("rows repaired:", {k: fit.loo().n_repaired for k, fit in of_faithful.fits.items()})
pd.concat({"ArviZ": reference[["elpd", "se"]], "bayesgmm": own}, axis=1).round(2)

# %% [markdown]
# ## Side by side
#
# What each criterion would have said alone:


# %%
def votes(comparison):
    t, answer = comparison.details, comparison.recommendation
    return {
        "highest elpd": t["elpd_loo"].idxmax(),
        "elpd, 1 SE": answer.label,
        "p(K | y)": answer.most_probable,
        "same at ½ and 2": {True: "yes", False: "no", None: "not known"}[answer.stable],
        "BIC": t["bic"].idxmin(),
        "AICc": t["aicc"].idxmin(),
        "ICL": t["icl"].idxmin(),
        "clusters": answer.n_clusters,
        "probability": round(answer.cluster_probability, 2),
    }


names = {"galaxies": of_galaxies, "iris": of_iris, "Old Faithful": of_faithful}
pd.DataFrame({name: votes(comparison) for name, comparison in names.items()})

# %% [markdown]
# - *Galaxies*: the criteria disagree because the data do not decide. Report p(K | y) with its sensitivity, and the
#   density, which hardly depends on K.
# - *Iris*: they disagree about the price of 15 parameters, that is, about the prior. If the question is
#   prediction, three; if the prior is meant literally, two is about twice as probable.
# - *Old Faithful*: they disagree because "component" and "cluster" are different things. Report both: three Gaussian
#   components that describe two clusters.
#
# `compare_components(..., secondary=True)` adds what people are often asked for (cross-validated likelihood, k-means'
# within-cluster sum of squares for the elbow, the silhouette), and `covariance_type=["full", "diag"]` compares
# structures as well. On the command line: `bayesgmm compare data.csv --components 1:6 --out report.html`.
#
# ## References
#
# - Roeder and Wasserman (1997), Practical Bayesian density estimation using mixtures of normals, JASA 92.
# - Richardson and Green (1997), On Bayesian analysis of mixtures with an unknown number of components, JRSS B 59.
# - Aitkin (2001), Likelihood and Bayesian analysis of mixtures, Statistical Modelling 1.
# - Grün, Malsiner-Walli and Frühwirth-Schnatter (2022), How many data clusters are in the Galaxy data set?, Advances in
#   Data Analysis and Classification 16.
# - Sivula, Magnusson, Matamoros and Vehtari (2025), Uncertainty in Bayesian leave-one-out cross-validation based model
#   comparison, Bayesian Analysis.
