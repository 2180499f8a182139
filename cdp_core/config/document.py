"""YAML text → plain values that remember their lines.

The nodes of the parser are walked directly, because only they know where a key stands and what stood twice.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_core.config.problems import Place, Problem

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[^}]*)\})")
_NAMED = re.compile(r"(alias|anchor|tag handle) '.*'")
_MAX_NODES = 200_000
_FRIENDLY = {
    "mapping values are not allowed here": "indent the line like its neighbours, or quote a value that holds ': '",
    "found unexpected end of stream": "a quote is opened and never closed",
    "could not find expected ':'": "a key needs ': ' behind it",
    "expected ',' or '}', but got '{'": "write a value that holds ${…} in quotes when it stands inside braces",
    "found undefined alias": "quote a value that begins with *",
    "found character '@' that cannot start any token": "quote the value",
    "found character '`' that cannot start any token": "quote the value",
    "found character '%' that cannot start any token": "quote the value",
}


@dataclass
class Document:
    """One YAML file as values. `places` maps a path of keys and indexes to its place; `raw` keeps the text of values
    that name an environment variable."""

    file: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def decode(content: bytes, file: str) -> str | Problem:
    """Bytes → text, or the problem that says at which line the file stops being UTF-8."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Problem(Place(file, 1), "the file is UTF-16, not UTF-8", hint="save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(Place(file, line), f"byte 0x{content[error.start]:02x} is not UTF-8", hint="save it as UTF-8")


def parse(text: str, file: str, environ: Mapping[str, str]) -> Document:
    """Read one document. Problems are collected in it, never raised."""
    document = Document(file)
    node = compose(text, document)
    if node is not None:
        try:
            document.data = _Walker(document, environ).value(node, (), None)
        except _Hopeless as stop:
            document.problems.append(stop.problem)
    return document


def compose(text: str, document: Document) -> Any:
    """The root node of the text, or None when it is empty or not YAML (then `document.problems` says why)."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _nodes(text)
    except MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error, document.file))
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        character = getattr(error, "character", None)
        what = (
            f"character {_code(character)} is not allowed in YAML" if character is not None else "not readable as YAML"
        )
        document.problems.append(Problem(Place(document.file, line), what, hint="remove it"))
    except RecursionError:
        document.problems.append(Problem(Place(document.file), "values are nested too deeply"))
    return None


@functools.lru_cache(maxsize=8)
def _nodes(text: str) -> Any:
    """The nodes of a text. An edit looks at the same text several times, and composing is what takes long; nobody
    changes nodes."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    return yaml.compose(io.StringIO(text))


def _code(character: Any) -> str:
    """
    >>> _code(0), _code("x")
    ('0x00', '0x78')
    """
    return f"0x{character if isinstance(character, int) else ord(character):02x}"


def _syntax_problem(error: Any, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, 0)
    # Names of aliases and anchors are left out: a password that begins with * or & is one to YAML.
    what = _NAMED.sub(r"\1", " ".join((error.problem or "it cannot be read").split()))
    if "'\\t'" in what:
        return Problem(Place(file, line), f"YAML syntax, column {column}: a tab is used", hint="indent with spaces")
    context = " ".join((error.context or "").split())
    opened = error.context_mark.line + 1 if error.context_mark else None
    if context and opened and opened != line:
        line_note = f", {context} that starts in line {opened}"
    else:
        line_note = f", {context}" if context.startswith("while parsing") else ""
    return Problem(Place(file, line), f"YAML syntax, column {column}: {what}{line_note}", hint=_FRIENDLY.get(what))


class _Hopeless(Exception):
    """Reading on would not end; never leaves this module."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Walker:
    """Nodes → values, with places, variables and double keys looked after."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        from ruamel.yaml import YAML

        self.document = document
        self.environ = environ
        self.constructor = YAML(typ="safe", pure=True).constructor
        self.open: set[int] = set()
        self.nodes = 0

    def value(self, node: Any, path: Path, place: Place | None) -> Any:
        place = place or self.at(node)
        self.document.places.setdefault(path, place)
        self.nodes += 1
        if id(node) in self.open:
            raise _Hopeless(Problem(place, "an alias contains itself"))
        if self.nodes > _MAX_NODES:
            raise _Hopeless(Problem(place, f"more than {_MAX_NODES:,} values", hint="aliases may multiply them"))
        self.open.add(id(node))
        try:
            if node.id == "mapping":
                return self.mapping(node, path)
            if node.id == "sequence":
                return [self.value(item, (*path, i), self.at(item)) for i, item in enumerate(node.value)]
            return self.scalar(node, path, place)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int | None] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.at(key_node)
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self.merge(value_node, path, place)
                continue
            key = self.key(key_node, place)
            if key in lines:
                self.problem(place, f"key {key!r} stands twice", hint=f"the first one is in line {lines[key]}")
                continue
            lines[key] = place.line
            result[key] = self.value(value_node, (*path, key), place)
        return {**{k: v for k, v in merged.items() if k not in result}, **result} if merged else result

    def merge(self, node: Any, path: Path, place: Place) -> dict[str, Any]:
        parts = node.value if node.id == "sequence" else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if part.id != "mapping":
                self.problem(place, "'<<' merges mappings only")
                continue
            merged = {**self.mapping(part, path), **merged}
        return merged

    def key(self, node: Any, place: Place) -> str:
        if node.id != "scalar":
            self.problem(place, "a key must be text")
            return "?"
        if node.tag != "tag:yaml.org,2002:str":
            self.problem(place, f"key {node.value} is not text", hint=f"write it in quotes: '{node.value}'")
        return str(node.value)

    def scalar(self, node: Any, path: Path, place: Place) -> Any:
        from ruamel.yaml.error import YAMLError

        try:
            value = self.constructor.construct_object(node)
        except ValueError:
            kind = "date" if node.tag.endswith("timestamp") else "value"
            return self.problem(place, f"{node.value!r} is no {kind}", hint="write it in quotes if it is text")
        except YAMLError:
            # It is not named: a password that begins with ! is a tag to YAML.
            return self.problem(
                place, "unknown YAML tag", hint="tags are not used here; quote a value that begins with !"
            )
        if isinstance(value, str) and "$" in value:
            return self.substitute(value, path, place)
        return value

    def substitute(self, text: str, path: Path, place: Place) -> str:
        def replacement(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return "$"
            if name not in self.environ:
                self.problem(
                    place,
                    f"environment variable {name!r} is not set",
                    hint="set it, or write $${…} for the text itself",
                )
            return self.environ.get(name, "")

        self.document.raw[path] = text
        return _VARIABLE.sub(replacement, text)

    def at(self, node: Any) -> Place:
        return Place(self.document.file, node.start_mark.line + 1)

    def problem(self, place: Place, what: str, hint: str | None = None) -> None:
        self.document.problems.append(Problem(place, what, hint=hint))
