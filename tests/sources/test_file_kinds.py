"""Parquet, JSON and Excel files, and what is said about files that are not there or not readable."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from cdp_core.errors import SourceError, SpecError
from tests.sources.source_kit import Load, people

FILE = {"type": "file", "map": people()}


def test_parquet_keeps_types(load: Load, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "Id": ["x", "y"],
            "big": [2**60, None],
            "ratio": [0.5, float("nan")],
            "price": [Decimal("1.50"), None],
            "day": [date(1998, 1, 2), None],
            "at": [datetime(1998, 1, 2, 3, 4, 5, 678000), None],
            "tags": [["a", 'b"'], None],
            "shape": [{"x": 1}, None],
            "zip": ["01234", "5"],
            "yes": [True, None],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    loaded = load(FILE | {"path": "a.parquet"})
    assert loaded.objects("traits")["1"] == {
        "Id_2": "x",
        "big": 2**60,
        "ratio": 0.5,
        "price": 1.5,
        "day": "1998-01-02",
        "at": "1998-01-02T03:04:05.678000Z",
        "tags": ["a", 'b"'],
        "shape": {"x": 1},
        "zip": "01234",
        "yes": True,
    }
    assert loaded.objects("traits")["2"] == {"Id_2": "y", "zip": "5"}
    assert loaded.rows().schema["at"] == pl.Datetime("us")
    assert dict(loaded.columns.select("column", "type").rows())["day"] == "date"


@pytest.mark.parametrize("shape", ["lines", "array", "pretty", "gzip"])
def test_json_rows(load: Load, tmp_path: Path, shape: str) -> None:
    rows = [
        {"id": "007", "n": 1, "ok": True, "nested": {"a": [1, "x, ]}"]}, "say": 'quote " and \\ slash'},
        {"id": "8", "n": 2.5, "ok": None, "new": "5", 'odd "key".x': 1},
    ]
    text = {"array": json.dumps(rows), "pretty": json.dumps(rows, indent=2)}
    content = text.get(shape, "\n".join(json.dumps(row) for row in rows)).encode()
    path = tmp_path / ("a.json" if shape != "gzip" else "a.ndjson.gz")
    path.write_bytes(gzip.compress(content) if shape == "gzip" else content)
    assert load(FILE | {"path": path.name}).objects("traits") == {
        "007": {"n": 1, "ok": True, "nested": {"a": [1, "x, ]}"]}, "say": 'quote " and \\ slash'},
        "8": {"n": 2.5, "new": "5", 'odd "key".x': 1},
    }


def test_an_element_that_is_broken_leaves_its_neighbours(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1},\n {"id": oops},\n {"id": 3}, [4], {"id": 5}]')
    loaded = load(FILE | {"path": "a.json"})
    assert sorted(loaded.events["record_id"]) == ["1", "3", "5"]
    assert loaded.rejects.sort("rule").select("rule", "payload").rows() == [
        ("parse.json", '{"id": oops}'),
        ("parse.object", "[4]"),
    ]


def workbook(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "People"
    sheet["A1"] = "Customers of the shop"
    sheet.merge_cells("A1:F1")
    sheet.append(["id", "zip", "amount", "born", "household", "note"])
    sheet.append([1, "00123", 12.5, date(1950, 2, 3), "H1", "x"])
    sheet.append([2, "00999", 7, datetime(1961, 2, 3, 12, 30), None, 5])
    sheet.append([12345678901, "1", "=C3+C4", None, "H2", "007"])
    sheet.merge_cells("E3:E4")
    book.create_sheet("Other").append(["a"])
    book.save(path)
    with_value = path.with_suffix(".tmp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(with_value, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                content = re.sub(rb"<f>C3\+C4</f><v ?/?>(</v>)?", b"<f>C3+C4</f><v>19.5</v>", content)
                assert b"<v>19.5</v>" in content
            new.writestr(name, content)
    with_value.rename(path)


def test_excel(load: Load, tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx")
    loaded = load(FILE | {"path": "a.xlsx"})
    assert loaded.objects("traits") == {
        "1": {"zip": "00123", "amount": 12.5, "born": "1950-02-03T00:00:00Z", "household": "H1", "note": "x"},
        "2": {"zip": "00999", "amount": 7, "born": "1961-02-03T12:30:00Z", "household": "H1", "note": "5"},
        "12345678901": {"zip": "1", "amount": 19.5, "household": "H2", "note": "007"},
    }


def test_excel_with_a_header_of_two_rows(load: Load, tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Customers"])
    sheet.merge_cells("A1:F1")
    sheet.append(["id", "zip", "amount", "things", None, "note"])
    sheet.append([None, None, None, "born", "household", None])
    for area in ("A2:A3", "B2:B3", "C2:C3", "D2:E2", "F2:F3"):
        sheet.merge_cells(area)
    sheet.append([1, "00123", 12.5, date(1950, 2, 3), "H1", "x"])
    book.save(tmp_path / "a.xlsx")
    wanted = {"1": {"zip": "00123", "amount": 12.5, "born": "1950-02-03T00:00:00Z", "household": "H1", "note": "x"}}
    for options in ({}, {"header_row": 3}):
        assert load(FILE | {"path": "a.xlsx", **options}).objects("traits") == wanted


def test_excel_sheet_by_name_and_number(load: Load, tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx")
    assert load(FILE | {"path": "a.xlsx", "sheet": "People"}).read == 3
    assert load(FILE | {"path": "a.xlsx", "sheet": 2}).read == 0
    with pytest.raises(SpecError, match=r"sources\.s\.sheet: unknown sheet 'Peple' .*did you mean 'People'\?"):
        load(FILE | {"path": "a.xlsx", "sheet": "Peple"})


def test_globs_read_every_file_as_a_part(load: Load, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"a{number}.csv").write_text(f"id,name\n{number},x\n")
    loaded = load(FILE | {"path": "a*.csv"})
    assert sorted(loaded.events["record_id"]) == ["0", "1", "2"]
    assert loaded.state["part"].sort().to_list() == ["a0.csv", "a1.csv", "a2.csv"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/contcts.csv", r"source 's': no file data/contcts\.csv; did you mean data/contacts\.csv\?"),
        ("data/*.parquet", r"no file data/\*\.parquet"),
        ("dta/contacts.csv", r"no file dta/contacts\.csv"),
        ("data", r"data is a folder; name its files, such as data/\*\.csv"),
        ("data/contacts.dat", r"the format of contacts\.dat is not known \(valid: csv"),
    ],
)
def test_a_file_that_is_not_there(load: Load, tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "contacts.csv").write_text("id\n1\n")
    (tmp_path / "data" / "contacts.dat").write_text("id\n1\n")
    with pytest.raises(SourceError, match=said) as caught:
        load(FILE | {"path": path})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.csv.gz", "a.ndjson.gz"])
def test_a_damaged_file_is_named_and_nothing_of_it_is_kept(load: Load, tmp_path: Path, name: str) -> None:
    good = "".join(f"{n},name {n * 7919 % 1000}\n" for n in range(20_000)).encode()
    content = gzip.compress(b"id,name\n" + good)[:-2000] if name.endswith(".gz") else b"PK\x03\x04 no such thing"
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=rf"source 's': {name} (is damaged|cannot be read)") as caught:
        load(FILE | {"path": name})
    assert "\n" not in str(caught.value)


def test_options_are_checked(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,email\n1,a@x.org\n")
    with pytest.raises(SpecError, match=r"sources\.s: unknown option 'delimitr' .*did you mean 'delimiter'\?"):
        load(FILE | {"path": "a.csv", "delimitr": ";"})
    with pytest.raises(SpecError, match=r"sources\.s: option 'path' is missing"):
        load(FILE)
    with pytest.raises(
        SpecError,
        match=r"sources\.s: unknown source type 'fil' \(valid: collector, file, segment, sql\); did you mean 'file'",
    ):
        load(FILE | {"type": "fil", "path": "a.csv"})
    with pytest.raises(SpecError, match=r"sources\.s: a mapping is missing"):
        load({"type": "file", "path": "a.csv"})


def test_a_column_that_is_not_there(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,email\n1,a@x.org\n")
    spec = FILE | {"path": "a.csv", "map": people(identifiers={"email": "emial"})}
    said = r"sources\.s\.map\.identifiers\.email: unknown column 'emial' \(valid: email, id\); did you mean 'email'\?"
    with pytest.raises(SpecError, match=said):
        load(spec)
