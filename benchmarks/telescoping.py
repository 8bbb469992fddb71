"""Our posterior of the number of clusters beside the published run of the telescoping sampler, on the thyroid table.

    python benchmarks/telescoping.py [--largest 5] [--write docs/telescoping.md]

Frühwirth-Schnatter, Malsiner-Walli and Grün (2021) sample K with the rest: K - 1 ~ BNB(1, 4, 3); weights ~
Dirichlet(e0) with e0 ~ Gamma(1, 20) (static) or e0 = alpha / K with alpha ~ F(6, 3) (dynamic); means ~
N(median, range^2); covariances ~ inverse Wishart(c0, C0), C0 ~ Wishart(g0, G0). Our fits have a fixed K, Dirichlet(1),
the same means, lognormal sds with the mean and sd that theirs have on the log scale, LKJ(1), which has the marginal
correlations of theirs, and no recording step.

What differs is then exchanged for theirs by importance weights of the draws, without a new fit. The density of K
covariances with C0 integrated out has a closed form. The prior of K and of the weights acts through the prior of the
partition alone: for each k, of the draws of labels of the fit with k components, those with none empty stand for the
partitions into k groups, and

    p*(k groups, y) = p(y | K = k) E[1(none empty) w v],

    w = p*(partition) / p(partition | K = k, Dirichlet(1)),    v = p*(covariances) / p(covariances).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from labelled_tables import table
from scipy.optimize import linear_sum_assignment
from scipy.special import betaln, gammaln, logsumexp, multigammaln, polygamma
from scipy.stats import f as f_distribution
from scipy.stats import gamma, invwishart, norm, wishart
from sklearn.metrics import adjusted_rand_score, confusion_matrix

import bayesgmm as bg
from bayesgmm.clustering.label_draws import draw_labels
from bayesgmm.posterior.tree import posterior_arrays

Array = np.ndarray
MOST = 200  # components summed over
PUBLISHED = {"groups": 3, "error": 0.037, "rand": 0.878}
POINTS = (np.arange(200) + 0.5) / 200  # of a prior of the concentration, by its quantiles


def prior_of(X: pd.DataFrame) -> bg.MixturePrior:
    """Their prior of means, sds and correlations, on standardised columns."""
    z = (X - X.mean()) / X.std(ddof=0)
    r, spread = z.shape[1], (z.max() - z.min()).to_numpy()
    c0, g0 = 2.5 + (r - 1) / 2, 0.5 + (r - 1) / 2
    # Sigma_jj = C / G with G ~ Gamma(c0 - (r - 1) / 2) and C ~ Gamma(g0, rate G0_jj), G0_jj = 100 g0 / c0 / range^2.
    shapes = c0 - (r - 1) / 2, g0
    log_variance = polygamma(0, shapes[1]) - np.log(100 * g0 / c0 / spread**2) - polygamma(0, shapes[0])
    sd = 0.5 * float(np.sqrt(polygamma(1, shapes[0]) + polygamma(1, shapes[1])))
    # An inverse Wishart of 2 c0 degrees of freedom: density of a correlation (1 - rho^2)^(c0 - (r + 1) / 2), and of
    # LKJ(eta) with the exponent eta - 2 + r / 2.
    eta = c0 - (r + 1) / 2 + 2 - r / 2
    return bg.MixturePrior(
        mean_loc=z.median().to_numpy(), mean_scale=spread, sd=bg.priors.LogNormal(0.5 * log_variance, sd),
        lkj_eta=eta, resolution=None,
    )  # fmt: skip


def log_covariances(X: pd.DataFrame, covariances: Array) -> Array:
    """(S,) log of the ratio of their prior and ours of K covariances (S, K, D, D) in the units of X."""
    k, r = covariances.shape[1], X.shape[1]
    c0, g0 = 2.5 + (r - 1) / 2, 0.5 + (r - 1) / 2
    rate = 100 * g0 / c0 * np.diag(1 / (X.max() - X.min()).to_numpy() ** 2)
    log_det, total = np.linalg.slogdet(covariances)[1], rate + np.linalg.inv(covariances).sum(axis=1)
    theirs = g0 * np.linalg.slogdet(rate)[1] - multigammaln(g0, r) - k * multigammaln(c0, r)
    theirs = theirs + multigammaln(g0 + k * c0, r) - (g0 + k * c0) * np.linalg.slogdet(total)[1]
    theirs = theirs - (c0 + 0.5 * (r + 1)) * log_det.sum(axis=1)
    prior = prior_of(X)
    mu = prior.sd.mu + np.log(X.std(ddof=0).to_numpy())
    sds = np.sqrt(np.diagonal(covariances, axis1=2, axis2=3))
    # Sigma = diag(s) R diag(s): the volume of Sigma is 2^r prod s_j^r times that of s and R, whose density is flat.
    j = np.arange(1, r)
    flat = -np.sum(0.5 * j * np.log(np.pi) + gammaln(1 + 0.5 * (r - 1 - j)) - gammaln(1 + 0.5 * (r - 1)))
    ours = (norm(mu, prior.sd.sigma).logpdf(np.log(sds)) - (r + 1) * np.log(sds)).sum(axis=(1, 2))
    return theirs - (ours + k * (flat - r * np.log(2.0)))


def log_prior_k(k: Array) -> Array:
    """Log probability of K, K - 1 ~ beta negative binomial(1, 4, 3)."""
    m, (r, a, b) = k - 1, (1, 4, 3)
    return gammaln(r + m) - gammaln(m + 1) - gammaln(r) + betaln(a + r, b + m) - betaln(a, b)


def log_partition(sizes: Array, k: Array, e0: Array) -> Array:
    """Log probability of a partition with these group sizes: K components, weights ~ Dirichlet(e0); k, e0 broadcast."""
    sizes = sizes[:, None, None]
    groups, n = len(sizes), sizes.sum()
    labels = gammaln(k + 1) - gammaln(np.maximum(k - groups, 0) + 1)
    value = labels + gammaln(k * e0) - gammaln(n + k * e0) + (gammaln(sizes + e0) - gammaln(e0)).sum(axis=0)
    return np.where(k >= groups, value, -np.inf)


def static(k: Array) -> Array:
    return np.broadcast_to(gamma(1, scale=1 / 20).ppf(POINTS), (len(k), len(POINTS)))


def dynamic(k: Array) -> Array:
    return f_distribution(6, 3).ppf(POINTS) / k


def log_prior(sizes: Array, concentration: Callable[[Array], Array]) -> float:
    """Log of their prior of a partition, K and the concentration summed out."""
    k = np.arange(1, MOST + 1)[:, None]
    each = log_partition(sizes, k, concentration(k)) + log_prior_k(k) - np.log(len(POINTS))
    return float(logsumexp(each))


def groups_of(
    fits: dict[int, bg.BayesianGMM], X: pd.DataFrame, concentration: Callable[[Array], Array]
) -> dict[int, dict]:
    """By number of groups: log p*(k groups, y), effective number of draws, and the partition into k groups."""
    found = {}
    for k, fit in fits.items():
        a = posterior_arrays(fit.posterior_)
        labels = draw_labels(fit.table_.values, a, random_seed=1)
        counts = (labels[:, :, None] == np.arange(k)).sum(axis=1)
        some = counts.min(axis=1) > 0
        scale = fit.table_.scale  # the draws are of standardised columns
        covariances = np.linalg.inv(a.scaling.mT @ a.scaling) * scale[:, None] * scale
        log_w, prior = np.full(len(labels), -np.inf), log_covariances(X, covariances)
        for sizes in np.unique(np.sort(counts[some], axis=1), axis=0):
            these = some & (np.sort(counts, axis=1) == sizes).all(axis=1)
            ours = log_partition(sizes, np.array([[k]]), np.array([[1.0]])).item()
            log_w[these] = log_prior(sizes, concentration) - ours + prior[these]
        w = np.exp(log_w - log_w.max()) if some.any() else np.zeros(len(labels))
        shares = np.stack([w @ (labels == j) for j in range(k)])
        found[k] = {
            "log_joint": fit.log_evidence().value + logsumexp(log_w) - np.log(len(labels)),
            "draws": w.sum() ** 2 / (w @ w) if some.any() else 0.0,
            "labels": shares.argmax(axis=0),
        }
    return found


def error(truth: Array, labels: Array) -> float:
    """Share of rows in the wrong group, groups named at best."""
    counts = confusion_matrix(pd.factorize(truth)[0], labels)
    return 1.0 - counts[linear_sum_assignment(-counts)].sum() / len(truth)


def check(X: pd.DataFrame) -> None:
    """Print that `log_covariances` integrates to one, and that its integral over C0 is p(S | C) p(C) / p(C | S)."""
    prior, r, n = prior_of(X), X.shape[1], 200_000
    c0, g0 = 2.5 + (r - 1) / 2, 0.5 + (r - 1) / 2
    rate = 100 * g0 / c0 * np.diag(1 / (X.max() - X.min()).to_numpy() ** 2)
    rng = np.random.default_rng(0)
    made = wishart(r + 1, np.eye(r)).rvs(n, random_state=1)  # correlations of it are LKJ(1)
    d = np.sqrt(np.diagonal(made, axis1=1, axis2=2))
    d = np.exp(rng.normal(prior.sd.mu + np.log(X.std(ddof=0).to_numpy()), prior.sd.sigma, size=(n, r))) / d
    ratio = np.exp(log_covariances(X, (made * d[:, :, None] * d[:, None, :])[:, None]))
    print(f"mean ratio of the priors {ratio.mean():.3f}, standard error {ratio.std() / np.sqrt(n):.3f}")

    def theirs(s: Array) -> float:
        df, scale = 2 * (g0 + len(s) * c0), np.linalg.inv(2 * (rate + np.linalg.inv(s).sum(axis=0)))
        at = wishart(df, scale).mean()
        given = sum(invwishart(2 * c0, 2 * at).logpdf(one) for one in s)
        return given + wishart(2 * g0, np.linalg.inv(2 * rate)).logpdf(at) - wishart(df, scale).logpdf(at)

    for k in (2, 3):
        s = np.stack([np.cov(X.to_numpy()[rng.choice(len(X), 40)].T) for _ in range(k)])
        ours = log_covariances(X, s[None])[0] - sum(log_covariances(X, one[None, None])[0] for one in s)
        other = theirs(s) - sum(theirs(one[None]) for one in s)
        print(f"{k} covariances together less each alone: {ours:.10f}, by the identity {other:.10f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=5)
    parser.add_argument("--draws", type=int, default=3000, help="of each chain")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--check", action="store_true", help="the ratio of the priors alone")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    X, truth = table("thyroid")
    if options.check:
        check(X)
        return
    fits = {}
    for k in range(1, options.largest + 1):
        fits[k] = bg.BayesianGMM(
            k, prior=prior_of(X), draws=options.draws, random_seed=options.seed, progressbar=False
        ).fit(X)  # fmt: skip
        print(k, fits[k].diagnose().verdict, fits[k].log_evidence(), flush=True)
    lines = ["| prior of the weights | p(1, 2, ... groups given y) | modal | error | adjusted Rand | effective draws |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name, concentration in (("static, e0 ~ Gamma(1, 20)", static), ("dynamic, alpha ~ F(6, 3)", dynamic)):
        found = groups_of(fits, X, concentration)
        joint = np.array([f["log_joint"] for f in found.values()])
        p = np.exp(joint - logsumexp(joint))
        best = list(found)[int(p.argmax())]
        labels = found[best]["labels"]
        cells = [name, ", ".join(f"{x:.3f}" for x in p), str(best), f"{error(truth, labels):.3f}",
                 f"{adjusted_rand_score(truth, labels):.3f}", f"{found[best]['draws']:.0f}"]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        print({k: (round(f["log_joint"], 2), round(f["draws"]), round(error(truth, f["labels"]), 3),
                   round(adjusted_rand_score(truth, f["labels"]), 3)) for k, f in found.items()})  # fmt: skip
    cells = ["published run", "", str(PUBLISHED["groups"]), f"{PUBLISHED['error']}", f"{PUBLISHED['rand']}", ""]
    lines.append(f"| {' | '.join(cells)} |")
    print("\n".join(lines))
    if options.write is not None:
        options.write.write_text(page(lines))


def page(lines: list[str]) -> str:
    told = (__doc__ or "").split("\n\n", 2)[2]
    title = "# Beside the telescoping sampler\n\nThyroid, 215 rows, 5 columns, 3 diagnoses."
    return f"{title}\n\n{chr(10).join(lines)}\n\n{told}"


if __name__ == "__main__":
    main()
