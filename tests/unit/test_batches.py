"""A table in batches: the same answers however it is divided, from every kind of source, as in memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data import read_batches as module
from bayesgmm.data.pieces import names_in_pieces
from bayesgmm.data.read_batches import read_batches

NAMES = ["a", "b"]


def rows(n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(7)
    centres = np.array([[0.0, 0.0], [6.0, 2.0], [-3.0, 7.0]])
    return centres[rng.integers(3, size=n)] * [1.0, 10.0] + rng.normal(size=(n, 2)) * [1.0, 10.0]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(rows(), columns=NAMES)


@pytest.fixture(scope="module")
def fitted(frame):
    options = {"inference": "laplace", "random_seed": 1, "progressbar": False, "draws": 500}
    return bg.BayesianGMM(3, **options).fit(bg.Batches(frame, batch_size=700))


SOURCES = [
    "array",
    "memmap",
    "pandas",
    "polars",
    "lazy",
    "arrow",
    "dataset",
    "parquet",
    "folder",
    "csv",
    "list",
    "function",
]


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_batches(kind, frame, tmp_path) -> None:
    source = divide(kind, frame, tmp_path)
    columns = None if kind in ("array", "memmap") else NAMES
    found = bg.Batches(source, columns=columns, batch_size=700)
    for _ in range(2):  # they can be gone through again
        values = [v for v, _ in found]
        assert [len(v) for v in values] == [700, 700, 700, 700, 200]
        np.testing.assert_allclose(np.concatenate(values), frame, rtol=1e-14)


def divide(kind: str, frame: pd.DataFrame, folder):
    values = frame.to_numpy()
    if kind == "memmap":
        out = np.memmap(folder / "x.bin", np.float64, "w+", shape=values.shape)
        out[:] = values
        return out
    if kind in ("polars", "lazy"):
        polars = pytest.importorskip("polars")
        made = polars.DataFrame(frame.to_dict("list"))
        return made.lazy() if kind == "lazy" else made
    if kind in ("arrow", "dataset", "parquet", "folder"):
        pa = pytest.importorskip("pyarrow")
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame.assign(text="x"))
        if kind == "arrow":
            return pa.Table.from_pandas(frame)
        pq.write_table(table.slice(0, 1000), folder / "1.parquet", row_group_size=300)
        if kind == "parquet":
            pq.write_table(table, folder / "1.parquet", row_group_size=300)
            return folder / "1.parquet"
        pq.write_table(table.slice(1000), folder / "2.parquet")
        return ds.dataset(folder) if kind == "dataset" else folder
    if kind == "csv":
        frame.to_csv(folder / "x.csv", index=False)
        return str(folder / "x.csv")
    pieces = [frame[:1], frame[1:1999], frame[1999:]]
    return {"array": values, "pandas": frame, "list": pieces, "function": lambda: iter(pieces)}[kind]


def test_any_division_gives_the_same_em_and_that_of_memory(frame) -> None:
    whole = bg.fit_em(frame, 3, n_init=4, random_seed=1)
    found = [
        bg.fit_em(bg.Batches(source), 3, n_init=4, random_seed=1)
        for source in (frame, [frame[:10], frame[10:2222], frame[2222:]])
    ]
    for em in found:
        np.testing.assert_allclose(em.log_likelihood, whole.log_likelihood, rtol=1e-10)
        np.testing.assert_allclose(em.params.means, whole.params.means, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose([em.bic, em.icl], [whole.bic, whole.icl], rtol=1e-6)
        assert np.diff(em.log_likelihood_trace).min() >= 0.0
    np.testing.assert_array_equal(found[0].params.covariances, found[1].params.covariances)


def test_one_pass_finds_the_scale_of_all_rows(frame, monkeypatch) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 500)
    weights = np.random.default_rng(0).integers(0, 4, len(frame)).astype(float)
    read = read_batches(bg.Batches(frame.assign(w=weights), weights="w", batch_size=77), resolution=None)
    used = weights > 0
    np.testing.assert_allclose(read.mean, np.average(frame, axis=0, weights=weights), rtol=1e-12)
    spread = np.average((frame - read.mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(read.sd, np.sqrt(spread), rtol=1e-12)
    np.testing.assert_array_equal(read.low, frame[used].min())
    assert read.weight == weights.sum() and read.n_rows == len(frame)
    sample = read.sample
    assert sample.n_rows == 500
    np.testing.assert_allclose(sample.weights.sum(), weights.sum())
    np.testing.assert_array_equal(sample.values, frame.to_numpy()[sample.row_names])


def test_the_posterior_is_that_of_memory(fitted, frame) -> None:
    memory = bg.BayesianGMM(3, inference="laplace", random_seed=2, progressbar=False).fit(frame)
    assert fitted.diagnose().ok
    np.testing.assert_allclose(fitted.modes_["log_posterior"][0], memory.modes_["log_posterior"][0], atol=0.5)
    for name in ("weights", "means", "covariances"):
        a, b = (f.posterior_["posterior"][name].stack(s=("chain", "draw")) for f in (fitted, memory))
        assert float((abs(a.mean("s") - b.mean("s")) / b.std("s")).max()) < 0.15  # standard error 0.03
        assert float(abs(np.log(a.std("s") / b.std("s"))).max()) < 0.15
    np.testing.assert_allclose(fitted.em_.log_likelihood, memory.em_.log_likelihood, rtol=1e-10)


def test_predictions_in_batches_are_those_of_memory(fitted, frame, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    turned = bg.Batches(frame[["b", "a"]], batch_size=700)  # columns go by name
    for name, columns in (("predict", 1), ("predict_proba", 3), ("score_samples", 1)):
        method = getattr(fitted, name)
        np.testing.assert_allclose(method(turned), method(frame), rtol=1e-10)
        assert method(turned, to=tmp_path / f"{name}.parquet") is None
        written = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert written.shape == (3000, columns)
        np.testing.assert_allclose(written.to_numpy().squeeze(), method(frame), rtol=1e-10)
    scores = fitted.outlier_score(turned)
    np.testing.assert_allclose(scores["score"], -fitted.score_samples(frame), atol=0.05)  # fewer draws
    fitted.outlier_score(frame, to=tmp_path / "out.parquet")
    assert "tail_probability" in pd.read_parquet(tmp_path / "out.parquet")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b, f: bg.BayesianGMM(3).fit(b), "inference='laplace'"),
        (lambda b, f: bg.BayesianGMM(3, inference="laplace", noise=True).fit(b), "noise=False"),
        (lambda b, f: bg.BayesianGMM(3, inference="laplace").fit(b, sample_weight=[1.0]), "weights="),
        (lambda b, f: bg.BayesianGMM(3, inference="advi").fit(b), "thousands of passes"),
        (lambda b, f: f.waic(), "in memory"),
        (lambda b, f: f.predict(bg.Batches(pd.DataFrame({"a": [1.0], "c": [2.0]}))), "lack the column 'b'"),
        (lambda b, f: f.predict(bg.Batches(pd.DataFrame({"a": [1.0], "B": [2.0]}))), "if 'B' is one of them, rename"),
        (
            lambda b, f: bg.fit_em(bg.Batches(pd.DataFrame(rows(9), columns=["age", "b"]), columns=["Age "]), 2),
            r"columns: there is no column 'Age ' \(did you mean age\?\)",
        ),
        (
            lambda b, f: bg.fit_em(bg.Batches(pd.DataFrame(rows(9), columns=["age", "w"]), weights="ww"), 2),
            r"weights: there is no column 'ww' \(did you mean w\?\)",
        ),
        (lambda b, f: bg.Batches(iter([])), "gone through once"),
        (lambda b, f: bg.fit_em(bg.Batches([rows(30), rows(30) * np.nan]), 2), "From row 30 on"),
        (lambda b, f: bg.fit_em(bg.Batches(rows(30)[:, :1] * [[1.0, 0.0]]), 2), "constant"),
        (lambda b, f: bg.fit_em(bg.Batches("nowhere.parquet"), 2), "no such file"),
        (lambda b, f: bg.Batches(3.0), "no table in pieces"),
    ],
)
def test_what_batches_cannot_do_is_said_in_one_line(call, says, fitted, frame) -> None:
    with pytest.raises(bg.InputError, match=says) as refused:
        call(bg.Batches(frame), fitted)
    assert "\n" not in str(refused.value)


def test_an_arrow_dataset_needs_no_wrapping_and_a_folder_no_python(frame, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.dataset as ds

    folder = tmp_path / "table"
    folder.mkdir()
    frame[:1500].to_parquet(folder / "1.parquet")
    frame[1500:].to_parquet(folder / "2.parquet")
    em = bg.fit_em(ds.dataset(folder), 3, n_init=4, random_seed=1)
    np.testing.assert_allclose(em.log_likelihood, bg.fit_em(frame, 3, n_init=4, random_seed=1).log_likelihood)
    out = tmp_path / "p.parquet"
    command = [
        sys.executable,
        "-m",
        "bayesgmm",
        "fit",
        str(folder),
        "-k",
        "3",
        "--draws",
        "300",
        "--assignments",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3,000 observations" in done.stdout and "batches" in done.stderr
    assert pd.read_parquet(out).shape == (3000, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--label", "a"], "--label: a table that is read in batches does not take it"),
     (["--drop-missing"], "--drop-missing: a table"), (["--columns", "nowhere"], "nowhere"),
     (["--checklist", "grolts"], "--out"), (["--assignments", "p.csv"], ".parquet")],
)  # fmt: skip
def test_what_batches_cannot_do_is_refused_in_one_line(options, said, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"length, in cm": np.arange(9.0), "a": np.ones(9), "who": list("abcdefghi")})
    frame.to_parquet(tmp_path / "1.parquet")
    assert names_in_pieces(tmp_path) == ["length, in cm", "a", "who"]
    command = [sys.executable, "-m", "bayesgmm", "fit", str(tmp_path), "-k", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr


def test_a_fit_in_batches_comes_back_from_its_file(fitted, tmp_path) -> None:
    fitted.save(tmp_path / "fit.nc")
    again = bg.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.means_, fitted.means_)
    np.testing.assert_array_equal(again.prior_.mean_scale, fitted.prior_.mean_scale)
    assert (again.loo().elpd, again.log_evidence().value) == (fitted.loo().elpd, fitted.log_evidence().value)


def test_a_sample_is_random_whatever_seed_made_the_rows() -> None:
    """The uniform numbers that chose the component of a row must not choose the row."""
    rng = np.random.default_rng(1)
    X = 10.0 * rng.choice(2, 200_000, p=[0.5, 0.5])[:, None] + rng.normal(size=(200_000, 1))
    sample = read_batches(bg.Batches(X), resolution=None, random_seed=1).sample
    assert abs(sample.values.mean() - X.mean()) < 4.0 * X.std() / np.sqrt(sample.n_rows)
