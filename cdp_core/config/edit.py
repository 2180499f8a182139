"""Changing definitions in cdp.yaml: checked first, written whole or not at all, comments and order kept."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdp_core.config.load import check_config
from cdp_core.config.merge import MAIN, Merged, as_written, read_files
from cdp_core.config.problems import raise_first
from cdp_core.config.splice import block_text, cut, put, put_block
from cdp_core.config.whole import write_whole
from cdp_core.errors import SpecError, UsageError

_SECRET_LENGTH = 8
"""Shorter values are ordinary words as often as secrets; longer ones are written as the variable they came from."""


def set_definition(
    root: Path | str,
    block: str,
    name: str,
    value: Any,
    *,
    version: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Write the definition `name` of `block` (such as audiences) into the file in which it stands, or into cdp.yaml.

    `value` is plain data. Parts that equal what is there stay as they are written, `${NAME}` included. `version` is
    the `Config.version` that was looked at: the edit is refused when the files have changed since. Raises SpecError
    when the result would not be valid and UsageError when the file changed or cannot be written; nothing is written.

    Example: `set_definition(root, "audiences", "vip", {"where": {"trait": "orders", "at_least": 10}})`
    """
    root, environ = Path(root), os.environ if environ is None else environ
    with alone(root):
        merged = _current(root, environ, version)
        file = _home(merged, block, name)
        resolved = (merged.data.get(block) or {}).get(name)
        plain = _with_variables(copy.deepcopy(value), merged)
        _write(root, merged, file, lambda text: put(text, block, name, plain, resolved), environ)


def remove_definition(
    root: Path | str, block: str, name: str, *, version: str | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Take a definition out of the file in which it stands. Raises SpecError when another one refers to it.

    Example: `remove_definition(root, "audiences", "vip")`
    """
    root, environ = Path(root), os.environ if environ is None else environ
    with alone(root):
        merged = _current(root, environ, version)
        if as_written(merged, (block, name)) is None and (block, name) not in merged.places:
            known = merged.data.get(block)
            raise UsageError.unknown(block.removesuffix("s"), name, known if isinstance(known, dict) else ())
        _write(root, merged, merged.place((block, name)).file, lambda text: cut(text, block, name), environ)


@dataclass(frozen=True, kw_only=True)
class BlockEdit:
    """A top-level block as it stood in `file` and as it stands now; empty where there was or is none."""

    block: str
    file: str
    before: str
    after: str


def read_block(root: Path | str, block: str, *, environ: Mapping[str, str] | None = None) -> str:
    """A top-level block (such as identity) as it is written, comments included; empty when there is none.

    Raises SpecError when the files cannot be read.
    """
    merged = read_files(Path(root), os.environ if environ is None else environ)
    if merged.broken:
        raise_first(merged.problems)
    return _standing(merged, block)


def set_block(
    root: Path | str,
    block: str,
    value: str | Mapping[str, Any],
    *,
    expected: str | None = None,
    version: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> BlockEdit:
    """Write a whole top-level block into the file in which it stands, or into cdp.yaml.

    A text is written as it is, comments included (an empty one takes the block out); of plain data, parts that equal
    what is there stay as they are written. `version` as for `set_definition`; with `expected` the edit is refused
    unless the block still reads so. Raises SpecError when the result would not be valid and UsageError when something
    changed or cannot be written; nothing is written.

    Example: `set_block(root, "identity", edit.before, expected=edit.after)`
    """
    root, environ = Path(root), os.environ if environ is None else environ
    with alone(root):
        merged = _current(root, environ, version)
        before = _standing(merged, block)
        if expected is not None and before != expected:
            raise UsageError(f"{block} has changed since it was saved", hint="look at it again; nothing was written")
        file = merged.places[(block,)].file if (block,) in merged.places else MAIN
        plain = value or None if isinstance(value, str) else _with_variables(copy.deepcopy(value), merged)
        resolved = merged.data.get(block)
        _write(root, merged, file, lambda text: put_block(text, block, plain, resolved), environ)
        return BlockEdit(block=block, file=file, before=before, after=read_block(root, block, environ=environ))


def unlocked_write(root: Path, file: str, change: Callable[[str], str]) -> None:
    """Change the text of a file of the configuration, checked as every edit is. To be called under `alone`."""
    merged = read_files(root, os.environ)
    _write(root, merged, file, change, os.environ)


def _standing(merged: Merged, block: str) -> str:
    if (block,) not in merged.places:
        return ""
    content = merged.contents[merged.places[(block,)].file]
    return block_text(content.decode("utf-8-sig"), block) or ""


def _current(root: Path, environ: Mapping[str, str], version: str | None) -> Merged:
    merged = read_files(root, environ)
    if version is not None and merged.version() != version:
        raise UsageError(
            f"{MAIN} has changed since it was read", hint="read it again and repeat the edit; nothing was written"
        )
    return merged


def _home(merged: Merged, block: str, name: str) -> str:
    return merged.places[(block, name)].file if (block, name) in merged.places else MAIN


def _write(root: Path, merged: Merged, file: str, change: Callable[[str], str], environ: Mapping[str, str]) -> None:
    before = merged.contents[file]
    bom = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
    try:
        text = change(before.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise_first(merged.problems)
        raise
    except SpecError as error:
        raise SpecError(error.what, where=file, hint=error.hint) from None
    after = bom + text.encode()
    _, problems = check_config(root, environ=environ, replaced={file: after})
    raise_first(problems)
    if after != before:
        _replace((root / file).resolve(), before, after)


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Put `after` in the file's place, at once, provided that it still holds `before`."""

    def unchanged() -> None:
        if path.read_bytes() != before:
            raise UsageError(f"{path.name} has changed meanwhile", hint="repeat the edit; nothing was written")

    try:
        write_whole(path, after, check=unchanged)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "check its rights and the disk; nothing was written"
        raise UsageError(f"{path.name} cannot be written: {reason}", hint=hint) from None


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """One editor at a time, across processes and threads, where the system can lock a folder."""
    try:
        import fcntl

        handle = os.open(root, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _with_variables(value: Any, merged: Merged) -> Any:
    """A secret that reached an editor goes back as the variable that it came from."""
    names = {}
    for path, raw in merged.raw.items():
        resolved = _at(merged.data, path)
        if "${" in raw and isinstance(resolved, str) and len(resolved) >= _SECRET_LENGTH:
            names[resolved] = raw
    return _replaced(value, names)


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(inner, names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def _at(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        data = data[part]
    return data
