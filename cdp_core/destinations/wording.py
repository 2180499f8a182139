"""What a service says about a row, without the row in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from cdp_core.redaction import redacted

LONGEST = 200
_PERSONAL = re.compile(r"[^\s\"'<>,;:()]+@[^\s\"'<>,;:()]+|\+?\d[\d\s().-]{5,}\d|\b[0-9a-f]{32,}\b", re.IGNORECASE)


def without_values(text: str, payloads: Iterable[str] = ()) -> str:
    """A message on one line with … in the place of the rows' own values, of secrets, addresses and long numbers.

    Services quote what they refuse ("ann@example.org is not valid"), and reasons are kept, shown and sent on.

    >>> without_values("'Ann B' with ann@example.org is no name", ['{"name": "Ann B", "age": 7}'])
    "'…' with … is no name"
    """
    text = redacted(text)
    for value in sorted(_values(payloads), key=len, reverse=True):
        text = text.replace(value, "…")
    return " ".join(_PERSONAL.sub("…", text).split())[:LONGEST]


def _values(payloads: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for payload in payloads:
        row = json.loads(payload)
        found |= {text for text in _texts(row.values() if isinstance(row, dict) else row) if len(text) > 1}
    return found


def _texts(values: Any) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | dict):
            yield from _texts(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > 999:
            yield str(value)
