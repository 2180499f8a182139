"""What becomes of every field of one source before it is stored, and why.

The most specific decision counts: a field of this source before the same field of every source (`*`), a control of the
field before that of its class. An undecided field is let through, unless its last name alone says that it is red.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cdp_core.privacy.names import PUSH_ADDRESS, is_red_at_door, red_marks

if TYPE_CHECKING:
    from cdp_core.privacy.spec import Class, ClassSpec, Control, PrivacySpec

Place = tuple[str, ...]
"""Names on the way to a value, such as ("traits", "email"); lists on the way have none."""
STRICTEST: tuple[Control, ...] = ("drop", "mask", "generalise", "truncate", "hash", "allow")
COLUMNS = {"userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id", "previousId": "previous_id"}
_FRAME = frozenset(
    {
        "type", "event", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "batch", "properties",
        "traits", "context", "integrations", "writeKey", "version", "channel",
    }
)  # fmt: skip
_FRAME_WITHIN = frozenset({("context", "traits"), ("context", "externalIds"), ("context", "protocols")})
MOST_NAMES = 100_000
"""So many names are remembered: senders may invent new ones for ever."""
EXTERNAL: Place = ("context", "externalIds", "id")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a field is treated as it is: `decided` is the entry of cdp.yaml that says so; None, where it is the name."""

    field: str
    control: Control
    class_: Class | None
    decided: str | None

    def to_dict(self) -> dict[str, str | None]:
        """field, control, class, decided, words."""
        told = {"field": self.field, "control": self.control, "class": self.class_, "decided": self.decided}
        return {**told, "words": self.words}

    @property
    def words(self) -> str:
        """
        >>> Reason(field="crm.traits.ssn", control="drop", class_="red", decided=None).words
        "crm.traits.ssn: drop, since its name says that it is red, until 'privacy.fields' decides"
        """
        if self.decided:
            return f"{self.field}: {self.control}, as privacy.fields.{self.decided} says ({self.class_})"
        if self.class_ == "red":
            return f"{self.field}: {self.control}, since its name says that it is red, until 'privacy.fields' decides"
        return f"{self.field}: {self.control}, since nothing is decided"


def why(privacy: PrivacySpec, field: str, *, last: str | None = None) -> Reason:
    """Which control holds for a field (`SOURCE.PLACE`), and who says so. `last` is its last key where that may hold
    dots itself.

    >>> from cdp_core.privacy.spec import PrivacySpec
    >>> spec = PrivacySpec(fields={"*.traits.email": "yellow"}, controls={"yellow": "mask"})
    >>> why(spec, "crm.traits.email").control, why(spec, "crm.traits.card_number").control
    ('mask', 'drop')
    """
    source, _, place = field.partition(".")
    for name in (f"{source}.{place}", f"*.{place}"):
        if said := privacy.fields.get(name):
            return Reason(field=field, control=_control(privacy, said), class_=said.class_, decided=name)
    if place != PUSH_ADDRESS and is_red_at_door(last or place.rpartition(".")[2]):
        return Reason(field=field, control=of_class(privacy, "red"), class_="red", decided=None)
    return Reason(field=field, control="allow", class_=None, decided=None)


def of_class(privacy: PrivacySpec, class_: Class) -> Control:
    """The control of a class."""
    return privacy.controls.get(class_) or ("drop" if class_ == "red" else "allow")


def _control(privacy: PrivacySpec, said: ClassSpec) -> Control:
    return said.control or of_class(privacy, said.class_)


@dataclass
class Door:
    """The controls of one source. `secret` gives the workspace's key; it is asked when something has to be hashed."""

    privacy: PrivacySpec
    source: str
    secret: Callable[[], bytes] = bytes
    harmless: set[bytes] = field(default_factory=set, repr=False)
    """Names as they are written, up to their colon, that have been found to concern nobody."""
    _known: dict[Place, Control] = field(default_factory=dict, repr=False)
    _names: dict[str, bool] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        mine = {name.partition(".")[2] for name in self.privacy.fields if name.partition(".")[0] in ("*", self.source)}
        self._decided = frozenset(mine)
        self._last = frozenset(part for place in mine for part in _lasts(place))

    @cached_property
    def key(self) -> bytes:
        return self.secret()

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """Texts in lower case of which any text holds one that has a name under a control; one with escapes may spell
        anything.
        """
        own = {name.lower() if name.isascii() else name for name in self._last}
        found = {*red_marks(), *own, "\\u"}
        return tuple(sorted(mark for mark in found if not any(o in mark for o in found - {mark})))

    @cached_property
    def byte_marks(self) -> tuple[bytes, ...]:
        return tuple(mark.encode() for mark in self.marks)

    def control(self, place: Place) -> Control:
        """The control of a place.

        >>> from cdp_core.privacy.spec import PrivacySpec
        >>> Door(PrivacySpec(), "web").control(("properties", "form", "password"))
        'drop'
        """
        found = self._known.get(place)
        if found is None:
            reason = why(self.privacy, f"{self.source}.{'.'.join(place)}", last=place[-1])
            found = self._known[place] = reason.control
            if len(self._known) > MOST_NAMES:
                self._known.clear()
        return found

    def decided(self, place: Place) -> bool:
        """Whether cdp.yaml says something of the place itself."""
        return ".".join(place) in self._decided

    def may_concern(self, name: str) -> bool:
        """Whether a place that ends in this name can have a control."""
        found = self._names.get(name)
        if found is None:
            if len(self._names) > MOST_NAMES:
                self._names.clear()
            found = name in self._last or name == "externalIds" or is_red_at_door(name)
            self._names[name] = found
        return found

    def suspicious(self, name: str) -> bool:
        """Whether a name is controlled wherever it may stand; asked of text of which no places can be told."""
        if is_red_at_door(name):
            places = [tuple(p.split(".")) for p in self._decided if p == name or p.endswith(f".{name}")]
            of_name = of_class(self.privacy, "red") != "allow" and not places
            return of_name or any(self.control(place) != "allow" for place in places)
        places = [tuple(p.split(".")) for p in self._decided if name in _lasts(p)]
        return any(self.control(place) != "allow" for place in places)

    def of_event(self, path: Place, kind: str | None = None) -> Control:
        """The control of a place in an event as it is sent. An external id goes by the trait that its `kind` names."""
        return self.control(place) if (place := event_place(path, kind)) else "allow"

    def of_places(self, places: Sequence[Place]) -> tuple[Control, str]:
        """The control of a column that goes to several places, and what the value is called there: decisions come
        before names, of several the strictest.
        """
        decided = [place for place in places if self.decided(place)] or list(places)
        strict = min(decided, key=lambda place: STRICTEST.index(self.control(place)))
        return self.control(strict), strict[-1]


def event_place(path: Place, kind: str | None = None) -> Place | None:
    """From the names in a sent event to the place that fields are called by; None for what makes it an event.

    >>> event_place(("batch", "context", "traits", "email")), event_place(("userId",)), event_place(("type",))
    (('traits', 'email'), ('user_id',), None)
    """
    path = path[1:] if path[:1] == ("batch",) else path
    if path == EXTERNAL:
        return ((kind,) if kind in COLUMNS.values() else ("traits", kind)) if kind else path
    if path[:2] == ("context", "externalIds") or path in _FRAME_WITHIN or (len(path) == 1 and path[0] in _FRAME):
        return None
    if path[:2] == ("context", "traits"):
        return path[1:]
    return (COLUMNS.get(path[0], path[0]),) if len(path) == 1 else path or None


def _lasts(place: str) -> set[str]:
    """Names that the last key of a place may be: a key may hold dots itself, and identifiers are sent in camel case."""
    parts = place.split(".")
    names = {".".join(parts[n:]) for n in range(len(parts))}
    return names | {sent for sent, column in COLUMNS.items() if column in names}
