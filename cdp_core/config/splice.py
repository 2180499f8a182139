"""One definition in a YAML text, changed in place: every line outside it stays as it is, byte for byte.

Inside it ruamel's round trip keeps comments, order, quotes and styles of everything that does not change.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cdp_core.config.document import Document, compose
from cdp_core.errors import SpecError

Change = Callable[[Any], None]


@dataclass(frozen=True)
class Span:
    """Lines [start, end) that stand `indent` columns deep."""

    start: int
    end: int
    indent: int


def put(text: str, block: str, name: str, value: Any, resolved: Any) -> str:
    """`text` with the definition `name` of `block` set to `value`; new ones come last in their block.

    `resolved` is the present definition with variables replaced: parts of `value` that equal it keep their text.
    """
    lines, root = lines_of(text)
    blocks = entries_of(root)
    if block not in blocks:
        return append_block(lines, {block: {name: value}})
    holder = blocks[block][1]
    if not is_block(holder):
        span = span_of(lines, root, block, len(lines))
        return rewrite(lines, span, lambda data: _assign(data, (block, name), value, resolved))
    end = span_of(lines, root, block, len(lines)).end
    if name in entries_of(holder):
        span = span_of(lines, holder, name, end)
        return rewrite(lines, span, lambda data: _assign(data, (name,), value, resolved))
    indent = holder.value[0][0].start_mark.column
    return insert(lines, end, indent, {name: value})


def cut(text: str, block: str, name: str) -> str:
    """`text` without the definition; comments around it stay."""
    lines, root = lines_of(text)
    holder = entries_of(root)[block][1]
    end = span_of(lines, root, block, len(lines)).end
    if not is_block(holder):
        span = span_of(lines, root, block, len(lines))
        return rewrite(lines, span, lambda data: data[block].pop(name))
    span = span_of(lines, holder, name, end)
    return "".join(lines[: span.start] + lines[span.end :])


def block_text(text: str, block: str) -> str | None:
    """The lines of a top-level block with the comments inside it, or None; lines end in \\n.

    >>> block_text("name: x\\n# who\\nidentity:  # rules\\n  shared: 3\\n\\nsources: {}\\n", "identity")
    'identity:  # rules\\n  shared: 3\\n'
    """
    lines, root = lines_of(text)
    if block not in entries_of(root):
        return None
    span = span_of(lines, root, block, len(lines))
    return "".join(lines[span.start : span.end]).replace("\r\n", "\n").rstrip("\n") + "\n"


def put_block(text: str, block: str, value: Any, resolved: Any) -> str:
    """`text` with a top-level block set to `value`: lines as `block_text` gives them, which are taken as they are, or
    data, of which whatever equals the present block keeps its text; see `put`. Without a value the block goes.
    """
    lines, root = lines_of(text)
    present = block in entries_of(root)
    span = span_of(lines, root, block, len(lines)) if present else None
    if isinstance(value, str) or value is None:
        return _put_text(lines, span, value)
    if span is None:
        return append_block(lines, {block: value})
    return rewrite(lines, span, lambda data: _assign(data, (block,), value, resolved))


def _put_text(lines: list[str], span: Span | None, text: str | None) -> str:
    ending = "\r\n" if any(line.endswith("\r\n") for line in lines[:1]) else "\n"
    new = (text.replace("\r\n", "\n").rstrip("\n") + "\n").replace("\n", ending) if text else ""
    if span is None:
        at = _end(lines)
        head, rest = "".join(lines[:at]), "".join(lines[at:])
        gap = ending if head.endswith("\n") else 2 * ending
        return head + gap + new + rest if new else head + rest
    head, rest = "".join(lines[: span.start]), "".join(lines[span.end :])
    return head.rstrip("\r\n") + ending if not new and not rest else head + new + rest


def lines_of(text: str) -> tuple[list[str], Any]:
    root = compose(text, Document(""))
    if root is None or root.id != "mapping":
        raise SpecError("the file holds no definitions to edit")
    if root.flow_style:
        raise SpecError("the file is one line of JSON, which cannot be edited in place", hint="write it as YAML blocks")
    return text.splitlines(keepends=True), root


def entries_of(node: Any) -> dict[str, tuple[Any, Any]]:
    return {key.value: (key, value) for key, value in node.value} if node.id == "mapping" else {}


def is_block(node: Any) -> bool:
    return node.id == "mapping" and not node.flow_style and bool(node.value)


def span_of(lines: list[str], holder: Any, name: str, end: int) -> Span:
    """Where an entry of a block mapping stands: up to the next entry, without the blank lines and comments that
    belong to that one."""
    keys = [key for key, _ in holder.value]
    at = [key.value for key in keys].index(name)
    start, indent = keys[at].start_mark.line, keys[at].start_mark.column
    stop = keys[at + 1].start_mark.line if at + 1 < len(keys) else end
    while stop > start + 1 and _is_outside(lines[stop - 1], indent):
        stop -= 1
    return Span(start, stop, indent)


def _is_outside(line: str, indent: int) -> bool:
    bare = line.strip()
    return not bare or bare == "..." or (bare[0] == "#" and len(line) - len(line.lstrip()) <= indent)


def rewrite(lines: list[str], span: Span, change: Change) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    snippet = "".join(line[span.indent :] if line.strip() else "\n" for line in lines[span.start : span.end])
    try:
        yaml = YAML()
        yaml.preserve_quotes = True
        data = yaml.load(snippet)
    except YAMLError:
        what = "the definition uses an anchor from elsewhere, so it cannot be edited in place"
        raise SpecError(what, hint="edit the file by hand") from None
    change(data)
    return _put_lines(lines, span, data, _sequence_offset(snippet))


def insert(lines: list[str], at: int, indent: int, data: Any) -> str:
    return _put_lines(lines, Span(at, at, indent), data, 2)


def append_block(lines: list[str], data: Any) -> str:
    at = _end(lines)
    return _put_lines(lines, Span(at, at, 0), data, 2, before="\n")


def _end(lines: list[str]) -> int:
    """Where the last line that says something ends."""
    at = len(lines)
    while at and lines[at - 1].strip() in ("", "..."):
        at -= 1
    return at


def _put_lines(lines: list[str], span: Span, data: Any, offset: int, before: str = "") -> str:
    ending = "\r\n" if any(line.endswith("\r\n") for line in lines[:1]) else "\n"
    head = lines[: span.start]
    if head and not head[-1].endswith("\n"):
        head[-1] += ending
    made = [f"{' ' * span.indent}{line}" if line.strip() else line for line in _dump(data, offset).splitlines(True)]
    text = before + "".join(made)
    return "".join(head) + text.replace("\n", ending) + "".join(lines[span.end :])


def _sequence_offset(snippet: str) -> int:
    """How far the file indents the dashes of a list under its key: 0 or 2."""
    rows = [line for line in snippet.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for above, line in itertools.pairwise(rows):
        if line.lstrip().startswith("- ") and above.rstrip().endswith(":"):
            return min(2, len(line) - len(line.lstrip()) - (len(above) - len(above.lstrip(" -"))))
    return 2


def _dump(data: Any, offset: int) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=2 + offset, offset=offset)
    out = io.StringIO()
    yaml.dump(_styled(data), out)
    return out.getvalue()


def _assign(data: Any, path: tuple[str, ...], value: Any, resolved: Any) -> None:
    """Set `data[path…]`, keeping what is there wherever it already says the same."""
    for key in path[:-1]:
        if data[key] is None:
            data[key] = {}
        data = data[key]
    data[path[-1]] = merged_with(data.get(path[-1]), value, resolved)


def merged_with(old: Any, new: Any, resolved: Any) -> Any:
    if old is not None and _text(new) in (_text(old), _text(resolved)):
        return old
    if isinstance(old, dict) and isinstance(new, Mapping):
        return _merged_mapping(old, new, resolved if isinstance(resolved, Mapping) else {})
    if isinstance(old, list) and isinstance(new, list):
        known = resolved if isinstance(resolved, list) else []
        for index, item in enumerate(new[: len(old)]):
            old[index] = merged_with(old[index], item, known[index] if index < len(known) else None)
        del old[len(new) :]
        old.extend(new[len(old) :])
        return old
    return new


def _text(value: Any) -> str:
    return json.dumps(value, default=str)


def _merged_mapping(old: Any, new: Mapping[str, Any], resolved: Mapping[str, Any]) -> Any:
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        old[key] = merged_with(old.get(key), value, resolved.get(key))
    if list(old) != list(new):
        for key in new:
            old.move_to_end(key)
    return old


def _styled(value: Any) -> Any:
    """New texts of several lines are written as blocks; what came out of the file keeps its style."""
    from ruamel.yaml.scalarstring import LiteralScalarString

    if isinstance(value, dict):
        for key, inner in list(value.items()):
            value[key] = _styled(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            value[index] = _styled(inner)
    elif type(value) is str and "\n" in value:
        return LiteralScalarString(value)
    return value
