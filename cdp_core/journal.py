"""Files of lines that are added to: decisions of people, which outlive every lake."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from cdp_core.errors import SpecError
from cdp_core.modes import FILE, new_folder

T = TypeVar("T")


def read_lines(text: str, make: Callable[[dict[str, Any]], T], *, where: str, what: str, hint: str) -> list[T]:
    """What `make` makes of each line's object, in order; empty lines are left out.

    Raises SpecError with the line that is wrong, which says `what` it is not and gives the `hint`: where it is no JSON,
    or `make` raises ValueError, TypeError, KeyError or AttributeError.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(make(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SpecError(what, where=f"{where}:{number}", hint=hint) from None
    return found


def append(path: Path, line: Callable[[], str], *, after: Callable[[], None] | None = None) -> None:
    """Add a line, or several, and have them on the disk before this returns; folders are made, the file is its owner's
    alone. It takes as long for a long file as for a short one.

    `line` makes the text while nobody else writes, and may read the file; what it raises leaves the file as it was.
    `after` is done when the text is on the disk, and before anybody else may write.
    """
    from filelock import FileLock

    new_folder(path.parent)
    with FileLock(path.with_suffix(".lock"), mode=FILE):
        text = line()
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "ab+") as file:
            if not _ends_a_line(file):
                file.write(b"\n")
            file.write(text.rstrip("\n").encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if after is not None:
            after()


def rewrite(path: Path, kept: Callable[[str], str]) -> None:
    """Put what `kept` makes of the file's text in its place, while nobody else writes: for what has to be forgotten.

    A process that dies in between leaves the file as it was; what `kept` raises does too.
    """
    from filelock import FileLock

    with FileLock(path.with_suffix(".lock")):
        text = kept(path.read_text(encoding="utf-8"))
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


def _ends_a_line(file: IO[bytes]) -> bool:
    size = file.seek(0, os.SEEK_END)
    if not size:
        return True
    file.seek(size - 1)
    return file.read(1) == b"\n"
