"""What was told to whom and is not over: alerts.json beside the lake's tables.

A file and no table, since it must be kept when the lake cannot be written or opened, and no snapshot is worth it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_core.modes import FILE as FILE_MODE
from cdp_core.modes import private_file, private_folder

Told = dict[str, dict[str, dict[str, str]]]
"""Alert id → key of what was told → `since` (UTC) and `text`."""
FILE = "alerts.json"


def read(folder: Path) -> Told:
    """What stands in the file; nothing when it is not there or cannot be read: telling twice beats not telling."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def changed(folder: Path) -> Iterator[Told]:
    """Read, change and write it, one process at a time."""
    from filelock import FileLock

    private_folder(folder)
    with FileLock(folder / "alerts.lock", timeout=60, mode=FILE_MODE):
        told = read(folder)
        before = json.dumps(told)
        yield told
        text = json.dumps(told, indent=1, ensure_ascii=False)
        if json.dumps(told) != before:
            temporary = folder / f"{FILE}.new"
            private_file(temporary)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / FILE)
