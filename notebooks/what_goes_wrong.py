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
# # What goes wrong with mixtures
#
# A mixture posterior can mislead in four ways: components have no order, there can be more components than the data
# hold, there can be several modes, and tied values can make the posterior improper. Each has one section here, on
# real data: what happens, what the verdict of `fit.diagnose()` says, and what is done about it. At the end is a table
# of all verdicts.
#
# The verdict rests on quantities that do not change when components are renumbered: the log-likelihood, sorted weights,
# the mean and covariance of the whole mixture, its density at fixed points, co-clustering of pairs of rows. They pass
# when R-hat is below 1.01 and bulk and tail ESS are above 400 (the convergence criteria). Component parameters are
# judged after relabelling, and separately.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

import bayesgmm as bg

blue, red, grey = "#0072b2", "#d55e00", "#777777"


def fit_quietly(X, n_components, **options):
    """Fit, and print the warnings as plain lines."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = bg.BayesianGMM(n_components, random_seed=1, progressbar=False, **options).fit(X)
    for warning in said:
        print(f"{warning.category.__name__}: {warning.message}\n")
    return fit


# %% [markdown]
# ## Label switching
#
# The likelihood is the same whatever number a component carries. Chains that start at different modes, or one long
# chain that explores well, therefore number the components differently, and R-hat of "the mean of component 0" says
# nothing about convergence. Four columns of the wines:

# %%
wine = load_wine(as_frame=True).data[["alcohol", "flavanoids", "color_intensity", "proline"]]
wines = fit_quietly(wine, 3)
print(wines.diagnose())

# %% [markdown]
# Draws are relabelled by Stephens' (2000) algorithm, which permutes the components of each draw so that its
# responsibilities are as near as possible to the average ones. The permutations are kept, so that the draws can be
# shown as they came from the sampler, too:

# %%
means = wines.posterior_["posterior"]["means"].sel(feature="flavanoids").transpose("chain", "draw", "component").values
permutation = wines.posterior_["sample_stats"]["permutation"].values
raw = np.take_along_axis(means, np.argsort(permutation, axis=-1), axis=-1)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, values, title in zip(axes, (raw, means), ("As sampled", "Relabelled"), strict=True):
    for k, colour in enumerate((blue, red, grey)):
        ax.plot(values[:, ::5, k].ravel(), color=colour, linewidth=0.5, label=f"component {k}")
    length = values[:, ::5].shape[1]
    for chain in range(1, len(values)):
        ax.axvline(chain * length, color="black", linewidth=0.6)
    ax.set_title(title, loc="left")
    ax.set_xlabel("every 5th draw, the four chains one after the other")
axes[0].set_ylabel("component mean of flavanoids")
axes[1].legend(frameon=False, fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.3))
plt.show()
# %%
wines.diagnose().components.loc[
    [f"means[{k}, flavanoids]" for k in range(3)], ["mean", "sd", "r_hat_raw", "r_hat"]
].round(3)

# %% [markdown]
# Left, what looks like chains that disagree is only numbering. These criteria saw none of it, and the status is
# `label_switching`: the results stand.

# %% [markdown]
# ### Labels that cannot be matched
#
# Where components can be matched in more than one way, relabelling has little to go by. Six components for the
# velocities of 82 galaxies:

# %%
galaxies = bg.datasets.load_galaxies()
six = fit_quietly(galaxies, 6)
print(six.diagnose())

# %%
print(six.partition().occupied.round(3).to_dict())

# %% [markdown]
# The density and the number of occupied components are sound. But a part of the draws could have been relabelled in
# another way nearly as well, and then intervals of single components are too narrow; the verdict says how many draws
# those are. Above one half, or where R-hat of the components stays bad after relabelling, the status is
# `not_identified`. Density, co-clustering and the number of occupied components do not depend on labels and can be
# reported all the same.

# %% [markdown]
# ## Surplus components, and R-hat that sees nothing
#
# Comparing numbers of components always fits one too many. Then the posterior has, beside the modes in which all K
# components hold rows, modes in which some are empty. An empty component follows the prior: its mean ranges over the
# data and beyond, and its weight is small. NUTS does not get there from a mode with K occupied components, since
# on the way the posterior narrows like a funnel. And chains that all start from full modes agree with each other.
#
# Fisher's irises, four columns, K = 3, first by plain NUTS:

# %%
iris, _ = bg.datasets.load_iris()
plain = fit_quietly(iris, 3, escalate=False)
print(plain.diagnose())

# %% [markdown]
# Every diagnostic passes. Now the default, which looks for modes with empty components before it samples:

# %%
default = fit_quietly(iris, 3)
print(default.diagnose())

# %% [markdown]
# The probability of a mode in which $m$ of the $K$ components are empty is known up to the evidence of $K - m$
# components: given that $m$ named components hold no rows, the others are a mixture of $K - m$ components, so
#
# $$
# \log p(y, m \text{ empty}) \approx \log p(y \mid K - m) + \log \tbinom{K}{m} + \log P(n_1 = \dots = n_m = 0 \mid K).
# $$
#
# Laplace's approximation of $p(y \mid K - m)$ takes a moment, and decides: where such a mode holds more than one
# hundredth of the posterior, NUTS is not used at all. Laplace's approximation is rough; how much the mode really
# holds comes from the draws. `inference="gibbs"` asks for the same sampler directly, here with another seed:

# %%
gibbs = bg.BayesianGMM(3, inference="gibbs", random_seed=2, progressbar=False).fit(iris)
fits = {"NUTS, escalate=False": plain, "default": default, 'inference="gibbs"': gibbs}
occupied = pd.DataFrame({name: fit.partition().occupied for name, fit in fits.items()}).fillna(0.0).T
occupied.columns.name = "occupied components"
occupied.round(3)

# %% [markdown]
# A check that counts nothing: bridge sampling gives the log evidence of two components, and that of the modes with
# three occupied components from the draws of plain NUTS, which stayed there. With the formula above:

# %%
from bayesgmm.model.prior import log_probability_empty

two = bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(iris).log_evidence()
full = plain.log_evidence()
odds = np.exp(two.value + np.log(3) + log_probability_empty(len(iris), 3, 1, 1.0) - full.value)
share = odds / (1 + odds)
error = share * (1 - share) * np.hypot(two.mcse, full.mcse)
print(f"one component empty: {share:.3f}, Monte Carlo error {error:.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for fit, colour, name in ((plain, grey, "NUTS, escalate=False"), (default, blue, "default")):
    posterior = fit.posterior_["posterior"]
    smallest = posterior["weights"].min("component").values.ravel()
    axes[0].hist(smallest, bins=np.linspace(0, 0.4, 60), histtype="step", color=colour, label=name, density=True)
    total = posterior["log_likelihood_total"].values.ravel()
    axes[1].hist(total, bins=60, histtype="step", color=colour, density=True)
axes[0].set_xlabel("smallest weight")
axes[1].set_xlabel("log-likelihood")
axes[0].set_ylabel("posterior density")
axes[0].legend(frameon=False, fontsize=8)
plt.show()
# %% [markdown]
# The bump at zero on the left, with the lower log-likelihoods on the right, is the mode in which versicolor and
# virginica are one component and the third is empty. That plain NUTS misses it cannot be seen in R-hat, in ESS or
# in divergences.
#
# ### What the sampler does
#
# Gibbs sampling draws the component of every row given the parameters, then weights, means and covariances given the
# components. A component can so lose its last row and get others back, without a funnel. Covariances have a prior
# (LKJ and the scale family) that is not conjugate: they are proposed from an inverse-Wishart and accepted by a
# Metropolis step, so the posterior is exactly the one that NUTS samples.
#
# Sweeps alone stay in a mode for long. So there are moves between modes, in four steps:
#
# 1. *Pilot chains*: short chains from the best full modes, from the best modes with K − 1, K − 2, …, 1 components,
#    filled up by components from the prior, and from random cuts of the rows, since the modes of the posterior are not
#    all near maxima of the likelihood. All of them teach the proposals; the chains go on from those that hold the
#    posterior as far as Laplace's approximation can tell.
# 2. *Proposals*: to the draws of each mode that pilot chains found a mixture is fitted, one part for each component: a
#    Dirichlet for the weights, an inverse-Wishart for each covariance, a normal for each mean, or the prior where a
#    component is empty. Where components overlap they depend on each other, so those that hold rows also get one normal
#    together. Besides, the draws of a mode say how it groups the rows.
# 3. *Jumps*: every few sweeps a whole mixture, or one component, is proposed from there and accepted by Metropolis
#    and Hastings. The density of a whole mixture is summed over all K! orders. Or all rows are grouped anew, with
#    weights and means integrated out: in many columns a grouping is easier to guess than a mixture. In every sweep
#    one row, rather one that the mixture fits badly, may leave its component for a vacant one or return from there,
#    and the covariance of its host changes with it. In tables of thousands of rows pairs of components also walk,
#    or are drawn anew, with the allocations integrated out, since rows change hands slowly there. In few columns a
#    coarse table, of binned rows, then stands for the rows in a first stage of acceptance, which refuses most of
#    what is bad; a second stage corrects for the difference (Christen and Fox 2005), so the posterior is the same.
# 4. *Rounds*: chains are judged by the convergence criteria. If they fail, proposals are fitted again to the draws,
#    sorted by mode, and the next round is longer. If they disagree, what pilot chains and chains found is weighed by
#    bridge sampling: a chain in a mode that holds less than e⁻¹² of the posterior goes on from the best mode known,
#    which is said, and the modes that pilot chains found stay among the proposals. Within a round the proposals are
#    fixed. Where chains agree and are merely short, the next round goes on from the last and both count; otherwise only
#    the last is kept. The first is not short either: a component that could hold a single outlier finds it after many
#    sweeps, and until then chains agree.
#
# Tempering was tried and is not kept: with the likelihood of the complete data raised to powers from 1 down to 0.3
# (wine, 13 columns, diagonal, K = 6; non-reversible parallel tempering, 8 and 24 temperatures, four runs of 16,000
# sweeps) no replica went from the posterior to the flat end and back, since components empty at certain powers at once,
# and a state on one side does not pass to the other. Reallocation moves proposed from the modes that pilot chains found
# cross there in one move, accepted in 6 to 9 % of the tries.
#
# The default goes the same way where a longer run of NUTS does not meet the criteria either. Old Faithful, K = 3: here
# plain NUTS fails openly, and a mode with an empty component is small but matters.

# %%
X = bg.datasets.load_faithful()
geyser_plain = fit_quietly(X, 3, escalate=False)
print(geyser_plain.diagnose())

# %%
geyser = fit_quietly(X, 3)
print(geyser.diagnose())

# %% [markdown]
# ## Several modes
#
# Two components for the velocities of 82 galaxies, with means N(20, 10²) and variances inverse-gamma(3, 20) in
# 1000 km/s: a broad component can be the background of a narrow one, or the few slow galaxies can be a component of
# their own. Plain NUTS starts chains at both modes, and a chain crosses once in thousands of draws, if at all:

# %%
prior = bg.MixturePrior(mean_loc=20.0, mean_scale=10.0, sd=bg.priors.InverseGamma(3.0, 20.0), resolution=None)
stuck = fit_quietly(galaxies, 2, prior=prior, standardize=False, escalate=False)
print(stuck.diagnose())

# %% [markdown]
# The number of chains in a mode comes from where they started; it is not the probability of the mode. The default
# samples across the gap:

# %%
moved = fit_quietly(galaxies, 2, prior=prior, standardize=False)
print(moved.diagnose())


# %%
def smaller_mean(fit):
    """The smaller of the two means, (chains, draws)."""
    return fit.posterior_["posterior"]["means"].min(["component", "feature"]).transpose("chain", "draw").values


minor = (smaller_mean(moved) < 14).mean()
print(f"probability of the mode with a component of slow galaxies: {minor:.3f}")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, fit, title in zip(axes, (stuck, moved), ("NUTS, escalate=False", "default"), strict=True):
    values = smaller_mean(fit)
    for chain, colour in enumerate((blue, red, grey, "#009e73")):
        at = np.arange(len(values[chain])) + chain * len(values[chain])
        ax.plot(at, values[chain], ".", color=colour, markersize=1.5)
    ax.set_title(title, loc="left")
    ax.set_xlabel("draw, the four chains one after the other")
axes[0].set_ylabel("smaller mean (1000 km/s)")
plt.show()

# %% [markdown]
# Left, the share of draws with a component of slow galaxies (below 14) is that of the chains that started there. Long
# runs of JAGS, a Gibbs sampler without moves between modes, put 0.6 and 2.6 % there from two seeds.

# %% [markdown]
# ## Ties
#
# Petals of irises are recorded to 0.1 cm: of 150 widths, 29 are 0.2 cm. A component that shrinks onto $m$ tied values
# with standard deviation $\sigma$ gains $\sigma^{-m}$ in likelihood and loses one $\sigma$ for its mean, so a prior
# $p(\sigma)$ on the standard deviation must satisfy $\int_0 p(\sigma)\, \sigma^{-(m - 1)}\, d\sigma < \infty$.
# Half-normal, half-Cauchy and exponential priors are positive at zero, and the integral diverges: there is no
# posterior. Samplers do not notice, as long as they do not come near. This fit is asked for such a prior, without the
# recording step:

# %%
petals = iris.iloc[:, 2:]
half_normal = bg.MixturePrior(sd=bg.priors.HalfNormal(1.0), resolution=None)
try:
    fit_quietly(petals, 3, prior=half_normal)
except bg.InputError as error:
    print(error)

# %% [markdown]
# It is refused before anything is sampled: no diagnostic of draws can tell that what was sampled has no finite
# integral, and a fit that meets the criteria would only have stayed away from the spike.
#
# The spike itself, along one column: the mixture of one broad component and one at 0.2 cm, as a function of its
# standard deviation, with its mean integrated out.

# %%
from scipy.special import logsumexp
from scipy.stats import halfnorm, lognorm, norm

width = petals["petal width (cm)"].to_numpy()
z, tie, step = width / width.std(), 0.2 / width.std(), 0.1 / width.std()
broad = norm.logpdf(z, z.mean(), z.std())


def log_mass(latent, log_prior, rounding):
    """Log posterior mass per unit of log sd, the mean integrated over 10 sds on either side."""
    sd = np.sqrt(latent**2 + rounding)
    t = np.linspace(-10.0, 10.0, 401)
    narrow = norm.logpdf(z[:, None], tie + sd * t, sd)
    log_likelihood = np.logaddexp(np.log(0.8) + broad[:, None], np.log(0.2) + narrow).sum(axis=0)
    return logsumexp(log_likelihood) + np.log(sd * (t[1] - t[0])) + log_prior(latent) + np.log(latent)


grid = np.geomspace(1e-6, 1.0, 200)
cases = {
    "half-normal": (halfnorm.logpdf, 0.0, red, "-"),
    "lognormal": (lognorm(0.7, scale=0.5).logpdf, 0.0, grey, "--"),
    "half-normal, recording step known": (halfnorm.logpdf, step**2 / 12, blue, "--"),
    "lognormal, recording step known (default)": (lognorm(0.7, scale=0.5).logpdf, step**2 / 12, blue, "-"),
}
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, (log_prior, rounding, colour, line) in cases.items():
    curve = np.array([log_mass(s, log_prior, rounding) for s in grid])
    ax.plot(grid * width.std(), curve - curve[-1], line, color=colour, label=name)
ax.set(xscale="log", ylim=(-120, 420), xlabel="sd of the component at 0.2 cm, before rounding (cm)")
ax.set_ylabel("log posterior mass per log sd")
ax.legend(frameon=False, fontsize=8)
plt.show()
# %% [markdown]
# Under the half-normal prior (red) the mass grows without bound. A lognormal prior bends the curve down in the end, so
# the posterior is proper, but the spike is more than a hundred nats high: it would be the posterior, with an sd that
# is the far tail of the prior. So from about ten copies of a value on, such a table is refused too. With the recording
# step δ in the model, every covariance contains the variance of rounding, δ²/12, and the likelihood is bounded. That
# is the default, with any of the priors:

# %%
proper = fit_quietly(petals, 3)
print(proper.prior_)
print()
print(proper.diagnose())

# %% [markdown]
# ## All verdicts
#
# | status | what was seen | what follows |
# | --- | --- | --- |
# | `converged` | criteria met, components too | results stand |
# | `label_switching` | criteria met; by components after relabelling only | results stand |
# | `slow_components` | criteria met; single components need more draws | run longer for their intervals |
# | `not_identified` | criteria met; labels cannot be matched | report what does not depend on labels |
# | `several_modes` | chains fall into groups that do not exchange | compare by `fit.log_evidence(chains=[0, 2])` |
# | `too_few_draws` | R-hat below 1.01, ESS too small | draw as many more as the verdict says |
# | `not_converged` | criteria not met, or a parameter under certain labels | run longer; `inference="gibbs"` |
#
# Divergences, an interrupted run and an approximation of unknown error make any of them "not reliable yet".
# `fit.diagnose().ok` is the whole verdict as one truth value.
#
# ## References
#
# - Diebolt and Robert (1994), Estimation of finite mixture distributions through Bayesian sampling, JRSS B 56.
# - Stephens (2000), Dealing with label switching in mixture models, JRSS B 62.
# - Celeux, Hurn and Robert (2000), Computational and inferential difficulties with mixture posterior distributions,
#   JASA 95.
# - Frühwirth-Schnatter (2004), Estimating marginal likelihoods for mixture and Markov switching models using bridge
#   sampling techniques, Econometrics Journal 7.
# - Tierney (1994), Markov chains for exploring posterior distributions, Annals of Statistics 22.
