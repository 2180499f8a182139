"""Tracking plans in files: expectations/tracking_plan/<name>.yaml, read like cdp.yaml and checked to the last regular
expression. Every mistake has its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdp_core.config.document import Document, decode, parse
from cdp_core.config.document import Path as KeyPath
from cdp_core.config.merge import Merged
from cdp_core.config.model import Config
from cdp_core.config.problems import Place, Problem, nearest, raise_first, unknown
from cdp_core.config.translate import translate
from cdp_core.config.whole import write_whole
from cdp_core.errors import SpecError, UsageError
from cdp_core.quality.plan.spec import CallPlan, Plan, PropertyRule

FOLDER = "expectations/tracking_plan"


def plan_names(root: Path) -> list[str]:
    """The plans of the workspace at `root`."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.yaml"))


def load_plan(root: Path, name: str) -> Plan:
    """One plan. Raises UsageError when there is none of that name, SpecError with file and line for what is wrong."""
    plan, problems = check_plan(root, name)
    raise_first(problems)
    assert plan is not None
    return plan


def check_plan(root: Path, name: str) -> tuple[Plan | None, list[Problem]]:
    """A plan and no problems, or None and all of them in the order of lines. Raises UsageError for an unknown name."""
    if name not in plan_names(root):
        raise UsageError.unknown("tracking plan", name, plan_names(root))
    file = f"{FOLDER}/{name}.yaml"
    try:
        content = (root / file).read_bytes()
    except OSError as error:
        return None, [Problem(Place(file), f"the file cannot be read: {(error.strerror or '').lower()}")]
    return parse_plan(content, file, name)


def parse_plan(content: bytes, file: str, name: str) -> tuple[Plan | None, list[Problem]]:
    """The same from the bytes of a file."""
    text = decode(content, file)
    if isinstance(text, Problem):
        return None, [text]
    document = verbatim(parse(text, file, ANYTHING))
    problems = [p for p in document.problems if not re.match(r"key \d+ is not text", p.what)]
    if not problems and not isinstance(document.data, dict):
        problems = [Problem(Place(file, 1), "the file must hold keys and values", hint="such as 'events:'")]
    if problems:
        return None, problems
    merged = Merged(data=document.data, places=document.places, contents={file: content})
    plan, problems = _validated(merged, name)
    return (None, problems) if problems else (plan, [])


def check_references(config: Config, merged: Merged, root: Path) -> list[Problem]:
    """Sources whose plan is no file."""
    used = {name: source.plan for name, source in config.sources.items() if source.plan is not None}
    names = plan_names(root) if used else []
    found = []
    for source, use in used.items():
        if use.name in names:
            continue
        path: KeyPath = ("sources", source, "plan", "name")
        place = merged.place(path if path in merged.places else path[:-1])
        hint = nearest(use.name, names) or f"write {FOLDER}/{use.name}.yaml, or 'cdp quality plan infer {source}'"
        found.append(Problem(place, f"unknown tracking plan {use.name!r}", tuple(names), hint))
    return found


class _Anything(Mapping[str, str]):
    """An environment in which every variable is its own text: a plan has none, but regular expressions with a $."""

    def __getitem__(self, name: str) -> str:
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1

    def __contains__(self, name: object) -> bool:
        return True


ANYTHING = _Anything()


def verbatim(document: Document) -> Document:
    if document.data is None:
        return document
    for path, text in document.raw.items():
        holder = document.data
        for part in path[:-1]:
            holder = holder[part]
        if path:
            holder[path[-1]] = text
    return document


def _validated(merged: Merged, name: str) -> tuple[Plan | None, list[Problem]]:
    if "name" in merged.data:
        valid = [f.alias or key for key, f in Plan.model_fields.items() if key != "name"]
        problem = unknown(merged.place(("name",)), "key", "name", valid)
        return None, [Problem(problem.place, problem.what, problem.choices, "a plan is called like its file")]
    try:
        plan = Plan.model_validate({**merged.data, "name": name})
    except ValidationError as error:
        return None, _sorted(translate(error, merged, Plan))
    return plan, _sorted([*_calls(plan, merged)])


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: p.place.line or 0)


def _calls(plan: Plan, merged: Merged) -> Iterator[Problem]:
    """What needs a JSON Schema library, or all rules of a call together."""
    for name, event in plan.events.items():
        yield from _versions(event, ("events", name), merged)
    for kind, call in plan.calls().items():
        yield from _versions(call, (kind,), merged)
    if plan.common is not None and plan.common.beneath is not None:
        yield from _schema(plan.common.beneath, ("common", "schema"), merged)


def _versions(call: CallPlan, path: KeyPath, merged: Merged) -> Iterator[Problem]:
    from cdp_core.quality.plan.checks import checks_of

    for number, rules in call.versions.items() or [(None, call)]:
        here = path if number is None else (*path, "versions", str(number))
        if rules.beneath is not None:
            problems = list(_schema(rules.beneath, (*here, "schema"), merged))
            yield from problems
            if problems:
                continue
        for bucket in ("properties", "traits"):
            yield from _rules(getattr(rules, bucket), (*here, bucket), merged)
        try:
            checks_of(rules)
        except ValueError as error:
            yield Problem(merged.place(here), str(error))


def _rules(rules: Mapping[str, PropertyRule], path: KeyPath, merged: Merged) -> Iterator[Problem]:
    from cdp_core.quality.plan.schemas import schema_error

    for name, rule in rules.items():
        here = (*path, name)
        if rule.pattern is not None and schema_error({"pattern": rule.pattern}):
            what = f"{name!r} has a pattern that is no regular expression (ECMA 262)"
            yield Problem(merged.place((*here, "pattern")), what)
        for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
            least, most = getattr(rule, low), getattr(rule, high)
            if least is not None and most is not None and least > most:
                yield Problem(merged.place((*here, low)), f"{low!r} is above {high!r}, so nothing can be right")
        yield from _rules(rule.properties, (*here, "properties"), merged)


def _schema(schema: Any, path: KeyPath, merged: Merged) -> Iterator[Problem]:
    from cdp_core.quality.plan.schemas import schema_error

    wrong = schema_error(schema)
    if wrong is not None:
        yield Problem(merged.place((*path, *wrong[0])), wrong[1])


def read_plan(root: Path, name: str) -> str:
    """The text of a plan's file. Raises UsageError when there is none of that name, SpecError when it is no text."""
    if name not in plan_names(root):
        raise UsageError.unknown("tracking plan", name, plan_names(root))
    file = f"{FOLDER}/{name}.yaml"
    try:
        return (root / file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError("the file is not UTF-8 text", where=file) from None
    except OSError as error:
        raise SpecError(f"the file cannot be read: {(error.strerror or '').lower()}", where=file) from None


def read_draft(text: str, name: str) -> Plan:
    """A plan that is no file yet, with the same checks. Raises SpecError with the line for what is wrong."""
    plan, problems = parse_plan(text.encode(), f"{FOLDER}/{name}.yaml", name)
    raise_first(problems)
    assert plan is not None
    return plan


def replace_plan(root: Path, name: str, text: str, *, expected: str | None = None) -> str:
    """Write over a plan's file, whole or not at all, and give what stood there. With `expected` only if that did.

    Raises UsageError when there is none or it has changed and SpecError when `load_plan` would refuse the text.
    """
    from cdp_core.config.edit import alone

    with alone(root):
        before = read_plan(root, name)
        if expected is not None and before != expected:
            where = f"{FOLDER}/{name}.yaml"
            raise UsageError("the plan has changed", where=where, hint="look at it again; nothing was written")
        save_plan(root, name, text, replace=True)
    return before


def like_before(path: Path, text: str) -> bytes:
    """A text with the line ends and the byte order mark that its file has, so that only what was changed differs."""
    before = path.read_bytes() if path.exists() else b""
    plain = text.replace("\r\n", "\n")
    if before.split(b"\n", 1)[0].endswith(b"\r"):
        plain = plain.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b"") + plain.encode()


def save_plan(root: Path, name: str, text: str, *, replace: bool = False) -> Path:
    """Write a plan's file, whole or not at all. Raises UsageError when there is one already (without `replace`) and
    SpecError when `load_plan` would refuse it.
    """
    if not re.fullmatch(r"[\w][\w.-]*", name):
        raise UsageError(f"{name!r} is no name of a plan", hint="use letters, digits, - and _")
    path = root / FOLDER / f"{name}.yaml"
    if path.exists() and not replace:
        raise UsageError(f"there is a plan {name!r} already", where=f"{FOLDER}/{name}.yaml", hint="choose another name")
    raise_first(parse_plan(text.encode(), f"{FOLDER}/{name}.yaml", name)[1])
    try:
        write_whole(path, like_before(path, text))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(f"the plan cannot be written: {reason}", where=f"{FOLDER}/{name}.yaml") from None
    return path
