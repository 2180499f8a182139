"""Files of lines that are only ever added to: decisions of people, which outlive every lake."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def append(path: Path, line: Callable[[], str]) -> None:
    """Add a line and have it on the disk before this returns; folders are made, the file is its owner's alone.

    `line` makes the line while nobody else writes, and may read the file; what it raises leaves the file as it was.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        text = line()
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
                file.write(b"\n")
            file.write(text.rstrip("\n").encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
