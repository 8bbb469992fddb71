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
# # From scikit-learn's GaussianMixture, line by line
#
# The same names where the meaning is the same. Each cell has scikit-learn's line and ours; the table is Old Faithful.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

import bayesgmm as bg

X = bg.datasets.load_faithful()

# %% [markdown]
# ## Fit
#
# `fit_em` is GaussianMixture's counterpart: maximum likelihood by EM. `BayesianGMM` is the Bayesian fit, and holds the
# EM fit it started from as `em_`. (`draws=500` is half of the default, to build this page quickly.)

# %%
sk = GaussianMixture(n_components=2, random_state=1).fit(X)
em = bg.fit_em(X, n_components=2, random_seed=1)
fit = bg.BayesianGMM(n_components=2, draws=500, random_seed=1, progressbar=False).fit(X)

# %% [markdown]
# ## Log-likelihood, BIC, AIC: the same sign
#
# Lower BIC is better in both. `score` is the mean over rows in scikit-learn; the log-likelihood is its sum. Here
# both end at the same maximum. They need not: scikit-learn stops when the mean gains less than `tol=1e-3` in an
# iteration, ours when the sum has less than 1e-6 still to gain, and `fit_em` takes the best of 20 starts.

# %%
pd.DataFrame(
    {
        "scikit-learn": [len(X) * sk.score(X), sk.bic(X), sk.aic(X), sk.n_iter_],
        "bayesgmm": [em.log_likelihood, em.bic, em.aic, em.n_iter],
    },
    index=["log-likelihood", "BIC", "AIC", "iterations"],
).round(3)

# %% [markdown]
# ## Parameters

# %%
print("scikit-learn", sk.weights_.round(3), sk.means_.round(2).tolist())
print("fit_em      ", em.params.weights.round(3), em.params.means.round(2).tolist())
print("BayesianGMM ", fit.weights_.round(3), fit.means_.round(2).tolist())

# %% [markdown]
# The order of components has no meaning in any of them. `fit.weights_`, `fit.means_` and `fit.covariances_` are
# posterior means after relabelling; `fit.covariances_` is always (K, D, D), whatever the structure. What scikit-learn
# has not:

# %%
fit.summary().drop(columns=["ess_tail", "mcse_mean"]).round(3)

# %% [markdown]
# ## Predictions
#
# `predict`, `predict_proba`, `score_samples`, `score`, `sample` and `fit_predict` have scikit-learn's names and
# shapes. Ours average over the posterior, so that probabilities allow for not knowing the parameters.

# %%
new = pd.DataFrame({"eruptions": [2.0, 3.1, 4.5], "waiting": [55.0, 66.0, 80.0]})
pd.DataFrame(
    {
        "scikit-learn": sk.predict_proba(new).max(axis=1),
        "bayesgmm": fit.predict_proba(new).max(axis=1),
        "scikit-learn log density": sk.score_samples(new),
        "bayesgmm log density": fit.score_samples(new),
    },
    index=["short", "between", "long"],
).round(3)

# %%
fit.assignment(new).table[["label", "probability", "lower", "upper", "ambiguous"]].round(3)

# %% [markdown]
# ## Options
#
# | scikit-learn | here | difference |
# | --- | --- | --- |
# | `n_components`, `covariance_type` | the same | mclust's names too; `"EEI"`, one diagonal for all |
# | `"spherical"` | the same | in standardised columns, unless `standardize=False` |
# | `n_init=1` | `n_init=20` | starts of several kinds; `em.starts` is their table |
# | `init_params` | – | all kinds are tried |
# | `tol=1e-3`, `max_iter=100` | `tol=1e-6`, `max_iter=1000` of `fit_em` | see above |
# | `reg_covar=1e-6`, added | `reg_covar=1e-12` of `fit_em`, a bound | relative to the variance of the table |
# | `random_state` | `random_seed` | |
# | `warm_start`, `weights_init`, `means_init` | – | |
# | – | `prior`, `inference`, `draws`, `tune`, `chains` | the posterior |
# | – | `fit(X, y)`, `fit(X, sample_weight=...)`, NaN in `X` | known classes, weights, missing cells |
# | – | `component="t"`, `noise=True` | heavy tails, background noise |
#
# `clone`, `get_params`, `set_params` and `Pipeline` work: `BayesianGMM` is a scikit-learn estimator.
#
# ## Choosing the number of components
#
# scikit-learn's way is a loop over K and the smallest BIC:

# %%
bics = {k: GaussianMixture(k, n_init=5, random_state=1).fit(X).bic(X) for k in range(1, 5)}
print({k: round(v, 1) for k, v in bics.items()})

# %% [markdown]
# `compare_components` fits the posterior for each K, checks it, and scores it by what it predicts, by the evidence,
# and by the clusters that remain when components that overlap are merged:

# %%
cmp = bg.compare_components(X, range(1, 4), draws=500, random_seed=1, progressbar=False)
print(cmp.recommendation.headline)
bg.plot_comparison(cmp)
plt.show()

# %% [markdown]
# ## BayesianGaussianMixture
#
# It is variational: fast, with a posterior that tends to be too narrow. It is given more components than needed, and
# gives some of them almost no weight. How many remain can depend on the start and on what counts as almost none.

# %%
vb = BayesianGaussianMixture(n_components=6, n_init=5, max_iter=2000, random_state=1).fit(X)
print("weights", np.sort(vb.weights_)[::-1].round(3))

# %% [markdown]
# Here the number of components is fixed for each fit, and the fits are compared. On simulated tables both are set
# side by side in [How often is the number right?](../choice_of_k.md).
#
# ## Time
#
# EM of scikit-learn and ours, 20 starts each, and the Bayesian fit:


# %%
def seconds(work):
    """Seconds of a call."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


pd.Series(
    {
        "GaussianMixture, 20 starts": seconds(lambda: GaussianMixture(2, n_init=20, random_state=1).fit(X)),
        "fit_em, 20 starts": seconds(lambda: bg.fit_em(X, 2, random_seed=1)),
        "BayesianGMM": seconds(lambda: bg.BayesianGMM(2, random_seed=1, progressbar=False).fit(X)),
    },
    name="seconds",
)

# %% [markdown]
# If all you need is an assignment in a pipeline that runs often, `GaussianMixture` with one start is less work than
# either. [Beside other programs](../start/beside.md) has more tables and programs.
