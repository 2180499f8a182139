"""Suites as files to edit: expectations/sources/<source>.json and expectations/tables/<table>.json, called by both
parts of their path (`tables/events`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cdp_core.config.edit import alone
from cdp_core.config.plans import like_before
from cdp_core.config.whole import write_whole
from cdp_core.errors import CDPError, SpecError, UsageError
from cdp_core.quality.reading import parse_suite
from cdp_core.quality.spec import Kind, Suite
from cdp_core.quality.suites import FOLDERS
from cdp_core.tables import CANONICAL

FOLDER = "expectations"
_UNCHECKED = ("quarantine", "violations", "quality_results", "matching_models", "identity_compared", "sync_ledger",
              "sync_log", "sync_runs", "source_state", "source_columns", "source_loads", "stage_state",
              "suppressions", "suppressed_profiles", "audit_log", "runs")  # fmt: skip
"""What a run writes down about itself: it checks no suite of these."""


def suite_names(root: Path) -> list[str]:
    """The suites of the workspace at `root`, sources first."""
    return [
        f"{folder}/{path.stem}"
        for folder in FOLDERS.values()
        for path in sorted((root / FOLDER / folder).glob("*.json"))
    ]


def full_name(root: Path, name: str) -> str:
    """The name of a suite that there is; without its folder where that says which. Raises UsageError."""
    names = suite_names(root)
    if name in names:
        return name
    short = [each for each in names if each.partition("/")[2] == name]
    if len(short) == 1:
        return short[0]
    if short:
        raise UsageError(f"there are two suites {name!r}", choices=short, hint="say which")
    raise UsageError.unknown("suite", name, names)


def possible(root: Path, sources: Collection[str]) -> list[str]:
    """Suites that there might be and are not: of sources of cdp.yaml and of canonical tables."""
    tables = [name for name in CANONICAL if name not in _UNCHECKED]
    wanted = [f"{FOLDERS['source']}/{name}" for name in sources] + [f"{FOLDERS['table']}/{name}" for name in tables]
    there = suite_names(root)
    return [name for name in wanted if name not in there]


def parts(root: Path, name: str) -> tuple[Kind, Path]:
    """What kind of suite a full name means, and its file."""
    folder, _, target = name.partition("/")
    kind = next((kind for kind, each in FOLDERS.items() if each == folder), None)
    if kind is None or not target or Path(target).name != target:
        raise UsageError(f"{name!r} is no name of a suite", hint="such as tables/events or sources/orders")
    return kind, root / FOLDER / folder / f"{target}.json"


def place(name: str) -> str:
    """The file of a suite as a user knows it."""
    return f"{FOLDER}/{name}.json"


def read_suite(root: Path, name: str) -> str:
    """The text of a suite's file. Raises UsageError when there is none of that name, SpecError when it is no text."""
    _, path = parts(root, full_name(root, name))
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError("the suite is not UTF-8 text", where=place(name), hint="save it as UTF-8") from None
    except OSError as error:
        raise SpecError(f"the suite cannot be read: {(error.strerror or '').lower()}", where=place(name)) from None


def draft_suite(root: Path, name: str, text: str) -> Suite:
    """A suite that is no file yet, with the same checks. Raises SpecError with the line for what is wrong."""
    kind, path = parts(root, name)
    suite = parse_suite(text, path, kind)
    taken = _names_of_others(root, name).get(suite.name)
    if taken is not None:
        raise SpecError(
            f"suite name {suite.name!r} is taken by {place(taken)}", where=place(name), hint="give it another `name`"
        )
    return suite


def replace_suite(root: Path, name: str, text: str, *, expected: str | None, sources: Collection[str] = ()) -> str:
    """Write a suite, whole or not at all, and give what stood there; empty where there was or will be none.

    With `expected` only if that stood there. Raises UsageError when it has changed, cannot be there or cannot be
    written, SpecError when a run would refuse the text.
    """
    with alone(root):
        there = name in suite_names(root)
        before = read_suite(root, name) if there else ""
        if expected is not None and before != expected:
            raise UsageError("the suite has changed", where=place(name), hint="look at it again; nothing was written")
        if not there and name not in possible(root, sources):
            raise UsageError.unknown("suite", name, [*suite_names(root), *possible(root, sources)])
        if text:
            draft_suite(root, name, text)
        _write(parts(root, name)[1], text, name)
    return before


def _write(path: Path, text: str, name: str) -> None:
    try:
        if not text:
            path.unlink(missing_ok=True)
            return
        write_whole(path, like_before(path, text))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the suite cannot be written: {reason}", where=place(name)) from None


def _names_of_others(root: Path, name: str) -> Mapping[str, str]:
    found: dict[str, Any] = {}
    for other in suite_names(root):
        if other != name:
            try:
                kind, path = parts(root, other)
                found[parse_suite(read_suite(root, other), path, kind).name] = other
            except CDPError:
                continue
    return found
