"""The command line: each kind of bad input is one line and exit code 2; good input prints, writes and exits 0."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.cli import main

QUICK = ["--draws", "800", "--tune", "300", "--chains", "2"]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["bayesgmm", *args])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    code = stop.value.code
    return (0 if code is None else int(code)), out, err


@pytest.fixture
def two_groups(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(6, 1, (60, 2))])
    path = tmp_path / "groups.csv"
    lines = ["height;width;kind"]
    lines += [f"{a:.4f};{b:.4f};{'left' if i < 60 else 'right'}" for i, (a, b) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


BAD = {
    "missing file": (None, [], "no such file"),
    "empty": ("", [], "empty"),
    "only a header": ("a,b\n", [], "no "),
    "ragged": ("a,b\n1,2\n3\n4,5\n", [], "line 3"),
    "columns of text": ("a,b\nu,x\nv,y\nw,z\n", [], "'a'"),
    "text that is asked for": ("a,b\n1,x\n2,y\n3,z\n4,w\n", ["--columns", "a,b"], "'b'"),
    "text among numbers": ("a,b\n1,2\n2,9\n3,n.d.\n4,4\n", [], "--missing 'n.d.'"),
    "infinite value": ("a,b\n1,2\ninf,3\n4,5\n6,7\n", [], "'a'"),
    "constant column": ("a,b\n1,2\n1,3\n1,5\n1,7\n", [], "'a'"),
    "duplicate columns": ("a,b\n1,1\n2,2\n3,3\n5,5\n", [], "'b'"),
    "fewer rows than components": ("a,b\n1,2\n2,9\n3,5\n", ["--components", "9"], "9"),
    "fewer rows than dimensions": ("a,b,c,d\n1,2,3,5\n2,1,7,1\n", ["--components", "1"], "rows"),
    "no components": ("a,b\n1,2\n2,9\n3,5\n4,4\n", ["--components", "0"], "n_components"),
    "unknown structure": ("a,b\n1,2\n2,9\n3,5\n4,4\n", ["--covariance", "round"], "'round'"),
    "unknown column": ("a,b\n1,2\n2,9\n3,5\n4,4\n", ["--columns", "a,z"], "'z'"),
    "two spaces in a name": ("a  b,c\n1,2\n2,9\n3,5\n4,4\n", ["--columns", "a b"], "the columns are 'a  b', c."),
    "wrong delimiter": ("a#b\n1#2\n2#9\n3#5\n", [], "delimiter"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, options, expected = BAD[case]
    path = tmp_path / "data.csv"
    if text is not None:
        path.write_text(text)
    out_file = tmp_path / "report.html"
    out_file.write_text("earlier result")
    given = options if "--components" in options else ["--components", "2", *options]
    code, out, err = run(monkeypatch, capsys, "fit", str(path), *given, "--out", str(out_file))
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("bayesgmm: ")
    assert expected in err
    assert out_file.read_text() == "earlier result"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        {"report.html"} | ({"data.csv"} if text is not None else set())
    )


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(monkeypatch, capsys, "fit", str(tmp_path), "--components", "2")
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_missing_folder_is_found_before_any_work(
    two_groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "nowhere" / "report.html"
    code, out, err = run(
        monkeypatch, capsys, "fit", str(two_groups), "-k", "2", "--label", "kind", "--out", str(target)
    )
    assert code == 2
    assert out == ""
    assert "nowhere" in err


def test_fit_prints_and_writes(
    two_groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report, saved = tmp_path / "report.html", tmp_path / "fit.nc"
    code, out, _ = run(monkeypatch, capsys, "fit", str(two_groups), "-k", "2", "--label", "kind",
                       "--out", str(report), "--save", str(saved), *QUICK)  # fmt: skip
    assert code == 0, out
    assert "means[0, height]" in out
    assert "adjusted Rand index 1.000" in out
    assert report.stat().st_size > 10_000
    import bayesgmm as bg

    assert bg.load(saved).n_components == 2


def test_json_is_one_object(
    two_groups: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        monkeypatch, capsys, "fit", str(two_groups), "-k", "2", "--columns", "height,width", "--json", *QUICK
    )
    assert code == 0
    result = json.loads(out)
    assert result["converged"] is True
    assert result["features"] == ["height", "width"]
    assert len(result["labels"]) == 120
    assert len(set(result["labels"])) == 2


def test_unconverged_fit_exits_3_and_says_so(
    two_groups: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "fit", str(two_groups), "-k", "2", "--columns", "height,width",
                       "--draws", "20", "--tune", "50", "--chains", "2")  # fmt: skip
    assert code == 3
    assert "few draws" in out.lower() or "not converged" in out.lower()


def test_recording_steps_are_stated_by_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.where(rng.random(200) < 0.5, 0.0, rng.normal(30.0, 2.0, 200)), rng.normal(size=200)])
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",", header="dose,x", comments="")
    given = ["fit", str(tmp_path / "t.csv"), "-k", "2", "--draws", "200", "--tune", "100"]
    code, out, err = run(monkeypatch, capsys, *given)
    assert (code, out) == (2, "") and "--resolution 'dose=0.01'" in err
    code, out, _ = run(monkeypatch, capsys, *given, "--resolution", "dose=0.01")
    assert "Measurement resolution in the model: dose (0.01)" in out
    assert "component 0 has hardly more spread than rounding gives" in out
    code, out, err = run(monkeypatch, capsys, *given, "--resolution", "dose=small")
    assert (code, out) == (2, "") and "give COLUMN=STEP" in err


FAST = ["--inference", "laplace", "--draws", "200"]


def test_all_faults_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    lines = ["name,a b,twice,c,bad,inf"]
    for j, x in enumerate(rng.normal(size=30).tolist()):
        lines.append(f"r{j},{x},{2 * x},3,{'oops' if j == 4 else x * x},{'inf' if j == 7 else x**3}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    code, out, err = run(monkeypatch, capsys, "fit", str(path), "-k", "2")
    assert (code, out) == (2, "") and len(err.strip().splitlines()) == 1
    assert "'bad' holds text ('oops' on line 6)" in err and "'inf' has an infinite value on line 9" in err
    assert "'c' is constant" in err and "columns 'a b' and 'twice' differ only in their units" in err
    advice = "--exclude bad --exclude inf --exclude c --exclude twice"
    assert advice in err
    code, out, err = run(monkeypatch, capsys, "fit", str(path), "-k", "2", *advice.split(), *FAST)
    assert code in (0, 3) and "30 observations of 1 variable (a b)" in out
    assert err.splitlines()[0].endswith(
        "left out: 'name' (names of the rows); to take a number in, name it with --columns"
    )


def test_what_is_said_of_a_table_comes_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    path, written = tmp_path / "t.csv", tmp_path / "rows.csv"
    groups = np.repeat([0.0, 8.0], 40)
    lines = ["site;income;q;kind"]
    for j, x in enumerate(groups + rng.normal(size=80)):
        income = "?" if j == 5 else f"1.{100 + j},{abs(x) * 100:03.0f}"
        lines.append(f"s{j};{income};{-200 if j == 9 else 1 + j % 5};{'low' if j < 40 else 'high'}")
    path.write_text("\n".join(lines))
    given = ["--label", "kind", "--missing", "q=-200", "--drop-missing", "--assignments", str(written)]
    code, out, err = run(monkeypatch, capsys, "fit", str(path), "-k", "2", *given, *FAST, "--json")
    result = json.loads(out)
    assert result["notes"] == [
        "left out: 'site' (names of the rows); to take a number in, name it with --columns",
        f"numbers with signs, units or thousands were read: {lines[1].split(';')[1]!r} in 'income' as "
        f"{float(lines[1].split(';')[1].replace('.', '').replace(',', '.')):.10g}",
        "2 of 80 rows have cells without a value: 'income' 1, 'q' 1 (written '?' 1, '-200' 1); these rows were dropped",
        "column 'q' takes 5 whole values (1 to 5): modelled as measurements rounded to the recording step; a component "
        "on one value is a level, not a cluster",
    ]
    assert all(f"bayesgmm: {note}" in err for note in result["notes"])
    assert result["agreement"]["rows"] == 78 and set(result["agreement"]["table"]) == {"low", "high"}
    table = [line.split(",") for line in written.read_text().splitlines()]
    assert table[0] == ["row", "line", "label", "probability_0", "probability_1", "uncertainty"]
    assert [row[:2] for row in table[5:8]] == [["s4", "6"], ["s6", "8"], ["s7", "9"]]
    numbers = np.array([row[2:] for row in table[1:]], dtype=float)
    np.testing.assert_allclose(numbers[:, 1:3].sum(axis=1), 1.0, atol=1e-5)
    assert numbers[:, 0].astype(int).tolist() == result["labels"]


def test_classes_are_compared_with_the_recommended_clusters(
    two_groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["-k", "2", "--label", "kind", "--exclude", "width", "--assignments", str(tmp_path / "rows.csv")]
    code, out, _ = run(monkeypatch, capsys, "compare", str(two_groups), *given, *FAST)
    assert code == 0 and "120 observations of 1 variable (height)" in out
    assert "Agreement of the clusters with the known classes (kind): adjusted Rand index" in out
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 121
    code, out, err = run(monkeypatch, capsys, "compare", str(two_groups), "--inference", "magic")
    assert (code, out) == (2, "") and "'magic'" in err


def test_a_name_with_a_comma_is_chosen_by_an_option_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    rows = np.random.default_rng(0).normal(size=(40, 3))
    np.savetxt(path, rows, delimiter=",", header='"Income, gross",rate,x', comments="")
    given = ["fit", str(path), "-k", "1", "--columns", "Income, gross", "--columns", "rate", *FAST]
    _, out, _ = run(monkeypatch, capsys, *given)
    assert "40 observations of 2 variables (Income, gross, rate)" in out
    code, out, err = run(monkeypatch, capsys, "fit", str(path), "-k", "1", "--label", "kind")
    assert (code, out) == (2, "") and "there is no column 'kind'; the columns are 'Income, gross', rate, x." in err


def test_clusters_come_before_the_components_that_make_them_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A narrow and a wide component about one point: both cross-tables, that of the recommended clusters first."""
    rng = np.random.default_rng(3)
    scales = np.repeat([1.0, 3.0, 1.0], [150, 150, 100])
    rows = scales[:, None] * rng.normal(size=(400, 2)) + 30.0 * (np.arange(400) >= 300)[:, None]
    lines = [f"{a:.6f},{b:.6f},{'far' if i >= 300 else 'near'}" for i, (a, b) in enumerate(rows)]
    path = tmp_path / "nested.csv"
    path.write_text("\n".join(["a,b,kind", *lines]) + "\n")
    _, out, _ = run(monkeypatch, capsys, "compare", str(path), "-k", "3", "--label", "kind", *FAST)
    first, second = (out.index(f"Agreement of the {what} with the known") for what in ("clusters", "components"))
    assert first < second and "cluster" in out and "adjusted Rand index 1.000 over 400 observations." in out


def test_a_long_run_is_foretold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from bayesgmm.cli.cost import say_cost
    from bayesgmm.estimator import BayesianGMM

    say_cost((100, 2), [3], BayesianGMM())
    say_cost((10**6, 20), [3], BayesianGMM(inference="laplace"))
    assert capsys.readouterr().err == ""
    say_cost((10**6, 20), [3], BayesianGMM())
    said = capsys.readouterr().err
    assert "hours and 3" in said and "--inference laplace" in said
