"""Values deep in a YAML text, set, taken out or renamed in place; every other line stays as it is, byte for byte.

What is written in blocks is changed line by line; what stands in braces is one thing with its line.
"""

from __future__ import annotations

import json
import re
from typing import Any

from cdp_core.config.splice import Span, entries_of, insert, is_block, lines_of, merged_with, rewrite, span_of
from cdp_core.errors import SpecError

KeyPath = tuple[str, ...]
_PLAIN = re.compile(r"[A-Za-z_](?:[\w .-]*[\w.-])?", re.ASCII)
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def set_at(text: str, path: KeyPath, value: Any) -> str:
    """`text` with `value` at `path`; whatever is not there yet comes last in what holds it.

    >>> set_at("a:\\n  b: {c: 1}  # why\\n  d: 2\\n", ("a", "b", "c"), 3)
    'a:\\n  b: {c: 3}  # why\\n  d: 2\\n'
    """
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        gap = "" if not text or text.endswith("\n") else "\n"
        return text + insert([gap] if gap else [], 0, 0, _nested(path, value))
    lines, root = lines_of(text)
    holder, span, depth = _deepest(lines, root, path)
    if path[depth] not in entries_of(holder):
        indent = holder.value[0][0].start_mark.column
        key = _like_others(holder, path[depth])
        return insert(lines, span.end, indent, {key: _nested(path[depth + 1 :], value)})
    here = span_of(lines, holder, path[depth], span.end)
    return rewrite(lines, here, lambda data: _assign(data, path[depth:], value))


def cut_at(text: str, path: KeyPath) -> str:
    """`text` without what stands at `path`; a holder that would have nothing left becomes {}.

    >>> cut_at("a:\\n  b: 1\\n  # kept\\n  d: 2\\n", ("a", "b"))
    'a:\\n  # kept\\n  d: 2\\n'
    """
    lines, root = lines_of(text)
    holder, span, depth = _deepest(lines, root, path)
    if depth < len(path) - 1:
        here = span_of(lines, holder, path[depth], span.end)
        return rewrite(lines, here, lambda data: _pop(data, path[depth:]))
    if len(holder.value) == 1 and path[:-1]:
        return set_at(text, path[:-1], {})
    here = span_of(lines, holder, path[depth], span.end)
    return "".join(lines[: here.start] + lines[here.end :])


def rename_at(text: str, path: KeyPath, name: str) -> str:
    """`text` with the key at `path` called `name`; only the key itself changes.

    >>> rename_at("a: {b: 1}  # why\\n", ("a", "b"), "1st")
    'a: {"1st": 1}  # why\\n'
    """
    lines, node = lines_of(text)
    key = None
    for part in path:
        if part not in entries_of(node):
            raise SpecError(f"{part!r} is not there to be renamed")
        key, node = entries_of(node)[part]
    assert key is not None
    start, end = key.start_mark, key.end_mark
    if start.line != end.line:
        raise SpecError("a key of several lines cannot be renamed in place", hint="edit the file by hand")
    line = lines[start.line]
    lines[start.line] = line[: start.column] + _spelled(name) + line[end.column :]
    return "".join(lines)


def _deepest(lines: list[str], root: Any, path: KeyPath) -> tuple[Any, Span, int]:
    """The innermost block that holds a part of `path`: its node, its lines, and which part that is."""
    holder, span = root, Span(0, _last(lines), 0)
    for depth, part in enumerate(path):
        found = entries_of(holder).get(part)
        if found is None or depth == len(path) - 1:
            return holder, span, depth
        key, node = found
        inside = span_of(lines, holder, part, span.end)
        alias = not key.start_mark.line <= node.start_mark.line < inside.end
        if alias or not is_block(node):
            return holder, span, depth
        holder, span = node, inside
    raise SpecError("an empty path names nothing")


def _like_others(holder: Any, part: str) -> str | int:
    """Among keys that are numbers a number."""
    numbers = all(key.tag == "tag:yaml.org,2002:int" for key, _ in holder.value)
    return int(part) if numbers and part.isdecimal() else part


def _last(lines: list[str]) -> int:
    at = len(lines)
    while at and lines[at - 1].strip() in ("", "..."):
        at -= 1
    return at


def _assign(data: Any, path: KeyPath, value: Any) -> None:
    for depth, part in enumerate(path[:-1]):
        key = same(data, part)
        if not isinstance(data.get(key), dict):
            data[key] = _nested(path[depth + 1 :], value)
            return
        data = data[key]
    key = same(data, path[-1])
    data[key] = merged_with(data.get(key), value, None)


def _pop(data: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        data = data[same(data, part)]
    del data[same(data, path[-1])]


def same(data: Any, part: str) -> Any:
    """The key of a loaded mapping that is written `part`: 2 and true are keys as well."""
    alike = (key for key in data if type(key) is not str and str(key).lower() == part.lower())
    return part if part in data else next(alike, part)


def _nested(path: KeyPath, value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _spelled(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name, ensure_ascii=False)
