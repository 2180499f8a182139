"""Delimited text: encodings, delimiters, quotes, and rows that are broken."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_core.sources import text
from cdp_core.sources.delimited import read_delimited
from tests.sources.source_kit import Load, people

TEXT = "id,name,city\n1,Zoë,Zürich\n2,Renée,Málaga\n"
SPEC = {"type": "file", "path": "a.csv", "map": people()}


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("cp1252", b""),
    ],
)
def test_encoding_is_detected(load: Load, tmp_path: Path, encoding: str, mark: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(mark + TEXT.encode(encoding))
    assert load(SPEC).objects("traits") == {
        "1": {"name": "Zoë", "city": "Zürich"},
        "2": {"name": "Renée", "city": "Málaga"},
    }


def test_declared_encoding_wins(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id;name\n1;Łódź\n".encode("cp1250"))
    assert load(SPEC | {"encoding": "cp1250"}).objects("traits") == {"1": {"name": "Łódź"}}


def test_one_bad_byte_does_not_make_a_file_cp1252(load: Load, tmp_path: Path) -> None:
    good = "".join(f"{n},Zoë,Zürich\n" for n in range(50)).encode()
    (tmp_path / "a.csv").write_bytes(b"id,name,city\n" + good + b"99,Ren\xe9,Paris\n")
    loaded = load(SPEC)
    assert loaded.read == 51
    assert loaded.events.height == 50
    assert loaded.rejects.select("rule", "payload").rows() == [("parse.encoding", "99,Ren\\xe9,Paris")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected(load: Load, tmp_path: Path, delimiter: str) -> None:
    rows = [["id", "amount", "note"], ["1", "2,5", "a|b;c"], ["2", "3", "plain"]]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert load(SPEC).rows().drop("message_id").rows() == [tuple(row) for row in rows[1:]]


def test_leading_zeros_and_long_ids_survive(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,zip,code,amount\n007,01234,1000000000000000001,5\n8,00000,12E5,6.50\n")
    assert load(SPEC).objects("traits") == {
        "007": {"zip": "01234", "code": "1000000000000000001", "amount": 5},
        "8": {"zip": "00000", "code": "12E5", "amount": 6.5},
    }


def test_quotes(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'id,note,n\n1,"two\nlines, ""quoted""",1\n2,5" disk,2\n3,he said "hi" twice,3\n4,"a"b,4\n5,"x",5\n'
    )
    notes = {key: value["note"] for key, value in load(SPEC).objects("traits").items()}
    assert notes == {"1": 'two\nlines, "quoted"', "2": '5" disk', "3": 'he said "hi" twice', "4": "ab", "5": "x"}


def test_an_open_quote_takes_no_other_row_with_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,note\n1,a\n2,"never closed\n3,c\n4,d\n')
    loaded = load(SPEC)
    assert loaded.read == 4
    assert loaded.objects("traits")["2"] == {"note": "never closed"}


def test_ragged_rows_keep_line_and_text(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,name,city\n1,"x\ny",z\n2,b\n3,c,d,e\n\n4,f,g\n')
    loaded = load(SPEC)
    assert sorted(loaded.events["record_id"]) == ["1", "4"]
    found = loaded.rejects.sort("description").select("rule", "payload", "description").rows()
    assert found == [
        ("parse.ragged_row", "2,b", "line 4: 2 fields where the header has 3"),
        ("parse.ragged_row", "3,c,d,e", "line 5: 4 fields where the header has 3"),
    ]


def test_nul_bytes(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,a\n2,b\x00c\n3,d\n")
    loaded = load(SPEC)
    assert sorted(loaded.events["record_id"]) == ["1", "3"]
    assert loaded.rejects.select("rule", "payload").rows() == [("parse.nul_bytes", "2,b\\x00c")]


def test_a_line_of_ten_megabytes(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,a\n2," + "x" * 10_000_000 + "\n3,d\n")
    loaded = load(SPEC)
    assert sorted(loaded.events["record_id"]) == ["1", "3"]
    assert loaded.rules() == ["parse.too_long"]
    assert loaded.rejects["payload"].str.len_bytes().item() == 10_000_002


def test_header_names(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,Email,email,,message_id\n1,a,b,c,m\n")
    assert load(SPEC).rows().columns == ["message_id", "id", "Email", "email_2", "column_4", "message_id_2"]


@pytest.mark.parametrize("content", ["", "\n\n", "id,name\n", "id,name"])
def test_nothing_in_a_file_is_no_error(load: Load, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    loaded = load(SPEC)
    assert loaded.read == 0
    assert loaded.state["rows"].to_list() == [0]
    assert load(SPEC, before=loaded).staged[0].parts.is_empty()


def test_windows_and_old_mac_line_ends(load: Load, tmp_path: Path) -> None:
    for ending in ("\r\n", "\r"):
        (tmp_path / "a.csv").write_bytes(f"id,name{ending}1,a{ending}2,b{ending}".encode())
        assert load(SPEC, full=True).objects("traits") == {"1": {"name": "a"}, "2": {"name": "b"}}


def test_tsv_and_gzip_by_content(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(gzip.compress(b"id\tname\n1\ta,b\n"))
    assert load(SPEC | {"path": "a.tsv"}).objects("traits") == {"1": {"name": "a,b"}}


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\ufdd0", exclude_categories=["Cs"]), max_size=8)
grids = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=30)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids, delimiter=st.sampled_from([",", ";", "\t", "|"]), chunk=st.sampled_from([40, 300, 1 << 20]))
def test_reads_what_the_standard_library_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: list[list[str]], delimiter: str, chunk: int
) -> None:
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    width = len(grid[0])
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([[f"c{n}" for n in range(width)], *grid])
    path = tmp_path / "t.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    found = list(read_delimited(path, delimiter=delimiter, encoding="utf-8"))
    rows = pl.concat([rows for rows, _ in found]).sort("_line").drop("_line").fill_null("").rows()
    assert rows == [tuple(row) for row in grid]
    assert sum(bad.height for _, bad in found) == 0


def read(path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    found = list(read_delimited(path, delimiter=",", encoding="utf-8"))
    rows = [row for frame, _ in found for row in frame.sort("_line").rows()]
    bad = [row for _, frame in found for row in frame.sort("_line").select("_line", "payload", "rule").rows()]
    return rows, bad


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.text('ab,"\n\n', max_size=120))
def test_broken_text_reads_the_same_in_pieces_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + body, newline="")
    monkeypatch.setattr(text, "CHUNK_BYTES", 1 << 20)
    rows, bad = read(path)
    monkeypatch.setattr(text, "CHUNK_BYTES", 16)
    assert (rows, bad) == read(path)
    kept = sum(str(cell).count("a") for row in rows for cell in row[:-1]) + sum(str(b[1]).count("a") for b in bad)
    assert kept == body.count("a")
