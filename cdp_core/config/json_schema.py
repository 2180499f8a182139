"""JSON Schema of cdp.yaml, so that editors complete keys and mark what is wrong while it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cdp_core import plugins
from cdp_core.config.merge import NAMED_BLOCKS
from cdp_core.config.model import Config
from cdp_core.destinations.open import type_class, type_names
from cdp_core.errors import SpecError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": r"\$\{[^}]+\}"}


def schema(root: Path | None = None) -> dict[str, Any]:
    """The schema, with the options of every installed source and destination type, and of the own ones of the
    workspace at `root`.

    Example: `json.dump(schema(), file)`, then `# yaml-language-server: $schema=cdp.schema.json` atop cdp.yaml
    """
    made = Config.model_json_schema(by_alias=True)
    definitions = made.setdefault("$defs", {})
    _short_forms(definitions)
    sources = _loaded(plugins.names(plugins.SOURCES), lambda kind: plugins.load(plugins.SOURCES, kind))
    kinds = _loaded(type_names(root), lambda kind: type_class(kind, root))
    for name, types in (("SourceSpec", sources), ("DestinationSpec", kinds)):
        definitions[name] = _by_type(definitions[name], types, definitions)
    sync_options = [_options(found, "SyncOptions", definitions) for found in kinds.values()]
    definitions["SyncSpec"]["properties"]["options"] = {"anyOf": sync_options or [{"type": "object"}]}
    for block in (*NAMED_BLOCKS, "include", "today", "alerts"):
        made["properties"][block] = _or_nothing(made["properties"][block])
    for described in (made, *definitions.values()):
        described["description"] = described.get("description", "").partition("\n\n>>>")[0]
    return {"$schema": _DIALECT, **made, "title": "cdp.yaml"}


def _loaded(kinds: Iterable[str], load: Callable[[str], Any]) -> dict[str, Any]:
    """Type → class; a plug-in that does not load is left out."""
    found = {}
    for kind in kinds:
        with contextlib.suppress(SpecError):
            found[kind] = load(kind)
    return found


def _by_type(spec: dict[str, Any], types: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """One alternative per type: the keys of the spec and those of the type's own options."""
    variants = []
    for kind, found in types.items():
        options = _options(found, "Options", definitions)
        variants.append(
            {
                "type": "object",
                "title": f"{kind} {options.get('title', '')}".strip(),
                "description": options.get("description", ""),
                "properties": {**spec["properties"], **options.get("properties", {}), "type": {"const": kind}},
                "required": sorted({"type", *spec.get("required", []), *options.get("required", [])}),
                "additionalProperties": options.get("additionalProperties", False),
            }
        )
    return {"description": spec.get("description", ""), "anyOf": variants}


def _options(cls: Any, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type's options."""
    model: type[BaseModel] = getattr(cls, name)
    made = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions.update(made.pop("$defs", {}))
    made["properties"] = {name: _or_variable(value) for name, value in made.get("properties", {}).items()}
    return made


def _or_variable(value: dict[str, Any]) -> dict[str, Any]:
    """Numbers and choices may also be taken from the environment."""
    if value.get("type") == "string" and not set(value) & {"enum", "pattern", "maxLength", "const"}:
        return value
    return {"anyOf": [value, _VARIABLE], **{k: value[k] for k in ("description", "title", "default") if k in value}}


def _or_nothing(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "anyOf": [value, {"type": "null"}],
        **({"description": value["description"]} if "description" in value else {}),
    }


def _short_forms(definitions: dict[str, Any]) -> None:
    """What may be written shorter than the models say: a column's name instead of a value's description."""
    alert = definitions["AlertSpec"]["properties"]
    alert["to"] = {"anyOf": [{"type": "string"}, alert["to"]]}
    alert["on"] = {"anyOf": [alert["on"]["items"], alert["on"]]}
    to = definitions["EmailSpec"]["properties"]
    to["to"] = {"anyOf": [{"type": "string"}, to["to"]]}
    plan = definitions["SourceSpec"]["properties"]["plan"]
    plan["anyOf"] = [{"type": "string"}, *plan["anyOf"]]
    fields = definitions["PrivacySpec"]["properties"]["fields"]
    fields["additionalProperties"] = {"anyOf": [{"enum": ["red", "yellow", "green"]}, fields["additionalProperties"]]}
    columns = definitions["MapSpec"]["properties"]
    columns["key"] = {"anyOf": [{"type": "string"}, columns["key"]]}
    for bucket in ("traits", "properties"):
        held = columns[bucket]["anyOf"][0]
        held["additionalProperties"] = {"anyOf": [{"type": "string"}, held["additionalProperties"]]}
