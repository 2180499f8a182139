"""Who may read what this package writes: the user it runs as, and nobody else, whatever the umask says.

Folders are made 0700, which already shuts everything below them; files are 0600 too. Programs that are nobody's but
ours (the command line, the collector, the dashboard) set the umask of their process, which a library may not do to
its host. Rule: ASVS 5.0, 13.4 and 14.2; CIS, umask 077.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FILE, FOLDER = 0o600, 0o700
_OTHERS = 0o077


def private_process() -> None:
    """From now on this process, and what it starts, makes files for its own user alone."""
    os.umask(_OTHERS)


def new_folder(folder: Path) -> None:
    """Make the folder and those above it that are missing, for this user alone; those that are there stay as they are.

    Raises OSError.
    """
    for one in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
        one.mkdir(mode=FOLDER, exist_ok=True)


def private_folder(folder: Path) -> Path:
    """The same, and a folder that is there is shut to others too. Raises OSError.

    >>> import tempfile; oct(private_folder(Path(tempfile.mkdtemp(), "a", "b")).stat().st_mode & 0o777)
    '0o700'
    """
    new_folder(folder)
    _shut(folder)
    return folder


def private_file(path: Path) -> None:
    """Make an empty file for this user alone, unless one is there: whose rights are somebody's choice, and stay."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE))


def like(path: Path, old: Path) -> None:
    """Give a new file the rights of the one whose place it takes, or those of its owner alone."""
    path.chmod(old.stat().st_mode & 0o777 if old.exists() else FILE)


def shut_below(folder: Path) -> None:
    """Shut the folder and everything in it that is this user's. A path that is gone meanwhile is no error."""
    for path in (folder, *folder.rglob("*")):
        _shut(path)


def open_to_others(folder: Path) -> Iterator[Path]:
    """Paths from the folder down that others may read or change; nothing below a shut folder is looked at."""
    with contextlib.suppress(OSError):
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode) or not found.st_mode & _OTHERS:
            return
        yield folder
        if stat.S_ISDIR(found.st_mode):
            for path in sorted(folder.iterdir()):
                yield from open_to_others(path)


def _shut(path: Path) -> None:
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(mode & 0o700)
