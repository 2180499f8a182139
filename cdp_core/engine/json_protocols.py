"""What `context.protocols` says of staged `events` when they are checked once more, and what has changed by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cdp_core.engine.json_rules import KEY

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

CHECKED = ("event", "properties", "traits", "context")
"""The columns that corrections and plans may change."""
_SAID = ("plan", "omitted", "omitted_on_violation", "violations")
_OMITTED = _SAID[1:3]


def forget(staging: Staging) -> None:
    """Take out what an earlier check by a plan has said. Which values it omitted is remembered for `remember`."""
    raw = _raw(staging)
    said = ", ".join(f"{_at(name)} AS {name}" for name in _SAID)
    raw.execute(
        f"CREATE OR REPLACE TEMP TABLE plan_before AS SELECT {KEY}, {said} FROM events WHERE {_at('plan')} IS NOT NULL"
    )
    nulls = ",".join(f'"{name}":null' for name in _SAID)
    patched = f"json_merge_patch(context, '{{\"protocols\":{{{nulls}}}}}')"
    bare = f"json_merge_patch({patched}, '{{\"protocols\":null}}')"
    left = f"CASE WHEN CAST(json_extract({patched}, '/protocols') AS VARCHAR) = '{{}}' THEN {bare} ELSE {patched} END"
    raw.execute(f"UPDATE events SET context = nullif(CAST({left} AS VARCHAR), '{{}}') WHERE {_at('plan')} IS NOT NULL")


def remember(staging: Staging) -> None:
    """Add what earlier checks omitted to what today's say: those values are gone for good."""
    lists = {name: f"coalesce(from_json(b.{name}, '[\"VARCHAR\"]'), [])" for name in _OMITTED}
    now = {name: f"coalesce(from_json({_at(name, 'events.context')}, '[\"VARCHAR\"]'), [])" for name in _OMITTED}
    both = {n: f"to_json(list_sort(list_distinct(list_concat({lists[n]}, {now[n]}))))" for n in _OMITTED}
    said = {
        "plan": f"coalesce({_at('plan', 'events.context')}, b.plan)",
        **both,
        "violations": f"coalesce({_at('violations', 'events.context')}, '[]')",
    }
    inner = ", ".join(f"'{name}', {value}" for name, value in said.items())
    patch = f"json_object('protocols', json_object({inner}))"
    some = " OR ".join(f"len({lists[name]}) > 0" for name in _OMITTED)
    raw = _raw(staging)
    raw.execute(
        f"UPDATE events SET context = CAST(json_merge_patch(coalesce(events.context, '{{}}'), {patch}) AS VARCHAR) "
        f"FROM plan_before b WHERE events.source = b.source AND events.message_id = b.message_id AND ({some})"
    )
    raw.execute("DROP TABLE IF EXISTS plan_before")


def write_changed(staging: Staging, before: str, name: str, columns: Iterable[str] = CHECKED) -> None:
    """The staged table `name`: events of which one of `columns` is not as in the staged table `before`, with its
    run_id.
    """
    differ = " OR ".join(f"e.{c} IS DISTINCT FROM s.{c}" for c in columns)
    _raw(staging).execute(
        f"CREATE OR REPLACE TABLE {name} AS SELECT e.*, s.run_id FROM events e JOIN {before} s "
        f"ON e.source = s.source AND e.message_id = s.message_id WHERE {differ}"
    )


def _at(name: str, column: str = "context") -> str:
    return f"json_extract({column}, '/protocols/{name}')"


def _raw(staging: Staging) -> Any:
    return staging.con.con
