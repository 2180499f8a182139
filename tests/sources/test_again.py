"""The second load: nothing twice, nothing lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core import plugins
from cdp_core.errors import ContractError
from cdp_core.sources.base import SourceBatch
from tests.sources.source_kit import Load, people

SPEC = {"type": "file", "path": "a*.csv", "map": people()}


def test_an_unchanged_source_creates_nothing(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n")
    first = load(SPEC)
    again = load(SPEC, before=first)
    assert (again.read, again.tables, again.staged[0].parts.height, again.staged[0].columns.height) == (0, {}, 0, 0)


def test_a_file_that_was_only_touched_is_not_read_again(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n")
    first = load(SPEC)
    os.utime(tmp_path / "a.csv", (1, 1))
    second = load(SPEC, before=first)
    assert (second.read, second.tables) == (0, {})
    assert second.state["rows"].to_list() == [1]
    assert second.state["fingerprint"].item() != first.state["fingerprint"].item()
    assert load(SPEC, before=second).staged[0].parts.is_empty()


def test_only_files_that_changed_are_read_and_unchanged_rows_keep_their_ids(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("id,name\n1,Ann\n2,Bob\n")
    (tmp_path / "a2.csv").write_text("id,name\n3,Cid\n")
    first = load(SPEC)
    (tmp_path / "a1.csv").write_text("id,name\n1,Ann\n2,Robert\n4,Dee\n")
    second = load(SPEC, before=first)
    assert second.read == 3
    ids = dict(second.events.select("record_id", "message_id").rows())
    old = dict(first.events.select("record_id", "message_id").rows())
    assert ids["1"] == old["1"]
    assert ids["2"] != old["2"]
    assert dict(second.state.select("part", "rows").rows()) == {"a1.csv": 3, "a2.csv": 1}


def test_an_edited_mapping_loads_again_as_new_versions(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n")
    first = load(SPEC | {"map": people(traits={"name": "name"})})
    second = load(SPEC | {"map": people(traits={"first_name": "name"})}, before=first)
    assert second.objects("traits") == {"1": {"first_name": "Ann"}}
    assert second.events["row_key"].item() == first.events["row_key"].item()
    assert second.events["message_id"].item() != first.events["message_id"].item()


def test_full_reads_everything(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,n\n1,5\n")
    first = load(SPEC)
    full = load(SPEC, before=first, full=True)
    assert full.events.equals(first.events)


def test_columns_come_and_types_widen(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("id,n,m\n1,5,\n")
    first = load(SPEC)
    assert dict(first.columns.select("column", "type").rows()) == {"id": "integer", "n": "integer", "m": "null"}
    (tmp_path / "a2.csv").write_text("ID,N,m,extra\n2,5.5,x,new\n")
    second = load(SPEC, before=first)
    assert second.objects("traits") == {"2": {"n": 5.5, "m": "x", "extra": "new"}}
    (tmp_path / "a3.csv").write_text("id,n\n3,many\n4,7\n")
    third = load(SPEC, before=second)
    assert third.objects("traits") == {"3": {"n": "many"}, "4": {"n": "7"}}
    assert dict(third.columns.select("column", "type").rows()) == {
        "id": "integer",
        "n": "string",
        "m": "string",
        "extra": "string",
    }
    assert third.columns.filter(pl.col("column") == "n")["first_seen"].item() is not None


def test_types_widen_inside_one_batch_of_files(load: Load, tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "n": [1], "t": [True]}).write_parquet(tmp_path / "a1.parquet")
    pl.DataFrame({"id": [2], "n": [2.5], "t": ["x"]}).write_parquet(tmp_path / "a2.parquet")
    loaded = load(SPEC | {"path": "a*.parquet"})
    assert loaded.objects("traits") == {"1": {"n": 1, "t": True}, "2": {"n": 2.5, "t": "x"}}
    rows = loaded.rows().sort("id")
    assert rows["n"].to_list() == [1.0, 2.5]
    assert rows["t"].to_list() == ["true", "x"]


def test_several_sources_share_the_tables(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n,Bob\n")
    loaded = load(specs={"one": SPEC, "two": SPEC})
    assert loaded.events["source"].sort().to_list() == ["one", "two"]
    assert loaded.rejects["source"].sort().to_list() == ["one", "two"]
    assert [source.rows_read for source in loaded.staged] == [2, 2]
    assert loaded.rejects["message_id"].n_unique() == 1


def test_a_source_that_loses_a_row_is_found_out(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lossy(SourceBatch):
        @property
        def read(self) -> int:
            return super().read + 1

    found = plugins.load(plugins.SOURCES, "file").read

    def read(self: Any, state: pl.DataFrame) -> Any:
        for batch in found(self, state):
            yield Lossy(part=batch.part, fingerprint=batch.fingerprint, rows=batch.rows, untyped=True)

    monkeypatch.setattr(plugins.load(plugins.SOURCES, "file"), "read", read)
    (tmp_path / "a.csv").write_text("id,name\n1,Ann\n")
    with pytest.raises(ContractError, match="rows read, but 1 events and 0 rejects"):
        load(SPEC)
