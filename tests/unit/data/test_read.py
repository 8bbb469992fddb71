"""CSV files as people have them: read without options, or refused in one line that names line and column."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.delimited import read_delimited
from bayesgmm.data.read_csv import read_csv, read_file
from bayesgmm.errors import InputError

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def refused(path: Path, *words: str, columns: list[str] | None = None, label: str | None = None) -> None:
    """The file is refused in one line that names it and holds all the words."""
    with pytest.raises(InputError) as caught:
        read_csv(path, columns=columns, label=label)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message, message


EXPECTED = pd.DataFrame({"a": [1.5, -3.0, 0.25], "b": [2.0, 4e3, 6.0]})


# --- what is recognised ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b\n1.5,2\n-3,4e3\n.25,6\n", ","),
        ("a, b\n1.5, 2\n-3, 4e3\n0.25, 6\n", ","),
        ("a,b\r\n1.5,2\r\n-3,4e3\r\n0.25,6", ","),
        ("a,b\r1.5,2\r-3,4e3\r0.25,6\r", ","),
        ("\n\na,b\n1.5,2\n\n-3,4e3\n\n0.25,6\n,\n", ","),
        ("a,b,\n1.5,2,\n-3,4e3,\n0.25,6,\n", ","),
        ('"a","b"\n"1.5","2"\n-3,"4e3"\n0.25,6\n', ","),
        ("a;b\n1.5;2\n-3;4e3\n0.25;6\n", ";"),
        ("a;b\n1,5;2\n-3;4e3\n,25;6\n", ";"),
        ("a\tb\n1.5\t2\n-3\t4e3\n0.25\t6\n", "\t"),
        ("a|b\n1.5|2\n-3|4e3\n0.25|6\n", "|"),
        ("a b\n1.5 2\n-3 4e3\n0.25 6\n", " "),
        ("  a     b\n 1.5    2\n  -3  4e3 \n0.25    6\n", " "),
    ],
)
def test_delimiters_and_decimal_commas(write: Write, content: str, delimiter: str) -> None:
    path = write(content)
    assert read_delimited(path).delimiter == delimiter
    data, labels = read_csv(path)
    pd.testing.assert_frame_equal(data, EXPECTED)
    assert labels is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(write: Write, encoding: str) -> None:
    data, _ = read_csv(write("größe,b\n1,2\n3,4\n".encode(encoding)))
    assert list(data) == ["größe", "b"]


def test_quoted_names_hold_delimiters(write: Write) -> None:
    data, _ = read_csv(write('"sepal, length (cm)",b\n1,2\n3,4\n'))
    assert list(data) == ["sepal, length (cm)", "b"]


def test_numbers_come_back_exactly(write: Write) -> None:
    numbers = np.random.default_rng(1).normal(size=(100, 3))
    data, _ = read_csv(write("\n".join(",".join(map(repr, row)) for row in numbers.tolist())))
    np.testing.assert_array_equal(data.to_numpy(), numbers)


@pytest.mark.parametrize("content", ["1,2\n3,4\n", "2019,2020\n3,4\n", "1,2"])
def test_numbers_on_the_first_line_are_data(write: Write, content: str) -> None:
    data, _ = read_csv(write(content))
    assert list(data) == ["x1", "x2"]
    assert len(data) == len(content.split())


def test_a_class_label_does_not_make_a_header(write: Write) -> None:
    path = write("5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n")
    data, labels = read_csv(path, label="x3")
    np.testing.assert_array_equal(data.to_numpy(), [[5.1, 3.5], [4.9, 3.0], [6.3, 3.3]])
    assert labels is not None
    assert list(labels) == ["setosa", "setosa", "virginica"]


def test_years_in_a_header_beside_words(write: Write) -> None:
    data, _ = read_csv(write("country,2019,2020\nDE,1,2\nFR,3,4\n"), columns=["2019", "2020"])
    np.testing.assert_array_equal(data.to_numpy(), [[1, 2], [3, 4]])


def test_one_column(write: Write) -> None:
    for content in ("x\n1\n2\n", "x\n1.5\n2\n"):
        assert list(read_csv(write(content))[0]) == ["x"]
    assert list(read_csv(write("1\n2\n"))[0]) == ["x1"]


@pytest.mark.parametrize(
    "content",
    [
        '"","a","b"\n"u",1,2\n"v",3,4\n',  # write.csv
        '"a" "b"\n"u" 1 2\n"v" 3 4\n',  # write.table
        "a\tb\nu\t1\t2\nv\t3\t4\n",
        ",a,b\nu,1,2\nv,3,4\n",  # DataFrame.to_csv
        "Unnamed: 0,a,b\nu,1,2\nv,3,4\n",
    ],
)
def test_a_first_column_without_a_name_gives_row_names(write: Write, content: str) -> None:
    data, _ = read_csv(write(content))
    pd.testing.assert_frame_equal(data, pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}, index=["u", "v"]))


def test_row_names_that_are_numbers(write: Write) -> None:
    numbered, _ = read_csv(write('"","a"\n"7",1\n"8",3\n'))
    assert list(numbered.index) == [7, 8]
    codes, _ = read_csv(write('"","a"\n"007",1\n"008",3\n'))
    assert list(codes.index) == ["007", "008"]


def test_pandas_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(2).normal(size=(10, 2)), columns=["a", "b"], index=range(5, 15))
    frame.to_csv(tmp_path / "frame.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "frame.csv")[0], frame, check_index_type=False)


# --- columns and label ----------------------------------------------------------------------------------------

FLOWERS = "length,width,species\n5.1,3.5,setosa\n6.2,2.9,\n6.3,3.3,virginica\n"


def test_label_is_taken_out(write: Write) -> None:
    data, labels = read_csv(write(FLOWERS), label="species")
    assert list(data) == ["length", "width"]
    assert labels is not None
    assert labels.name == "species"
    assert labels.index.equals(data.index)
    assert labels.isna().tolist() == [False, True, False]
    assert labels.dropna().tolist() == ["setosa", "virginica"]


def test_columns_are_selected_in_the_order_given(write: Write) -> None:
    path = write(FLOWERS)
    assert list(read_csv(path, columns=["width", "length"])[0]) == ["width", "length"]
    assert list(read_csv(path, columns="width")[0]) == ["width"]
    assert list(read_csv(path, columns=["length", "species"], label="species")[0]) == ["length"]


def test_columns_that_are_not_there(write: Write) -> None:
    path = write(FLOWERS)
    refused(path, "'height'", "length, width, species", columns=["length", "height"])
    refused(path, "'class'", "length, width, species", label="class")
    refused(path, "no column is left", "'species'", columns=["species"], label="species")
    refused(path, "no column is left", columns=[])


def test_faults_in_columns_left_out_do_not_matter(write: Write) -> None:
    path = write("a,b\n1,NA\n2,x\n")
    assert list(read_csv(path, columns=["a"])[0]["a"]) == [1, 2]


# --- what is refused ------------------------------------------------------------------------------------------


def test_files_that_cannot_be_opened(tmp_path: Path, write: Write) -> None:
    refused(tmp_path / "absent.csv", "no such file")
    refused(tmp_path, "directory")
    path = write("a\n1\n")
    path.chmod(0)
    if not os.access(path, os.R_OK):  # the superuser may read it all the same
        refused(path, "cannot be read")


@pytest.mark.parametrize("content", [b"PK\x03\x04\x00\x00", b"a,b\x81\n1,2\n", b"\xff\xfea"])
def test_files_that_are_no_text(write: Write, content: bytes) -> None:
    refused(write(content), "not a text file", "UTF-8")


@pytest.mark.parametrize("content", ["", "\n\n", " \n", "\ufeff", "# a\n\n", "# a\n,,\n"])
def test_empty_files(write: Write, content: str) -> None:
    refused(write(content), "empty")


def test_only_a_header(write: Write) -> None:
    refused(write("a,b\n"), "header but no rows")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n3\n4,5\n", ("line 3 has 1 field(s)", "2 are expected")),
        ("a,b\n1,2\n3,4,5\n6,7\n8\n", ("line 3 has 3 field(s)", "1 more")),
        ("a,b\n\n1,2,3\n4,5,6\n", ("line 3 has 3 field(s)", "2 are expected")),
        ("1,2\n3,4\n5,6,7\n", ("line 3 has 3 field(s)",)),
        ("a b\n1 2 3\n4 5\n", ("line 3 has 2 field(s)", "3 are expected")),
    ],
)
def test_ragged_rows(write: Write, content: str, words: tuple[str, ...]) -> None:
    refused(write(content), *words)


def test_quotes_that_do_not_close(write: Write) -> None:
    refused(write('a,b\n1,2\n"3,4\n5,6\n'), "quotes")


def test_a_delimiter_that_is_not_recognised(write: Write) -> None:
    refused(write("a:b\n1:2\n3:4\n"), "one column of text", "'1:2' on line 2", "delimiter")


def test_one_bad_cell_in_one_column_is_no_delimiter(write: Write) -> None:
    refused(write("a\n0\nabc\n"), "'a' holds text ('abc' on line 3)")


def test_columns_of_text(write: Write) -> None:
    path = write("id,a,b,kind\nu1,1,2,x\nu2,3,4,x\n")
    with pytest.warns(UserWarning, match=r"left out: 'id' \(names of the rows\), 'kind' \(text\)"):
        data, _ = read_csv(path)
    pd.testing.assert_frame_equal(data, pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}, index=["u1", "u2"]))
    refused(path, "'id' holds text ('u1' on line 2)", columns=["a", "id"])
    refused(write("a,b\nu,v\nw,z\n"), "'a'", "give numbers")
    refused(write("a,b\n1_0,2\n3,4\n"), "'a'", "'1_0'")


def test_two_decimal_marks_are_not_guessed(write: Write) -> None:
    refused(write("a;b\n1.5;2,5\n3.5;4,5\n"), "'2,5' (line 2) and '1.5' (line 2)", "--decimal ,")


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "N/A", "null", "?", ".", "-"])
def test_missing_cells(write: Write, missing: str) -> None:
    path = write(f"a,b\n1,2\n\n3,{missing}\n{missing},4\n5,6\n")
    expected = pd.DataFrame({"a": [1.0, 3.0, np.nan, 5.0], "b": [2.0, np.nan, 4.0, 6.0]})
    pd.testing.assert_frame_equal(read_csv(path)[0], expected)
    pd.testing.assert_frame_equal(read_csv(path, drop_missing=True)[0], expected.dropna())


def test_infinite_cells(write: Write) -> None:
    refused(write("a,b\n1,2\n3,-inf\n"), "'b' has an infinite value on line 3", "1 of 2 rows", "--exclude b")


def test_names_used_twice(write: Write) -> None:
    refused(write("a,b,a\n1,2,3\n"), "'a'", "more than once")


def test_a_row_of_delimiters_alone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "gap.csv"
    path.write_text("a,b\n1,2\n,\n4,5\n2,\n7,1\n,\n")
    table = read_file(path)
    assert len(table.data) == 4
    assert "1 row without any value, the first in line 3: left out" in table.notes  # that at the end is no gap
