"""The doctor's look at controls on personal data: where they take away what people are recognised by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdp_core.identity.normalise import kind_of
from cdp_core.privacy.door import Door
from cdp_core.runs.doctor import Finding
from cdp_core.sources.guard import controlled, places_of
from cdp_core.sources.spec import EVENT_IDENTIFIERS

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.privacy.spec import Control


def controls(config: Config) -> Iterator[Finding]:
    """Identifiers and keys that a control changes."""
    hashed: dict[str, set[str]] = {}
    for source in config.sources:
        for kind, control in _identifiers(config, source).items():
            if control == "hash" and kind_of(kind, config.identity) == "text":
                hashed.setdefault(kind, set()).add(source)
            elif control != "allow":
                yield _lost(config, source, kind, control)
        yield from _keys(config, source)
    for kind, sources in hashed.items():
        open_ = [name for name in config.sources if _identifiers(config, name).get(kind) == "allow"]
        if open_:
            what = (
                f"identifier {kind!r} is hashed at the door of {', '.join(sorted(sources))}, not of {', '.join(open_)}"
            )
            hint = f"nobody is recognised across them; decide privacy.fields '*.{_place(kind)}' for all sources"
            yield Finding("warn", what, hint)


def _identifiers(config: Config, source: str) -> dict[str, Control]:
    """Types of identifiers that a source gives, as far as that is known, with their control."""
    door, mapping = Door(config.privacy, source), config.sources[source].map
    if mapping is not None:
        return {k: door.of_places(places_of(mapping, column))[0] for k, column in mapping.identifiers.items()}
    kinds = ("user_id", "anonymous_id", *config.identity.identifiers)
    return {kind: door.control(tuple(_place(kind).split("."))) for kind in dict.fromkeys(kinds)}


def _lost(config: Config, source: str, kind: str, control: Control) -> Finding:
    where = config.where("privacy") if config.privacy.fields or config.privacy.controls else "by its name"
    what = f"source {source!r}: identifier {kind!r} is under {control!r} at the door ({where}) and joins nobody"
    hint = "allow it, or hash an identifier that is plain text" if control != "hash" else f"no hash is a valid {kind}"
    return Finding("warn", what, f"{hint}; 'cdp privacy why {source}.{_place(kind)}' says who decides")


def _keys(config: Config, source: str) -> Iterator[Finding]:
    """Rows of which the key is taken away cannot be told apart."""
    mapping = config.sources[source].map
    if mapping is None:
        return
    for column, (control, _) in controlled(Door(config.privacy, source), mapping, mapping.key).items():
        if control != "hash":
            what = f"source {source!r}: its key {column!r} is under {control!r} at the door"
            yield Finding("warn", what, "rows are told apart by it: allow or hash it, or choose another key")


def _place(kind: str) -> str:
    return kind if kind in EVENT_IDENTIFIERS else f"traits.{kind}"
