"""What stands behind one link: who says so, since when, how often, and some of the very events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.errors import UsageError
from cdp_core.identity.identifiers import know, see
from cdp_core.identity.links import stated
from cdp_core.identity.spec import IdentitySpec

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

Identifier = tuple[str, str]
_ENDS = ("left_type", "left_value", "right_type", "right_value")


@dataclass(frozen=True, kw_only=True)
class LinkEvidence:
    """`said`: for each source and rule {source, rule, events, first_seen, last_seen}, those that most events say first.
    `examples`: some of these events, the newest first, of the profiles that hold the two: {source, message_id, name,
    at}. Times are UTC.
    """

    left: Identifier
    right: Identifier
    said: list[dict[str, Any]]
    examples: list[dict[str, Any]]

    @property
    def events(self) -> int:
        """How many events say so in all."""
        return sum(each["events"] for each in self.said)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with identifiers as `type:value`."""
        return {
            "left": ":".join(self.left),
            "right": ":".join(self.right),
            "events": self.events,
            "said": self.said,
            "examples": self.examples,
        }


def link_evidence(
    engine: Engine, spec: IdentitySpec, left: Identifier, right: Identifier, *, examples: int = 5
) -> LinkEvidence:
    """The evidence for two identifiers that are linked directly, in either order.

    Raises UsageError when they are not. A link that no event states (a decision, a match) has no examples.

    Example: `link_evidence(engine, spec, ("user_id", "7"), ("email", "a@x.org")).said[0]["source"]`
    """
    rows = _rows(engine, left, right)
    if rows.is_empty():
        raise UsageError("the two are not linked directly", hint="'cdp identity explain' shows the links between")
    said = rows.sort("events", "source", "rule", descending=[True, False, False]).drop(_ENDS)
    ends = rows.select(_ENDS).row(0)
    found = _examples(engine, spec, (ends[:2], ends[2:]), rows, examples)
    return LinkEvidence(left=left, right=right, said=said.to_dicts(), examples=found)


def _rows(engine: Engine, left: Identifier, right: Identifier) -> pl.DataFrame:
    asked = pl.DataFrame([(*left, *right), (*right, *left)], schema=dict.fromkeys(_ENDS, pl.String), orient="row")
    links = engine.table("identity_links").semi_join(engine.frame(asked), _ENDS)
    return engine.polars(links.select(*_ENDS, "source", "rule", "events", "first_seen", "last_seen"))


def _examples(
    engine: Engine, spec: IdentitySpec, ends: tuple[Identifier, Identifier], rows: pl.DataFrame, count: int
) -> list[dict[str, Any]]:
    """Computed as the links themselves are, over the few events that can be meant."""
    seen = see(engine, _possible(engine, ends, rows), spec)
    known = know(engine, seen, spec)
    frame = known.frame
    places = [frame.filter((pl.col("type") == t) & (pl.col("value") == v))["node"] for t, v in ends]
    if any(place.is_empty() for place in places):
        return []
    say = stated(known)
    mine = say.filter(say.left == places[0][0], say.right == places[1][0])
    at = seen.events.semi_join(mine, "tuple").select("source", "message_id", "at")
    events = engine.table("events").select("source", "message_id", "type", "event")
    named = at.join(events, ["source", "message_id"])
    shown = named.select("source", "message_id", name=named.event.coalesce(named.type), at=named["at"])
    newest = shown.order_by([shown["at"].desc(), shown.source, shown.message_id]).limit(count)
    return engine.polars(newest).to_dicts()


def _possible(engine: Engine, ends: tuple[Identifier, Identifier], rows: pl.DataFrame) -> ir.Table:
    """Events of the link's sources, of the profiles that hold its ends: no link is worth reading all events."""
    asked = engine.frame(pl.DataFrame(ends, schema={"type": pl.String, "value": pl.String}, orient="row"))
    owners = engine.table("user_identifiers").semi_join(asked, ["type", "value"]).select("profile_id").distinct()
    own = engine.table("event_profiles").semi_join(owners, "profile_id")
    events = engine.table("events").semi_join(own, ["source", "message_id"])
    return events.filter(events.source.isin(rows["source"].unique().to_list()))
