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
# # Image segmentation, with uncertainty
#
# A photograph that ships with scikit-learn, 320 × 320 pixels of it: 102,400 rows of red, green and blue. A mixture
# groups the colours. Which pixels belong to which group is easy to paint; the question here is where the painting is
# unsure, and why.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_sample_image

import bayesgmm as bg

image = load_sample_image("china.jpg")[60:380, 100:420]
pixels = pd.DataFrame(image.reshape(-1, 3), columns=["red", "green", "blue"])
len(pixels)

# %% [markdown]
# ## Equal pixels are one row with a weight
#
# A mixture sees the colour of a pixel alone, not where it is, and many pixels agree. So the table is that of the
# distinct colours, and how many pixels have each is their weight. The fit is that of all pixels, for less work.

# %%
colours, of_pixel, count = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
table = pd.DataFrame(colours, columns=pixels.columns)
print(f"{len(pixels):,} pixels of {len(table):,} colours")

# %% [markdown]
# ## The fit
#
# With so many rows the posterior is close to normal: Laplace's approximation, checked by its importance weights, takes
# seconds. There are few draws (4 × 500), which is enough for means and intervals of the parameters here.
#
# Four components: the choice of this notebook, not an answer of the data. No colour of a photograph is exactly
# Gaussian, and with so many rows criteria of density can be expected to ask for many more components; see the first
# two of [three questions about the number of clusters](../how_many.md).

# %%
fit = bg.BayesianGMM(4, inference="laplace", draws=500, n_init=5, random_seed=1, progressbar=False)
fit.fit(table, sample_weight=count)
print(fit.diagnose())

# %%
rgb = ["red", "green", "blue"]
segments = pd.DataFrame(fit.means_, columns=rgb).round(0)
segments["share of pixels"] = fit.weights_.round(3)
segments

# %% [markdown]
# ## Segments, and how sure each pixel is
#
# For every colour the probability of each component, averaged over the draws. Its entropy is the uncertainty of the
# pixel: 0 where one component is certain, log 2 = 0.69 where two are equally probable.

# %%
probability = fit.predict_proba(table)
label = probability.argmax(axis=1)
with np.errstate(divide="ignore", invalid="ignore"):
    entropy = -np.nansum(probability * np.log(probability), axis=1)


def as_image(values):
    """Values of the colours, painted where the pixels are."""
    return values[of_pixel.ravel()].reshape(*image.shape[:2], *values.shape[1:])


figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="constrained")
axes[0].imshow(image)
axes[0].set_title("photograph", loc="left", fontsize=10)
axes[1].imshow(as_image(fit.means_[label].clip(0, 255) / 255.0))
axes[1].set_title("mean colour of the segment", loc="left", fontsize=10)
shown = axes[2].imshow(as_image(entropy), cmap="Greys")
axes[2].set_title("uncertainty (entropy, nats)", loc="left", fontsize=10)
figure.colorbar(shown, ax=axes[2], shrink=0.8)
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
unsure = np.average(probability.max(axis=1) < 0.95, weights=count)
print(f"{unsure:.0%} of the pixels have no component with a probability of 95 %")

# %% [markdown]
# ## Why is a pixel unsure?
#
# The uncertainty splits into overlap, which would remain if the parameters were known exactly, and parameter
# uncertainty, which more pixels would reduce. A few colours are enough to see it:

# %%
some = table[entropy > 0.5].sample(200, random_state=1)
why = fit.assignment(some).table[["entropy", "overlap", "parameter"]].mean()
print(why.round(5))

# %% [markdown]
# It is all overlap. More pixels of the same scene would not help; another measurement would, such as where a pixel is
# or how its neighbours look. So a Bayesian fit says little here that the maximum-likelihood fit does not, and says so:
# with a hundred thousand rows and four components, parameters are not what one is unsure about.
#
# Compare the same question with 300 pixels:

# %%
few = pixels.sample(300, random_state=1)
small = bg.BayesianGMM(4, draws=250, random_seed=1, progressbar=False).fit(few)
print(small.diagnose().verdict)
print(small.assignment(some).table[["entropy", "overlap", "parameter"]].mean().round(3))

# %% [markdown]
# Two warnings. The intervals of the large fit are very narrow since it takes pixels for independent, and neighbours
# are not. And a mixture of colours knows no edges: for segments that hold together in space use a method with
# neighbours, or give it columns that describe them.
