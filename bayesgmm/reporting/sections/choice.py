"""How the number of components was chosen: figure, scores of every fit, sizes of its classes, what criteria mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.model_selection.fit import Fit, kind_of
from bayesgmm.reporting import method
from bayesgmm.reporting.class_quality import class_quality
from bayesgmm.reporting.comparison import comparing
from bayesgmm.reporting.document.blocks import Block, Bullets, Drawing, Fold, Heading, Section, Tabular, Text
from bayesgmm.reporting.numbers import MISSING, Grid, tally
from bayesgmm.reporting.plots.comparison import COMPARISON_CAPTION, COMPARISON_SIZE, draw_comparison
from bayesgmm.reporting.plots.profile import PROFILE_CAPTION, draw_profile
from bayesgmm.reporting.plots.scene import Scene, choose_features
from bayesgmm.reporting.plots.style import title
from bayesgmm.reporting.sections.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CRITERIA", "choice"]

_MOST_PROFILES, _MOST_VARIABLES = 8, 12

CRITERIA = (
    "elpd_loo: expected log predictive density of a new observation, times their number, by leave-one-out "
    "cross-validation; Δelpd is the difference from the best fit with the standard error of the paired difference. "
    "Higher is better; differences below 4 are too small to count.",
    "log evidence: log marginal likelihood p(y | K), by bridge sampling; p(K | y) follows from it with every fit "
    "equally probable a priori. It depends on the prior: see the section on the prior.",
    "BIC and AICc: −2 log-likelihood of the maximum-likelihood fit and a penalty for parameters; ICL adds twice the "
    "classification entropy, and so prefers components that are well separated. Lower is better.",
    "occupied: mean number of components that hold observations; clusters: most probable number of groups after "
    "components that overlap have been merged, with its posterior probability.",
)


def choice(subject: Subject) -> Section:
    """Of a comparison, all of it; of a single fit, its maximum-likelihood criteria."""
    compared, blocks = subject.compared, list[Block]()
    if compared is None:
        found = method.likelihood(subject.fit)
        blocks += [
            Text("The number of components was given, and no other was fitted; compare_components compares several."),
            Text(found["text"]),
            Tabular("criteria", "Criteria of the maximum-likelihood fit.", found["criteria"]),
        ]
    else:
        shown = comparing(compared)
        blocks += [Text(shown.headline, strong=True), Bullets(shown.sentences)]
        if 1 not in {fit.n_components for fit in subject.fits.values()}:
            blocks.append(Text("K = 1 was not fitted: whether there is more than one component is not compared."))
        blocks += [
            Drawing("comparison", "Number of components", COMPARISON_CAPTION, COMPARISON_SIZE,
                    lambda figure: draw_comparison(figure, compared)),
            Tabular("scores-prediction", "Predictive density of every fit.", shown.prediction),
            Tabular("scores-evidence", "Evidence, occupied components and clusters of every fit.", shown.others),
            Tabular("scores-likelihood", "Maximum-likelihood fit of every K.", shown.likelihood),
            Heading("What the criteria mean"),
            Bullets(CRITERIA),
        ]  # fmt: skip
        blocks.append(_profiles(subject))
    blocks += [
        Heading("Sizes of the classes"),
        Tabular(
            "sizes",
            "Observations assigned to each class, by its most probable component, and (in brackets) mixing proportion.",
            _sizes(subject),
        ),
    ]
    return Section("choice", "Choice of the number of components", tuple(blocks))


def _profiles(subject: Subject) -> Block:
    """Profiles of the fits side by side: of many, those of the recommended kind; of many variables, those that differ
    most."""
    every = list(subject.fits.items())
    of_kind = [(label, fit) for label, fit in every if kind_of(fit) == kind_of(subject.fit)]
    shown = (every if len(every) <= _MOST_PROFILES else of_kind)[:_MOST_PROFILES]
    names = subject.fit.table_.feature_names
    columns = list(range(len(names))) if len(names) <= _MOST_VARIABLES else choose_features(subject.scene, None)
    what = "Profiles of every fit" if len(shown) == len(every) else f"Profiles of {len(shown)} of {len(every)} fits"
    less = f" Shown: {len(columns)} of {len(names)} variables." * (len(columns) < len(names))
    across = min(len(shown), 2)
    height = 0.9 + (0.3 + 0.03 * max(fit.n_components for _, fit in shown)) * max(len(columns), 2)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(-(-len(shown) // across), across, squeeze=False).ravel()
        for ax, (label, fit) in zip(axes, shown, strict=False):
            draw_profile(ax, subject.scene if fit is subject.fit else Scene.of(fit), subject.ci_prob, columns)
            title(ax, f"K = {label}")
        for ax in axes[len(shown) :]:
            ax.set_axis_off()

    size = 5.2 * across, height * -(-len(shown) // across)
    return Fold(what, (Drawing("profiles", what, PROFILE_CAPTION + less, size, draw),), open=True)


def _sizes(subject: Subject) -> Grid:
    """n and share of every class of every fit, its classification diagnostics and rows for each parameter."""
    most = max(fit.n_components for fit in subject.fits.values())
    noise = any(kind_of(fit).noise for fit in subject.fits.values())
    header = ["K", *(f"class {k}" for k in range(most)), *["noise"] * noise]
    header += ["smallest class", "relative entropy", "smallest mean probability", "observations per parameter"]
    rows = []
    for label, fit in subject.fits.items():
        rows.append([str(label), *_row(subject, fit, most, noise)])
    return Grid.of(header, rows)


def _row(subject: Subject, fit: Fit, most: int, noise: bool) -> list[str]:
    found = class_quality(fit, subject.probabilities if fit is subject.fit else None)
    k = fit.n_components
    cells = [f"{tally(n)} ({s:.2f})" for n, s in zip(found.assigned, found.share, strict=True)]
    classes = [*cells[:k], *[""] * (most - k)] + [cells[k] if len(cells) > k else MISSING] * noise
    own = np.diagonal(found.mean_probability)
    own = own[np.isfinite(own)]
    per = float(fit.table_.weights.sum()) / fit.em_.params.n_parameters
    return [
        *classes,
        tally(float(found.assigned[:k].min())),
        MISSING if np.isnan(found.entropy) else f"{found.entropy:.3f}",
        f"{own.min():.3f}" if len(own) else MISSING,
        f"{per:.1f}",
    ]
