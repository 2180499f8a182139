"""Destinations of an open workspace as drafts: what a type asks for, what is wrong, whether it can be reached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, DestinationError
from cdp_core.workspace.forms import Forms, Wrong, wrongs
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from cdp_core.config.definition import DefinitionEdit
    from cdp_core.config.form_fields import FormField

KEPT = "•••••• (as it stands)"
"""What a draft has in place of a secret that cdp.yaml writes out; saved, it stays what it was."""
_WHOLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_HARMLESS = re.compile(r"url$|region|project|account_name|host$")
_KEY_IN_ADDRESS = re.compile(r"[?@]|/[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True, kw_only=True)
class DestinationType:
    """A type that is installed: its name, a line on it, whether it can be tested, and why it does not load."""

    type: str
    words: str = ""
    tests: bool = False
    problem: str | None = None


class DestinationForms(Forms):
    """Example: `ws.destination_forms.test("crm", "type: webhook\\nurl: https://crm.example.com/in\\n")`"""

    block = "destinations"

    def types(self) -> Sequence[DestinationType]:
        """Types that are installed and the workspace's own, those that do not load among them."""
        from cdp_core.destinations.open import type_names

        root = self._workspace.root
        return [_described(name, root) for name in type_names(root)]

    def fields(self, type: str) -> Sequence[FormField]:
        """What a destination of this type is asked. Raises SpecError for a type that is not there."""
        from cdp_core.config.form_fields import form_fields
        from cdp_core.destinations.open import type_class

        return form_fields(type_class(type, self._workspace.root).Options)

    def limits(self) -> Sequence[FormField]:
        """What may be said of its limits."""
        from cdp_core.config.form_fields import form_fields
        from cdp_core.destinations.limits import LimitsSpec

        return form_fields(LimitsSpec)

    @needs("read", plain=True)
    def used_by(self, name: str) -> Sequence[str]:
        """Syncs that go to a destination."""
        return [sync for sync, spec in self._workspace.config.syncs.items() if spec.destination == name]

    def problems(self, name: str, text: str) -> Sequence[Wrong]:
        """Everything that is wrong with a draft; nothing is connected."""
        try:
            return self._checked(name, text)[1]
        except CDPError as error:
            return [Wrong(field="", what=str(error))]

    @needs("admin", plain=True)
    def test(self, name: str, text: str) -> str:
        """Connect with a draft that need not be saved; one line that says what was reached.

        Raises SpecError when the draft is wrong and DestinationError when the destination says no.
        """
        from cdp_core.destinations.base import SupportsTest
        from cdp_core.destinations.open import open_destination
        from cdp_core.errors import SpecError

        spec, found = self._checked(name, text)
        if found:
            raise SpecError(str(found[0]))
        destination = open_destination(name, spec, root=self._workspace.root)
        if not isinstance(destination, SupportsTest):
            raise DestinationError(
                f"type {spec.type} cannot be tested without sending", hint="plan a sync and run it with a few rows"
            )
        try:
            return destination.test()
        except CDPError:
            raise
        except Exception as error:  # noqa: BLE001  A plug-in may raise anything, and its words may hold a secret.
            raise DestinationError(f"the test of type {spec.type} broke off: {type(error).__name__}") from None

    @needs("admin", plain=True)
    def save(self, name: str, text: str, *, expected: str) -> DefinitionEdit:
        """As `Forms.save`: where data may go is for an admin to say."""
        return super().save(name, text, expected=expected)

    @needs("admin", plain=True)
    def remove(self, name: str, *, expected: str) -> DefinitionEdit:
        """As `Forms.remove`."""
        return super().remove(name, expected=expected)

    @needs("admin", plain=True)
    def undo(self, edit: DefinitionEdit) -> None:
        """As `Forms.undo`."""
        super().undo(edit)

    def _hidden(self, data: Any) -> Any:
        secrets, kept = self._secrets(data), self._kept_back(data)
        return {
            key: _masked(value) if key in secrets else _covered(key, value) if key in kept else value
            for key, value in data.items()
        }

    def _stored(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        if KEPT not in str(data):
            return data
        from cdp_core.config.definition import written

        found = written(self._workspace.root, self.block, name) or {}
        return {key: _unmasked(value, found.get(key)) for key, value in data.items()}

    def _secrets(self, data: Any) -> set[str]:
        try:
            return {field.name for field in self.fields(str(data.get("type"))) if field.is_secret}
        except (CDPError, AttributeError):
            return set(data) - {"type"} if isinstance(data, dict) else set()

    def _kept_back(self, data: Any) -> list[str]:
        """Keys of blocks and addresses that may hold a secret among what is none."""
        from cdp_core.config.secret_values import secret_keys
        from cdp_core.destinations.open import type_class

        try:
            return secret_keys(type_class(str(data.get("type")), self._workspace.root).Options)
        except CDPError:
            return []

    def _open(self, name: str, data: dict[str, Any]) -> list[Wrong]:
        """Secrets that a draft writes out."""
        what = "a secret does not belong into cdp.yaml: write ${NAME}, an environment variable"
        told = []
        for key in self._secrets(data) & set(data):
            values = data[key].values() if isinstance(data[key], dict) else [data[key]]
            if any(value not in (None, KEPT) and "${" not in str(value) for value in values):
                told.append(Wrong(field=key, what=what))
        return told

    def _checked(self, name: str, text: str) -> tuple[Any, list[Wrong]]:
        from pydantic import ValidationError

        from cdp_core.destinations.open import destination_class, type_names
        from cdp_core.destinations.spec import DestinationSpec

        raw = self.data(text)
        written_out = self._open(name, raw)
        data, unset = self._resolved(self.to_text(self._stored(name, raw)))
        unset = [*written_out, *unset]
        if not data.get("type"):
            return None, [Wrong(field="type", what="choose a type")]
        try:
            spec = DestinationSpec.model_validate(data)
            model = destination_class("draft", spec, self._workspace.root).Options
        except ValidationError as error:
            return None, wrongs(error, DestinationSpec.model_fields)
        except CDPError as error:
            known = type_names(self._workspace.root)
            return None, [Wrong(field="type", what=f"{error.what} (valid: {', '.join(known)})")]
        try:
            model(**spec.options)
        except ValidationError as error:
            told = {each.field.partition(".")[0] for each in unset}
            others = wrongs(error, [*model.model_fields, *DestinationSpec.model_fields])
            return spec, [*unset, *(each for each in others if each.field.partition(".")[0] not in told)]
        return spec, unset


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    return value if value is None or _WHOLE.fullmatch(str(value)) else KEPT


def _covered(key: str, value: Any) -> Any:
    """A block without its texts but those whose name says that they are none, an address only when it holds a key."""
    if isinstance(value, dict):
        return {name: _covered(str(name), inner) for name, inner in value.items()}
    if not isinstance(value, str) or (_HARMLESS.search(key) and not _KEY_IN_ADDRESS.search(value)):
        return value
    return _masked(value)


def _unmasked(value: Any, found: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unmasked(inner, found.get(key) if isinstance(found, dict) else None)
                for key, inner in value.items()}  # fmt: skip
    return found if value == KEPT else value


def _described(name: str, root: Path) -> DestinationType:
    from cdp_core.destinations.open import type_class

    try:
        found = type_class(name, root)
    except CDPError as error:
        return DestinationType(type=name, problem=error.what)
    doc = " ".join((found.__doc__ or "").split())
    return DestinationType(type=name, words=f"{doc.partition('. ')[0].rstrip('.')}." if doc else "",
                           tests=hasattr(found, "test"))  # fmt: skip
