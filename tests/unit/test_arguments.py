"""A wrong argument of anything public is one `InputError`, in one line and before any work.

What is public is found by introspection: the names in `bayesgmm.__all__`, and the methods of its classes and of the
results that they return. Each call below is valid; one argument after the other is replaced by values of every sort, of
which `ACCEPTED` lists those that an argument of its kind takes. What this file does not know how to call fails a test.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.clustering.assignment import Assignment
from bayesgmm.clustering.classification import Classification
from bayesgmm.clustering.merging import Merging
from bayesgmm.clustering.other_methods import ClusteringComparison
from bayesgmm.clustering.partition.estimate import Partition
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.loo.loo import LooResult
from bayesgmm.model_selection.loo.waic import WaicResult
from bayesgmm.posterior.highest_density import HighestDensityRegion
from bayesgmm.posterior.predict import PredictiveDistribution

pytestmark = [
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.NotConvergedWarning"),
    pytest.mark.filterwarnings("ignore:X .* feature names:UserWarning"),
]


class Nasty:
    """No argument of anything, and it cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("two\nlines")


VALUES: dict[str, Any] = {
    "None": None, "'x'": "x", "''": "", "b'x'": b"x", "NUL": "a\0b", "surrogate": "\udc80", "-1": -1, "0": 0,
    "1": 1, "0.5": 0.5, "2.5": 2.5, "nan": np.nan, "inf": np.inf, "-inf": -np.inf, "1e300": 1e300, "10**9": 10**9,
    "10**400": 10**400, "10**5000": 10**5000, "1j": 1j, "True": True, "Decimal": Decimal("0.5"), "object": Nasty(),
    "datetime": datetime(2020, 1, 1), "datetime64": np.datetime64("2020-01-01"), "NA": pd.NA, "class": int,
    "[]": [], "{}": {}, "ragged": [[1.0], [1.0, 2.0]], "lines": np.zeros((2, 2, 2)), "[nan]": [np.nan, 1.0],
    "[-1]": [-1], "['x']": ["x"], "[10**400]": [[10**400, 1]], "masked": np.ma.array([1, 0], mask=[True, False]),
    "unhashable": [[], []], "array of objects": np.array([Nasty(), None], dtype=object),
    "complex array": np.ones(2) * 1j,
}  # fmt: skip

ONE = "1", "True"
NUMBERS = "-1", "0", "1", "0.5", "2.5", "1e300", "10**9"
POSITIVE = "1", "0.5", "2.5", "1e300", "10**9"
# Of VALUES, what an argument of each kind takes; everything else it refuses.
ACCEPTED: dict[str, tuple[str, ...]] = {
    "flag": ("True",),
    "count": ("1", "10**9"),
    "count of at most": ("1",),
    "count or none": ("None", "1", "10**9"),
    "count of at most or none": ("None", "1"),
    "count from 0": ("0", "1", "10**9"),
    "count from 2": ("10**9",),
    "count from 2 of at most": (),
    "number of components": ("1",),
    "numbers of components": ("1",),
    "seed": ("None", "0", "1", "10**9"),
    "probability": ("0.5",),
    "probabilities": ("0.5",),
    "share from 0": ("0", "0.5"),
    "positive": POSITIVE,
    "separation": ("1", "0.5", "2.5"),
    "positive or none": ("None", *POSITIVE),
    "number a column": (*NUMBERS, "[-1]"),
    "number a column or none": ("None", *NUMBERS, "[-1]"),
    "positive a column": POSITIVE,
    "positive a column or none": ("None", *POSITIVE),
    "text or none": ("None", "'x'", "''", "NUL", "surrogate"),
    "steps or mapping": ("None", "0", "1", "0.5", "2.5", "1e300", "10**9", "{}"),
    "steps": ("None", "0", "1", "0.5", "2.5", "1e300", "10**9"),
    "choice": (),
    "choice or none": ("None",),
    "file to write": ("'x'", "surrogate"),
    "file to write or none": ("None", "'x'", "surrogate"),
    "file to read": (),
    "prior": ("None",),
    "family": ("None",),
    "jobs": ("None", "-1", "1"),
    "table": (),
    "one column of rows": ("[]", "[-1]"),
    "new rows or none": ("None",),
    "weights": ("None",),
    "methods": ("None", "[]", "{}"),
    "names or none": ("None",),
    "columns left out": ("None", "[]"),
    "tokens": ("None", "'x'", "''", "NUL", "surrogate", "[]", "['x']"),
    "flag or none": ("None", "True"),
    "character or none": ("None",),
    "mark or none": ("None",),
    "sheet or none": ("None",),
    "row names": ("None",),
    "record": (),
    "record or none": ("None",),
    "labels": (),
    "rows": ("None",),
    "axes": ("None",),
    "chains": ("None",),
    "given": ("{}",),
    "array": (),
    "array or none": ("None",),
    "pair of positive": (),
    "rest of the weights or none": ("None", "0"),
    "values": (*NUMBERS, "inf", "-inf", "[]", "[-1]"),
    "one column": (),
    "anything": tuple(VALUES),
}  # fmt: skip

# The kind of an argument by its name, or by that of the function and its own where a name has several meanings.
KINDS = {
    "X": "table", "sample_weight": "weights", "weight_type": "choice",
    "n_components": "number of components", "covariance_type": "choice", "component": "choice", "noise": "flag",
    "prior": "prior", "standardize": "flag", "missing": "choice", "inference": "choice", "sampler": "choice",
    "n_init": "count of at most",
    "draws": "count of at most", "tune": "count of at most", "chains": "count of at most", "cores": "count or none",
    "target_accept": "probability", "escalate": "flag", "batch_size": "count or none", "random_seed": "seed",
    "log_likelihood": "flag", "progressbar": "flag", "y": "anything", "ci_prob": "probability", "level": "choice",
    "loss": "choice", "rows": "rows", "given": "given", "features": "names or none", "force": "flag", "repair": "flag",
    "n_samples": "count of at most", "path": "file to read", "fit": "record", "tol": "positive", "max_iter": "count",
    "reg_covar": "share from 0", "secondary": "flag", "effort": "choice", "max_seconds": "positive or none",
    "n_jobs": "jobs", "backend": "choice or none", "checkpoint": "file to write or none", "methods": "methods",
    "n_clusters": "count of at most or none", "result": "record or none", "distribution": "record",
    "row_names": "row names", "max_clusters": "count or none", "n_runs": "count", "n_rows": "count", "ax": "axes",
    "levels": "probabilities", "n_draws": "count from 0", "max_rows": "count from 2", "comparison": "record",
    "separation": "separation",
    "n_grid": "count from 2 of at most", "feature_names": "names or none", "resolution": "steps",
    "columns": "names or none", "label": "names or none", "exclude": "columns left out", "read_csv.missing": "tokens",
    "datasets.load_penguins.missing": "flag",
    "drop_missing": "flag", "header": "flag or none", "delimiter": "character or none", "decimal": "mark or none",
    "thousands": "mark or none", "sheet": "sheet or none", "corrected": "flag", "mean_loc": "number a column or none",
    "mean_scale": "positive a column or none", "sd": "family", "lkj_eta": "positive", "concentration": "positive",
    "scale": "positive a column", "rate": "positive a column", "mu": "number a column", "sigma": "positive a column",
    "a": "positive a column", "b": "positive a column", "n_features": "count of at most", "values": "array",
    "table": "record", "out": "array", "weights": "array", "means": "array", "covariances": "array", "order": "array",
    "center": "array", "labels": "labels", "feature": "one column", "q": "probabilities", "method": "choice",
    "prepare_table.y": "weights", "BayesianGMM.fit.y": "weights", "BayesianGMM.fit_predict.y": "weights",
    "compare_components.n_components": "numbers of components",
    "prepare_table.n_components": "number of components or none",
    "partition_from_labels.draws": "labels",
    "PredictiveDistribution.cdf.values": "values",
    "PredictiveDistribution.log_density.rows": "table", "HighestDensityRegion.contains.rows": "one column of rows",
    "table_format": "choice", "figure_format": "choice", "checklist": "choice or none",
    "report.labels": "record or none",
    "source": "text or none", "report_tables.folder": "record or none", "report_figures.folder": "record",
    "axes": "axes", "fits": "record", "plot_posterior_predictive.n_draws": "count of at most",
    "report.path": "file to write", "BayesianGMM.save.path": "file to write",
    "prepare_table.resolution": "steps or mapping", "MixturePrior.resolution": "steps or mapping",
    "BayesianGMM.assignment.X": "new rows or none", "BayesianGMM.partition.X": "new rows or none",
    "BayesianGMM.outlier_score.X": "new rows or none", "BayesianGMM.log_evidence.chains": "chains",
    "Batches.source": "table", "Batches.columns": "names or none", "Batches.weights": "names or none",
    "Batches.batch_size": "count", "MiniBatchEM.batch_size": "count", "MiniBatchEM.n_components": "count",
    "first_rows": "count or none", "to": "file to write or none",
    "MixtureParams.rescale.scale": "array", "MixturePrior.df": "pair of positive",
    "MixturePrior.noise": "pair of positive", "MixtureParams.df": "array or none",
    "MixtureParams.noise_weight": "rest of the weights or none", "Comparison.average.by": "choice",
}  # fmt: skip
ACCEPTED["number of components or none"] = ("None", "1")

# Records that the package makes: their fields are not arguments of a user, their methods are.
RECORDS = {"Comparison", "Diagnosis", "EMResult", "Table", *(
    c.__name__ for c in (
        Assignment, Classification, ClusteringComparison, Evidence, HighestDensityRegion, LooResult, Merging, Partition,
        PredictiveDistribution, WaicResult,
    )
)}  # fmt: skip
EXCEPTIONS = {"InputError", "NotConvergedWarning"}


class WorkBeginsError(Exception):
    """Raised where work would begin."""


@dataclasses.dataclass
class Call:
    """A public function and arguments that it takes."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    """Valid calls of everything public, around one small fit."""
    mpl.use("Agg")
    X = bg.datasets.load_faithful().iloc[:40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = bg.BayesianGMM(
            2, draws=30, chains=2, n_init=2, inference="laplace", random_seed=1, progressbar=False
        ).fit(X)  # fmt: skip
    folder = tmp_path_factory.mktemp("files")
    X.to_csv(folder / "table.csv", index=False)
    fit.save(folder / "fit.nc")
    table, params = bg.prepare_table(X), fit.em_.params
    partition, marginal = fit.partition(), fit.marginal()
    comparison = bg.Comparison(fits={2: fit}, candidates={})
    clusterings = bg.compare_clusterings(fit, ["k-means"], result=partition)
    region = bg.highest_density_region(fit.marginal("waiting"))
    new = X.iloc[:3]
    draws = np.array([[0, 0, 1], [0, 1, 1]])
    out = np.empty((2, 40))
    known: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "BayesianGMM": (lambda **options: bg.BayesianGMM(**options).fit(X), {}),
        "Batches": (lambda source, **options: list(bg.Batches(source, **options)), {"source": X}),
        "BayesianGMM.fit": (fit.__class__().fit, {"X": X}),
        "BayesianGMM.fit_predict": (fit.__class__().fit_predict, {"X": X}),
        "BayesianGMM.save": (fit.save, {"path": folder / "again.nc"}),
        "BayesianGMM.conditional": (fit.conditional, {"given": {"waiting": 60.0}}),
        "build_model": (bg.build_model, {"X": X, "n_components": 2}),
        "compare_clusterings": (bg.compare_clusterings, {"fit": fit, "methods": ["k-means"]}),
        "compare_components": (bg.compare_components, {"X": X, "n_components": 2, "progressbar": False}),
        "MiniBatchEM": (bg.MiniBatchEM, {"n_components": 2}),
        "MiniBatchEM.partial_fit": (lambda **o: bg.MiniBatchEM(2).partial_fit(**o), {"X": X}),
        "MiniBatchEM.result": (bg.MiniBatchEM(2).partial_fit(X).result, {}),
        "fit_em": (bg.fit_em, {"X": X, "n_components": 2}),
        "highest_density_region": (bg.highest_density_region, {"distribution": fit.marginal("waiting")}),
        "load": (bg.load, {"path": folder / "fit.nc"}),
        "partition_from_labels": (bg.partition_from_labels, {"draws": draws}),
        "prepare_table": (bg.prepare_table, {"X": X}),
        "read_csv": (bg.read_csv, {"path": folder / "table.csv"}),
        "report": (bg.report, {"fit": fit, "path": folder / "report.html"}),
        "report_figures": (bg.report_figures, {"fit": fit, "folder": folder}),
        "report_tables": (bg.report_tables, {"fit": fit}),
        "plot_bic": (bg.plot_bic, {"fits": [fit.em_]}),
        "plot_comparison": (bg.plot_comparison, {"comparison": comparison}),
        "MixtureParams": (
            bg.MixtureParams, {"weights": params.weights, "means": params.means, "covariances": params.covariances}
        ),
        "MixtureParams.permute": (params.permute, {"order": [1, 0]}),
        "MixtureParams.rescale": (params.rescale, {"center": np.zeros(2), "scale": np.ones(2)}),
        "MixturePrior.resolve": (bg.MixturePrior().resolve, {"table": table}),
        "Table.write_features": (table.write_features, {"out": out}),
        "Comparison.plot": (comparison.plot, {}),
        "Comparison.average": (comparison.average, {}),
        "Merging.at": (fit.merging().at, {"separation": 2.0}),
        "Partition.agreement": (partition.agreement, {"labels": partition.labels}),
        "ClusteringComparison.disagreements": (clusterings.disagreements, {"method": "k-means"}),
        "PredictiveDistribution.cdf": (marginal.cdf, {"values": 60.0, "feature": "waiting"}),
        "PredictiveDistribution.quantile": (marginal.quantile, {"q": 0.5}),
        "PredictiveDistribution.log_density": (marginal.log_density, {"rows": new}),
        "PredictiveDistribution.sample": (marginal.sample, {}),
        "PredictiveDistribution.summary": (marginal.summary, {}),
        "HighestDensityRegion.contains": (region.contains, {"rows": [60.0]}),
        "LooResult.to_elpd_data": (fit.loo(repair=False, force=True).to_elpd_data, {}),
    }  # fmt: skip
    for name in ("predict", "predict_proba", "score_samples", "score"):
        known[f"BayesianGMM.{name}"] = getattr(fit, name), {"X": new}
    for name in (
        "assignment", "classification", "coclustering", "diagnose", "impute", "marginal", "merging", "missing_cells",
        "outlier_score", "partition", "sample", "summary", "waic",
    ):  # fmt: skip
        known[f"BayesianGMM.{name}"] = getattr(fit, name), {}
    for name in ("log_evidence", "loo"):
        known[f"BayesianGMM.{name}"] = getattr(fit, name), {"force": True}
    for name in bg.__all__:
        if name.startswith("plot_") and name not in ("plot_comparison", "plot_bic"):
            known[name] = getattr(bg, name), {"fit": fit}
    known["plot_elbo"] = bg.plot_elbo, {"fit": with_elbo(fit.posterior_)}
    for name in bg.priors.__all__:
        family = getattr(bg.priors, name)()
        known[f"priors.{name}"] = getattr(bg.priors, name), {}
        known[f"priors.{name}.columns"] = family.columns, {"n_features": 2}
        known[f"priors.{name}.describe"] = family.describe, {"values": np.ones(2)}
        known[f"priors.{name}.hyperparameters"] = family.hyperparameters, {}
    known |= {f"datasets.{name}": (getattr(bg.datasets, name), {}) for name in bg.datasets.__all__}
    known["MixturePrior"] = bg.MixturePrior, {}
    return {name: Call(*call) for name, call in known.items()}


def with_elbo(tree: Any) -> Any:
    """A tree as ADVI leaves it, as far as `plot_elbo` reads it."""
    tree = tree.copy()
    tree["approximation"] = xr.DataTree(xr.Dataset({"elbo": ("iteration", np.linspace(-9.0, -1.0, 500))}))
    return tree


def public() -> Iterator[tuple[str, Any]]:
    """Every public function and class, and every public method of these classes and of their results, by name."""
    classes: dict[str, type] = {
        name: c for name in sorted(RECORDS) for c in [globals().get(name)] if inspect.isclass(c)
    }
    modules = {"": bg, "priors.": bg.priors, "datasets.": bg.datasets}
    for prefix, module in modules.items():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                classes[prefix + name] = value
            elif not inspect.ismodule(value):
                yield prefix + name, value
    for name, c in classes.items():
        if name not in RECORDS | EXCEPTIONS:
            yield name, c
        if name not in EXCEPTIONS:
            for method, function in inspect.getmembers(c, inspect.isfunction):
                if not method.startswith("_") and function.__module__.startswith("bayesgmm"):
                    yield f"{name}.{method}", function


def arguments(function: Any) -> list[str]:
    return [p for p in inspect.signature(function).parameters if p not in ("self", "fit_params")]


def kind_of(name: str, argument: str) -> str | None:
    return KINDS.get(f"{name}.{argument}", KINDS.get(argument))


PUBLIC = dict(public())
CASES = [(name, argument) for name, function in PUBLIC.items() for argument in arguments(function)]


def test_everything_public_is_known(calls: dict[str, Call]) -> None:
    assert set(calls) == set(PUBLIC)
    assert not [f"{name}.{argument}" for name, argument in CASES if kind_of(name, argument) not in ACCEPTED]
    assert len(CASES) > 150


def test_results_of_public_functions_are_public(calls: dict[str, Call]) -> None:
    """What a cheap valid call returns belongs to `RECORDS`, so that its methods are tested too."""
    for name, call in calls.items():
        if name.startswith(("BayesianGMM.", "Partition.", "PredictiveDistribution.")) and "fit" not in name:
            value = call.function(**call.arguments)
            kind = type(value)
            assert not kind.__module__.startswith("bayesgmm") or kind.__name__ in RECORDS, f"{name}: {kind}"


@pytest.fixture
def _no_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: dict[str, Call]) -> None:
    """Where work begins, `WorkBeginsError` is raised instead; what is written is in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def work(*_: Any, **__: Any) -> None:
        raise WorkBeginsError

    for where in (
        "bayesgmm.estimator.fit_em_candidates", "bayesgmm.em.candidates.search", "bayesgmm.compare.run_fits",
        "bayesgmm.model.pymc_face.build_model.model_from_numbers",
        "bayesgmm.clustering.partition.estimate._search", "bayesgmm.clustering.partition.of_posterior.draw_labels",
        "bayesgmm.clustering.other_methods.partition", "bayesgmm.reporting.report._sections",
        "bayesgmm.reporting.parts.sections_of",
        "bayesgmm.clustering.assignment.posterior_arrays", "bayesgmm.posterior.outliers.posterior_arrays",
        "bayesgmm.model_selection.evidence.bridge_sampling.evidence_of_draws", "bayesgmm.fitted.summary",
        "bayesgmm.reporting.plots.scene.row_probabilities",
        "matplotlib.pyplot.figure", "matplotlib.pyplot.subplots",
    ):  # fmt: skip
        monkeypatch.setattr(where, work)
    monkeypatch.setattr(np.random, "default_rng", work)


def outcome(call: Call, argument: str, value: Any) -> str:
    """Whether a value is taken, refused, or neither."""
    try:
        call.function(**{**call.arguments, argument: value})
    except bg.InputError as error:
        text = str(error)
        return "refused" if "\n" not in text and text.endswith(".") else f"said {text!r}"
    except WorkBeginsError:
        return "taken"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    return "taken"


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize(("name", "argument"), CASES, ids=[".".join(case) for case in CASES])
def test_within_a_sequence_or_mapping_too(calls: dict[str, Call], name: str, argument: str) -> None:
    """Some pairs are meant, such as two steps: whatever is not taken is one `InputError`."""
    given = {f"[{label}] * 2": [value, value] for label, value in VALUES.items()}
    given |= {f"{{{k}: 1}}": {v: 1.0} for k, v in VALUES.items() if isinstance(v, Hashable) and k != "masked"}
    found = {label: outcome(calls[name], argument, value) for label, value in given.items()}
    wrong = {label: v for label, v in found.items() if v not in ("taken", "refused")}
    assert not wrong, f"{name}({argument}=...): {wrong}"


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize(("name", "argument"), CASES, ids=[".".join(case) for case in CASES])
def test_a_wrong_argument_is_one_input_error(calls: dict[str, Call], name: str, argument: str) -> None:
    accepted = ACCEPTED[kind_of(name, argument) or ""]
    found = {label: outcome(calls[name], argument, value) for label, value in VALUES.items()}
    wrong = {k: v for k, v in found.items() if v != ("taken" if k in accepted else "refused")}
    assert not wrong, f"{name}({argument}=...): {wrong}"


def test_a_value_that_is_given_is_a_finite_number(calls: dict[str, Call]) -> None:
    call, taken = calls["BayesianGMM.conditional"], {"-1", "0", "1", "0.5", "2.5", "10**9"}
    for label, value in VALUES.items():
        found = outcome(call, "given", {"waiting": value})
        assert found == ("taken" if label in taken else "refused"), f"{label}: {found}"


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT, np.datetime64("NaT", "D")])
def test_labels_that_are_missing_are_no_class(calls: dict[str, Call], missing: Any) -> None:
    agreement = calls["Partition.agreement"]
    n = len(agreement.arguments["labels"])
    for labels in ([missing] * n, ["a"] * (n - 1) + [missing]):
        with pytest.raises(bg.InputError, match="label"):
            agreement.function(labels)
    masked = np.ma.array(np.zeros(n, dtype=int), mask=np.arange(n) == 3)
    for function, labels in ((agreement.function, masked), (bg.partition_from_labels, masked[None])):
        with pytest.raises(bg.InputError, match="masked"):
            function(labels)
