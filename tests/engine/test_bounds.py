"""What a lake finds after a purge: all that is left, and no trace of what was the least or the greatest."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cdp_core.engine import Engine, open_engine
from cdp_core.engine.spec import EngineSpec
from cdp_core.engine.vacuum import vacuum

AT = datetime(2026, 3, 1, 10)
EARLY = datetime(1931, 2, 3)
TABLE = "quarantine"


def rows(names: list[str], at: datetime = AT) -> pl.DataFrame:
    return pl.DataFrame({"source": "s", "message_id": names, "payload": names, "received_at": at})


def add(engine: Engine, names: list[str], at: datetime = AT) -> None:
    engine.append(TABLE, engine.frame(rows(names, at)))


def take(engine: Engine, names: list[str]) -> None:
    table = engine.table(TABLE)
    gone = engine.keep(table.filter(table.message_id.isin(names)).select("source", "message_id"))
    engine.amend(TABLE, gone, table.limit(0), ("source", "message_id"))


def count(engine: Engine, name: str) -> int:
    table = engine.table(TABLE)
    found = table.filter((table.message_id == name) & (table.received_at == AT))
    return int(engine.polars(found.count().name("n").as_table()).item())


def catalog(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (root / "data/lake").glob("catalog.sqlite*"))


@pytest.mark.parametrize("later", [1, 3000], ids=["kept in the catalog", "in files"])
def test_what_is_left_is_found_by_every_session(lake: Engine, tmp_path: Path, later: int) -> None:
    """The next rows lie apart from all that is there, on either side, and are written by a session that knew the old
    bounds.
    """
    middle = [f"m{n:05d}" for n in range(4000)]
    add(lake, middle)
    add(lake, ["aaa-first", "zzz-last"], EARLY)
    other = open_engine(tmp_path, EngineSpec())
    assert count(other, "m00000") == 1
    assert b"zzz-last" in catalog(tmp_path)
    take(lake, ["aaa-first", "zzz-last"])
    lake.purge()
    told = catalog(tmp_path)
    assert not [text for text in (b"aaa-first", b"zzz-last", b"1931-02-03") if text in told]
    assert b"m00000" in told
    assert b"m03999" in told
    for each, letter in ((other, "x"), (lake, "b")):
        new = [f"{letter}{n:05d}" for n in range(later)]
        add(each, new)
        for session in (lake, other):
            assert [count(session, name) for name in ("m00000", "m02000", "m03999", new[0], new[-1])] == [1] * 5
    lake.purge()
    told = catalog(tmp_path)
    assert not [text for text in (b"aaa-first", b"zzz-last", b"1931-02-03") if text in told]
    assert [count(other, name) for name in ("m00000", "b00000", "x00000", "zzz-last")] == [1, 1, 1, 0]
    other.close()


def test_a_session_that_knew_the_old_bounds_forgets_them(lake: Engine, tmp_path: Path) -> None:
    """It would write them again otherwise, with the next rows."""
    path = tmp_path / "data/lake/catalog.sqlite"
    add(lake, [f"m{n:05d}" for n in range(4000)])
    lake.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ducklake_table_column_stats SET max_value = 'zzz-last' WHERE max_value = 'm03999'")
    sessions = [open_engine(tmp_path, EngineSpec()) for _ in range(2)]
    assert [count(each, "m00000") for each in sessions] == [1, 1]
    assert b"zzz-last" in catalog(tmp_path)
    vacuum(path, where="the lake")
    for each in sessions:
        add(each, ["n"])
    assert b"zzz-last" not in catalog(tmp_path)
    assert [count(each, "n") for each in sessions] == [2, 2]
    for each in sessions:
        each.close()


def test_a_table_that_was_emptied_takes_rows_again(lake: Engine) -> None:
    add(lake, ["only"])
    take(lake, ["only"])
    lake.purge()
    add(lake, ["next"])
    add(lake, ["before", "z"])
    assert [count(lake, name) for name in ("only", "next", "before", "z")] == [0, 1, 1, 1]


def test_tables_that_are_no_more_tell_of_nobody(lake: Engine, tmp_path: Path) -> None:
    """Derived tables are made anew by every run, and their bounds stand under another number then."""
    add(lake, ["m1", "zzz-last"], EARLY)
    table = lake.table(TABLE)
    lake.replace(TABLE, lake.keep(table.filter(table.message_id == "m1")))
    assert b"zzz-last" in catalog(tmp_path)
    lake.purge()
    assert b"zzz-last" not in catalog(tmp_path)
