"""Where decisions about people are kept: lines of data/privacy/suppressions.jsonl, and the key they were made with."""

from __future__ import annotations

from pathlib import Path

from cdp_core.errors import SpecError
from cdp_core.privacy import suppression
from cdp_core.privacy.key import PATH as KEY_PATH
from cdp_core.privacy.key import VARIABLE, workspace_key
from cdp_core.privacy.suppression import Suppression

PATH = Path("data/privacy/suppressions.jsonl")
CONSENTS = Path("data/privacy/consents.jsonl")
"""Where decisions about consent are; they are made with the same key."""


def read_suppressions(root: Path) -> list[Suppression]:
    """All decisions, oldest first. Raises SpecError with the line that is wrong."""
    path = root / PATH
    return suppression.from_lines(path.read_text(encoding="utf-8"), where=str(PATH)) if path.is_file() else []


def barred(root: Path) -> list[Suppression]:
    """Decisions in force by which nothing of a person is taken in any more, oldest first."""
    return [each for each in suppression.in_force(read_suppressions(root)) if each.door]


def known_key(root: Path) -> bytes:
    """The key that the decisions were made with; made with the first one. Raises SpecError when it is gone."""
    if (found := workspace_key(root)) is not None:
        return found
    if any((root / path).is_file() and (root / path).stat().st_size for path in (PATH, CONSENTS)):
        raise SpecError(
            "the key is gone, and with it who is suppressed and what was decided about consent",
            where=str(KEY_PATH),
            hint=f"bring the file back, or set {VARIABLE}; nothing is sent until then",
        )
    made = workspace_key(root, make=True)
    assert made is not None
    return made
