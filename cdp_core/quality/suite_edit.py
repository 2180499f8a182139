"""A suite changed in its text: only the expectation that is concerned is written anew, the rest stays byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cdp_core.errors import SpecError, UsageError
from cdp_core.quality.reading import list_start, spans


def expectations_of(text: str, where: str) -> list[dict[str, Any]]:
    """The expectations of a suite as plain data, right or wrong. Raises SpecError (with the line) for another thing."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"this is no JSON: {error.msg.lower()}", where=f"{where}:{error.lineno}") from None
    except RecursionError:
        raise SpecError("values are nested too deeply", where=where) from None
    items = found.get("expectations") if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SpecError("a suite is an object with a list of `expectations`", where=f"{where}:1")
    return items


def put_expectation(text: str, where: str, number: int, expectation: Mapping[str, Any]) -> str:
    """The text with another expectation at `number` (0 is the first). What stays equal keeps its text."""
    items = expectations_of(text, where)
    _known(items, number)
    if json.dumps(items[number]) == json.dumps(expectation):
        return text
    start, end = spans(text, len(items))[number]
    return text[:start] + _written(expectation, text, start, text[start:end], items[number]) + text[end:]


def add_expectation(text: str, where: str, expectation: Mapping[str, Any]) -> str:
    """The text with one more expectation at the end."""
    items = expectations_of(text, where)
    found = spans(text, len(items))
    if not found:
        return _first(text, expectation)
    start, end = found[-1]
    between = text[found[-2][1] : start] if len(found) > 1 else f",{_margin(text, start)}"
    made = _written(expectation, text, start, text[start:end], items[-1])
    return text[:end] + between + made + text[end:]


def cut_expectation(text: str, where: str, number: int) -> str:
    """The text without one expectation."""
    items = expectations_of(text, where)
    _known(items, number)
    found = spans(text, len(items))
    start, end = found[number]
    if number + 1 < len(found):
        return text[:start] + text[found[number + 1][0] :]
    before = found[number - 1][1] if number else list_start(text)
    return text[:before] + text[end:]


def new_suite(name: str) -> str:
    """The text of a suite without expectations.

    >>> print(new_suite("orders"), end="")
    {
      "name": "orders",
      "meta": {},
      "expectations": [
      ]
    }
    """
    return f'{{\n  "name": {_json(name)},\n  "meta": {{}},\n  "expectations": [\n  ]\n}}\n'


def _known(items: Sequence[Any], number: int) -> None:
    if not 0 <= number < len(items):
        raise UsageError(f"there is no expectation {number}", hint=f"the suite has {len(items)}, counted from 0")


def _first(text: str, expectation: Mapping[str, Any]) -> str:
    """Into an empty list."""
    start = list_start(text)
    head, end = text[: start - 1], text.index("]", start) + 1
    line = head[head.rfind("\n") + 1 :]
    indent = len(line) - len(line.lstrip())
    margin = "\n" + " " * (indent + 2)
    block = _house(expectation).replace("\n", margin)
    return f"{head}[{margin}{block}\n{' ' * indent}]{text[end:]}"


def _written(new: Mapping[str, Any], text: str, start: int, old: str, before: Mapping[str, Any]) -> str:
    """In the style in which the one before it is written: one line for each field, json.dumps's own, or one line."""
    margin = _margin(text, start)
    for style in (_house, _indented, _one_line):
        if style(before).replace("\n", margin) == old:
            return style(new).replace("\n", margin)
    return _house(new).replace("\n", margin if "\n" in margin else "\n")


def _margin(text: str, start: int) -> str:
    """A new line that begins where the item at `start` does; nothing when it stands behind something else."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return "\n" + line if not line.strip() else " "


def _house(item: Mapping[str, Any]) -> str:
    return "{\n" + ",\n".join(f"  {_json(key)}: {_json(value)}" for key, value in item.items()) + "\n}"


def _indented(item: Mapping[str, Any]) -> str:
    return json.dumps(item, ensure_ascii=False, indent=2)


def _one_line(item: Mapping[str, Any]) -> str:
    return _json(item)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
