"""Which values of a configuration are secrets: what stands under keys that are declared so, or that sound so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as Folder
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from cdp_core import plugins
from cdp_core.config.document import Path
from cdp_core.config.keys import is_model, step
from cdp_core.config.trail import holds
from cdp_core.errors import CDPError

if TYPE_CHECKING:
    from cdp_core.config.merge import Merged

SHORTEST = 6
"""Shorter values are ordinary words as often as secrets."""
_PIECE = 20
"""Characters from which on a part of a longer secret, such as a line of a key, is one itself."""
_PATH = 12
"""Characters from which on what stands behind a host is more than `events` or `hooks/in`."""
_SOUNDS_SECRET = re.compile(
    r"pass(word|wd|phrase)|pwd|secret|token|credential|bearer|(api|access|private|account|write|sas).?key"
    r"|connection.?string|webhook|(database|db|postgres|mysql).?ur[il]|dsn",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def secret_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a model, as cdp.yaml writes them, whose values are secrets: those of type SecretStr, and those that
    are left out of `repr`.

    >>> from cdp_core.alerts.spec import ToSpec
    >>> secret_keys(ToSpec)
    ['webhook', 'slack']
    """
    return [
        field.alias or name
        for name, field in model.model_fields.items()
        if not field.repr or _is_secret(field.annotation)
    ]


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def sounds_secret(name: str) -> bool:
    """
    >>> sounds_secret("api_key"), sounds_secret("CRM_TOKEN"), sounds_secret("key"), sounds_secret("path")
    (True, True, False, False)
    """
    return bool(_SOUNDS_SECRET.search(name))


def secret_values(merged: Merged, root: Folder) -> set[str]:
    """Every secret that the files hold or that comes into them from the environment, and those parts of longer ones
    that are secrets alone: the password of an address, the lines of a key.
    """
    found = {text for value in _declared(merged.data, root) for text in _texts(value)}
    for path, raw in merged.raw.items():
        if any(map(sounds_secret, _VARIABLE.findall(raw))):
            found |= set(_texts(_at(merged.data, path)))
    return {part for text in found for part in _parts(text) if len(part) >= SHORTEST}


def _declared(data: Any, root: Folder) -> Iterator[Any]:
    """Values under keys of secrets: of the whole, of alerts in their short form, and of open definitions."""
    from cdp_core.config.model import Config

    if not isinstance(data, Mapping):
        return
    yield from _marked(data, [Config])
    yield from (alert.get("to") for alert in _items(data.get("alerts")) if isinstance(alert.get("to"), str))
    kinds: dict[str, Any] = {}
    for block, group in (("sources", plugins.SOURCES), ("destinations", plugins.DESTINATIONS)):
        for name, definition in _definitions(data, block):
            cls = _class(group, str(definition.get("type")), root)
            kinds[name] = cls
            yield from _options(definition, getattr(cls, "Options", None))
    for _, sync in _definitions(data, "syncs"):
        cls = kinds.get(str(sync.get("destination")))
        yield from _options(sync.get("options"), getattr(cls, "SyncOptions", None))


def _options(given: Any, model: Any) -> Iterator[Any]:
    """Of a class's own options those that it declares, and those whose name says enough."""
    if isinstance(given, Mapping):
        yield from _marked(given, [model] if is_model(model) else [])
        yield from (value for key, value in given.items() if sounds_secret(str(key)))


def _marked(data: Any, kinds: list[Any]) -> Iterator[Any]:
    """What stands under a secret's key in `data`, which may be of any of these types."""
    items = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list) else ()
    models = [kind for kind in kinds if is_model(kind)]
    for key, value in items:
        if any(key in secret_keys(model) for model in models):
            yield value
        elif inner := [found for kind in kinds for found in step(kind, key)]:
            yield from _marked(value, inner)


def _class(group: str, kind: str, root: Folder) -> Any:
    """The class of a type; None where there is none or it does not load, which others complain of."""
    from cdp_core.destinations.open import type_class

    try:
        return type_class(kind, root) if group == plugins.DESTINATIONS else plugins.load(group, kind)
    except CDPError:
        return None


def _definitions(data: Mapping[str, Any], block: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = data.get(block)
    for name, definition in found.items() if isinstance(found, Mapping) else ():
        if isinstance(definition, Mapping):
            yield str(name), definition


def _items(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in (value if isinstance(value, list) else ()) if isinstance(each, Mapping))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part] if holds(data, part) else None
    return data


def _parts(text: str) -> Iterator[str]:
    """Of an address the password, or else what stands behind the host; of a key in several lines, or in JSON, the
    lines; of all else the whole.
    """
    if "://" in text.partition("?")[0]:
        yield from _parts_of_address(text)
        return
    yield text
    if "\n" in text or text.lstrip().startswith("{"):
        pieces = re.split(r'\s|\\n|"', text)
        yield from (piece for piece in pieces if len(piece) >= _PIECE and "://" not in piece)


def _parts_of_address(text: str) -> Iterator[str]:
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        password, parts = text.rpartition("@")[0].rpartition(":")[2], None
    if password:
        yield from (password, unquote(password))
    elif parts is not None and parts.scheme in ("http", "https"):
        yield from (path for path in [parts.path.strip("/")] if len(path) >= _PATH)
        yield from (value for _, value in parse_qsl(parts.query))
