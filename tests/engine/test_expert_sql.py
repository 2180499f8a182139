"""What users write as SQL reads tables and nothing else, and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cdp_core import tables
from cdp_core.engine import Engine, EngineSpec, open_engine
from cdp_core.engine.condition import condition
from cdp_core.engine.guard import allowed_functions, check_select
from cdp_core.engine.sandbox import LOCKED, answer
from cdp_core.engine.spec import SqlLimits
from cdp_core.errors import SpecError

CANARY = "canary-7f3a91"
READS = {
    "read_text": "SELECT content FROM read_text('{file}')",
    "read_blob": "SELECT content::VARCHAR FROM read_blob('{file}')",
    "read_csv": "SELECT * FROM read_csv('{file}', header = false)",
    "read_csv_auto": "SELECT * FROM read_csv_auto('{file}', header = false)",
    "sniff_csv": "SELECT Columns::VARCHAR || '{canary}' FROM sniff_csv('{file}')",
    "read_json": "SELECT * FROM read_json('{folder}/canary.json')",
    "read_parquet": "SELECT * FROM read_parquet('{folder}/canary.parquet')",
    "parquet_metadata": "SELECT stats_max_value FROM parquet_metadata('{folder}/canary.parquet')",
    "a file's name": "SELECT * FROM '{folder}/canary.csv'",
    "a file's name in quotes": 'SELECT * FROM "{folder}/canary.csv"',
    "a name hidden behind a WITH elsewhere": 'WITH a AS (WITH "{folder}/canary.csv" AS (SELECT 1) SELECT 1) '
    'SELECT * FROM "{folder}/canary.csv"',
    "glob": "SELECT * FROM glob('{folder}/*{canary}*')",
    "query": "SELECT * FROM query('SELECT content FROM read_text(''{file}'')')",
    "query_table": "SELECT * FROM query_table('{folder}/canary.csv')",
    "json_execute_serialized_sql": "SELECT * FROM json_execute_serialized_sql("
    "json_serialize_sql('SELECT content FROM read_text(''{file}'')'))",
    "in a subquery": "SELECT (SELECT content FROM read_text('{file}'))",
    "in a condition": "SELECT '{canary}' WHERE EXISTS (SELECT * FROM read_text('{file}'))",
    "in an order": "SELECT '{canary}' ORDER BY (SELECT content FROM read_text('{file}'))",
    "in a limit": "SELECT '{canary}' LIMIT (SELECT length(content) FROM read_text('{file}'))",
    "in a union": "SELECT 'x' UNION ALL SELECT content FROM read_text('{file}')",
    "in a WITH": "WITH t AS (SELECT content FROM read_text('{file}')) SELECT * FROM t",
    "in a join": "SELECT content FROM range(1) JOIN read_text('{file}') ON true",
    "in a lateral join": "SELECT content FROM range(1) AS r(i), LATERAL (SELECT content FROM read_text('{file}'))",
    "in a comment's shade": "SELECT /* */ content -- x\n FROM read_text('{file}') -- y",
    "in capitals": "SELECT content FROM READ_TEXT('{file}')",
    "by its full name": "SELECT content FROM system.main.read_text('{file}')",
    "in quotes": "SELECT content FROM \"read_text\"('{file}')",
    "FROM first": "FROM read_text('{file}') SELECT content",
    "pivoted": "SELECT content FROM (PIVOT read_text('{file}') ON size IN (1) USING count(*) GROUP BY content)",
}
"""Queries that give the canary on a connection without a guard; each way in must be closed with it."""

OTHERS = {
    "rows of a function": "SELECT * FROM repeat('x', 3)",
    "an attached file": "ATTACH '{folder}/other.db' AS other",
    "detaching": "DETACH lake",
    "a table": "CREATE TABLE x AS SELECT 1",
    "a view": "CREATE VIEW x AS SELECT 1",
    "a macro": "CREATE MACRO f(a) AS a",
    "a secret": "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "inserting": "INSERT INTO events SELECT * FROM events",
    "updating": "UPDATE events SET event = 'x'",
    "deleting": "DELETE FROM events",
    "truncating": "TRUNCATE events",
    "dropping": "DROP TABLE events",
    "altering": "ALTER TABLE events ADD COLUMN x INTEGER",
    "copying out": "COPY events TO '{folder}/out.csv'",
    "copying in": "COPY events FROM '{folder}/canary.csv'",
    "exporting": "EXPORT DATABASE '{folder}/out'",
    "importing": "IMPORT DATABASE '{folder}/out'",
    "installing": "INSTALL httpfs",
    "loading": "LOAD '{folder}/evil.duckdb_extension'",
    "a setting": "SET enable_external_access = true",
    "a setting back": "RESET lock_configuration",
    "a pragma": "PRAGMA enable_profiling",
    "calling": "CALL ducklake_expire_snapshots('lake', older_than => now())",
    "a procedure as a table": "SELECT * FROM ducklake_expire_snapshots('lake', older_than => now())",
    "adding files": "SELECT * FROM ducklake_add_data_files('lake', 'events', '{folder}/canary.parquet')",
    "two statements": "SELECT 1; SELECT 2",
    "a statement behind": "SELECT 1; DROP TABLE events",
    "explaining": "EXPLAIN ANALYZE SELECT 1",
    "a prepared one": "PREPARE p AS SELECT 1",
    "describing": "DESCRIBE events",
    "showing": "SHOW ALL TABLES",
    "showing within": "SELECT * FROM (SHOW ALL TABLES)",
    "vacuum": "VACUUM",
    "checkpoint": "CHECKPOINT",
    "begin": "BEGIN",
    "use": "USE memory",
    "a parameter": "SELECT $1",
    "nothing": "",
    "no SQL": "SELEC 1",
    "deep": "SELECT " + "+".join(["1"] * 5000),
    "long": "SELECT '" + "x" * 200_000 + "'",
    "the catalog": "SELECT * FROM __ducklake_metadata_lake.ducklake_data_file",
    "the catalog by SQLite": "SELECT * FROM sqlite_scan('{lake}/catalog.sqlite', 'ducklake_data_file')",
    "the lake's files": "SELECT * FROM read_parquet('{lake}/files/**/*.parquet')",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "settings": "SELECT * FROM duckdb_settings()",
    "settings as a view": "SELECT * FROM duckdb_settings",
    "settings behind a later WITH": "WITH a AS (FROM duckdb_settings), duckdb_settings AS (SELECT 1) FROM a",
    "settings behind itself": "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
    "databases": "SELECT * FROM duckdb_databases()",
    "paths": "SELECT * FROM pragma_database_list",
    "the schema": "SELECT * FROM information_schema.tables",
    "the old catalog": "SELECT * FROM pg_catalog.pg_class",
    "the oldest catalog": "SELECT * FROM sqlite_master",
    "one setting": "SELECT current_setting('temp_directory')",
    "the environment": "SELECT getenv('HOME')",
    "the environment, as a method": "SELECT 'HOME'.getenv()",
    "the environment in a lambda": "SELECT list_transform(['HOME'], lambda x: getenv(x))",
    "a function of Spark's": "SELECT reflect('java.lang.System', 'getenv', 'HOME')",
    "a file of Spark's": 'SELECT * FROM csv."{file}"',
    "a variable of Python's": "SELECT * FROM CANARY_FRAME",
    "the log": "SELECT write_log('x')",
    "another database": "SELECT * FROM memory.main.events",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(tmp_path_factory.mktemp("expert"), EngineSpec())
    engine.ensure_tables()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / f"{CANARY}.txt").write_text(CANARY)
    (folder / "canary.csv").write_text(f"a\n{CANARY}\n")
    (folder / "canary.json").write_text(f'[{{"a": "{CANARY}"}}]')
    duckdb.connect().execute(f"COPY (SELECT '{CANARY}' AS a) TO '{folder}/canary.parquet'")
    return folder


def _filled(query: str, folder: Path, lake: Path) -> str:
    file = folder / f"{CANARY}.txt"
    for name, value in {"file": file, "folder": folder, "lake": lake, "canary": CANARY}.items():
        query = query.replace("{" + name + "}", str(value))
    return query


@pytest.mark.parametrize("way", READS)
def test_no_way_leads_to_a_file(lake: Engine, canary: Path, way: str) -> None:
    query = _filled(READS[way], canary, lake.folder)
    assert CANARY in str(duckdb.connect().execute(query).fetchall()), "the way in must be one"
    _refused(lake, query)


@pytest.mark.parametrize("way", ["read_text", "read_csv", "read_parquet", "a file's name", "glob", "query"])
def test_the_settings_close_the_ways_on_their_own(canary: Path, way: str) -> None:
    """The second line, behind the check of the text."""
    with pytest.raises(SpecError, match="Permission Error"):
        answer(_filled(READS[way], canary, canary), list(LOCKED), SqlLimits())


def test_the_settings_cannot_be_changed() -> None:
    with pytest.raises(SpecError, match="locked"):
        answer("SET memory_limit = '64GB'", list(LOCKED), SqlLimits())


@pytest.mark.parametrize("what", OTHERS)
def test_only_tables_are_read(lake: Engine, canary: Path, what: str) -> None:
    before = lake.snapshot(), sorted(canary.iterdir())
    _refused(lake, _filled(OTHERS[what], canary, lake.folder))
    assert (lake.snapshot(), sorted(canary.iterdir())) == before


def _refused(lake: Engine, query: str) -> None:
    for read in (lake.query, lake.sql):
        with pytest.raises(SpecError) as caught:
            read(query)
        assert "\n" not in str(caught.value)


def test_what_analysts_write_is_answered(lake: Engine) -> None:
    for query in (
        "FROM events",
        "SELECT count(*), max(timestamp) FROM lake.events AS e JOIN main.event_profiles USING (source, message_id)",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n",
        "WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT * FROM a JOIN b USING (x)",
        "SELECT row_number() OVER (ORDER BY timestamp), lag(event) OVER w FROM events WINDOW w AS (ORDER BY timestamp)",
        "SELECT DISTINCT unnest(json_keys(properties)) FROM events",
        "SELECT list_transform([1, 2], lambda x: x + 1), current_date, now() - INTERVAL 1 DAY, pg_typeof(1)",
        "SELECT * FROM (PIVOT events ON type IN ('track') USING count(*) GROUP BY source)",
        "SELECT key FROM events, json_each(properties) LIMIT 1",
        "VALUES (1), (2)",
        "SELECT * EXCLUDE (context) REPLACE (upper(type) AS type) FROM events QUALIFY rank() OVER (ORDER BY event) = 1",
    ):
        lake.query(query)
    assert lake.query("SELECT 'ä' AS a, 1::DECIMAL(9, 2) AS b, [1] AS c").row(0)[0] == "ä"


def test_functions_of_conditions_are_the_same_ones() -> None:
    assert condition("lower(type) = 'page'", ["type"])
    for text in ("getenv('HOME') = '/root'", "current_setting('temp_directory') <> type", "reflect('a', 'b') = type"):
        with pytest.raises(SpecError, match="not allowed"):
            condition(text, ["type"])


def test_no_function_that_is_allowed_depends_on_more_than_its_arguments() -> None:
    """DuckDB says which of its functions are not pure: of those, only the clock and chance."""
    with duckdb.connect() as con:
        query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        impure = {name for (name,) in con.execute(query).fetchall()}
    clock = {"current_date", "get_current_time", "get_current_timestamp", "now", "today", "transaction_timestamp"}
    chance = {"random", "gen_random_uuid", "uuid", "uuidv4", "uuidv7"}
    assert impure & allowed_functions() == clock | chance
    assert not {name for name in allowed_functions() if name.startswith(("read_", "parquet_", "duckdb_", "ducklake_"))}


@pytest.mark.parametrize(
    ("query", "seconds", "says"),
    [
        ("SELECT sum(a.x * b.x) FROM range(10000000) AS a(x), range(10000000) AS b(x)", 1, "stopped after 1 s"),
        ("SELECT editdist3(repeat('a', 200000), repeat('b', 200000))", 1, "stopped after 1 s"),
        ("SELECT md5(repeat('a', 2000000000))", 30, "more than 300MB of memory"),
        ("SELECT repeat('x', 1000000) FROM range(900)", 30, "more than 300MB of memory"),
        ("SELECT * FROM range(1001)", 30, "more than 1,000 rows"),
    ],
)
def test_limits_hold_even_within_one_function(tmp_path: Path, query: str, seconds: int, says: str) -> None:
    limits = SqlLimits(timeout=seconds, memory_limit="300MB", spill_limit="50MB", max_rows=1000)
    (tmp_path / "spill").mkdir()
    began = time.monotonic()
    with pytest.raises(SpecError, match=says):
        answer(query, [f"SET memory_limit = '300MB'; SET temp_directory = '{tmp_path}/spill'"], limits)
    assert time.monotonic() - began < seconds + 4


def test_the_process_has_no_environment_and_nothing_stays_behind(lake: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_CANARY", CANARY)
    path = "/proc/self/environ"
    if Path(path).exists():
        assert CANARY.encode() not in answer(f"SELECT content FROM read_blob('{path}')", [], SqlLimits()).item()
    lake.query("SELECT count(*) FROM events")
    assert list((lake.folder / "spill").iterdir()) == []


def test_names_that_may_be_read_are_the_canonical_tables() -> None:
    for name in tables.CANONICAL:
        check_select(f"SELECT * FROM {name}", tables.CANONICAL)
