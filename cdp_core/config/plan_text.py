"""A tracking plan as the text of its file: one line for each property, so that a change is one line of a diff."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from cdp_core.quality.plan.spec import CallPlan, Plan

_CALL = ("description", "labels", "version", "properties", "traits", "schema", "versions")
_CALLS = ("identify", "group", "page", "screen")
_TOP = ("description", "labels", "events", "identify", "group", "page", "screen", "common")


def plan_text(plan: Mapping[str, Any]) -> str:
    """The YAML of a plan that is given in the shape of its file.

    >>> print(plan_text({"events": {"Paid": {"properties": {"total": {"type": "number", "minimum": 0}}}}}), end="")
    events:
      Paid:
        properties:
          total: {type: number, minimum: 0}
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    yaml.default_flow_style = False
    out = io.StringIO()
    made = {
        key: _call(plan[key]) if key not in ("events", "description", "labels") else plan[key]
        for key in _TOP
        if key in plan
    }
    if "events" in made:
        made["events"] = {name: _call(call or {}) for name, call in plan["events"].items()}
    yaml.dump(_block(made), out)
    return out.getvalue()


def as_written(path: tuple[str, ...], value: Any) -> Any:
    """What stands at a path of a plan, styled as `plan_text` writes it."""
    if not isinstance(value, Mapping):
        return _block(value)
    if any(part in ("properties", "traits") for part in path[:-1]):
        return _block(_Line(_rule(value)))
    if path[-1] in ("properties", "traits"):
        return _block({name: _line(rule) for name, rule in value.items()})
    if path == ("events",):
        return _block({name: _line(call) if not call else _call(call) for name, call in value.items()})
    if path[-1] == "versions":
        return _block({int(number): _call(call) for number, call in value.items()})
    is_call = path[0] == "events" or path[0] in _CALLS
    return _block(_call(value) if is_call and path[-1] not in ("schema", "labels") else value)


def _line(rule: Any) -> Any:
    return _Line(_rule(rule)) if isinstance(rule, Mapping) else rule


def plan_dict(plan: Plan) -> dict[str, Any]:
    """A plan in the shape of its file."""
    made: dict[str, Any] = plan.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    made["events"] = {name: made.get("events", {}).get(name, {}) for name in plan.events}
    for name, call in plan.calls().items():
        made.setdefault(name, _of_call(call))
    return made if made["events"] else {key: value for key, value in made.items() if key != "events"}


def _of_call(call: CallPlan) -> dict[str, Any]:
    return call.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: call[key] for key in _CALL if key in call}
    for bucket in ("properties", "traits"):
        if bucket in made:
            made[bucket] = {name: _Line(_rule(rule)) for name, rule in made[bucket].items()}
    if "versions" in made:
        made["versions"] = {int(number): _call(inner) for number, inner in made["versions"].items()}
    return made


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """One type stands for itself."""
    made = dict(rule)
    if isinstance(made.get("type"), (list, tuple)) and len(made["type"]) == 1:
        made["type"] = made["type"][0]
    if "properties" in made:
        made["properties"] = {name: _rule(inner) for name, inner in made["properties"].items()}
    return made


class _Line(dict[str, Any]):
    """Written on one line."""


def _block(value: Any, *, line: bool = False) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        line = line or isinstance(value, _Line) or not value
        made = CommentedMap((key, _block(inner, line=line)) for key, inner in value.items())
        made.fa.set_flow_style() if line else made.fa.set_block_style()
        return made
    if isinstance(value, (list, tuple)):
        items = CommentedSeq(_block(inner, line=True) for inner in value)
        items.fa.set_flow_style()
        return items
    return value
