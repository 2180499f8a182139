"""Files as parts of a source: which there are, and which have changed since the last load."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from cdp_core.sources.base import SourceBatch, SourceContext

WILD = set("*?[")
Read = Callable[[Path, str, str, datetime], Iterator[SourceBatch]]


def find_files(context: SourceContext, pattern: str) -> list[Path]:
    """The files that a path or pattern names, sorted. Raises SourceError, with the nearest file, when there is none."""
    found = matching_files(context.root, pattern)
    if found:
        return found
    base, relative = _parted(context.root, pattern)
    if (base / relative).is_dir():
        raise context.fail(f"{pattern} is a folder", hint=f"name its files, such as {pattern.rstrip('/')}/*.csv")
    raise context.fail(f"no file {pattern}", hint=_nearest(base, relative))


def matching_files(root: Path, pattern: str) -> list[Path]:
    """The files of the workspace at `root` that a path or pattern names, sorted; none when there is none."""
    base, relative = _parted(root, pattern)
    if (base / relative).is_file():
        return [base / relative]
    return sorted(p for p in base.glob(str(relative)) if p.is_file()) if WILD & set(pattern) else []


def _parted(root: Path, pattern: str) -> tuple[Path, Path]:
    path = Path(pattern).expanduser()
    if path.is_absolute():
        return Path(path.anchor), path.relative_to(path.anchor)
    return root, path


def _nearest(base: Path, relative: Path) -> str:
    folder = base / relative.parent
    while WILD & set(str(folder)) or not folder.is_dir():
        if folder == folder.parent:
            break
        folder = folder.parent
    known = sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
    close = difflib.get_close_matches(relative.name, [p.name for p in known], n=1, cutoff=0.3)
    shown = folder.relative_to(base) if folder.is_relative_to(base) else folder
    if close:
        return f"did you mean {(shown / close[0]).as_posix()}?"
    return f"{shown.as_posix()}/ holds {len(known)} files" if folder.is_dir() else "the folder is missing too"


def fresh_parts(context: SourceContext, files: list[Path], state: pl.DataFrame, read: Read) -> Iterator[SourceBatch]:
    """Batches of the files that are new or changed.

    Size and time of change are looked at first and the content only when they differ; a file that was merely touched
    gives one batch of no rows that records the new time.
    """
    known = {row["part"]: row for row in state.iter_rows(named=True)}
    parts = [(path, _name(context.root, path)) for path in files]
    before = {part: _facts(known[part]["fingerprint"]) for _, part in parts if part in known}
    for number, (path, part) in enumerate(parts):
        try:
            status = path.stat()
            quick = {"map": context.mapping, "size": str(status.st_size), "time": str(status.st_mtime_ns)}
            old = before.get(part, {})
            if old and all(old.get(key) == value for key, value in quick.items()):
                continue
            content = _hash(path)
        except OSError as error:
            raise context.fail(f"{part} cannot be read: {(error.strerror or str(error)).lower()}") from None
        fingerprint = ";".join(f"{key}={value}" for key, value in {**quick, "md5": content}.items())
        modified = datetime.fromtimestamp(int(status.st_mtime), UTC).replace(tzinfo=None)
        yield SourceBatch(part=part, fingerprint=fingerprint, rows=pl.DataFrame(), modified=modified,
                          fraction=number / len(parts))  # fmt: skip
        if not (old and old.get("map") == context.mapping and old.get("md5") == content):
            yield from read(path, part, fingerprint, modified)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _facts(fingerprint: str | None) -> dict[str, str]:
    return dict(fact.split("=", 1) for fact in (fingerprint or "").split(";") if "=" in fact)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
