"""A text with fields in braces: `Hello {first_name|there}, from {city}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<text>[^{}]+)|(?P<stray>[{}])")


@dataclass(frozen=True)
class Slot:
    """A field in braces. `default` stands where it is missing or blank; None makes the whole text null."""

    column: str
    default: str | None = None


def parsed(template: str) -> list[str | Slot]:
    """Texts and fields in their order; texts beside each other are one. Raises ValueError.

    >>> parsed("Dear {first_name | friend}, {{welcome}}")
    ['Dear ', Slot(column='first_name', default='friend'), ', {welcome}']
    """
    parts: list[str | Slot] = []
    for found in _PART.finditer(template):
        if found["stray"]:
            raise ValueError(f"a brace stands alone at character {found.start() + 1}: write {{field}}, or {{{{ for {{")
        if found["field"] is not None:
            parts.append(_slot(found["field"], found.start()))
            continue
        text = found["brace"][0] if found["brace"] else found["text"]
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        else:
            parts.append(text)
    if not any(isinstance(part, Slot) for part in parts):
        raise ValueError("no field stands in braces; a text for every row is {value: …}")
    return parts


def _slot(written: str, at: int) -> Slot:
    column, bar, default = (part.strip() for part in written.partition("|"))
    if not column:
        raise ValueError(f"no field is named in the braces at character {at + 1}")
    return Slot(column, default if bar else None)
