"""Suites in files: expectations/sources/<source>.json and expectations/tables/<table>.json.

The format is Great Expectations' own. What a failure means stands in each expectation's `meta`:
`severity` (warn, quarantine, stop), `rule` (short name) and `description` (a sentence).
"""

from __future__ import annotations

from pathlib import Path

from cdp_core.errors import SpecError
from cdp_core.quality.reading import parse_suite
from cdp_core.quality.spec import Expectation, Kind, Suite, place

__all__ = ["FOLDERS", "Expectation", "Suite", "load_suite", "load_suites", "parse_suite"]
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
