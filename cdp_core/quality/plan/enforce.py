"""What follows from a plan in a batch: events are held, values omitted, and the event says what was done to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.engine import json_edit, json_found
from cdp_core.engine.json_rules import Where
from cdp_core.quality.plan.batch import Found, find
from cdp_core.quality.plan.checks import Finding
from cdp_core.quality.plan.judge import Action, action_of
from cdp_core.quality.plan.spec import Plan
from cdp_core.tracking import Controls

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine.staging import Staging

FAILURES = "plan_failures"
_SEVERITY = {"allow": "warn", "omit": "warn", "block": "quarantine"}


def enforce(staging: Staging, plans: Mapping[str, tuple[Plan, Controls]]) -> str | None:
    """Check staged `events` of the sources in `plans`.

    Gives the staged table of what was found (source, message_id, rule, field, description, severity: quarantine for
    what is blocked, else warn), None when every event keeps to its plan. Omits values from staged `events` and writes
    context.protocols {plan, omitted, omitted_on_violation, violations}.
    """
    staging.drop(FAILURES)
    for source, (plan, controls) in plans.items():
        found = find(staging, source, plan)
        if not json_found.any_found(staging):
            continue
        actions = [action_of(finding, controls) for finding in found.findings]
        json_found.write_failures(staging, FAILURES, _failures(found, actions))
        blocked = [number for number, action in enumerate(actions) if action == "block"]
        sets = json_found.found_sets(staging, blocked)
        patches = _patches(sets, found.findings, actions, plan.name)
        if patches.height:
            json_found.patch_events(staging, patches)
            _forget_copies(staging, source, found.findings, actions)
    json_found.end_found(staging)
    return FAILURES if staging.has(FAILURES) else None


def _failures(found: Found, actions: Sequence[Action]) -> pl.DataFrame:
    import polars as pl

    rows = [
        {"kind": n, "rule": f.rule, "field": f.field, "description": f.description, "severity": _SEVERITY[action]}
        for n, (f, action) in enumerate(zip(found.findings, actions, strict=True))
    ]
    texts = dict.fromkeys(("rule", "field", "description", "severity"), pl.String)
    return pl.DataFrame(rows, schema={"kind": pl.Int64, **texts})


def _patches(sets: Sequence[str], findings: Sequence[Finding], actions: Sequence[Action], plan: str) -> pl.DataFrame:
    """Few sets of findings occur in many events, so each is put into words once."""
    import polars as pl

    rows = []
    for kinds in sets:
        said = [(findings[number], actions[number]) for number in map(int, kinds.split(","))]
        if patch := _patch(said, plan):
            rows.append({"kinds": kinds, **{bucket: _json(change) for bucket, change in patch.items()}})
    return pl.DataFrame(rows, schema=dict.fromkeys(("kinds", "properties", "traits", "context"), pl.String))


def _patch(said: Sequence[tuple[Finding, Action]], plan: str) -> dict[str, dict[str, Any]]:
    """What is merged into properties, traits and context; nothing for what is merely unplanned and allowed."""
    omitted = [(f, f.rule.startswith("plan.unplanned")) for f, action in said if action == "omit"]
    violations = sorted({(f.rule, f.field, f.description) for f, _ in said if not f.rule.startswith("plan.unplanned")})
    if not omitted and not violations:
        return {}
    patch: dict[str, dict[str, Any]] = {}
    for finding, _ in omitted:
        _take_out(patch, finding.path)
    patch.setdefault("context", {})["protocols"] = {
        "plan": plan,
        "omitted": sorted(f.field for f, planless in omitted if planless),
        "omitted_on_violation": sorted({f.field for f, planless in omitted if not planless}),
        "violations": [{"type": rule, "field": name, "description": words} for rule, name, words in violations],
    }
    return patch


def _take_out(patch: dict[str, Any], path: tuple[str, ...]) -> None:
    """A null in a merge patch takes a key out; what is taken out as a whole needs no word about its inside."""
    for key in path[:-1]:
        patch = patch.setdefault(key, {})
        if patch is None:
            return
    patch[path[-1]] = None


def _forget_copies(staging: Staging, source: str, findings: Sequence[Finding], actions: Sequence[Action]) -> None:
    """Traits that were omitted leave the event's context too, where senders may have put them as well."""
    places = {f.path for f, action in zip(findings, actions, strict=True) if action == "omit" and f.path[0] == "traits"}
    where = Where(source=source)
    json_edit.edit_staged(staging, [json_edit.forget_copy(where, place, gone=True) for place in sorted(places)])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
