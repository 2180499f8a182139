"""Pydantic's errors → problems with a line, in the words of the rest of the package. Values are never shown unless
they are short, written in the file itself and compared with a list of choices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from cdp_core.config.document import Path
from cdp_core.config.keys import valid_keys
from cdp_core.config.merge import Merged
from cdp_core.config.problems import Place, Problem, nearest, unknown
from cdp_core.config.trail import Trail, holds
from cdp_core.errors import SpecError

_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "keys and values",
    "mapping": "keys and values",
    "model": "keys and values",
    "date": "a date, such as 1998-07-01",
    "datetime": "a time, such as 1998-07-01T12:00:00Z",
    "decimal": "a number",
}
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_SHOWN = 40


def translate(
    error: ValidationError, merged: Merged, spec: Any, prefix: Path = (), *, also: Iterable[str] = ()
) -> list[Problem]:
    """Every error of one definition.

    `spec` is the type that was validated, `prefix` where the definition stands, `also` are keys that are valid there
    beside its own.
    """
    found = _one_branch([_Located(raw, merged, spec, prefix, tuple(also)) for raw in error.errors(include_url=False)])
    return list(dict.fromkeys(located.problem() for located in found))


def _one_branch(errors: list[_Located]) -> list[_Located]:
    """Of the alternatives of a union that all failed, keep the one that fits best: it has the fewest errors, and
    none about the whole."""
    groups: dict[Path, dict[Path, list[_Located]]] = {}
    for error in errors:
        for branch in error.branches:
            groups.setdefault(branch[:-1], {}).setdefault(branch, []).append(error)
    dropped: set[int] = set()
    for _, branches in sorted(groups.items(), key=lambda item: len(item[0])):
        if len(branches) > 1:
            ranked = sorted(branches.items(), key=_misfit)
            dropped |= {id(error) for _, group in ranked[1:] for error in group}
    return [error for error in errors if id(error) not in dropped]


def _misfit(item: tuple[Path, list[_Located]]) -> tuple[bool, int]:
    branch, group = item
    return any(error.is_whole(branch) for error in group), sum(map(_weight, group))


def _weight(error: _Located) -> int:
    return 3 if error.type in ("missing", "extra_forbidden", "literal_error") else 2


class _Located:
    """One of pydantic's errors, led back to the key of the file that it is about."""

    def __init__(self, raw: Any, merged: Merged, spec: Any, prefix: Path, also: tuple[str, ...]) -> None:
        self.raw, self.merged, self.spec, self.prefix, self.also = raw, merged, spec, prefix, also
        self.type: str = raw["type"]
        loc: tuple[int | str, ...] = raw["loc"]
        self.missing = loc[-1] if self.type == "missing" else None
        self.branches: list[Path] = []
        self.path = prefix + self._walk(loc[:-1] if self.missing is not None else loc)

    def _walk(self, loc: Path) -> Path:
        data: Any = self.merged.data
        for part in self.prefix:
            data = data[part] if holds(data, part) else None
        path, self.branches = Trail(loc).follow(data)
        return path

    def is_whole(self, branch: Path) -> bool:
        """The error is about the alternative `branch` itself: what is written is of another kind altogether."""
        return self.raw["loc"] == branch and self.type.endswith("_type")

    @property
    def name(self) -> str:
        keys = [part for part in self.path if isinstance(part, str)]
        key = keys[-1] if keys else "the file"
        return f"item {self.path[-1] + 1} of {key!r}" if self.path and isinstance(self.path[-1], int) else repr(key)

    def problem(self) -> Problem:
        place = self.merged.place(self.path)
        context = self.raw.get("ctx", {})
        if self.missing is not None:
            inside = f" in {self.name}" if self.path else ""
            return Problem(place, f"missing key {self.missing!r}{inside}")
        if self.type == "extra_forbidden":
            valid = [*self.also, *valid_keys(self.spec, self.raw["loc"][:-1])]
            return unknown(place, "key", str(self.path[-1] if self.path else self.raw["loc"][-1]), valid)
        if self.type in ("literal_error", "enum", "union_tag_invalid"):
            return self._choice(context.get("expected") or context.get("expected_tags") or "")
        if self.type == "union_tag_not_found":
            return Problem(place, f"missing key {context.get('discriminator', 'type')} in {self.name}")
        sentence = self._sentence(context)
        named = re.search(r"unknown key '([^']+)' \(valid: ([^)]+)\)", sentence)
        if named:
            return unknown(self._place_of(named[1]), "key", named[1], named[2].split(", "))
        return Problem(place, sentence)

    def _place_of(self, key: str) -> Place:
        """The line of a key that the text names, in this mapping or in the one around it."""
        paths = ((*self.path, key), (*self.path[:-1], key))
        return self.merged.place(next((path for path in paths if path in self.merged.places), self.path))

    def _choice(self, expected: str) -> Problem:
        valid = tuple(re.findall(r"'((?:[^'\\]|\\.)*)'", expected)) or (expected,)
        path, value = self.path, self.raw.get("input")
        if self.type == "union_tag_invalid":
            tag = str(self.raw["ctx"]["discriminator"]).strip("'")
            path, value = (*self.path, tag), self.raw["ctx"]["tag"]
        name = repr(path[-1]) if path and isinstance(path[-1], str) else self.name
        place = self.merged.place(path)
        if not isinstance(value, str) or len(value) > _SHOWN or path in self.merged.raw:
            return Problem(place, f"{name} has no valid value", valid)
        return Problem(place, f"{name} cannot be {value!r}", valid, nearest(value, valid))

    def _sentence(self, context: dict[str, Any]) -> str:
        if self.type in ("value_error", "assertion_error"):
            said = str(context.get("error", "")) or self.raw["msg"]
            return f"{self.name}: {said}"
        kind = _KINDS.get(
            re.sub(r"_(type|parsing|from_float|attributes_type|from_.*|unicode|sub_type)$", "", self.type)
        )
        if kind:
            return f"{self.name} must be {kind}, not {_describe(self.raw.get('input'))}"
        if self.type in _LIMITS:
            words, key = _LIMITS[self.type]
            return f"{self.name} must be {words} {context[key]}"
        if self.type == "string_pattern_mismatch":
            return f"{self.name} must match {context['pattern']}"
        if self.type in ("too_short", "string_too_short"):
            return f"{self.name} must not be empty"
        return f"{self.name}: {self.raw['msg'][:1].lower()}{self.raw['msg'][1:]}"


def spec_problem(error: SpecError, merged: Merged, prefix: Path = ()) -> Problem:
    """A SpecError of a stage, whose `where` is a dotted path such as traits.email.sources, with its line.

    When the text quotes a name that stands under that path, its own line is taken.
    """
    path = _dotted(error.where or "", merged.data) or prefix
    value: Any = merged.data
    for part in path:
        value = value[part]
    quoted = re.search(r"'([^']+)'", error.what)
    path = (*path, *(_find(value, quoted[1]) if quoted else ()))
    place = merged.place(path)
    where = "" if path or not error.where else f"{error.where}: "
    return Problem(place, where + error.what, error.choices, error.hint)


def _dotted(where: str, data: Any) -> Path:
    """The longest path of keys that the dotted text spells; names may hold dots themselves."""
    best: Path = ()
    rest = where.split(".")
    for size in range(1, len(rest) + 1):
        key: str | int = ".".join(rest[:size])
        index = re.fullmatch(r"(.+)\[(\d+)\]|(\d+)", str(key))
        if not holds(data, key) and index:
            head = () if index[3] else (index[1],)
            number = int(index[3] or index[2])
            inner = data[head[0]] if head and holds(data, head[0]) else data
            if holds(inner, number):
                found = (*head, number, *_dotted(".".join(rest[size:]), inner[number]))
                best = max(best, found, key=len)
        elif holds(data, key):
            found = (key, *_dotted(".".join(rest[size:]), data[key]))
            best = max(best, found, key=len)
    return best


def _find(value: Any, name: str) -> Path:
    """The path under `value` to a key or a value that is `name`, the first in the file's order; () when none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key == name or inner == name:
            return (key,)
        below = _find(inner, name)
        if below:
            return (key, *below)
    return ()


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "keys and values"}
    return names.get(type(value), type(value).__name__)
