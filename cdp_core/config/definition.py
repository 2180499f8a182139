"""One definition of cdp.yaml for whoever edits it in a form: read as it is written, written, taken out, put back."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdp_core.config.document import Document, parse
from cdp_core.config.edit import alone, remove_definition, set_definition, unlocked_write
from cdp_core.config.merge import MAIN, as_written, read_files
from cdp_core.config.problems import raise_first
from cdp_core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class DefinitionEdit:
    """A definition that was written or taken out: the file in which it stands, as it was and as it is now."""

    block: str
    name: str
    file: str
    before: str
    after: str


def written(root: Path | str, block: str, name: str) -> Any:
    """A definition as plain data with `${NAME}` where an environment variable stands; None when there is none.

    Raises SpecError when the files cannot be read.
    """
    merged = read_files(Path(root), os.environ)
    if merged.broken:
        raise_first(merged.problems)
    return as_written(merged, (block, name))


def names_written(root: Path | str, block: str) -> list[str]:
    """Names of a block as the files have it now."""
    found = read_files(Path(root), os.environ).data.get(block)
    return list(found) if isinstance(found, dict) else []


def change_definition(root: Path | str, block: str, name: str, value: Any, *, expected: Any) -> DefinitionEdit:
    """Write the definition, or take it out when `value` is None. `expected` is what `written` gave when it was looked
    at: the edit is refused when that has changed. What is valid, and the errors, are as for `set_definition`.
    """
    root = Path(root)
    if written(root, block, name) != expected:
        kind = block.removesuffix("s")
        hint = "look at it again; nothing was written"
        raise UsageError(f"{kind} {name!r} has changed since you began", hint=hint)
    merged = read_files(root, os.environ)
    file = merged.places[(block, name)].file if (block, name) in merged.places else MAIN
    before, version = _text(root, file), merged.version()
    if value is None:
        remove_definition(root, block, name, version=version)
    else:
        set_definition(root, block, name, value, version=version)
    return DefinitionEdit(block=block, name=name, file=file, before=before, after=_text(root, file))


def put_back(root: Path | str, edit: DefinitionEdit) -> None:
    """The file as it was before an edit, byte for byte.

    Raises UsageError when the file has changed since, SpecError when something refers to what would go.
    """
    root = Path(root)
    with alone(root):
        if _text(root, edit.file) != edit.after:
            hint = "change it by hand; nothing was written"
            raise UsageError(f"{edit.file} has changed since it was saved", hint=hint)
        unlocked_write(root, edit.file, lambda _: edit.before)


def as_text(value: Any) -> str:
    """Plain data as YAML, in the manner of cdp.yaml.

    >>> as_text({"type": "webhook", "bearer": "${TOKEN}", "limits": {"attempts": 3}})
    'type: webhook\\nbearer: ${TOKEN}\\nlimits:\\n  attempts: 3\\n'
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue()


def read_text(text: str, environ: Mapping[str, str] | None = None) -> Document:
    """The text of a definition as values, with variables in their place, and the problems it has; see `raw_data`.

    >>> read_text("url: ${HOME_URL}", {"HOME_URL": "https://x.example"}).data
    {'url': 'https://x.example'}
    """
    return parse(text, "draft", os.environ if environ is None else environ)


def raw_data(document: Document) -> Any:
    """The values with their variables still by name.

    >>> raw_data(read_text("url: ${HOME_URL}", {}))
    {'url': '${HOME_URL}'}
    """
    from cdp_core.config.merge import unresolved

    return unresolved(document.data, (), document.raw)


def _text(root: Path, file: str) -> str:
    return (root / file).read_bytes().decode("utf-8-sig")
