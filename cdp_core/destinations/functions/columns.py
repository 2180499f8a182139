"""Which columns a field reads, however deep inside functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions import template
from cdp_core.destinations.functions.spec import Template


def columns_read(source: Any, place: str = "") -> Iterator[tuple[str, FieldSpec]]:
    """Every column with its place in the mapping, such as `greeting.coalesce.0`; constants are left out.

    >>> from cdp_core.destinations.functions.spec import Coalesce
    >>> [(place, field.column) for place, field in columns_read(Coalesce(coalesce=["a", {"lower": "b"}]), "x")]
    [('x.coalesce.0', 'a'), ('x.coalesce.1.lower', 'b')]
    """
    if isinstance(source, FieldSpec):
        if source.column is not None:
            yield place, source
    elif isinstance(source, Template):
        slots = [part for part in template.parsed(source.template) if not isinstance(part, str)]
        yield from ((f"{place}.template", FieldSpec(column=slot.column, type=None)) for slot in slots)
    elif isinstance(source, list):
        for number, one in enumerate(source):
            yield from columns_read(one, f"{place}.{number}")
    elif isinstance(source, BaseModel):
        for name in type(source).model_fields:
            yield from columns_read(getattr(source, name), f"{place}.{name.rstrip('_')}")
