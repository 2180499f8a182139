"""Read one suite's text: every mistake with its line, the valid choices and the nearest one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from cdp_core import tables
from cdp_core.errors import SpecError
from cdp_core.quality.catalogue import TYPES, ExpectationType
from cdp_core.quality.spec import COLUMN_ARGUMENTS, SEVERITIES, Expectation, Kind, Severity, Suite, place

_SUITE_KEYS = ("name", "id", "meta", "notes", "expectations", "suite_parameters")
_EXPECTATION_KEYS = ("type", "kwargs", "meta", "id", "notes", "description", "severity", "rendered_content")
_OURS = ("severity", "rule", "description")
_BLANK = " \t\r\n,"


def parse_suite(text: str, path: Path, kind: Kind) -> Suite:
    """A suite from its text; `path` gives its target and stands in errors."""
    where = place(path)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"this is no JSON: {error.msg.lower()}", where=f"{where}:{error.lineno}") from None
    if not isinstance(found, dict) or not isinstance(found.get("expectations"), list):
        raise SpecError("a suite is an object with a list of `expectations`", where=f"{where}:1")
    for key in found:
        if key not in _SUITE_KEYS:
            raise SpecError.unknown("key", key, _SUITE_KEYS, where=f"{where}:{_line_of(text, key)}")
    if kind == "table" and path.stem not in tables.CANONICAL:
        raise SpecError.unknown("table", path.stem, tables.CANONICAL, where=where)
    if not isinstance(found.get("meta", {}), dict):
        raise SpecError("`meta` is an object", where=f"{where}:{_line_of(text, 'meta')}")
    places = list(_places(text, len(found["expectations"])))
    made = []
    for raw, (line, piece) in zip(found["expectations"], places, strict=True):
        made.append(_Reader(where, line, piece, kind, path.stem).expectation(raw))
    _unique_rules(made, where)
    return Suite(
        name=str(found.get("name") or path.stem),
        kind=kind,
        target=path.stem,
        path=path,
        expectations=tuple(made),
        meta=found.get("meta", {}),
        other={k: found[k] for k in _SUITE_KEYS if k in found and k not in ("name", "meta", "expectations")},
    )


class _Reader:
    """Reads one expectation and knows where it stands."""

    def __init__(self, where: str, line: int, piece: str, kind: Kind, target: str) -> None:
        self.where, self.line, self.piece, self.kind, self.target = where, line, piece, kind, target

    def expectation(self, raw: Any) -> Expectation:
        if not isinstance(raw, dict):
            raise self._error("an expectation is an object with `type`, `kwargs` and `meta`")
        for key in raw:
            if key not in _EXPECTATION_KEYS:
                raise self._unknown("key", key, _EXPECTATION_KEYS)
        kwargs, meta = raw.get("kwargs", {}), raw.get("meta", {})
        for name, value in (("kwargs", kwargs), ("meta", meta)):
            if not isinstance(value, dict):
                raise self._error(f"`{name}` is an object", name)
        self._text(meta, "field")
        kind = self._type(raw.get("type"))
        self._arguments(kind, kwargs)
        return Expectation(
            type=kind.name,
            kwargs=kwargs,
            severity=self._severity(meta, kind),
            rule=self._text(meta, "rule") or _default_rule(kind.name, kwargs),
            description=self._text(meta, "description") or str(raw.get("description") or _default_words(kind.name)),
            line=self.line,
            meta={k: v for k, v in meta.items() if k not in _OURS},
            other={k: v for k, v in raw.items() if k not in ("type", "kwargs", "meta")},
        )

    def _type(self, name: Any) -> ExpectationType:
        if not isinstance(name, str):
            raise self._error("the expectation has no `type`", "type", choices=TYPES)
        if name not in TYPES:
            raise self._unknown("expectation type", name, TYPES)
        return TYPES[name]

    def _arguments(self, kind: ExpectationType, kwargs: Mapping[str, Any]) -> None:
        for name in kwargs:
            if name not in kind.arguments:
                raise self._unknown(f"argument of {kind.name}", name, kind.arguments)
        for name in sorted(kind.required - kwargs.keys()):
            raise self._error(f"{kind.name} needs the argument {name!r}", "kwargs")
        for name in COLUMN_ARGUMENTS:
            if name in kwargs and not isinstance(kwargs[name], str):
                raise self._error(f"{name!r} is the name of a column", name)
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            raise self._error("'min_value' is above 'max_value', so nothing can be right", "min_value")
        columns = kwargs.get("column_list", [])
        if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
            raise self._error("'column_list' is a list of column names", "column_list")
        if "{batch}" not in str(kwargs.get("unexpected_rows_query", "{batch}")):
            raise self._error("the query reads no batch", "unexpected_rows_query", hint="write FROM {batch}")

    def _severity(self, meta: Mapping[str, Any], kind: ExpectationType) -> Severity:
        severity = meta.get("severity")
        if severity is None:
            raise self._error("the expectation has no severity in its `meta`", "meta", choices=SEVERITIES)
        if severity not in SEVERITIES:
            raise self._unknown("severity", str(severity), SEVERITIES, "severity")
        if severity == "quarantine" and self.kind == "table" and self.target != "events":
            hint = "rows of a derived table cannot be held, only those of sources and of events"
            raise self._error("severity 'quarantine' is not possible here", "severity", ("warn", "stop"), hint)
        if severity == "quarantine" and not kind.rows:
            hint = f"{kind.name} is about all rows together and cannot say which to hold"
            raise self._error("severity 'quarantine' is not possible here", "severity", ("warn", "stop"), hint)
        return cast("Severity", severity)

    def _text(self, meta: Mapping[str, Any], name: str) -> str:
        value = meta.get(name, "")
        if not isinstance(value, str):
            raise self._error(f"`{name}` is a text", name)
        return value.strip()

    def _at(self, key: str | None) -> str:
        more = _line_of(self.piece, key) - 1 if key else 0
        return f"{self.where}:{self.line + more}"

    def _error(self, what: str, key: str | None = None, choices: Any = (), hint: str | None = None) -> SpecError:
        return SpecError(what, where=self._at(key), choices=choices, hint=hint)

    def _unknown(self, kind: str, name: str, valid: Any, key: str | None = None) -> SpecError:
        error = SpecError.unknown(kind, name, valid, where=self._at(key or name))
        return cast("SpecError", error)


def _places(text: str, count: int) -> Iterator[tuple[int, str]]:
    """Line and text of each expectation of a suite that parses as JSON."""
    for start, end in spans(text, count):
        yield text.count("\n", 0, start) + 1, text[start:end]


def spans(text: str, count: int) -> list[tuple[int, int]]:
    """Where each expectation of a suite that parses as JSON begins and ends."""
    decoder = json.JSONDecoder()
    position = list_start(text)
    found = []
    for _ in range(count):
        while text[position] in _BLANK:
            position += 1
        start = position
        _, position = decoder.raw_decode(text, start)
        found.append((start, position))
    return found


def list_start(text: str) -> int:
    """Where the items of the outermost `expectations` begin."""
    decoder = json.JSONDecoder()
    position, found = text.index("{") + 1, 0
    while True:
        while text[position] in _BLANK:
            position += 1
        if text[position] == "}":
            return found
        key, position = decoder.raw_decode(text, position)
        position = text.index(":", position) + 1
        while text[position] in _BLANK:
            position += 1
        if key == "expectations":
            found = position + 1
        _, position = decoder.raw_decode(text, position)


def _line_of(text: str, key: str) -> int:
    at = text.find(json.dumps(key, ensure_ascii=False))
    return text.count("\n", 0, max(at, 0)) + 1


def _unique_rules(expectations: list[Expectation], where: str) -> None:
    seen: dict[str, int] = {}
    for expectation in expectations:
        if expectation.rule in seen:
            first = seen[expectation.rule]
            raise SpecError(
                f"rule {expectation.rule!r} is there twice (first in line {first})",
                where=f"{where}:{expectation.line}",
                hint="give each expectation a `rule` of its own in its `meta`",
            )
        seen[expectation.rule] = expectation.line


def _default_rule(kind: str, kwargs: Mapping[str, Any]) -> str:
    columns = [kwargs[name] for name in COLUMN_ARGUMENTS if name in kwargs] or kwargs.get("column_list", [])
    short = kind.removeprefix("expect_").removeprefix("column_").removeprefix("values_").removeprefix("to_")
    return "_".join([*columns, short])


def _default_words(kind: str) -> str:
    return kind.removeprefix("expect_").replace("_", " ").capitalize()
