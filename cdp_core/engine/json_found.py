"""What was found in staged `events`, as rows of one temporary table, and what follows from it.

`plan_found` has source, message_id and kind, the number of a finding; whoever looks for findings knows what the numbers
mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import literal
from cdp_core.engine.json_rules import KEY, Where, pointer

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging


def distinct_texts(staging: Staging, where: Where, pieces: Sequence[str]) -> pl.DataFrame:
    """The different combinations of some expressions over `events`: number, and texts as a list (null: not there)."""
    raw = _raw(staging)
    raw.execute(
        "CREATE OR REPLACE TEMP TABLE plan_texts AS SELECT row_number() OVER () AS number, texts FROM "
        f"(SELECT DISTINCT [{', '.join(pieces)}] AS texts FROM events WHERE {where.sql()})"
    )
    found: pl.DataFrame = raw.execute("SELECT number, texts FROM plan_texts").pl()
    return found


def questions(staging: Staging, table: str, columns: Sequence[str], only: str | None = None) -> pl.DataFrame:
    """What is different in some columns of a temporary table, of the facet `only` if one is named."""
    chosen = f" WHERE facet = {literal(only)}" if only else ""
    found: pl.DataFrame = _raw(staging).execute(f"SELECT DISTINCT {', '.join(columns)} FROM {table}{chosen}").pl()
    return found


def begin_found(staging: Staging) -> None:
    """An empty `plan_found` (source, message_id, kind: the number of a finding)."""
    _raw(staging).execute("CREATE OR REPLACE TEMP TABLE plan_found (source VARCHAR, message_id VARCHAR, kind INTEGER)")


def any_found(staging: Staging) -> bool:
    return bool(_raw(staging).execute("SELECT EXISTS (FROM plan_found)").fetchall()[0][0])


def count_rows(staging: Staging, kinds: Sequence[int]) -> int:
    """How many rows have one of these findings."""
    if not kinds:
        return 0
    query = f"SELECT count(*) FROM (SELECT DISTINCT {KEY} FROM plan_found WHERE kind IN ({', '.join(map(str, kinds))}))"
    return int(_raw(staging).execute(query).fetchall()[0][0])


def counted(staging: Staging, sample: int = 3) -> pl.DataFrame:
    """Findings by event: event (of a track), type, kind, count, and message ids as a sample."""
    query = (
        "SELECT CASE WHEN e.type = 'track' THEN e.event END AS event, e.type, f.kind, count(*) AS count, "
        f"min(e.message_id, {int(sample)}) AS sample FROM plan_found f "
        f"JOIN events e ON e.source = f.source AND e.message_id = f.message_id GROUP BY ALL"
    )
    found: pl.DataFrame = _raw(staging).execute(query).pl()
    return found


def end_found(staging: Staging) -> None:
    """Free what the search has left."""
    for name in ("found", "suspects", "broken", "strange", "texts", "sets", "edited"):
        _raw(staging).execute(f"DROP TABLE IF EXISTS temp.main.plan_{name}")


def add_rows(staging: Staging, where: Where, kind: int, but: Sequence[str] = ()) -> None:
    """All rows, save those of the events in `but`, have the finding `kind`."""
    known = f" AND coalesce(event NOT IN ({', '.join(map(literal, but))}), true)" if but else ""
    _raw(staging).execute(f"INSERT INTO plan_found SELECT {KEY}, {kind} FROM events WHERE {where.sql()}{known}")


def add_answers(staging: Staging, table: str, answers: pl.DataFrame) -> None:
    """Rows of a temporary table that have an answer in `answers` (columns of the table, and kind)."""
    same = " AND ".join(f"a.{_name(c)} = b.{_name(c)}" for c in answers.columns if c != "kind")
    with _frame(staging, answers) as raw:
        raw.execute(
            f"INSERT INTO plan_found SELECT b.source, b.message_id, a.kind FROM {table} b JOIN given a ON {same}"
        )


def add_texts(staging: Staging, where: Where, pieces: Sequence[str], answers: pl.DataFrame) -> None:
    """Rows whose texts have an answer: `answers` has the number of `distinct_texts`, and kind."""
    rows = f"SELECT {KEY}, [{', '.join(pieces)}] AS texts FROM events WHERE {where.sql()}"
    with _frame(staging, answers) as raw:
        raw.execute(
            f"INSERT INTO plan_found SELECT e.source, e.message_id, g.kind FROM ({rows}) e "
            "JOIN (SELECT p.texts, a.kind FROM plan_texts p JOIN given a USING (number)) g ON e.texts = g.texts"
        )


def write_failures(staging: Staging, name: str, kinds: pl.DataFrame) -> None:
    """Every finding of every row into the staged table `name`: its key and the other columns of `kinds` (by kind)."""
    others = ", ".join(f"g.{_name(c)}" for c in kinds.columns if c != "kind")
    query = f"SELECT f.source, f.message_id, {others} FROM plan_found f JOIN given g USING (kind)"
    there = staging.has(name)
    with _frame(staging, kinds) as raw:
        raw.execute(f"INSERT INTO {_name(name)} {query}" if there else f"CREATE TABLE {_name(name)} AS {query}")


def found_sets(staging: Staging, but: Sequence[int]) -> list[str]:
    """Which sets of findings occur in rows that have none of `but`, each as numbers with commas."""
    raw = _raw(staging)
    none = f" HAVING NOT bool_or(kind IN ({', '.join(map(str, but))}))" if but else ""
    raw.execute(
        f"CREATE OR REPLACE TEMP TABLE plan_sets AS SELECT {KEY}, string_agg(kind, ',' ORDER BY kind) AS kinds "
        f"FROM plan_found GROUP BY {KEY}{none}"
    )
    return [kinds for (kinds,) in raw.execute("SELECT DISTINCT kinds FROM plan_sets").fetchall()]


def patch_events(staging: Staging, patches: pl.DataFrame) -> None:
    """Merge JSON into rows of `events` by their set of findings: kinds, and properties, traits, context (null: stays).

    A null inside a patch takes the key out.
    """
    changed = ", ".join(
        f"CASE WHEN g.{c} IS NULL THEN e.{c} ELSE CAST(json_merge_patch(coalesce(e.{c}, '{{}}'), g.{c}) AS VARCHAR) END"
        f" AS {c}"
        for c in ("properties", "traits", "context")
    )
    with _frame(staging, patches) as raw:
        raw.execute(
            f"CREATE OR REPLACE TEMP TABLE plan_edited AS SELECT e.* REPLACE ({changed}) FROM events e "
            "JOIN plan_sets s ON e.source = s.source AND e.message_id = s.message_id JOIN given g ON s.kinds = g.kinds"
        )
    raw.execute(
        "DELETE FROM events USING plan_edited g WHERE events.source = g.source AND events.message_id = g.message_id"
    )
    raw.execute("INSERT INTO events BY NAME SELECT * FROM plan_edited")


@contextmanager
def _frame(staging: Staging, frame: pl.DataFrame) -> Iterator[Any]:
    """The frame as `given`. A filter on the newest kind of text column would fail within Arrow."""
    import polars as pl

    raw = _raw(staging)
    raw.register("given", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    try:
        yield raw
    finally:
        raw.unregister("given")


def pieces_of(column: str, keys: Mapping[str, bool] | None) -> list[str]:
    """Expressions for a column of JSON objects: the whole text, or the JSON texts under some keys; where a key says
    true, only what type its value has."""
    name = _name(column)
    if keys is None:
        return [f"CAST({name} AS VARCHAR)"]
    return [_shallow(name, pointer((k,))) if only else _value(name, pointer((k,))) for k, only in keys.items()]


def _value(name: str, path: str) -> str:
    return f"CAST(json_extract({name}, {literal(path)}) AS VARCHAR)"


def _shallow(name: str, path: str) -> str:
    """An example of the value's type; numbers stay, since 1.0 is an integer too."""
    kind = f"json_type({name}, {literal(path)})"
    examples = "WHEN 'VARCHAR' THEN '\"\"' WHEN 'OBJECT' THEN '{}' WHEN 'ARRAY' THEN '[]'"
    return f"CASE {kind} {examples} ELSE {_value(name, path)} END"


def quoted(column: str, *, shallow: bool = False) -> str:
    """A column of texts as JSON strings; with `shallow` only whether there is one."""
    return (
        f"CASE WHEN {_name(column)} IS NOT NULL THEN '\"\"' END"
        if shallow
        else f"CAST(to_json({_name(column)}) AS VARCHAR)"
    )


def _raw(staging: Staging) -> Any:
    return staging.con.con


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
