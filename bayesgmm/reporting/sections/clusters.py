"""What the components look like: proportions, means, standard deviations and correlations, with figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesgmm.posterior.tree import read_draws
from bayesgmm.reporting import results
from bayesgmm.reporting.document.blocks import Block, Bullets, Drawing, Fold, Section, Tabular, Text
from bayesgmm.reporting.numbers import Grid
from bayesgmm.reporting.parameters import mle_elsewhere
from bayesgmm.reporting.plots.clusters import clusters_size, draw_clusters
from bayesgmm.reporting.plots.legend import add_component_legend, clusters_caption
from bayesgmm.reporting.plots.merging import MERGING_CAPTION, MERGING_SIZE, draw_merging
from bayesgmm.reporting.plots.profile import PROFILE_CAPTION, draw_profile, profile_size
from bayesgmm.reporting.plots.scene import choose_features
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["clusters"]

_MOST_COLUMNS = 6  # whose correlations stand in a table of their own
_ABREAST = 4
_DRAWS, _DRAWS_OF_PAIRS = 50, 10  # ellipses of draws in a panel


def clusters(subject: Subject) -> Section:
    """Sentences, tables with intervals, profile plot, ellipses over the observations, the tree of merges."""
    fit, scene, ci_prob = subject.fit, subject.scene, subject.ci_prob
    said = results.headline(fit, subject.probabilities, ci_prob)["components"]
    found = results.clusters(fit, ci_prob)
    intro = f"Posterior mean and {found['ci']} credible interval, in original units."
    blocks: list[Block] = [Text(intro)]
    if subject.alarm:
        blocks.append(Text("Not converged: do not report these numbers.", strong=True))
    if said:
        blocks.append(Bullets(tuple(said)))
    if fit.n_components > 1 and subject.compared is None:
        blocks.append(Text(f"Clusters: {fit.merging()}"))
    several = len(found["profile"]) > 1
    blocks += [
        Tabular(f"components{f'-{i + 1}' * several}", "Mixing proportions, means and spreads.", grid)
        for i, grid in enumerate(found["profile"])
    ]
    blocks += [
        Tabular(f"correlations{f'-{i + 1}' * (i > 0)}", "Correlations within components.", grid)
        for i, grid in enumerate(_correlations(subject))
    ]
    blocks += [Text(line) for line in found["notes"]]
    blocks += [_profile(subject), _ellipses(subject)]
    if fit.n_components > 1:
        merging = fit.merging()
        blocks.append(
            Drawing("merging", "Merging", MERGING_CAPTION, MERGING_SIZE, lambda figure: draw_merging(figure, merging))
        )
    blocks += [Text(line) for line in mle_elsewhere(fit.summary(ci_prob=ci_prob))]
    rows = found["summary"].rows
    blocks.append(
        Fold(
            f"All parameters: maximum likelihood beside the posterior ({len(rows)} rows)",
            (Tabular("parameters", "All parameters.", found["summary"]),),
            open=len(rows) <= 30,
        )
    )
    blocks.append(
        Text(
            f"Components are numbered as relabelling left them. {'Names' if scene.n_components > 1 else 'A name'} for "
            "them would be shorthand: what is known of them is in these tables."
        )
    )
    return Section("clusters", "The clusters", tuple(blocks))


def _profile(subject: Subject) -> Drawing:
    scene = subject.scene

    def draw(figure: Any) -> None:
        draw_profile(figure.subplots(), scene, subject.ci_prob)
        add_component_legend(figure, list(range(scene.n_components)))

    return Drawing("profile", "Profile", PROFILE_CAPTION, profile_size(scene), draw)


def _ellipses(subject: Subject) -> Drawing:
    scene = subject.scene
    columns = choose_features(scene, None)
    n_draws = _DRAWS if len(columns) < 3 else _DRAWS_OF_PAIRS
    options: dict[str, Any] = {"levels": [0.95], "n_draws": n_draws, "ci_prob": subject.ci_prob}
    return Drawing(
        "clusters", "Clusters", clusters_caption(scene, columns, **options),
        clusters_size(columns, len(scene.classes)),
        lambda figure: draw_clusters(figure, scene, columns, **options),
    )  # fmt: skip


def _correlations(subject: Subject) -> list[Grid]:
    """A line a pair of variables, a column a component; none where there are none, or more variables than fit."""
    draws = read_draws(subject.fit.posterior_)
    names, d = draws.feature_names, len(draws.feature_names)
    if not draws.structure.correlated or not 1 < d <= _MOST_COLUMNS:
        return []
    k = 1 if draws.structure.shared else subject.fit.n_components
    covariances = draws.covariances[:, :, :k].reshape(-1, k, d, d)
    sds = np.sqrt(np.diagonal(covariances, axis1=2, axis2=3))
    r = covariances / (sds[..., :, None] * sds[..., None, :])
    tail = [0.5 - 0.5 * subject.ci_prob, 0.5 + 0.5 * subject.ci_prob]
    low, high = np.quantile(r, tail, axis=0)
    mean, pairs = r.mean(axis=0), list(zip(*np.triu_indices(d, 1), strict=True))
    columns = ["all components"] if draws.structure.shared else [f"component {c}" for c in range(k)]
    return [
        Grid.of(
            ["variables", *columns[first : first + _ABREAST]],
            [
                [
                    f"{names[i]}, {names[j]}",
                    *(f"{mean[c, i, j]:.2f} [{low[c, i, j]:.2f}, {high[c, i, j]:.2f}]"
                      for c in range(first, min(k, first + _ABREAST))),
                ]
                for i, j in pairs
            ],
        )
        for first in range(0, k, _ABREAST)
    ]  # fmt: skip
