"""A plan for single events, as they come in over HTTP: compiled once, then a few microseconds per event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cdp_core.quality.plan.checks import Check, Finding, checks_of, unplanned, unplanned_event
from cdp_core.quality.plan.schemas import broken, facet_validators, findings, payload, validator, whole_schema
from cdp_core.quality.plan.spec import CallPlan, Plan, bucket_of
from cdp_core.tracking import Controls

Action = Literal["allow", "omit", "block"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One thing that does not keep to the plan and what follows: the event is blocked, the value omitted, or neither.

    No text in it holds a customer's value.
    """

    rule: str
    field: str
    description: str
    action: Action


def action_of(finding: Finding, controls: Controls) -> Action:
    """What the controls say of a finding; what cannot be taken out is let through."""
    by_rule: dict[str, Action] = {
        "plan.unplanned_event": controls.unplanned_events,
        "plan.unplanned_property": controls.unplanned_properties,
        "plan.common": controls.common,
    }
    action = by_rule.get(finding.rule, controls.violations)
    return "allow" if action == "omit" and not finding.path else action


def compile_plan(plan: Plan, controls: Controls | None = None) -> Judge:
    """Prepare a plan for single events.

    Example: `judge = compile_plan(plan, controls); held = any(d.action == "block" for d in judge(event))`
    """
    return Judge(plan, controls or Controls.model_validate({}))


class Judge:
    """Judges decoded events of the Segment spec: type, event, userId, properties, traits, context."""

    def __init__(self, plan: Plan, controls: Controls) -> None:
        self.name = plan.name
        self.controls = controls
        self._events = {name: _versions(call, "properties") for name, call in plan.events.items()}
        self._calls = {kind: _versions(call, bucket_of(kind)) for kind, call in plan.calls().items()}
        self._common = validator(plan.common.beneath) if plan.common and plan.common.beneath is not None else None
        self._unknown = unplanned_event(plan.name)

    def __call__(self, event: Mapping[str, Any]) -> tuple[Decision, ...]:
        """Everything that does not keep to the plan, in a fixed order; () when the event does."""
        found = self.findings(event)
        return tuple(self._decided(finding) for finding in found) if found else ()

    def _decided(self, finding: Finding) -> Decision:
        action = action_of(finding, self.controls)
        return Decision(rule=finding.rule, field=finding.field, description=finding.description, action=action)

    def findings(self, event: Mapping[str, Any]) -> list[Finding]:
        """The same before the controls have their say."""
        kind = event.get("type")
        if kind == "track":
            name = event.get("event")
            versions = self._events.get(name) if isinstance(name, str) else None
            found = self._of(versions, event) if versions else [self._unknown]
        else:
            versions = self._calls.get(kind) if isinstance(kind, str) else None
            found = self._of(versions, event) if versions else []
        if self._common is None:
            return found
        seen = payload(event)
        if self._common.is_valid(seen):
            return found
        return [*found, *findings(self._common, seen, rule="plan.common")]

    def _of(self, versions: dict[int, _Rules], event: Mapping[str, Any]) -> list[Finding]:
        rules = next(iter(versions.values()))
        if len(versions) > 1:
            rules = versions.get(stated_version(event), rules)
        values = event.get(rules.bucket)
        return rules.findings(values if isinstance(values, Mapping) else {})


def stated_version(event: Mapping[str, Any]) -> int:
    """The version in context.protocols.event_version; 0 when there is none."""
    context = event.get("context")
    protocols = context.get("protocols") if isinstance(context, Mapping) else None
    version = protocols.get("event_version") if isinstance(protocols, Mapping) else None
    return version if type(version) is int else 0


def _versions(call: CallPlan, bucket: str) -> dict[int, _Rules]:
    return {version: _Rules(rules, bucket) for version, rules in call.by_version().items()}


class _Rules:
    """One version of a call. Most events are sound, so everything at once is asked first."""

    def __init__(self, call: CallPlan, bucket: str) -> None:
        self.bucket = bucket
        self.checks = checks_of(call)
        self.planned = frozenset(check.key for check in self.checks if check.parent is None)
        self.nested = [check for check in self.checks if check.closed is not None]
        self._whole = validator(whole_schema(self.checks))
        self._beneath = validator(call.beneath) if call.beneath is not None else None
        self._facets = [facet_validators(check.facets) for check in self.checks]

    def findings(self, values: Mapping[str, Any]) -> list[Finding]:
        sound = self._whole.is_valid(values)
        found = [] if sound else list(self._broken(values))
        if self.nested or not values.keys() <= self.planned:
            found += self._unplanned(values)
        if self._beneath is not None and not self._beneath.is_valid(values):
            found += findings(self._beneath, values, rule="plan.schema", prefix=(self.bucket,))
        return found

    def _broken(self, values: Mapping[str, Any]) -> Iterator[Finding]:
        for check, facets in zip(self.checks, self._facets, strict=True):
            holder = _at(values, check.path[:-1])
            if not isinstance(holder, Mapping):
                continue
            if check.key in holder:
                for facet in broken(facets, holder[check.key]):
                    yield check.finding(facet, self.bucket)
            elif check.rule.required:
                yield check.finding("required", self.bucket)

    def _unplanned(self, values: Mapping[str, Any]) -> list[Finding]:
        found = [unplanned(self.bucket, (key,)) for key in values if key not in self.planned]
        for check in self.nested:
            found += self._unplanned_in(check, values)
        return found

    def _unplanned_in(self, check: Check, values: Mapping[str, Any]) -> list[Finding]:
        inner = _at(values, check.path)
        keys = [key for key in inner if key not in (check.closed or ())] if isinstance(inner, Mapping) else []
        return [unplanned(self.bucket, (*check.path, key)) for key in keys]


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values
