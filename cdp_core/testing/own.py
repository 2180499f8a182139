"""A destination of a workspace's destinations.py, made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdp_core.destinations.base import Destination
from cdp_core.destinations.open import parsed
from cdp_core.destinations.own import FILE, own_types
from cdp_core.errors import SpecError


def own_destination(kind: str, workspace: Path, root: Path, /, **options: Any) -> Destination:
    """The type `kind` of destinations.py in the folder `workspace`, at work in the folder `root`.

    Raises SpecError when the file is wrong, has no such type, or an option is not right.
    """
    types: dict[str, Any] = dict(own_types(workspace))
    if kind not in types:
        raise SpecError.unknown("destination type", kind, types, where=FILE)
    made: Destination = types[kind](parsed(types[kind].Options, options, where=kind), root)
    return made
