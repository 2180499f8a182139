"""The fields of a pydantic model described as data, so that a form can be made of it: from its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_PLAIN = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One field. `kind` is what to ask for: text, secret, integer, number, flag, choice (one of `choices`), texts (a
    list), table (names and texts), secrets (names and secrets) or json (anything else). `minimum` and `maximum` are
    bounds of a number, which lies strictly between them where `open_minimum` says so.
    """

    name: str
    kind: str
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False

    @property
    def is_secret(self) -> bool:
        return self.kind in ("secret", "secrets")


def form_fields(model: type[BaseModel]) -> tuple[FormField, ...]:
    """The fields of a model under the names they have in cdp.yaml, required ones first.

    >>> from cdp_core.destinations.limits import LimitsSpec
    >>> [(f.name, f.kind, f.minimum, f.maximum) for f in form_fields(LimitsSpec)][:3]
    [('rows_per_call', 'integer', 1, None), ('calls_per_second', 'number', 0, None), ('concurrency', 'integer', 1, 64)]
    """
    schema = model.model_json_schema(by_alias=True)
    needed = set(schema.get("required", ()))
    made = [_field(n, s, n in needed, schema.get("$defs", {})) for n, s in schema.get("properties", {}).items()]
    return tuple(sorted(made, key=lambda field: not field.required))


def _field(name: str, schema: Mapping[str, Any], required: bool, defs: Mapping[str, Any]) -> FormField:
    inner = _inner(schema, defs)
    minimum = inner.get("minimum", inner.get("exclusiveMinimum"))
    return FormField(
        name=name,
        kind=_kind(inner, defs),
        help=schema.get("description") or inner.get("description") or "",
        required=required,
        default=schema.get("default"),
        choices=tuple(inner.get("enum", ())) or ((inner["const"],) if "const" in inner else ()),
        minimum=minimum,
        maximum=inner.get("maximum"),
        open_minimum="exclusiveMinimum" in inner,
    )


def _inner(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one kind that a field may have beside null; where there are several it stays open."""
    if "$ref" in schema:
        return _inner(defs.get(str(schema["$ref"]).rpartition("/")[2], {}), defs)
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return _inner(kinds[0], defs) if len(kinds) == 1 else {} if kinds else schema


def _kind(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return "choice"
    kind = schema.get("type")
    if kind == "string":
        return "secret" if _is_secret(schema) else "text"
    if kind == "array":
        return "texts" if _inner(schema.get("items", {}), defs).get("type") == "string" else "json"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        value = _inner(schema["additionalProperties"], defs)
        if value.get("type") == "string":
            return "secrets" if _is_secret(value) else "table"
    return _PLAIN.get(str(kind), "json")


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return schema.get("format") == "password" or bool(schema.get("writeOnly"))
