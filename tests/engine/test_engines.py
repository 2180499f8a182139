"""What a stage may ask of an engine means the same on every engine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cdp_core import tables
from cdp_core.engine import PLACE, Engine, EngineSpec, Staging, open_engine
from cdp_core.errors import SpecError

EVENTS = pl.DataFrame(
    {
        "source": ["a", "a", "b"],
        "message_id": ["1", "2", "1"],
        "timestamp": [datetime(1998, 1, 1, 12, 30, 15, 123456)] * 3,
        "properties": ['{"a b":{"c":"x"},"l":["p","q"],"n":null,"t":7.0}', "{}", None],
    }
)


def test_every_canonical_table_is_there_and_typed(engine: Engine) -> None:
    for table in tables.CANONICAL.values():
        found = engine.polars(engine.table(table.name).limit(0))
        assert dict(found.schema) == dict(table.polars_schema()), table.name


def test_json_text_and_lists(engine: Engine) -> None:
    engine.append("events", engine.frame(EVENTS))
    events = engine.table("events")
    text = events.properties
    rows = engine.polars(
        events.select(
            "source",
            "message_id",
            deep=engine.json_text(text, "a b", "c"),
            null=engine.json_text(text, "n"),
            number=engine.json_text(text, "t"),
            absent=engine.json_text(text, "zz"),
            items=engine.json_list(engine.json_text(text, "l")),
            timestamp=events.timestamp,
        ).order_by(["source", "message_id"])
    )
    assert rows["deep"].to_list() == ["x", None, None]
    assert rows["null"].to_list() == [None, None, None]
    assert rows["number"].to_list() == ["7.0", None, None]
    assert rows["absent"].to_list() == [None, None, None]
    assert rows["items"].to_list() == [["p", "q"], None, None]
    assert rows["timestamp"][0] == datetime(1998, 1, 1, 12, 30, 15, 123456)


def test_json_valid(engine: Engine) -> None:
    texts = ['{"a": [1, "x"]}', "[]", '"x"', "7", "null", "x", '{"a":', "{oops}", "", None]
    rows = engine.frame(pl.DataFrame({"n": range(len(texts)), "text": texts}, {"n": pl.Int64, "text": pl.String}))
    found = engine.polars(rows.mutate(valid=engine.json_valid(rows.text)).order_by("n"))
    assert found["valid"].to_list() == [True, True, True, True, True, False, False, False, False, None]


def test_upsert_replaces_by_key_and_adds(engine: Engine) -> None:
    engine.append("events", engine.frame(EVENTS))
    change = pl.DataFrame({"source": ["a", "c"], "message_id": ["2", "9"], "type": ["page", "track"]})
    engine.upsert("events", engine.frame(change), ("source", "message_id"))
    events = engine.table("events")
    rows = engine.polars(events.select("source", "message_id", "type").order_by(["source", "message_id"]))
    assert rows.rows() == [("a", "1", None), ("a", "2", "page"), ("b", "1", None), ("c", "9", "track")]


def test_amend_takes_out_by_key_and_adds(engine: Engine) -> None:
    engine.append("events", engine.frame(EVENTS))
    gone = engine.frame(pl.DataFrame({"source": ["a", "c"], "message_id": ["2", "9"]}))
    more = pl.DataFrame({"source": ["c"], "message_id": ["7"], "type": ["track"]})
    engine.amend("events", gone, engine.frame(more), ("source", "message_id"))
    events = engine.table("events")
    rows = engine.polars(events.select("source", "message_id", "type").order_by(["source", "message_id"]))
    assert rows.rows() == [("a", "1", None), ("b", "1", None), ("c", "7", "track")]


def test_amend_finds_rows_by_their_place(lake: Engine) -> None:
    for part in (EVENTS.head(1), EVENTS.tail(-1)):
        lake.append("events", lake.frame(part))
    placed = lake.placed("events")
    gone = lake.keep(placed.filter(placed.source == "a").select(PLACE))
    lake.amend("events", gone, lake.frame(EVENTS.head(1).with_columns(message_id=pl.lit("7"))), (PLACE,))
    rows = lake.polars(lake.table("events").select("source", "message_id").order_by("message_id"))
    assert rows.rows() == [("b", "1"), ("a", "7")]
    assert lake.polars(lake.placed("events"))[PLACE].n_unique() == rows.height


def test_files_are_written_as_chosen(lake: Engine) -> None:
    """What somebody has said for a lake stays."""
    assert _options(lake) == {"parquet_compression": "lz4_raw", "parquet_version": "V2"}
    lake._raw.execute("CALL lake.set_option('parquet_compression', 'zstd')")
    lake.maintain()
    assert _options(lake) == {"parquet_compression": "zstd", "parquet_version": "V2"}


def test_opening_a_lake_of_an_earlier_version_writes_nothing(lake: Engine) -> None:
    lake._raw.execute("DELETE FROM __ducklake_metadata_lake.ducklake_metadata WHERE key LIKE 'parquet%'")
    lake.ensure_tables()
    assert _options(lake) == {}
    lake.maintain()
    assert _options(lake) == {"parquet_compression": "lz4_raw", "parquet_version": "V2"}


def _options(lake: Engine) -> dict[str, str]:
    rows = lake._raw.execute("SELECT option_name, value FROM ducklake_options('lake')").fetchall()
    return {name: value for name, value in rows if name.startswith("parquet")}


def test_a_failed_transaction_publishes_nothing(engine: Engine) -> None:
    engine.replace("profiles", engine.frame(pl.DataFrame({"profile_id": ["x"], "spent": [1.5]})))
    before = engine.snapshot()
    with pytest.raises(KeyError), engine.transaction():  # noqa: PT012
        engine.append("events", engine.frame(EVENTS))
        engine.replace("profiles", engine.frame(pl.DataFrame({"profile_id": ["y"]})))
        raise KeyError
    assert engine.snapshot() == before
    assert engine.polars(engine.table("events").count().as_table()).item() == 0
    assert engine.polars(engine.table("profiles"))["profile_id"].to_list() == ["x"]


def test_sql_sees_scratch_tables_in_place_of_published_ones(engine: Engine) -> None:
    engine.append("events", engine.frame(EVENTS))
    scratch = engine.keep(engine.table("events").filter(lambda t: t.source == "a"))
    rows = engine.sql("WITH e AS (SELECT * FROM events) SELECT count(*) AS n FROM e", {"events": scratch})
    assert engine.polars(rows).item() == 2


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE events",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO 'x'",
    ],
)
def test_queries_of_users_only_read_tables(lake: Engine, query: str) -> None:
    with pytest.raises(SpecError) as caught:
        lake.query(query)
    assert "\n" not in str(caught.value)


def test_staging_goes_both_ways(engine: Engine, tmp_path: Path) -> None:
    engine.append("events", engine.frame(EVENTS))
    staging = Staging(tmp_path / "batch.duckdb")
    staging.append("rows", pl.DataFrame({"a": [1, 2]}))
    engine.copy_into(staging, {"known": engine.table("events").select("source", "message_id")})
    assert set(staging.names()) == {"rows", "known"}
    with engine.attach(staging) as staged:
        assert engine.polars(staged("known").count().as_table()).item() == 3
    staging.discard()
    assert not staging.path.exists()


def test_a_reader_in_another_process_never_sees_half_a_transaction(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    script = (
        "import sys, pathlib, time\n"
        "from cdp_core.engine import EngineSpec, open_engine\n"
        "e = open_engine(pathlib.Path(sys.argv[1]), EngineSpec()); seen = set(); end = time.time() + 4\n"
        "print('ready', flush=True)\n"
        "while time.time() < end:\n"
        "    q = 'SELECT (SELECT count(*) FROM profiles) a, (SELECT count(*) FROM consents) b'\n"
        "    seen.add(e.polars(e.sql(q)).row(0))\n"
        "print(sorted(seen))\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    for size in range(1, 40):
        ids = [f"p{n}" for n in range(size)]
        with engine.transaction():
            engine.replace("profiles", engine.frame(pl.DataFrame({"profile_id": ids})))
            engine.replace("consents", engine.frame(pl.DataFrame({"profile_id": ids})))
    out, _ = reader.communicate(timeout=30)
    pairs = eval(out)
    assert reader.returncode == 0
    assert len(pairs) > 1
    assert all(a == b for a, b in pairs)
    engine.close()


def test_the_lake_opens_after_the_folder_was_moved(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    engine = open_engine(first, EngineSpec())
    engine.ensure_tables()
    engine.append("events", engine.frame(EVENTS))
    engine.close()
    first.rename(tmp_path / "second")
    engine = open_engine(tmp_path / "second", EngineSpec())
    assert engine.polars(engine.table("events").count().as_table()).item() == 3
    engine.close()


def test_maintenance_keeps_the_newest_rows(lake: Engine) -> None:
    for _ in range(3):
        lake.append("events", lake.frame(EVENTS))
    lake.maintain()
    assert lake.polars(lake.table("events").count().as_table()).item() == 9


def test_what_is_appended_to_staging_is_seen_whatever_was_asked_before(tmp_path: Path) -> None:
    """Rows are written by another thread; a question asked meanwhile must not hide them."""
    staging = Staging(tmp_path / "batch.duckdb")
    assert not staging.has("a")
    for number in range(5):
        staging.append("a", pl.DataFrame({"n": [number]}))
        staging.append(f"b{number}", pl.DataFrame({"n": [number], "text": ["x"]}))
        assert staging.has("a")
        assert staging.polars(staging.table("a").count().as_table()).item() == number + 1
    staging.append("a", pl.DataFrame({"n": ["no number"]}))
    with pytest.raises(Exception, match="Conversion"):
        staging.names()
    assert staging.polars(staging.table("a").count().as_table()).item() == 5
    staging.discard()


def test_edits_of_events_mean_the_same(engine: Engine) -> None:
    from cdp_core.quality.plan.correct import edits
    from cdp_core.tracking import Step

    engine.append("events", engine.frame(EVENTS.with_columns(type=pl.lit("track"), event=pl.lit("Pay"))))
    steps = [
        Step.model_validate(step)
        for step in (
            {"event": "Pay", "rename_event": "It's é"},
            {"hash": "properties.t"},
            {"drop": "properties.l"},
            {"move": "properties.a b.c", "to": "traits.c"},
        )
    ]
    changed = engine.edited(engine.table("events"), edits(steps))
    rows = engine.polars(changed.order_by(["source", "message_id"])).to_dicts()
    assert [row["event"] for row in rows] == ["It's é"] * 3
    hashed = hashlib.sha256(b"7.0").hexdigest()
    assert [row["properties"] for row in rows] == ['{"n":null,"t":"' + hashed + '","a b":{}}', "{}", None]
    assert [row["traits"] for row in rows] == ['{"c":"x"}', None, None]
    assert rows[1]["context"] == '{"protocols":{"transformed":["rename_event: Pay → It\'s é"]}}'
    assert rows[0]["timestamp"] == datetime(1998, 1, 1, 12, 30, 15, 123456)
    assert engine.polars(engine.table("events"))["event"].unique().to_list() == ["Pay"]


def test_a_purge_leaves_no_byte_of_what_is_gone(engine: Engine, tmp_path: Path) -> None:
    def files() -> list[str]:
        return [path.name for path in tmp_path.rglob("*") if path.is_file() and b"kanarie" in path.read_bytes()]

    rows = pl.DataFrame({"source": ["a", "a", "b"], "message_id": ["kanarie-1", "kept-1", "kept-2"]})
    engine.append("events", engine.frame(rows))
    assert files()
    events = engine.table("events")
    gone = engine.keep(events.filter(events.message_id == "kanarie-1").select("source", "message_id"))
    engine.amend("events", gone, events.limit(0), ("source", "message_id"))
    assert files(), "older snapshots hold it"
    engine.purge()
    assert not files()
    engine.append("events", engine.frame(pl.DataFrame({"source": ["a"], "message_id": ["zzz"]})))
    left = engine.table("events")
    found = engine.polars(left.select("message_id").order_by("message_id"))["message_id"].to_list()
    assert found == ["kept-1", "kept-2", "zzz"]
    assert engine.polars(left.filter(left.message_id == "kept-1").count().name("n").as_table()).item() == 1
