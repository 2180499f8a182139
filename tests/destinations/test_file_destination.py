"""Files: content, types, escaping, atomic replacement, and paths that stay where they belong."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from syncing import Syncer, person

from cdp_core.destinations.files.file import FileDestination, FileOptions, FileSyncOptions
from cdp_core.errors import DestinationError

Make = Callable[..., Syncer]
TYPED = [
    {
        "profile_id": "p1",
        "whole": 7,
        "number": 0.5,
        "yes": True,
        "day": date(1970, 5, 17),
        "at": datetime(1998, 7, 1, 12, 30, 0, 250_000),
        "money": Decimal("1.50"),
        "tags": ["a", 'b"c'],
        "text": "",
    },
    {"profile_id": "p0", **dict.fromkeys(["whole", "number", "yes", "day", "at", "money", "tags", "text"])},
]
FIELDS = {name: name for name in TYPED[0]}


def typed(syncer: Make, file: str, **options: Any) -> Path:
    s = syncer(mapping=FIELDS, options={"file": file, **options})
    s.profiles(TYPED, money=pl.Decimal(10, 2))
    assert s.run().delivered == 2
    return s.destination.path(FileSyncOptions.model_validate(s.options))


def test_csv_is_typed_sorted_and_utc(syncer: Make) -> None:
    assert typed(syncer, "t.csv").read_bytes().decode() == (
        "profile_id,whole,number,yes,day,at,money,tags,text\n"
        "p0,,,,,,,,\n"
        'p1,7,0.5,true,1970-05-17,1998-07-01T12:30:00.250Z,1.50,"[""a"",""b\\""c""]",""\n'
    )


def test_jsonl_is_typed(syncer: Make) -> None:
    lines = [json.loads(line) for line in typed(syncer, "t.jsonl").read_text().splitlines()]
    assert lines[0] == {"profile_id": "p0", **dict.fromkeys(list(FIELDS)[1:])}
    assert lines[1] | {"at": None} == TYPED[0] | {"day": "1970-05-17", "at": None, "money": 1.5}
    assert datetime.fromisoformat(lines[1]["at"]).isoformat() == "1998-07-01T12:30:00.250000+00:00"


def test_parquet_is_typed(syncer: Make) -> None:
    path = typed(syncer, "t.parquet")
    kinds = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert kinds["at"] == "timestamp[us, tz=UTC]"
    assert (kinds["day"], kinds["whole"], kinds["money"]) == ("date32[day]", "int64", "decimal128(10, 2)")
    rows = pl.read_parquet(path).with_columns(pl.col("at").dt.replace_time_zone(None)).to_dicts()
    assert rows == TYPED[::-1]


@pytest.mark.parametrize("cell", ["=1+1", "+44 20", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\0x"])
def test_cells_that_a_spreadsheet_would_compute(syncer: Make, cell: str) -> None:
    s = syncer(mapping={"id": "profile_id", "=head": "email", "total": "total"})
    s.profiles([person(1, email=cell, total=-1.0), person(2, email="a=b")])
    s.run()
    with (s.destination.root / "out" / "s.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["id", "'=head", "total"], ["p1", f"'{cell}", "-1.0"], ["p2", "a=b", "2.0"]]


def test_without_escaping_values_arrive_as_they_are(syncer: Make) -> None:
    s = syncer(options={"file": "s.csv", "escape_formulas": False})
    s.profiles([person(1, email="+44 20"), person(2, email='say "hi",\nthen =go')])
    s.run()
    with (s.destination.root / "out" / "s.csv").open(newline="") as file:
        assert [row["email"] for row in csv.DictReader(file)] == ["+44 20", 'say "hi",\nthen =go']


def test_turning_escaping_off_writes_the_file_again(syncer: Make) -> None:
    s = syncer()
    s.profiles([person(1, email="=x")])
    s.run()
    s.options = {"file": "s.csv", "escape_formulas": False}
    plan = s.plan()
    assert plan.change == 1
    s.run(plan)
    assert (s.destination.root / "out" / "s.csv").read_text().endswith("p1,=x,1.0\n")


def test_equal_content_gives_equal_bytes(syncer: Make) -> None:
    contents = []
    for name, order in (("a.csv.gz", 1), ("b.csv.gz", -1)):
        s = syncer(name=name, options={"file": name})
        s.profiles([person(n) for n in range(50)][::order])
        s.run()
        contents.append((s.destination.root / "out" / name).read_bytes())
    assert contents[0] == contents[1]
    assert gzip.decompress(contents[0]).startswith(b"id,email,total\np0,")


def test_whole_number_keys_are_in_the_order_of_numbers(syncer: Make) -> None:
    s = syncer(mapping={"events": "events"}, options={"file": "s.csv"})
    s.profiles([person(n, events=n) for n in (10, 9, 100)])
    s.run()
    assert (s.destination.root / "out" / "s.csv").read_text() == "events\n9\n10\n100\n"


def test_an_empty_set_is_a_file_with_a_header(syncer: Make) -> None:
    s = syncer()
    s.profiles(pl.DataFrame(schema={"profile_id": pl.String, "email": pl.String, "total": pl.Float64}))
    s.run()
    assert (s.destination.root / "out" / "s.csv").read_text() == "id,email,total\n"
    assert not s.plan().rewrite


def test_a_file_deleted_by_hand_is_written_again(syncer: Make) -> None:
    s = syncer()
    s.profiles([person(1), person(2)])
    s.run()
    path = s.destination.root / "out" / "s.csv"
    before = path.read_bytes()
    path.unlink()
    plan = s.plan()
    assert (plan.add, plan.note) == (2, "what was delivered before is not there any more: every row is written again")
    s.run(plan)
    assert path.read_bytes() == before


def test_upsert_keeps_rows_that_left_the_model_with_their_types(syncer: Make) -> None:
    s = syncer(mapping=FIELDS, options={"file": "t.parquet"}, mode="upsert")
    s.profiles(TYPED, money=pl.Decimal(10, 2))
    s.run()
    s.profiles([{**TYPED[0], "profile_id": "p9"}], money=pl.Decimal(10, 2))
    s.run()
    s.destination.path(FileSyncOptions(file="t.parquet", escape_formulas=True)).unlink()
    s.run()
    path = s.destination.root / "out" / "t.parquet"
    rows = pl.read_parquet(path).with_columns(pl.col("at").dt.replace_time_zone(None)).to_dicts()
    assert rows == [TYPED[1], TYPED[0], {**TYPED[0], "profile_id": "p9"}]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(syncer: Make) -> None:
    """A reader that opened the file before the run still reads all of the old one; a failed run changes nothing."""
    s = syncer()
    s.profiles([person(1)])
    s.run()
    path = s.destination.root / "out" / "s.csv"
    with path.open() as reader:
        s.profiles([person(2)])
        s.run(confirm=True)
        assert "p1" in reader.read()
    assert "p2" in path.read_text()

    def full(batch: Any) -> Any:
        raise OSError(28, "No space left on device")

    s.profiles([person(2), person(3)])
    plan = s.plan()
    real = s.destination.prepare

    def prepare(delivery: Any) -> None:
        real(delivery)
        s.destination._writer.write = full

    s.destination.prepare = prepare
    with pytest.raises(DestinationError, match=r"out/s.csv: the file cannot be written: no space left on device"):
        s.run(plan)
    assert "p2" in path.read_text()
    assert "p3" not in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["s.csv"]


@pytest.mark.parametrize("path", ["..", "a/../../b", "/etc/x", "~/x", "", "a\\b", "a\0b"])
def test_paths_stay_in_the_folder(path: str) -> None:
    with pytest.raises(ValueError, match="stay in the folder"):
        FileOptions(path=path)
    with pytest.raises(ValueError, match="stay in the folder"):
        FileSyncOptions.model_validate({"file": path, "format": "csv"})


def test_links_are_not_followed(syncer: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "s.csv").write_text("precious")
    s = syncer()
    s.profiles([person(1)])
    (tmp_path / "out").symlink_to(outside, target_is_directory=True)
    with pytest.raises(DestinationError, match="out: a symbolic link"):
        s.run()
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "s.csv").symlink_to(outside / "s.csv")
    with pytest.raises(DestinationError, match="symbolic link"):
        s.run()
    assert (outside / "s.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"file": "x.txt"}, "give format"),
        ({"file": "x.csv", "compression": "zstd"}, "gzip or not at all"),
    ],
)
def test_formats_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FileSyncOptions.model_validate(options)


def test_a_folder_in_the_way_is_a_clear_error(syncer: Make, tmp_path: Path) -> None:
    (tmp_path / "out" / "s.csv").mkdir(parents=True)
    s = syncer()
    s.profiles([person(1)])
    with pytest.raises(DestinationError, match=r"out/s.csv: the file cannot be written: a folder has this name"):
        s.run()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_a_clear_error(syncer: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    s = syncer()
    s.profiles([person(1)])
    with pytest.raises(DestinationError, match="permission denied"):
        s.run()


def test_connection_test_leaves_nothing(tmp_path: Path) -> None:
    destination = FileDestination(FileOptions(path="new/folder"), tmp_path)
    assert destination.test() == "new/folder can be written"
    assert list((tmp_path / "new" / "folder").iterdir()) == []
