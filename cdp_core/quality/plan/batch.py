"""A plan over a staged batch: what does not keep to it, found for all rows at once.

The database answers for the plain rules. What it leaves open, the schemas beneath a plan among it, is asked of the
same validators as a single event would be, once for every distinct text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_found, json_rules
from cdp_core.engine.json_rules import ASK, REQUIRED, JsonRule, Where
from cdp_core.quality.plan.checks import Check, Finding, checks_of, unplanned, unplanned_event
from cdp_core.quality.plan.schemas import (
    Reading,
    broken,
    facet_validators,
    findings,
    payload,
    payload_reading,
    reading,
    validator,
)
from cdp_core.quality.plan.spec import CallPlan, Plan, bucket_of

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

_COLUMNS = {
    "type": "type", "event": "event", "name": "event", "userId": "user_id", "anonymousId": "anonymous_id",
    "groupId": "group_id", "previousId": "previous_id",
}  # fmt: skip


@dataclass
class Found:
    """The different findings of a batch; their numbers stand in the temporary table `plan_found`."""

    numbers: dict[Finding, int] = field(default_factory=dict)

    def number(self, finding: Finding) -> int:
        return self.numbers.setdefault(finding, len(self.numbers))

    @property
    def findings(self) -> list[Finding]:
        return list(self.numbers)


def find(staging: Staging, source: str, plan: Plan) -> Found:
    """Fill the temporary table `plan_found` (source, message_id, kind) for the rows of a source in staged `events`."""
    found = Found()
    json_found.begin_found(staging)
    _unplanned_events(staging, source, plan, found)
    observed = set(json_rules.observed(staging, source))
    for name, call in plan.events.items():
        if ("track", name) in observed:
            _call(staging, Where(source=source, type="track", event=name), call, "properties", found)
    for kind, call in plan.calls().items():
        if kind in {seen for seen, _ in observed}:
            _call(staging, Where(source=source, type=kind), call, bucket_of(kind), found)
    if plan.common is not None and plan.common.beneath is not None:
        _common(staging, Where(source=source), plan.common.beneath, found)
    return found


def _unplanned_events(staging: Staging, source: str, plan: Plan, found: Found) -> None:
    where = Where(source=source, type="track")
    json_found.add_rows(staging, where, found.number(unplanned_event(plan.name)), list(plan.events))


def _call(staging: Staging, where: Where, call: CallPlan, bucket: str, found: Found) -> None:
    by_version = call.by_version()
    known = tuple(by_version)
    for number, (version, rules) in enumerate(by_version.items()):
        chosen = where.of_version(version, known, oldest=number == 0) if len(known) > 1 else where
        checks = checks_of(rules)
        if json_rules.find_broken(staging, chosen, bucket, [_rule(check) for check in checks]):
            _plain(staging, checks, bucket, found)
            _asked(staging, checks, bucket, found)
            _strange(staging, checks, bucket, found)
        if rules.beneath is not None:
            _beneath(staging, chosen, rules.beneath, bucket, found)


def _rule(check: Check) -> JsonRule:
    facets = {name: check.rule.types if name == "type" else getattr(check.rule, name) for name in check.facets}
    return JsonRule(
        path=check.path, parent=check.parent, required=check.rule.required, facets=facets, closed=check.closed
    )


def _plain(staging: Staging, checks: Sequence[Check], bucket: str, found: Found) -> None:
    rows = [
        {"rule": number, "facet": facet, "kind": found.number(check.finding(facet, bucket))}
        for number, check in enumerate(checks)
        for facet in (*check.facets, *([REQUIRED] if check.rule.required else []))
    ]
    json_found.add_answers(staging, "plan_broken", _frame(rows, rule="i", facet="s"))


def _asked(staging: Staging, checks: Sequence[Check], bucket: str, found: Found) -> None:
    asked = json_found.questions(staging, "plan_broken", ("rule", "text"), ASK)
    if not asked.height:
        return
    facets = {number: facet_validators(checks[number].facets) for number in asked["rule"].unique()}
    rows = [
        {"rule": rule, "text": text, "kind": found.number(checks[rule].finding(facet, bucket))}
        for rule, text in asked.iter_rows()
        for facet in broken(facets[rule], json.loads(text))
    ]
    json_found.add_answers(staging, "plan_broken", _frame(rows, rule="i", text="s"))


def _strange(staging: Staging, checks: Sequence[Check], bucket: str, found: Found) -> None:
    rows = [
        {"rule": rule, "key": key, "kind": found.number(unplanned(bucket, (*_path(checks, rule), key)))}
        for rule, key in json_found.questions(staging, "plan_strange", ("rule", "key")).iter_rows()
    ]
    json_found.add_answers(staging, "plan_strange", _frame(rows, rule="i", key="s"))


def _path(checks: Sequence[Check], number: int) -> tuple[str, ...]:
    return checks[number].path if number >= 0 else ()


def _beneath(staging: Staging, where: Where, schema: Mapping[str, Any], bucket: str, found: Found) -> None:
    keys = reading(schema)
    check = validator(schema)
    texts = json_found.distinct_texts(staging, where, json_found.pieces_of(bucket, keys))
    rows = []
    for number, pieces in texts.iter_rows():
        value = _object(keys, pieces) or {}
        if not check.is_valid(value):
            told = findings(check, value, rule="plan.schema", prefix=(bucket,))
            rows += [{"number": number, "kind": found.number(finding)} for finding in told]
    if rows:
        json_found.add_texts(staging, where, json_found.pieces_of(bucket, keys), _frame(rows, number="i"))


def _common(staging: Staging, where: Where, schema: Mapping[str, Any], found: Found) -> None:
    looked = payload_reading(schema)
    check = validator(schema)
    pieces = list(_payload_pieces(looked))
    rows = []
    for number, texts in json_found.distinct_texts(staging, where, pieces).iter_rows():
        value = _payload(looked, iter(texts))
        if not check.is_valid(value):
            rows += [
                {"number": number, "kind": found.number(finding)}
                for finding in findings(check, value, rule="plan.common")
            ]
    if rows:
        json_found.add_texts(staging, where, pieces, _frame(rows, number="i"))


def _payload_pieces(looked: Mapping[str, Reading | bool]) -> Iterator[str]:
    """Texts of what is looked at; of an object whose keys are picked also whether it is there at all."""
    yield json_found.quoted("type")
    for key, how in looked.items():
        if isinstance(how, bool):
            yield json_found.quoted(_COLUMNS[key], shallow=how and key != "type")
        else:
            yield from json_found.pieces_of(key, how)
            if how is not None:
                yield f"CASE WHEN {key} IS NOT NULL THEN '{{}}' END"


def _payload(looked: Mapping[str, Reading | bool], texts: Iterator[str | None]) -> dict[str, Any]:
    kind = json.loads(next(texts) or "null")
    event: dict[str, Any] = {}
    for key, how in looked.items():
        if isinstance(how, bool):
            event[key] = json.loads(next(texts) or "null")
        else:
            inner = _object(how, [next(texts) for _ in (how if how is not None else [key])])
            event[key] = inner if how is None or next(texts) is not None else None
    named = {"event": event.pop("event", None), "name": event.pop("name", None)}
    event |= {"event": named["event"]} if kind == "track" else {"name": named["name"]}
    return {key: value for key, value in payload({**event, "type": kind}).items() if key in looked}


def _object(keys: Reading, texts: Sequence[str | None]) -> dict[str, Any] | None:
    if keys is None:
        value: dict[str, Any] | None = json.loads(texts[0]) if texts[0] is not None else None
        return value
    return {key: json.loads(text) for key, text in zip(keys, texts, strict=True) if text is not None}


def _frame(rows: list[dict[str, Any]], **columns: str) -> pl.DataFrame:
    import polars as pl

    kinds = {name: pl.Int64 if kind == "i" else pl.String for name, kind in columns.items()}
    return pl.DataFrame(rows, schema={**kinds, "kind": pl.Int64})
