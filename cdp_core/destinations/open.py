"""From `type:` to the class, and from open options to the class's own models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cdp_core.destinations.base import Delivery, Destination
from cdp_core.destinations.own import own_types
from cdp_core.destinations.spec import DestinationSpec, SyncSpec
from cdp_core.errors import SpecError

GROUP = "cdp_core.destinations"


def type_names(root: Path | None) -> list[str]:
    """Every type that the workspace at `root` may use: installed ones and its own, sorted. Raises SpecError."""
    from cdp_core.plugins import names

    return sorted({*names(GROUP), *own_types(root)})


def type_class(kind: str, root: Path | None) -> Any:
    """The class of a type. Raises SpecError with the nearest type that exists."""
    from cdp_core.plugins import load, names

    if kind in names(GROUP):
        return load(GROUP, kind)
    own = own_types(root)
    if kind not in own:
        error = SpecError.unknown("destination type", kind, type_names(root))
        hint = error.hint or "'cdp destination list' shows all, 'cdp destination new NAME' makes one of your own"
        raise SpecError(error.what, choices=error.choices, hint=hint)
    return own[kind]


def destination_class(name: str, spec: DestinationSpec, root: Path | None = None) -> Any:
    """The class that `type` names. Raises SpecError with the nearest type that exists."""
    try:
        return type_class(spec.type, root)
    except SpecError as error:
        where = error.where or f"destinations.{name}.type"
        raise SpecError(error.what, where=where, choices=error.choices, hint=error.hint) from error


def open_destination(name: str, spec: DestinationSpec, *, root: Path) -> Destination:
    """The destination, with checked options; nothing is connected yet. `root` is the workspace's folder.

    Raises SpecError when an option is unknown, missing or of the wrong type.
    """
    cls = destination_class(name, spec, root)
    destination: Destination = cls(parsed(cls.Options, spec.options, where=f"destinations.{name}"), root)
    return destination


def delivery_for(name: str, sync: SyncSpec, destination: Any, fields: dict[str, str], plan_id: str = "") -> Delivery:
    """What `destination` is told before the first batch. Raises SpecError for a wrong option of the sync."""
    options = parsed(destination.SyncOptions, sync.options, where=f"syncs.{name}.options")
    return Delivery(sync=name, key=sync.key, fields=fields, options=options, plan_id=plan_id, mode=sync.mode)


def parsed(model: type[BaseModel], options: Mapping[str, Any], *, where: str) -> BaseModel:
    """Options as the class wants them; the first problem as a SpecError that shows no value."""
    try:
        return model(**options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join([where, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise SpecError.unknown("option", str(first["loc"][-1]), model.model_fields, where=path) from None
        message = first["msg"].removeprefix("Value error, ")
        raise SpecError(message, where=path, choices=sorted(model.model_fields)) from None
