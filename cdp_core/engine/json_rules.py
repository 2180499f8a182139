"""Rules about keys of JSON objects, asked of all rows of a staged table at once.

Most rows keep to the rules: one pass finds those that may not, and only they are looked at rule by rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_facets import Facets, literal

if TYPE_CHECKING:
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
    """Rows of `events`: perhaps of one source, a type of call, an event or a version."""

    source: str | None = None
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
        found = [f"source = {literal(self.source)}"] if self.source is not None else []
        if self.type is not None:
            found.append(f"type = {literal(self.type)}")
        if self.event is not None:
            found.append(f"event = {literal(self.event)}")
        if self.versions is not None:
            stated = f"coalesce({_in_versions(self.versions)}, false)"
            other = f"NOT coalesce({_in_versions(self.known)}, false)"
            found.append(f"({stated} OR {other})" if self.others else stated)
        return " AND ".join(found) or "true"


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
