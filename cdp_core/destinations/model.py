"""The rows that a sync is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdp_core.destinations.spec import EVENT_ID, AudienceModel, EventChoice, EventsModel, Model, SqlModel
from cdp_core.tables import EVENTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

EVENT_COLUMNS = (EVENT_ID, "profile_id", *EVENTS.columns)


def model_table(engine: Engine, model: Model, tables: Mapping[str, ir.Table] | None = None) -> ir.Table:
    """All profiles, the profiles of an audience's members, what a SELECT gives, or events.

    Events come without profile_id, which `with_profiles` adds: most of them have been sent before, and are dropped
    before they are joined. `tables` puts scratch tables in the place of published ones. Raises SpecError when the SQL
    is not one SELECT.
    """
    given = tables or {}
    if isinstance(model, SqlModel):
        return engine.sql(model.sql, given)
    if isinstance(model, EventsModel):
        return _events(given["events"] if "events" in given else engine.table("events"), model.events)
    profiles = given["profiles"] if "profiles" in given else engine.table("profiles")
    if not isinstance(model, AudienceModel):
        return profiles
    members = given["audience_members"] if "audience_members" in given else engine.table("audience_members")
    return profiles.semi_join(members.filter(members.audience == model.audience), "profile_id")


def _events(events: ir.Table, choice: EventChoice) -> ir.Table:
    for column in ("event", "type", "source"):
        if names := getattr(choice, column):
            events = events.filter(events[column].isin(names))
    return events.mutate(event_id=event_id(events))


def event_id(events: ir.Table) -> ir.StringValue:
    """SOURCE/MESSAGE_ID. A message id is unique within its source only; a slash in a source's name is written %2F."""
    return events.source.replace("%", "%25").replace("/", "%2F") + "/" + events.message_id


def with_profiles(engine: Engine, events: ir.Table) -> ir.Table:
    """Events with profile_id: whose they are, null for nobody's."""
    whose = engine.table("event_profiles").select("source", "message_id", "profile_id")
    joined = events.left_join(whose, ["source", "message_id"])
    return joined.drop([c for c in joined.columns if c.endswith("_right")])
