"""One run at a time per workspace."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_core.errors import WorkspaceBusy
from cdp_core.modes import FILE, private_file, private_folder


@contextmanager
def run_lock(folder: Path, *, wait: float | None = 0) -> Iterator[None]:
    """Hold the workspace for one run.

    `wait` is in seconds (None: for ever). The system frees the lock when its process dies, however it dies.
    Raises WorkspaceBusy, which says who holds it and since when.
    """
    from filelock import FileLock, Timeout

    private_folder(folder)
    holder = folder / "run.holder.json"
    lock = FileLock(folder / "run.lock", timeout=-1 if wait is None else wait, mode=FILE)
    try:
        lock.acquire()
    except Timeout:
        raise WorkspaceBusy(
            f"another run holds this workspace ({describe(holder)})", hint="wait for it, or run with --wait"
        ) from None
    try:
        private_file(holder)
        holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def describe(holder: Path) -> str:
    """Who holds the lock, in words."""
    try:
        who = json.loads(holder.read_text())
        age = int(time.time() - who["since"])
    except (OSError, ValueError, KeyError):
        return "its process did not say who it is"
    return f"process {who['pid']} on {who['host']}, for {age} s"


def is_held(folder: Path) -> bool:
    """Whether a run is going on now."""
    from filelock import FileLock, Timeout

    if not (folder / "run.lock").exists():
        return False
    try:
        with FileLock(folder / "run.lock", timeout=0, mode=FILE):
            return False
    except Timeout:
        return True
