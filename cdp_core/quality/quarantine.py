"""Which rows are held: rows that could not be read and rows that fail an expectation, each once, with every reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cdp_core.tables import EVENTS, QUARANTINE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine.staging import Staging

KEY = ["source", "message_id"]
REASON = ["rule", "field", "description"]
FAILURES = [*KEY, *REASON, "severity"]


def empty_failures() -> pl.DataFrame:
    """The staged table `failures` without rows: failing rows of every severity, one row per rule that they fail."""
    import polars as pl

    return pl.DataFrame(schema=dict.fromkeys(FAILURES, pl.String))


def quarantined(staging: Staging, source_tables: Mapping[str, str], *, run_id: str) -> ir.Table:
    """Write the staged table `held` with the columns of tables.QUARANTINE and give it.

    It holds rejects (staged `rejects`) and rows in staged `failures` of severity quarantine, one row per source and
    message_id. reasons: JSON list of {rule, field, description}. payload: the original line where the source has one
    (`_payload`), else the row's columns as a JSON object, exactly as read. `source_tables` maps a source to the staged
    table of its rows.
    """
    import ibis

    reasons = staging.replace("held_reasons", _reasons(staging))
    contents = _contents(staging, source_tables)
    held = reasons.left_join(contents, KEY).select(*KEY, "received_at", "payload", "reasons")
    held = held.mutate(
        status=ibis.literal("held"), run_id=ibis.literal(run_id), fixed=ibis.null("string"), shape=ibis.null("string")
    )
    schema = QUARANTINE.ibis_schema()
    return staging.replace("held", held.select(**{c: held[c].cast(kind) for c, kind in schema.items()}))


def _reasons(staging: Staging) -> ir.Table:
    """One row per held row: source, message_id, reasons; rows that could not be read say so first."""
    failed, read = _failed(staging), _rejected(staging)
    both = failed.outer_join(read, KEY)
    both = both.select(
        *(both[key].fill_null(both[f"{key}_right"]).name(key) for key in KEY), unread=both.unread, broken=both.broken
    )
    comma = (both.unread.notnull() & both.broken.notnull()).ifelse(",", "")
    reasons = "[" + both.unread.fill_null("") + comma + both.broken.fill_null("") + "]"
    return both.select(*KEY, reasons=reasons)


def _failed(staging: Staging) -> ir.Table:
    """source, message_id and `broken`: the reasons as JSON, without the brackets.

    A batch may fail as a whole. So only numbers of rules are gathered row by row; the few sets of rules that occur are
    put into words once each.
    """
    import polars as pl

    failures = staging.table("failures")
    held = failures.filter((failures.severity == "quarantine") & failures.message_id.notnull())
    rules = staging.polars(held.select(REASON).distinct()).sort(REASON).with_row_index("number")
    staging.drop("held_rules")
    staging.append("held_rules", rules.with_columns(pl.col("number").cast(pl.String)))
    numbered = held.select(*KEY, *REASON).distinct().inner_join(staging.table("held_rules"), REASON)
    sets = staging.replace("held_sets", numbered.group_by(KEY).agg(rules=numbered.number.group_concat(",")))
    words = [json.dumps(row, ensure_ascii=False) for row in rules.select(REASON).to_dicts()]
    found = staging.polars(sets.select("rules").distinct())["rules"].to_list()
    told = [",".join(words[number] for number in sorted(map(int, rules.split(",")))) for rules in found]
    staging.drop("held_words")
    staging.append(
        "held_words", pl.DataFrame({"rules": found, "broken": told}, schema={"rules": pl.String, "broken": pl.String})
    )
    return sets.inner_join(staging.table("held_words"), "rules").select(*KEY, "broken")


def _rejected(staging: Staging) -> ir.Table:
    """source, message_id and `unread`: the reasons as JSON, without the brackets."""
    import ibis

    if not staging.has("rejects"):
        return staging.table("failures").limit(0).select(*KEY, unread="rule")
    rejects = staging.table("rejects").select(*KEY, *REASON).distinct()
    text = ibis.struct({name: rejects[name] for name in REASON}).cast("json").cast("string")
    every = rejects.select(*KEY, unread=text)
    return every.group_by(KEY).agg(unread=every.unread.group_concat(","))


def _contents(staging: Staging, source_tables: Mapping[str, str]) -> ir.Table:
    """source, message_id, received_at and payload of every row that is held, once each."""
    import ibis

    held = staging.table("held_reasons").select(KEY)
    known = _once(staging.table("rejects")) if staging.has("rejects") else None
    rows = [_original(staging.table(name), source, held) for source, name in source_tables.items()]
    if rows:
        every = _once(rows[0].union(*rows[1:]) if len(rows) > 1 else rows[0])
        known = every if known is None else known.union(every.anti_join(known, KEY))
    if staging.has("events"):
        events = staging.table("events").semi_join(held, KEY)
        received = _once(events.mutate(payload=ibis.null("string"))).drop("payload")
        if known is None:
            return _once(events.mutate(payload=_as_json(events, list(EVENTS.columns))))
        others = events.anti_join(known, KEY)
        others = _once(others.mutate(payload=_as_json(others, list(EVENTS.columns))))
        joined = known.left_join(received, KEY)
        at = joined.received_at.fill_null(joined.received_at_right)
        return joined.select(*KEY, "payload", received_at=at).union(others)
    return held.limit(0).mutate(payload=_null("string"), received_at=_null("timestamp(6)")) if known is None else known


def _once(rows: ir.Table) -> ir.Table:
    """Every key once; of several rows the first content in the alphabet, so that a repeat gives the same."""
    received = rows.received_at.cast("timestamp(6)")
    rows = rows.select(*KEY, payload=rows.payload.cast("string"), received_at=received)
    return rows.group_by(KEY).agg(payload=rows.payload.min(), received_at=rows.received_at.max())


def _original(rows: ir.Table, source: str, held: ir.Table) -> ir.Table:
    import ibis

    own = [c for c in rows.columns if c != "message_id" and not c.startswith("_")]
    payload = rows["_payload"] if "_payload" in rows.columns else _as_json(rows, own)
    mine = held.filter(held.source == source).select("message_id")
    rows = rows.select("message_id", payload=payload).semi_join(mine, "message_id")
    return rows.mutate(source=ibis.literal(source), received_at=_null("timestamp(6)"))


def _as_json(rows: ir.Table, columns: list[str]) -> ir.Value:
    import ibis

    return ibis.struct({c: rows[c] for c in columns if c in rows.columns}).cast("json").cast("string")


def _null(kind: str) -> Any:
    import ibis

    return ibis.null(kind)
