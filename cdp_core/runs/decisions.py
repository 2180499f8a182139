"""The file of decisions about identity: data/decisions/identity.jsonl, only ever added to."""

from __future__ import annotations

from pathlib import Path

from cdp_core.identity.overrides import Override, from_lines, to_lines, with_decision
from cdp_core.journal import append

PATH = Path("data/decisions/identity.jsonl")


def read_decisions(root: Path) -> list[Override]:
    """All decisions, oldest first. Raises SpecError with the line that is wrong."""
    path = root / PATH
    return from_lines(path.read_text(encoding="utf-8"), where=str(PATH)) if path.is_file() else []


def decide(root: Path, new: Override) -> None:
    """Add a decision. Raises UsageError when it contradicts those in force, and writes nothing then."""

    def line() -> str:
        with_decision(read_decisions(root), new)
        return to_lines([new])

    append(root / PATH, line)
