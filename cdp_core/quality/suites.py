"""Suites in files: expectations/sources/<source>.json and expectations/tables/<table>.json.

The format is Great Expectations' own. What a failure means stands in each expectation's `meta`:
`severity` (warn, quarantine, stop), `rule` (short name) and `description` (a sentence).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cdp_core.errors import SpecError
from cdp_core.quality.reading import parse_suite
from cdp_core.quality.spec import Expectation, Kind, Suite, place

__all__ = ["FOLDERS", "Expectation", "Suite", "load_suite", "load_suites", "parse_suite", "save_suite", "suite_text"]
FOLDERS: dict[Kind, str] = {"source": "sources", "table": "tables"}


def load_suites(folder: Path) -> list[Suite]:
    """Every suite under `folder`, by kind and name; a folder that is not there has none.

    Raises SpecError with file and line: broken JSON, an unknown expectation type or argument, a missing or unknown
    severity, a table that is none, quarantine where rows cannot be held.
    """
    found = [
        load_suite(path, kind) for kind, name in FOLDERS.items() for path in sorted((folder / name).glob("*.json"))
    ]
    seen: dict[str, Suite] = {}
    for suite in found:
        if suite.name in seen:
            taken = f"suite name {suite.name!r} is taken by {place(seen[suite.name].path)}"
            raise SpecError(taken, where=place(suite.path), hint="rename one")
        seen[suite.name] = suite
    return found


def load_suite(path: Path, kind: Kind) -> Suite:
    """One suite file. Raises SpecError as `load_suites` does."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(f"the suite cannot be read: {reason}", where=place(path)) from None
    except UnicodeDecodeError:
        raise SpecError("the suite is not UTF-8 text", where=place(path), hint="save it as UTF-8") from None
    return parse_suite(text, path, kind)


def save_suite(suite: Suite) -> None:
    """Write the suite to its file, whole or not at all. Raises SpecError when `load_suites` would refuse it."""
    text = suite_text(suite)
    parse_suite(text, suite.path, suite.kind)
    suite.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = suite.path.with_name(f".{suite.path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(suite.path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise SpecError(f"the suite cannot be written: {reason}", where=place(suite.path)) from None


def suite_text(suite: Suite) -> str:
    """The suite's file: one line for each field of an expectation, so that a change is one line of a diff."""
    head = {key: value for key, value in suite.to_json().items() if key != "expectations"}
    lines = [f"  {_json(key)}: {_json(value)}," for key, value in head.items()]
    blocks = [
        "    {\n" + ",\n".join(f"      {_json(k)}: {_json(v)}" for k, v in item.to_json().items()) + "\n    }"
        for item in suite.expectations
    ]
    body = ",\n".join(blocks)
    return "\n".join(["{", *lines, '  "expectations": [', *([body] if body else []), "  ]", "}"]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
