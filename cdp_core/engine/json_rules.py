"""Rules about keys of JSON objects, asked of all rows of a staged table at once.

Most rows keep to the rules: one pass finds those that may not, and only they are looked at rule by rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import Facets, literal

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

ASK = "ask"
REQUIRED = "required"
KEY = "source, message_id"


@dataclass(frozen=True, kw_only=True)
class JsonRule:
    """What holds for the value under `path`. `facets` as in json_facets; `parent` is the number of the rule around
    it; `closed` are the keys known inside it, None when any may be there.
    """

    path: tuple[str, ...]
    parent: int | None = None
    required: bool = False
    facets: Mapping[str, Any]
    closed: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Where:
    """Rows of `events`: a source, a type of call and perhaps an event or a version."""

    source: str
    type: str | None = None
    event: str | None = None
    versions: tuple[int, ...] | None = None
    """The versions that rows may state; with `others` also rows that state none of `known`."""
    known: tuple[int, ...] = ()
    others: bool = True

    def of_version(self, version: int, known: tuple[int, ...], *, oldest: bool) -> Where:
        """Of these rows those that state a version; the oldest also has those that state none that is known."""
        return replace(self, versions=(version,), known=known, others=oldest)

    def sql(self) -> str:
        found = [f"source = {literal(self.source)}"]
        if self.type is not None:
            found.append(f"type = {literal(self.type)}")
        if self.event is not None:
            found.append(f"event = {literal(self.event)}")
        if self.versions is not None:
            stated = f"coalesce({_in_versions(self.versions)}, false)"
            other = f"NOT coalesce({_in_versions(self.known)}, false)"
            found.append(f"({stated} OR {other})" if self.others else stated)
        return " AND ".join(found)


def _in_versions(versions: Sequence[int]) -> str:
    at = "'/protocols/event_version'"
    numbers = ", ".join(literal(str(v)) for v in versions)
    whole = f"json_type(context, {at}) IN ('UBIGINT', 'BIGINT')"
    return f"({whole} AND json_extract_string(context, {at}) IN ({numbers}))"


def observed(staging: Staging, source: str) -> list[tuple[str, str | None]]:
    """The types of calls and names of track events that a source has in staged `events`."""
    query = "SELECT DISTINCT type, CASE WHEN type = 'track' THEN event END FROM events WHERE source = ?"
    found: list[tuple[str, str | None]] = _raw(staging).execute(query, [source]).fetchall()
    return found


def find_broken(staging: Staging, where: Where, bucket: str, rules: Sequence[JsonRule]) -> bool:
    """Look at the objects in the column `bucket`; what may break a rule goes into the temporary tables `plan_broken`
    (source, message_id, rule, facet, text) and `plan_strange` (source, message_id, rule, key: keys that no rule
    knows; rule -1 is the top). False when there is nothing.

    A facet ASK comes with the value's JSON text: the answer depends on more than is known here.
    """
    raw = _raw(staging)
    terms = [_Term(rule, number, rules) for number, rule in enumerate(rules)]
    paths = ", ".join(literal(pointer(rule.path)) for rule in rules)
    look = f"SELECT {KEY}, coalesce({_name(bucket)}, '{{}}') AS j FROM events WHERE {where.sql()}"
    kinds = f"json_type(j, [{paths}]) AS t, json_extract_string(j, [{paths}]) AS x, " if rules else ""
    raw.execute(
        f"CREATE OR REPLACE TEMP TABLE plan_suspects AS SELECT * FROM (SELECT {KEY}, j, {kinds}json_keys(j) AS k "
        f"FROM ({look})) WHERE NOT ({_sound(terms)})"
    )
    if not raw.execute("SELECT count(*) FROM plan_suspects").fetchall()[0][0]:
        return False
    raw.execute(
        "CREATE OR REPLACE TEMP TABLE plan_broken (source VARCHAR, message_id VARCHAR, rule INTEGER, facet VARCHAR, "
        "text VARCHAR)"
    )
    raw.execute(
        "CREATE OR REPLACE TEMP TABLE plan_strange (source VARCHAR, message_id VARCHAR, rule INTEGER, key VARCHAR)"
    )
    for term in terms:
        for query in term.queries():
            raw.execute(f"INSERT INTO plan_broken {query}")
    for query in _strange(terms):
        raw.execute(f"INSERT INTO plan_strange {query}")
    return True


class _Term:
    """One rule as SQL over the columns t (types), x (texts), j (the object) and k (its keys)."""

    def __init__(self, rule: JsonRule, number: int, rules: Sequence[JsonRule]) -> None:
        self.rule, self.number = rule, number
        self.kind, self.text = f"t[{number + 1}]", f"x[{number + 1}]"
        self.facets = Facets(rule.facets, self.kind, self.text)
        self.held = " AND ".join(_around(rule, rules)) or "true"
        self.there = f"({self.held} AND {self.kind} IS NOT NULL)"
        self.inside = [n for n, other in enumerate(rules) if other.parent == number]

    def sound(self) -> str:
        absent = f"NOT ({self.held})" if self.rule.required else "true"
        if not self.rule.required and self.facets.sound() == "true":
            return "true"
        return f"CASE WHEN {self.there} THEN {self.facets.sound()} ELSE {absent} END"

    def queries(self) -> Iterator[str]:
        bad = self.facets.bad
        asked = f"coalesce({self.facets.asked()}, true)" if self.facets.open else "false"
        wrong = f"coalesce({bad['type']}, true)" if "type" in bad else "false"
        others = ", ".join(f"CASE WHEN {e} THEN {literal(name)} END" for name, e in bad.items() if name != "type")
        more = f"ELSE [{others}]" if others else ""
        missing = f"[{literal(REQUIRED)}]" if self.rule.required else "[]"
        if not bad and not self.facets.open and not self.rule.required:
            return
        facet = (
            f"CASE WHEN NOT ({self.held}) THEN [] WHEN {self.kind} IS NULL THEN {missing} WHEN {asked} THEN ['{ASK}'] "
            f"WHEN {wrong} THEN ['type'] {more} END"
        )
        text = f"CAST(json_extract(j, {literal(pointer(self.rule.path))}) AS VARCHAR)" if self.facets.open else "NULL"
        yield (
            f"SELECT {KEY}, {self.number}, facet, CASE WHEN facet = '{ASK}' THEN {text} END FROM "
            f"(SELECT {KEY}, j, unnest({facet}) AS facet FROM plan_suspects) WHERE facet IS NOT NULL"
        )


def _around(rule: JsonRule, rules: Sequence[JsonRule]) -> Iterator[str]:
    """What is around a value must be objects all the way up: a pointer would step into lists too."""
    while rule.parent is not None:
        yield f"t[{rule.parent + 1}] IS NOT DISTINCT FROM 'OBJECT'"
        rule = rules[rule.parent]


def _sound(terms: Sequence[_Term]) -> str:
    parts = [term.sound() for term in terms]
    parts += [f"len({keys}) = {_count(inside)}" for _, keys, inside in _objects(terms)]
    return " AND ".join(f"({part})" for part in parts if part != "true") or "true"


def _count(numbers: Sequence[int]) -> str:
    return " + ".join(f"CAST(t[{n + 1}] IS NOT NULL AS INTEGER)" for n in numbers) or "0"


def _objects(terms: Sequence[_Term]) -> Iterator[tuple[int, str, list[int]]]:
    """Every object whose keys are known: the number of its rule, SQL for its keys, numbers of the rules inside."""
    yield -1, "k", [term.number for term in terms if term.rule.parent is None]
    for term in terms:
        if term.rule.closed is not None:
            keys = f"json_keys(j, {literal(pointer(term.rule.path))})"
            yield term.number, f"CASE WHEN {term.kind} = 'OBJECT' AND {term.held} THEN {keys} ELSE [] END", term.inside


def _strange(terms: Sequence[_Term]) -> Iterator[str]:
    for number, keys, inside in _objects(terms):
        names = ", ".join(literal(terms[n].rule.path[-1]) for n in inside)
        known = f" WHERE key NOT IN ({names})" if names else ""
        yield f"SELECT {KEY}, {number}, key FROM (SELECT {KEY}, unnest({keys}) AS key FROM plan_suspects){known}"


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


def pointer(path: Sequence[str]) -> str:
    """
    >>> pointer(("a/b", "c.d"))
    '/a~1b/c.d'
    """
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def _raw(staging: Staging) -> Any:
    return staging.con.con


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
