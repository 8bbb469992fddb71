"""How the answer was found: data, model, maximum likelihood, diagnostics and what it takes to do it again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesgmm.data.checks import mean_and_sd
from bayesgmm.data.coarse_columns import coarse_columns
from bayesgmm.data.gaps import missing_cells_in_words
from bayesgmm.data.known_labels import known_labels_in_words
from bayesgmm.model.background import table_box
from bayesgmm.model.structure import Structure
from bayesgmm.posterior.tree import structure_of
from bayesgmm.reporting.numbers import Grid, count, decimals_for, fixed, join, significant, to_sd
from bayesgmm.reporting.observations import observations_of
from bayesgmm.wording import plural

if TYPE_CHECKING:
    from bayesgmm.data.table import Table
    from bayesgmm.model_selection.fit import Fit

__all__ = ["data", "diagnostics", "fingerprint", "frame", "likelihood", "model", "reproducibility"]


def data(fit: Fit) -> dict[str, Any]:
    """Rows, columns, ranges, missing cells, rounding and weights."""
    table, (n_rows, about) = fit.table_, observations_of(fit)
    used = table.weights > 0
    values, weights = table.values[used], table.weights[used]
    mean, sd = mean_and_sd(values, weights)
    rows = []
    for j, name in enumerate(table.feature_names):
        column, decimals = values[~np.isnan(values[:, j]), j], decimals_for(float(sd[j]), 3)
        step = table.resolution[j]
        rows.append([
            name, significant(column.min(), 6), significant(column.max(), 6), fixed(mean[j], decimals),
            fixed(sd[j], decimals), count(len(np.unique(column))), count(len(values) - len(column)),
            significant(step) if step > 0 else "continuous",
        ])  # fmt: skip
    scale = "standardised columns (mean 0, sd 1)" if fit.standardize else "the columns as they are"
    sentences = [
        f"{count(n_rows)} observations of {table.n_features} {plural(table.n_features, 'variable')}. The model "
        f"works on {scale}; results are in the original units.",
        *missing_cells_in_words(table),
        *known_labels_in_words(table.known, table.classes),
        _rounding(fit),
    ]
    sentences += about
    header = ["column", "minimum", "maximum", "mean", "sd", "distinct values", "missing", "apparent resolution"]
    return {"sentences": sentences, "columns": Grid.of(header, rows)}


def _rounding(fit: Fit) -> str:
    table = fit.table_
    found = coarse_columns(table)
    if not found:
        return "The apparent measurement resolution of every column is fine: below 0.01 % of its sd."
    text = f"Apparent measurement resolution: {join(found)}. "
    if not fit.prior_.rounded_columns():
        return text + "The prior leaves rounding out (resolution=None)."
    return text + "The model adds the variance of rounding, step²/12, so that no component can shrink onto tied values."


def model(fit: Fit) -> dict[str, Any]:
    """Structure, number of parameters and prior in words."""
    structure = structure_of(fit.posterior_)
    density = "normal" if structure.component == "normal" else "t"
    matrix = "Covariance" if structure.component == "normal" else "Scale matrix"
    return {
        "sentences": [
            f"Each observation comes from one of K = {fit.n_components} multivariate {density} distributions"
            f"{', or is noise,' * structure.has_background} chosen with the mixing proportions as probabilities. "
            f"{matrix} “{structure.name}”: {structure.words}.",
            *_tails(structure),
            *(_noise(fit) if structure.has_background else ()),
            f"The mixture has {count(fit.em_.params.n_parameters)} free parameters.",
        ],
        "prior": fit.prior_.lines(structure),
    }


def _tails(structure: Structure) -> list[str]:
    """What t components are."""
    if structure.component == "normal":
        return []
    each = "each component has a number of its own" if structure.component == "t_each" else "one for all components"
    return [
        "A t distribution (Peel and McLachlan 2000, Statistics and Computing 10, 339-348) has heavier tails than a "
        "normal one: an observation far from a component counts for less in its mean and scale matrix. How heavy is "
        f"estimated, by degrees of freedom above 2, {each}. The covariance is df / (df − 2) times the scale matrix."
    ]


def _noise(fit: Fit) -> list[str]:
    """What noise is, and over which box."""
    box, table = table_box(fit.table_), fit.table_
    if box.along_columns:
        low, high = (table.center + table.scale * end for end in (box.low, box.high))
        ends = [
            f"{name} from {significant(a)} to {significant(b)}"
            for name, a, b in zip(table.feature_names, low, high, strict=True)
        ]
        where = f"along the columns: {join(ends, 5)}"
    else:
        where = "along the principal axes of the table's covariance"
    return [
        "Noise (Banfield and Raftery 1993, Biometrics 49, 803-821; Fraley and Raftery 1998, The Computer Journal 41, "
        "578-588) is uniform over a box that holds all observations, the smaller of one along the columns and one "
        f"along their principal axes; here {where}. The box follows from the range of the table alone and nothing of "
        "it is estimated but the share of noise: noise takes up observations where no component is as dense as the box."
    ]


def likelihood(fit: Fit) -> dict[str, Any]:
    """The maximum-likelihood fit, its criteria and its starts."""
    em = fit.em_
    scores = [f"{value:.1f}" for value in (em.bic, em.aic, em.icl)]
    criteria = Grid.of(
        ["log-likelihood", "parameters", "BIC", "AIC", "ICL", "iterations"],
        [[f"{em.log_likelihood:.2f}", count(em.params.n_parameters), *scores, count(em.n_iter)]],
        n_text=0,
    )
    summary = f"{em.n_reached_best} of {len(em.starts)} starts ended at the best log-likelihood that was found"
    return {"text": str(em), "criteria": criteria, "starts": frame(em.starts), "summary": summary}


def diagnostics(fit: Fit) -> dict[str, Any]:
    """The diagnosis in words, tables (a) and (b), and the posterior modes."""
    diagnosis = fit.diagnose()
    lines = str(diagnosis).splitlines()

    def grid(table: pd.DataFrame, raw: bool) -> Grid:
        rows = []
        for name, row in table.iterrows():
            cells = [str(name), to_sd(row["mean"], row["sd"]), to_sd(row["sd"], row["sd"]), fixed(row["r_hat"], 3)]
            cells += [fixed(row["r_hat_raw"], 3)] if raw else []
            cells += [count(row["ess_bulk"]), count(row["ess_tail"]), "yes" if row["ok"] else "NO"]
            rows.append([*cells, str(row["note"])])
        before = ["R-hat before relabelling"] * raw
        return Grid.of(
            ["quantity", "mean", "sd", "R-hat", *before, "ESS bulk", "ESS tail", "meets criteria", "note"], rows
        )

    return {
        "verdict": lines[0],
        "numbers": lines[1],
        "advice": list(diagnosis.advice),
        "gate": grid(diagnosis.table, raw=False),
        "components": grid(diagnosis.components, raw=True),
        "modes": frame(fit.modes_) if len(fit.modes_) else None,
    }


def reproducibility(fit: Fit) -> dict[str, Any]:
    """The settings, the versions, the time, and a fingerprint of the data."""
    attrs = fit.posterior_.attrs
    table = fit.table_
    stats = [
        ["random seed", str(attrs["random_seed"])],
        ["inference", str(attrs.get("method", attrs["inference"]))],
        ["chains, warm-up iterations, kept draws", f"{fit.chains}, {fit.tune}, {fit.draws}"],
        ["target acceptance", f"{fit.target_accept:g}"],
        ["EM starts", str(fit.n_init)],
        ["relabelling", str(attrs["relabelling"])],
        ["sampling time", f"{float(attrs['sampling_time']):.1f} s"],
        ["interrupted", "yes" if attrs["partial"] else "no"],
        ["pointwise log-likelihood stored", str(attrs["log_likelihood_stored"])],
        ["data (SHA-256 of values and weights)", fingerprint(table)],
    ]
    if attrs.get("notes"):
        stats.append(["notes", str(attrs["notes"])])
    versions = {"bayesgmm": attrs["bayesgmm_version"], **json.loads(attrs["versions"])}
    return {
        "settings": Grid.of(["setting", "value"], stats, n_text=2),
        "versions": Grid.of(["package", "version"], [[k, str(v)] for k, v in versions.items()], n_text=2),
    }


def fingerprint(table: Table) -> str:
    """The first 16 digits of the SHA-256 of values and weights."""
    digest = hashlib.sha256()
    for part in (table.values, table.weights):
        digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def frame(table: pd.DataFrame) -> Grid:
    """A data frame as text: words first, each column of numbers with the same decimals, blanks for underscores."""
    numbers = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    words = [c for c in table.columns if c not in numbers]
    columns = {c: [str(v) for v in table[c]] for c in words}
    for c in numbers:
        values = table[c].to_numpy()
        if values.dtype.kind == "b":
            columns[c] = ["yes" if v else "no" for v in values]
        elif (values == np.round(values)).all():  # whatever its type: a file may have changed that
            columns[c] = [count(float(v)) for v in values]
        else:
            largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=1e-300))
            decimals = int(np.clip(4 - np.floor(np.log10(largest)), 2, 3))
            columns[c] = [fixed(float(v), decimals) for v in values]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Grid.of([str(c).replace("_", " ") for c in columns], rows, n_text=len(words))
