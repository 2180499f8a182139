"""The file of decisions about identity: data/decisions/identity.jsonl, only ever added to but for erasures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cdp_core.identity.overrides import Identifier, Override, from_lines, to_lines, with_decision
from cdp_core.journal import append, rewrite

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


def forget(root: Path, identifiers: Collection[Identifier]) -> int:
    """Leave out every decision about one of these identifiers, revoked ones too; how many."""

    gone = 0

    def kept(text: str) -> str:
        nonlocal gone
        told = from_lines(text, where=str(PATH))
        stay = [each for each in told if not {each.left, each.right} & set(identifiers)]
        gone = len(told) - len(stay)
        return to_lines(stay)

    if (root / PATH).is_file():
        rewrite(root / PATH, kept)
    return gone
