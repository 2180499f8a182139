"""Definitions of cdp.yaml as drafts: texts that forms change, that are tried before they are saved, and put back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, SpecError, UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from pydantic import ValidationError

    from cdp_core.config.definition import DefinitionEdit
    from cdp_core.workspace.facade import Workspace

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """What is wrong with a draft. `field` is its place, such as url or mapping.email; empty for all of it."""

    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.field}: {self.what}" if self.field else self.what


class Forms:
    """Drafts of one block. A draft is YAML of one definition, variables by their names (`${NAME}`)."""

    block = ""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def names(self) -> Sequence[str]:
        """Definitions as the files have them now."""
        from cdp_core.config.definition import names_written

        return names_written(self._workspace.root, self.block)

    def text(self, name: str) -> str:
        """A definition as a draft; empty when there is none. Raises SpecError when cdp.yaml cannot be read."""
        from cdp_core.config.definition import as_text, written

        found = written(self._workspace.root, self.block, name)
        return "" if found is None else as_text(self._hidden(found))

    def data(self, text: str) -> dict[str, Any]:
        """A draft as plain data, variables by their names. Raises SpecError, with the line, when it is no YAML."""
        from cdp_core.config.definition import raw_data, read_text

        document = read_text(text, _Anything())
        if document.problems:
            raise document.problems[0].error()
        found = raw_data(document)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise SpecError("a definition is a list of keys, each with its value", where="draft:1")
        return found

    def to_text(self, data: Mapping[str, Any]) -> str:
        """Plain data as a draft."""
        from cdp_core.config.definition import as_text

        return as_text(dict(data)) if data else ""

    def is_set(self, variable: str) -> bool:
        """Whether this process has an environment variable."""
        return variable in os.environ

    def name_problem(self, name: str) -> str | None:
        """Why a new definition cannot be called so; None when it can."""
        kind = self.block.removesuffix("s")
        if not name:
            return f"the {kind} needs a name"
        if not _NAME.fullmatch(name):
            return "a name begins with a letter and has letters, digits, _ and - (63 at most)"
        return f"there is a {kind} {name!r} already" if name in self.names() else None

    @needs("activate", plain=True)
    def save(self, name: str, text: str, *, expected: str) -> DefinitionEdit:
        """Write a draft into cdp.yaml, comments and order kept. `expected` is the text that was looked at, empty for a
        new definition. Raises SpecError when it is wrong, UsageError when it has changed; nothing is written then.
        """
        return self._change(name, self._stored(name, self.data(text)), expected)

    @needs("activate", plain=True)
    def remove(self, name: str, *, expected: str) -> DefinitionEdit:
        """Take a definition out of cdp.yaml. Raises SpecError when another one needs it, and as `save`."""
        if name not in self.names():
            raise UsageError.unknown(self.block.removesuffix("s"), name, self.names())
        return self._change(name, None, expected)

    @needs("activate", plain=True)
    def undo(self, edit: DefinitionEdit) -> None:
        """The file as it was before an edit. Raises UsageError when it has changed since."""
        from cdp_core.config.definition import put_back

        put_back(self._workspace.root, edit)
        self._workspace.reload()

    def _hidden(self, data: Any) -> Any:
        """A definition without what nobody may see."""
        return data

    def _stored(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """A draft with that put back."""
        return data

    def _change(self, name: str, value: Any, expected: str) -> DefinitionEdit:
        from cdp_core.config.definition import change_definition

        before = self._stored(name, self.data(expected)) if expected else None
        edit = change_definition(self._workspace.root, self.block, name, value, expected=before)
        self._workspace.reload()
        return edit

    def _resolved(self, text: str) -> tuple[dict[str, Any], list[Wrong]]:
        """A draft with its variables replaced, and those that are not set. Raises SpecError when it is no YAML."""
        from cdp_core.config.definition import read_text

        self.data(text)
        document = read_text(text)
        unset = [Wrong(field="", what=problem.what) for problem in document.problems]
        for path, raw in document.raw.items():
            for number, each in enumerate(unset):
                missing = each.what.split("'")[1]
                if not each.field and f"${{{missing}}}" in raw:
                    unset[number] = Wrong(field=".".join(map(str, path)), what=each.what)
        return document.data or {}, unset


class _Anything(dict[str, str]):
    """An environment in which every variable is set, for reading a draft whose variables stay names."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return ""


def wrongs(error: ValidationError, known: Iterable[str], prefix: str = "") -> list[Wrong]:
    """What pydantic found, with the place; no value that was given is in it."""
    found = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        path = [str(part) for part in each["loc"]]
        what = each["msg"].removeprefix("Value error, ")
        if each["type"] == "missing":
            what = "is needed"
        elif each["type"] == "extra_forbidden":
            what = str(SpecError.unknown("key", path[-1], known))
        found.append(Wrong(field=".".join([*([prefix] if prefix else []), *path]), what=what[:1].lower() + what[1:]))
    return found


def wrong_of(error: CDPError, prefix: str) -> Wrong:
    """An error of a check, with its place inside the definition."""
    where = error.where or ""
    field = where.removeprefix(prefix).lstrip(".") if where.startswith(prefix) else ""
    said = str(error).removeprefix(f"{error.where}: ")
    return Wrong(field=field, what=said)
