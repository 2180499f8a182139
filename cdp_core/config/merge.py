"""cdp.yaml and the files that its `include:` names, read and merged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdp_core.config.document import Document, decode, parse
from cdp_core.config.document import Path as KeyPath
from cdp_core.config.problems import Place, Problem

MAIN = "cdp.yaml"
NAMED_BLOCKS = ("sources", "traits", "audiences", "destinations", "syncs")


@dataclass
class Merged:
    """All files as one document. `files` are relative to the workspace, cdp.yaml first; `contents` are their bytes."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    raw: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    broken: bool = False
    """A file could not be read at all, so what it defines is not known."""

    @property
    def files(self) -> list[str]:
        return list(self.contents)

    def version(self) -> str:
        """Fingerprint of the files' bytes."""
        digest = hashlib.sha256()
        for name, content in self.contents.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def place(self, path: KeyPath) -> Place:
        """Where `path` stands, or the nearest thing around it that stands anywhere."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path) or Place(MAIN, 1)


def read_files(root: Path, environ: Mapping[str, str], replaced: Mapping[str, bytes] | None = None) -> Merged:
    """Read and merge. `replaced` puts bytes in the place of a file's own (to try an edit before it is written).

    Raises SpecError when cdp.yaml itself is not there or cannot be read; everything else is a problem in the result.
    """
    merged = Merged()
    main = _read(root, MAIN, environ, merged, replaced or {})
    if main is None:
        raise merged.problems[0].error()
    if main.data is None and not main.problems:
        main.problems.append(
            Problem(Place(MAIN), "the file is empty", hint="'cdp init DIR' writes a workspace to start from")
        )
    _absorb(merged, main)
    for name in _included(root, main, merged):
        included = _read(root, name, environ, merged, replaced or {})
        if included is not None:
            _refuse_nested_include(included)
            _absorb(merged, included)
    return merged


def as_written(merged: Merged, path: KeyPath) -> Any:
    """The value at `path` as the file has it: environment variables by their names. None when it is not there."""
    value: Any = merged.data
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return unresolved(value, path, merged.raw)


def unresolved(value: Any, path: KeyPath, raw: Mapping[KeyPath, str]) -> Any:
    """`value`, which stands at `path`, with the texts of `raw` in place of what they were resolved to."""
    if path in raw:
        return raw[path]
    if isinstance(value, dict):
        return {key: unresolved(inner, (*path, key), raw) for key, inner in value.items()}
    if isinstance(value, list):
        return [unresolved(inner, (*path, index), raw) for index, inner in enumerate(value)]
    return value


def _read(
    root: Path, name: str, environ: Mapping[str, str], merged: Merged, replaced: Mapping[str, bytes]
) -> Document | None:
    try:
        content = replaced[name] if name in replaced else (root / name).read_bytes()
    except OSError as error:
        merged.problems.append(_unreadable(root, name, error))
        merged.broken = True
        return None
    merged.contents[name] = content
    text = decode(content, name)
    if isinstance(text, Problem):
        return Document(name, problems=[text])
    return parse(text, name, environ)


def _unreadable(root: Path, name: str, error: OSError) -> Problem:
    if not root.is_dir():
        kind = "is not a folder" if root.exists() else "does not exist"
        return Problem(Place(str(root)), f"the workspace {kind}", hint="name one with --workspace DIR")
    if isinstance(error, FileNotFoundError):
        hint = "'cdp init DIR' makes a workspace; --workspace DIR names another one" if name == MAIN else None
        what = f"there is no such file in {root}" if name == MAIN else "the included file is missing"
        return Problem(Place(name), what, hint=hint)
    reason = (error.strerror or type(error).__name__).lower()
    return Problem(Place(name), f"the file cannot be read: {reason}", hint="check its rights")


def _included(root: Path, main: Document, merged: Merged) -> list[str]:
    patterns = main.data.get("include") if isinstance(main.data, dict) else None
    if not isinstance(patterns, list):
        return []
    names: dict[str, None] = {}
    for index, pattern in enumerate(patterns):
        place = main.places.get(("include", index), Place(MAIN))
        if not isinstance(pattern, str) or not pattern:
            continue
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            merged.problems.append(Problem(place, f"{pattern!r} leaves the workspace", hint="include files inside it"))
            continue
        found = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file())
        if not found and not set("*?[") & set(pattern):
            merged.problems.append(Problem(place, f"the included file {pattern!r} is missing"))
            merged.broken = True
        names |= dict.fromkeys(name for name in found if name != MAIN)
    return list(names)


def _refuse_nested_include(document: Document) -> None:
    if isinstance(document.data, dict) and "include" in document.data:
        place = document.places[("include",)]
        document.problems.append(Problem(place, f"only {MAIN} may include files", hint=f"move the line to {MAIN}"))
        del document.data["include"]


def _absorb(merged: Merged, document: Document) -> None:
    merged.problems += document.problems
    if document.data is None:
        merged.broken = merged.broken or bool(document.problems)
        return
    if not isinstance(document.data, dict):
        what = "the file must hold keys and values"
        merged.problems.append(Problem(Place(document.file, 1), what, hint="such as 'sources:'"))
        merged.broken = True
        return
    refused: set[KeyPath] = set()
    for key, value in document.data.items():
        if key in NAMED_BLOCKS and isinstance(merged.data.get(key) or {}, dict) and isinstance(value or {}, dict):
            refused |= _absorb_names(merged, document, key, value or {})
        elif key in merged.data:
            refused.add(_twice(merged, document, (key,), f"{key!r}"))
        else:
            merged.data[key] = value
    for path, place in document.places.items():
        if path[:1] not in refused and path[:2] not in refused:
            merged.places.setdefault(path, place)
            if path in document.raw:
                merged.raw[path] = document.raw[path]


def _absorb_names(merged: Merged, document: Document, block: str, definitions: dict[str, Any]) -> set[KeyPath]:
    present = merged.data.get(block) or {}
    merged.data[block] = present
    refused: set[KeyPath] = set()
    for name, value in definitions.items():
        if name in present:
            refused.add(_twice(merged, document, (block, name), f"{name!r} in {block!r}"))
        else:
            present[name] = value
    return refused


def _twice(merged: Merged, document: Document, path: KeyPath, what: str) -> KeyPath:
    first = merged.place(path)
    merged.problems.append(Problem(document.places[path], f"{what} is defined twice", hint=f"first in {first}"))
    return path
