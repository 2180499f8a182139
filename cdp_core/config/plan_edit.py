"""A tracking plan changed in its text: comments, order and every line that is not concerned stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdp_core.config.document import Document, parse
from cdp_core.config.plan_text import as_written
from cdp_core.config.plans import ANYTHING, FOLDER, parse_plan, verbatim
from cdp_core.config.problems import Problem, raise_first
from cdp_core.config.splice_path import KeyPath, cut_at, rename_at, set_at
from cdp_core.errors import SpecError

_BUCKETS = ("properties", "traits")


@dataclass(frozen=True, kw_only=True)
class DraftProblem:
    """What is wrong in a plan's text: in which `event` and `property` (empty: of the plan as a whole), `line`, what."""

    event: str
    property: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (" › ".join(filter(None, (self.event, self.property))), self.what) if part)


def plan_model(text: str, name: str) -> dict[str, Any]:
    """What stands in the text, in the shape of its file and right or wrong as a plan; keys are texts.

    Raises SpecError with the line when it is no YAML of keys and values.
    """
    document = _document(text, name)
    raise_first(document.problems)
    data = document.data
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SpecError("the plan must hold keys and values", where=f"{FOLDER}/{name}.yaml:1", hint="such as 'events:'")
    return data


def edit_plan(text: str, name: str, wanted: Mapping[str, Any], renamed: Sequence[tuple[KeyPath, str]] = ()) -> str:
    """The text in which `wanted` stands, changed where it differs and nowhere else.

    `renamed` are paths of keys with what they are called in `wanted`, so that they keep their place and comments.
    Raises SpecError when the text cannot be edited in place.

    >>> edit_plan("events:\\n  Paid:  # by card\\n", "shop", {"events": {"Paid": {"description": "Money"}}})
    'events:\\n  Paid:  # by card\\n    description: Money\\n'
    """
    text = _renamed(text, name, renamed)
    before = plan_model(text, name)
    for path, value in _changes(before, wanted, ()):
        text = cut_at(text, path) if value is _GONE else set_at(text, path, as_written(path, value))
    if any(_changes(plan_model(text, name), wanted, ())):
        what = "this change cannot be made in place: the plan uses an anchor or is written in an unusual way"
        raise SpecError(what, where=f"{FOLDER}/{name}.yaml", hint="edit it as YAML")
    return text


def draft_problems(text: str, name: str) -> list[DraftProblem]:
    """Everything that is wrong with a plan that is no file yet, with the event and property that it is about."""
    file = f"{FOLDER}/{name}.yaml"
    _, problems = parse_plan(text.encode(), file, name)
    if not problems:
        return []
    document = _document(text, name)
    places = {path: place.line for path, place in document.places.items()}
    return [_placed(problem, places) for problem in problems]


_GONE = object()


def _renamed(text: str, name: str, renamed: Sequence[tuple[KeyPath, str]]) -> str:
    """Keys under their new names. A name may be that of another one which goes, or is renamed as well."""
    if not renamed:
        return text
    before = plan_model(text, name)
    if not any(_has(before, (*path[:-1], new)) for path, new in renamed):
        for path, new in renamed:
            text = rename_at(text, path, new)
        return text
    for number, (path, _) in enumerate(renamed):
        text = rename_at(text, path, f"{_SPARE}{number}")
    for number, (path, new) in enumerate(renamed):
        if _has(plan_model(text, name), (*path[:-1], new)):
            text = cut_at(text, (*path[:-1], new))
        text = rename_at(text, (*path[:-1], f"{_SPARE}{number}"), new)
    return text


_SPARE = "to be renamed "


def _has(plan: Any, path: KeyPath) -> bool:
    for part in path:
        if not isinstance(plan, Mapping) or part not in plan:
            return False
        plan = plan[part]
    return True


def _changes(before: Any, wanted: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """What to set and then what to take out, the outermost that suffices: nothing is emptied that is filled again."""
    if not (isinstance(before, Mapping) and isinstance(wanted, Mapping)):
        if _differ(before, wanted, path[-1] if path else ""):
            yield path, wanted
        return
    for key, value in wanted.items():
        if key not in before:
            yield (*path, key), value
        else:
            yield from _changes(before[key], value, (*path, key))
    for key in before:
        if key not in wanted:
            yield (*path, key), _GONE


def _differ(one: Any, other: Any, key: str) -> bool:
    """1, 1.0 and true are three values; one type is the same as a list of it."""
    if key == "type":
        one, other = ([each] if isinstance(each, str) else each for each in (one, other))
    return repr(one) != repr(other)


def _document(text: str, name: str) -> Document:
    document = verbatim(parse(text, f"{FOLDER}/{name}.yaml", ANYTHING))
    document.problems = [p for p in document.problems if not re.match(r"key \d+ is not text", p.what)]
    return document


def _placed(problem: Problem, places: Mapping[Any, int | None]) -> DraftProblem:
    line = problem.place.line
    paths = sorted((path for path, at in places.items() if at == line and line is not None), key=len)
    path = tuple(map(str, paths[0])) if paths else ()
    event, inner = _named(path)
    text = problem.what if not problem.choices else f"{problem.what} (valid: {', '.join(problem.choices)})"
    return DraftProblem(
        event=event, property=inner, line=line, what=f"{text}; {problem.hint}" if problem.hint else text
    )


def _named(path: KeyPath) -> tuple[str, str]:
    """
    >>> _named(("events", "Paid", "properties", "total", "minimum")), _named(("identify", "traits", "a"))
    (('Paid', 'total'), ('identify', 'a'))
    """
    call = path[1:] if path[:1] == ("events",) else path
    if not call:
        return "", ""
    inner = [part for at, part in enumerate(call) if at and call[at - 1] in _BUCKETS]
    return call[0], " › ".join(inner)
