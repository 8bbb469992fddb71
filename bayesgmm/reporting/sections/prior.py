"""The prior: its formulas and numbers, and how much the results owe to it."""

from __future__ import annotations

import numpy as np

from bayesgmm.posterior.changed_prior import CHANGES, SENSITIVE
from bayesgmm.posterior.tree import structure_of
from bayesgmm.reporting import method
from bayesgmm.reporting.comparison import probability_by_scale
from bayesgmm.reporting.document.blocks import Block, Bullets, Drawing, Fold, Heading, Section, Tabular, Text
from bayesgmm.reporting.numbers import MISSING, Grid, significant, to_sd
from bayesgmm.reporting.plots.prior_change import PRIOR_CAPTION, draw_changed_prior, prior_size
from bayesgmm.reporting.plots.scene import choose_features
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["prior"]

_FEW_LINES = 30
_MOST_ROWS = 60
_PANELS = 5


def prior(subject: Subject) -> Section:
    """Model, formulas, numbers by variable, sensitivity."""
    fit = subject.fit
    said = method.model(fit)
    lines = tuple(said["prior"])
    numbers: Block = Bullets(lines)
    if len(lines) > _FEW_LINES:
        numbers = Fold(f"The prior in numbers ({len(lines)} lines)", (Bullets(lines),))
    blocks: list[Block] = [Text(line) for line in said["sentences"]]
    blocks += [Bullets(tuple(_formulas(subject))), numbers, *_sensitivity(subject)]
    if subject.compared is not None and (by_scale := probability_by_scale(subject.compared)) is not None:
        blocks.append(
            Tabular(
                "prior-k", "p(K | y) with the prior SD of the component means halved, as fitted, and doubled.", by_scale
            )
        )
    return Section("prior", "Model and prior", tuple(blocks))


def _formulas(subject: Subject) -> list[str]:
    """The model and its prior, line by line."""
    structure = structure_of(subject.fit.posterior_)
    density = "N(μ_k, Σ_k)" if structure.component == "normal" else "t(μ_k, Σ_k, df)"
    noise = " + π_0 Uniform(box)" * structure.has_background
    spread = subject.fit.prior_.family
    scale = "σ_kj²" if spread.on_variance else "σ_kj"
    lines = [
        f"Model: y_i ~ Σ_k π_k {density}{noise}, independently for the observations i.",
        "Mixing proportions: (π_1, …, π_K) ~ Dirichlet(e, …, e).",
        "Means: μ_kj ~ Normal(m_j, s_j²), independently for components k and variables j.",
        f"Spreads: {scale} ~ {type(spread).__name__}, with the numbers given below for each variable; Σ_k has the "
        "standard deviations σ_kj.",
    ]
    if structure.correlated and subject.fit.table_.n_features > 1:
        lines.append("Correlations: R_k ~ LKJ(η), density proportional to det(R_k)^(η − 1).")
    if subject.fit.prior_.rounded_columns():
        lines.append("Rounding: the variance δ_j²/12 of the recording step δ_j is added to Σ_k.")
    return lines


def _sensitivity(subject: Subject) -> list[Block]:
    """Parameters under changed priors: sentence, table, figure."""
    change, k = subject.prior_change, subject.fit.n_components
    shift = change.shift.abs()
    names = [subject.scene.feature_names[j] for j in choose_features(subject.scene, None)][:_PANELS]
    blocks: list[Block] = [
        Heading("Sensitivity to the prior"),
        Text(
            "The posterior draws were reweighted to priors that are narrower and wider by a factor of 2, one part of "
            "the prior at a time."
        ),
    ]
    if shift.notna().any(axis=None):
        sizes = shift.fillna(-1.0).to_numpy(dtype=float)
        row, column = divmod(int(sizes.argmax()), sizes.shape[1])
        blocks.append(
            Text(
                f"The largest change of a posterior mean is {sizes.max():.2f} posterior standard deviations "
                f"({shift.index[row]}, with {shift.columns[column]})."
            )
        )
    left_out = [name for name in CHANGES if change.mean[name].isna().all()]
    if left_out:
        blocks.append(
            Text(
                f"Not known, since the draws do not reach so far (Pareto k above 0.7): {'; '.join(left_out)}. Fit "
                "again with that prior."
            )
        )
    order = shift.max(axis=1).sort_values(ascending=False, kind="stable").index
    kept = set(order[:_MOST_ROWS])
    shown = [name for name in change.mean.index if name in kept]
    grid = _grid(subject, shown)
    more = f" The {len(shown)} that move most, of {len(change.mean)}." * (len(shown) < len(change.mean))
    table = Tabular(
        "prior-sensitivity",
        "Posterior mean as fitted and under changed priors, and power-scaling sensitivity to prior and likelihood "
        f"(above {SENSITIVE:g} it counts; Kallioinen et al. 2024).{more}",
        grid,
    )
    blocks += [table] if len(shown) <= _FEW_LINES else [Fold(f"Table of {len(shown)} parameters", (table,))]
    blocks.append(
        Drawing("prior", "Sensitivity to the prior", PRIOR_CAPTION, prior_size(len(names), k),
                lambda figure: draw_changed_prior(figure, change, names, k))
    )  # fmt: skip
    return blocks


def _grid(subject: Subject, shown: list[str]) -> Grid:
    change = subject.prior_change
    scaled = change.scaling
    header = ["parameter", *change.mean.columns, "prior", "likelihood", "diagnosis"]
    rows = []
    means, at = change.mean.to_numpy(dtype=float), {str(name): i for i, name in enumerate(change.mean.index)}
    powers = {str(n): values for n, *values in scaled.itertuples()}
    for name in shown:
        sd = float(change.sd[name])
        cells = [MISSING if np.isnan(v) else to_sd(float(v), sd) for v in means[at[name]]]
        prior, likelihood, reads = powers.get(name, (np.nan, np.nan, MISSING))
        rows.append([name, *cells, significant(float(prior), 2), significant(float(likelihood), 2), str(reads)])
    return Grid.of(header, rows)
