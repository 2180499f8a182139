"""The file of decisions about identity: data/decisions/identity.jsonl, only ever added to."""

from __future__ import annotations

import os
from pathlib import Path

from cdp_core.identity.overrides import Override, from_lines, to_lines, with_decision

PATH = Path("data/decisions/identity.jsonl")


def read_decisions(root: Path) -> list[Override]:
    """All decisions, oldest first. Raises SpecError with the line that is wrong."""
    path = root / PATH
    return from_lines(path.read_text(encoding="utf-8"), where=str(PATH)) if path.is_file() else []


def decide(root: Path, new: Override) -> None:
    """Add a decision. Raises UsageError when it contradicts those in force, and writes nothing then."""
    from filelock import FileLock

    path = root / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        with_decision(read_decisions(root), new)
        with path.open("a", encoding="utf-8") as file:
            if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
                file.write("\n")
            file.write(to_lines([new]))
            file.flush()
            os.fsync(file.fileno())
