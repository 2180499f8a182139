"""Fields with what was decided about them: their class, what becomes of them, and whether somebody must look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cdp_core.privacy.door import why
from cdp_core.privacy.judge import ORDER, Found
from cdp_core.runs.inventory.feeders import UNSTORED, feeders, is_own
from cdp_core.runs.inventory.flow import Flow, Flows
from cdp_core.runs.inventory.scan import Field, Scan

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.spec import Class, ClassSpec, Control, PrivacySpec

NEW = timedelta(days=7)
"""How long a field counts as new, at a source that is older. Rule: Segment, Privacy Portal, inbox."""
_IDENTIFIER = Found(kind="identifier", class_="green", by="role", why="stands for a person and names nobody")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A field of the inventory. `class_` is what was decided (`decided_by`: the key of cdp.yaml, or the field that it
    follows), None while nothing is; `suggested` is what the scan says; `inbox`: somebody has to decide.
    """

    field: Field
    class_: Class | None
    decided_by: str | None
    suggested: Class
    control: Control | None
    follows: tuple[str, ...]
    new: bool
    inbox: bool
    flow: Flow

    @property
    def found(self) -> tuple[Found, ...]:
        return self.field.found


def rows(config: Config, scan: Scan, unstored: Iterable[Field], now: datetime) -> list[Row]:
    """Every field, sorted by source and place."""
    seen = (*scan.fields, *unstored)
    fields = [_with_role(config, field) for field in (*seen, *_unseen(config, seen))]
    flows = Flows(config)
    flow = {field.name: flows.of(field.source, field.place, field.said) for field in fields}
    follows = feeders(config, fields, flow)
    begun: dict[str, datetime] = {}
    for field in fields:
        if field.first_seen is not None:
            begun[field.source] = min(begun.get(field.source, field.first_seen), field.first_seen)
    by_name = {field.name: field for field in fields}
    made = [
        _row(config, field, flow[field.name], [by_name[name] for name in follows.get(field.name, ())], begun, now)
        for field in fields
    ]
    return sorted(made, key=lambda row: (row.field.source, row.field.place))


def unstored(engine: Engine, config: Config) -> list[Field]:
    """Columns that sources have shown and their mappings leave out: known by name only."""
    from cdp_core.privacy.judge import Surroundings, judge

    columns = engine.polars(engine.table("source_columns").select("source", "column", "first_seen"))
    found = []
    for source, column, first_seen in columns.iter_rows():
        spec = config.sources.get(source)
        if spec is None or spec.map is None or column in spec.map.used():
            continue
        if getattr(spec.map, "traits" if spec.map.type in ("identify", "group") else "properties") is None:
            continue
        place = f"{UNSTORED}.{column}"
        said = judge(place, (), Surroundings(region=config.region, today=first_seen.date()))
        found.append(Field(source=source, place=place, first_seen=first_seen, found=tuple(said)))
    return found


def _unseen(config: Config, seen: Iterable[Field]) -> list[Field]:
    """Fields that something was decided about and that no row in the lake has: dropped at the door, or not yet come."""
    known = {field.name for field in seen}
    names = [name for name in config.privacy.fields if name not in known and not name.startswith("*.")]
    return [Field(source=source, place=place) for source, place in (split(config, name) for name in names)]


def split(config: Config, name: str) -> tuple[str, str]:
    """Source and place of a field's name; a source may have dots in its name.

    >>> from cdp_core.config import Config
    >>> split(Config(name="shop"), "crm.traits.email")
    ('crm', 'traits.email')
    """
    known = [source for source in config.sources if name.startswith(f"{source}.")]
    source = max(known, key=len, default=name.partition(".")[0])
    return source, name[len(source) + 1 :]


def suggestion(found: Sequence[Found]) -> Class:
    """The highest class that something speaks for."""
    return min((each.class_ for each in found), key=lambda class_: ORDER[class_], default="green")


def decision(spec: PrivacySpec, source: str, place: str) -> tuple[str, ClassSpec] | None:
    """The key of `privacy.fields` that speaks of a field, and what it says; the source's own before `*`."""
    for name in (f"{source}.{place}", f"*.{place}"):
        if name in spec.fields:
            return name, spec.fields[name]
    return None


def _row(
    config: Config, field: Field, flow: Flow, origin: Sequence[Field], begun: Mapping[str, datetime], now: datetime
) -> Row:
    said = decision(config.privacy, field.source, field.place)
    suggested = suggestion(field.found)
    class_, by = (said[1].class_, said[0]) if said else _inherited(config, origin)
    own = is_own(config, field)
    new = own and _is_new(field, begun, now)
    highest = min((ORDER[_class_of(config, each)] for each in origin), default=len(ORDER))
    surprising = ORDER[suggested] < highest if origin else suggested != "green" or new
    return Row(
        field=field,
        class_=class_,
        decided_by=by,
        suggested=suggested,
        control=why(config.privacy, field.name).control if own else None,
        follows=tuple(each.name for each in origin),
        new=new,
        inbox=said is None and surprising and not field.place.startswith(f"{UNSTORED}."),
        flow=flow,
    )


def _inherited(config: Config, origin: Sequence[Field]) -> tuple[Class | None, str | None]:
    decided = [
        (said[1].class_, each.name) for each in origin if (said := decision(config.privacy, each.source, each.place))
    ]
    return min(decided, key=lambda pair: ORDER[pair[0]], default=(None, None))


def _class_of(config: Config, field: Field) -> Class:
    said = decision(config.privacy, field.source, field.place)
    return said[1].class_ if said else suggestion(field.found)


def _is_new(field: Field, begun: Mapping[str, datetime], now: datetime) -> bool:
    seen = field.first_seen
    return seen is not None and seen > now - NEW and begun[field.source] <= now - NEW


def _with_role(config: Config, field: Field) -> Field:
    """Identifiers of the workspace are called that, where nothing else is known of them."""
    from cdp_core.runs.inventory.read import OWN

    head, _, rest = field.place.partition(".")
    last = field.place.split(".")[-1]
    named = {*config.identity.identifiers, "user_id", "anonymous_id"}
    is_one = field.place in OWN or (head == "context" and rest.startswith("externalIds."))
    is_one = is_one or (field.source == "user_identifiers") or (head in ("quarantine", "traits") and last in named)
    is_one = is_one or (head == "quarantine" and last in ("userId", "anonymousId"))
    spec = config.sources.get(field.source)
    if head == "quarantine" and spec is not None and spec.map is not None:
        is_one = is_one or last in spec.map.identifiers.values()
    return replace(field, found=(_IDENTIFIER,)) if is_one and not field.found else field
