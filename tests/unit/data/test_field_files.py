"""Files as people export them: read right, or refused in one line that names what is open and the option that decides.

The tables are copies of one another in different layouts, so that each is checked against the numbers themselves.
"""

from __future__ import annotations

import bz2
import gzip
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.file_table import FileTable, raise_faults
from bayesgmm.data.read_csv import read_csv, read_file
from bayesgmm.errors import InputError

FILES = Path(__file__).parents[2] / "reference" / "files"
INCOME = [1704.09, 1244.43, 1541.81]
RATE = [1.734, 1.912, 2.265]
SIXTY = [2857.64, 986.97, 2613.27]
# File: shape of its table, the first values of its columns, names of the first rows.
RIGHT = {
    "comma_name.csv": ((60, 2), {"Income, gross": SIXTY, "rate": [4.176, 2.335, 3.869]}, ["c0", "c1"]),
    "comment_hash.txt": ((30, 2), {"income": INCOME, "rate": RATE}, [0, 1]),
    "dash.csv": ((60, 3), {"a": [2857.6, 987.0, 2613.3], "c": [11933.6, 2304.6, 10111.5]}, [0, 1]),
    "dot_thousands_deccomma.csv": ((60, 2), {"income": [2858, 987, 2613], "rate": [4.18, 2.34, 3.87]}, [0, 1]),
    "excel_sep.csv": ((30, 2), {"income": INCOME, "rate": RATE}, [0, 1]),
    "names_first.csv": ((100, 2), {"x2": [8.94, -0.68, 6.98], "x3": [-1.40, 0.37, -0.07]}, ["c000", "c001"]),
    "names_last.csv": ((100, 2), {"x1": [8.94, -0.68, 6.98], "x2": [-1.40, 0.37, -0.07]}, ["c000", "c001"]),
    "onecol_deccomma_noheader.csv": ((60, 1), {"x1": SIXTY}, [0, 1]),
    "percent.csv": ((30, 2), {"income": INCOME, "rate": [1.7, 1.9, 2.3]}, [0, 1]),
    "preamble.csv": ((30, 2), {"income": INCOME, "rate": RATE}, [0, 1]),
    "quoted_us_thousands.csv": ((30, 2), {"income": INCOME, "rate": RATE}, [0, 1]),
    "r_rownames.csv": ((30, 2), {"income": INCOME, "rate": RATE}, [1, 2]),
    "semi_deccomma_thousands.csv": ((30, 2), {"income": INCOME, "rate": RATE}, [0, 1]),
    "tab_deccomma.tsv": ((60, 2), {"income": SIXTY, "rate": [4.176, 2.335, 3.869]}, [0, 1]),
    "total_row.csv": ((60, 2), {"sales": SIXTY, "rate": [4.176, 2.335, 3.869]}, ["m0", "m1"]),
    "years_nolabel.csv": ((60, 3), {"2018": [2857.6, 987.0, 2613.3], "2020": [2877.6, 1007.0, 2633.3]}, [0, 1]),
}  # fmt: skip


def test_every_file_is_checked() -> None:
    assert {path.name for path in FILES.iterdir()} == RIGHT.keys() | {"dot_thousands.csv"}


@pytest.mark.parametrize("name", RIGHT)
def test_right_values(name: str) -> None:
    shape, columns, rows = RIGHT[name]
    data = read_file(FILES / name).data
    assert data.shape == shape
    assert list(data.index[:2]) == rows
    for column, values in columns.items():
        np.testing.assert_array_equal(data[column].iloc[:3], values)


def test_a_point_that_may_stand_between_thousands_is_asked_about() -> None:
    path = FILES / "dot_thousands.csv"
    with pytest.raises(InputError, match=r"'2.858' \(line 2\) and '987' \(line 3\).*--thousands .*--decimal"):
        read_file(path)
    assert list(read_file(path, thousands=".").data["income"][:3]) == [2858, 987, 2613]
    assert list(read_file(path, decimal=".").data["income"][:3]) == [2.858, 987, 2.613]


def read(tmp_path: Path, text: str, **options: object) -> FileTable:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_file(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('x\n"$1,234.50"\n$7.5\n', [1234.5, 7.5]),
        ("x;y\n1 234,5 €;1\n-7,25 €;2\n", [1234.5, -7.25]),
        ("x;y\n1\u202f234,5;1\n7,25;2\n", [1234.5, 7.25]),
        ("x\ty\n1'234.5\t1\n7.25\t2\n", [1234.5, 7.25]),
        ('x,y\n"(1,234.5)",1\n−7.25,2\n', [-1234.5, -7.25]),
        ("x,y\n12 %,1\n7.5 %,2\n", [12, 7.5]),
        ("x;y\n1.234.567;1,5\n1.000;2\n", [1234567, 1000]),
        ('x,y\n"₹12,34,567.5",1\n₹7,2\n', [1234567.5, 7]),
        ("x\n2,5\n3,25\n", [2.5, 3.25]),
        ("2,50\n3,25\n4,05\n", [2.5, 3.25, 4.05]),
        ("# x,y\n1.5,1\n2.5,2\n", [1.5, 2.5]),
        ("% a comment\nx y\n1.5 1\n# another\n2.5 2\n", [1.5, 2.5]),
        ("x,y\n1.5,1\n2.5,2\nSource: the office\n", [1.5, 2.5]),
        (",0,1\na,1.5,2.5\nb,2.5,3.5\n", [1.5, 2.5]),
        ("0,1,2\n1.5,2.5,0.5\n2.5,3.5,0.25\n", [1.5, 2.5]),
        ("sep=,\nx,y\n1.5,1\n2.5,2\n", [1.5, 2.5]),
    ],
)  # fmt: skip
def test_numbers_and_layouts(tmp_path: Path, text: str, expected: list[float]) -> None:
    data = read(tmp_path, text).data
    np.testing.assert_array_equal(data.iloc[:, 0], expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("170,65\n182,78\n165,59\n", "--delimiter ,"),
        ('x,y\n"1,234",1\n"2,345",2\n', "--thousands ,"),
        ("x,y\n1,704.09,1.734\n1,244.43,1.912\n", "decimal mark or between thousands"),
        ("x,y\n12 %,1\n0.5,2\n3 %,4\n", "different units"),
    ],
)
def test_what_is_open_is_asked(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        raise_faults(read(tmp_path, text).faults, "table.csv")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_header_can_be_stated(tmp_path: Path) -> None:
    assert len(read(tmp_path, "2018,2019\n1.5,2.5\n3.5,4.5\n", header=True).data) == 2
    assert len(read(tmp_path, "2018,2019,2020\n1.5,2.5,1.5\n3.5,4.5,7.5\n", header=False).data) == 3
    assert "say --no-header" in read(tmp_path, "2018,2019,2020\n1.5,2.5,1.5\n3.5,4.5,7.5\n").notes[0]


def test_codes_for_missing_values(tmp_path: Path) -> None:
    text = "T,RH\n-200,1\n2.5,-200.0\n3.5,4\nx,7\n"
    table = read(tmp_path, text, missing=["-200", "x"])
    np.testing.assert_array_equal(table.data, [[np.nan, 1], [2.5, np.nan], [3.5, 4], [np.nan, 7]])
    assert table.lacking == (
        "3 of 4 rows have cells without a value: 'T' 2, 'RH' 1 (written '-200' 1, 'x' 1, '-200.0' 1)"
    )
    one = read(tmp_path, text, missing=["T=-200", "x"]).data
    assert one["RH"][1] == -200 and np.isnan(one["T"][0])


def test_what_is_no_measurement_is_left_out_and_said(tmp_path: Path) -> None:
    lines = ["id,day,kind,year,x,empty"]
    lines += [f"{j + 7},2024-01-{j + 1:02},{'ab'[j % 2]},{2007 + j % 3},{j * j + 0.5},NA" for j in range(20)]
    table = read(tmp_path, "\n".join(lines))
    assert list(table.data) == ["x"]
    assert table.notes == [
        "left out: 'id' (an identifier), 'day' (dates), 'kind' (text), 'year' (years), 'empty' (no value at all); to "
        "take a number in, name it with --columns"
    ]
    assert list(read(tmp_path, "\n".join(lines), columns=["id", "x"]).data) == ["id", "x"]


def test_sums_are_left_out(tmp_path: Path) -> None:
    table = read_file(FILES / "total_row.csv")
    assert table.notes[-1] == "line 62 holds the sums of the rows above: left out"
    assert table.lines[-1] == 61
    unnamed = "\n".join(["x,y", *(f"{j + 0.25},{j * j}" for j in range(15)), f"{105 + 15 / 4},{1015}"])
    assert len(read(tmp_path, unnamed).data) == 15
    assert len(read(tmp_path, unnamed.replace(",1015", ",1014")).data) == 16


def test_compressed_files(tmp_path: Path) -> None:
    content = (FILES / "semi_deccomma_thousands.csv").read_bytes()
    expected = read_file(FILES / "semi_deccomma_thousands.csv").data
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "t.csv.bz2").write_bytes(bz2.compress(content))
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", content)
    for name in ("t.csv.gz", "t.csv.bz2", "t.zip"):
        pd.testing.assert_frame_equal(read_file(tmp_path / name).data, expected)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(content)[:50])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_file(tmp_path / "cut.gz")


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"name": ["a", "b", "c"], "x": [1.5, None, 2.5], "n": [1, 2, 4], "kind": ["u", "u", "v"]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_file(tmp_path / "t.parquet", label="kind")
    expected = frame[["x", "n"]].astype(float).set_axis(["a", "b", "c"])
    pd.testing.assert_frame_equal(table.data, expected)
    assert table.labels is not None and list(table.labels) == ["u", "u", "v"]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "bad.parquet")


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = [["Export"], [], ["name", "x", "day"], ["a", 1.5, "2024-01-01"], ["b", None, "2024-01-01"], ["c", 2, ""]]
    for row in rows:
        book.active.append(row)
    book.create_sheet("other").append(["y"])
    book["other"].append([3])
    book.save(tmp_path / "t.xlsx")
    table = read_file(tmp_path / "t.xlsx")
    pd.testing.assert_frame_equal(table.data, pd.DataFrame({"x": [1.5, np.nan, 2.0]}, index=["a", "b", "c"]))
    assert table.lines == [4, 5, 6] and "sheet 'Sheet' was read" in table.notes[0]
    assert read_file(tmp_path / "t.xlsx", sheet="other").data["y"].tolist() == [3.0]
    with pytest.raises(InputError, match="the sheets are Sheet, other"):
        read_file(tmp_path / "t.xlsx", sheet="third")


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(InputError, match="pip install openpyxl"):
        read_file(tmp_path / "t.xlsx")


def test_python_is_told_too() -> None:
    with pytest.warns(UserWarning, match="total_row.csv: ") as said:
        read_csv(FILES / "total_row.csv")
    assert "left out: 'month' (names of the rows)" in str(said[0].message)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_csv(FILES / "tab_deccomma.tsv")


@pytest.mark.parametrize("text", ['"x"\n"1",1.5\n"2",2.5\n', '"x"\n"1" 1.5\n"2" 2.5\n', "x\ty\nu\t1.5\t7\nv\t2.5\t9\n"])
def test_names_of_rows_without_a_header(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert table.data["x"].tolist() == [1.5, 2.5] and list(table.data.index) in ([1, 2], ["u", "v"])
    assert table.notes == []


def test_comments_within_a_table_are_said_and_codes_are_none(tmp_path: Path) -> None:
    table = read(tmp_path, "x,y\n1.5,2\n# paused\n2.5,3\n")
    assert table.data["x"].tolist() == [1.5, 2.5]
    assert table.notes == ["line 3 ('# paused') is no part of the table: left out"]
    table = read(tmp_path, "part,x\n#12,1.5\nB7,2.5\n#13,3.5\n")
    assert list(table.data.index) == ["#12", "B7", "#13"]


def test_units_and_codes(tmp_path: Path) -> None:
    table = read(tmp_path, "time,temp\n[s],[C]\n1.5,20\n2.5,21\n3.5,19\n")
    assert table.data["time"].tolist() == [1.5, 2.5, 3.5] and table.lines == [3, 4, 5]
    assert table.notes == ["line 2 ('[s] [C]') is taken for units: left out"]
    table = read(tmp_path, "place,w,h\n01067,60.5 kg,180cm\n80331,NA,175cm\n10115,71 kg,169cm\n")
    np.testing.assert_array_equal(table.data, [[60.5, 180], [np.nan, 175], [71, 169]])
    assert table.notes == [
        "left out: 'place' (codes that begin with 0); to take a number in, name it with --columns",
        "numbers with signs, units or thousands were read: '60.5 kg' in 'w' as 60.5, '180cm' in 'h' as 180",
    ]
    assert list(read(tmp_path, "x,y\n1,5 kg\n2,5 m\n3,6 kg\n").data) == ["x"]
    table = read(tmp_path, '"x;y"\n"1,5;2"\n"2,5;3"\n')
    np.testing.assert_array_equal(table.data, [[1.5, 2], [2.5, 3]])
