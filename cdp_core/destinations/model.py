"""The rows that a sync is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdp_core.destinations.spec import AudienceModel, Model, SqlModel

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


def model_table(engine: Engine, model: Model, tables: Mapping[str, ir.Table] | None = None) -> ir.Table:
    """All profiles, the profiles of an audience's members, or what a SELECT gives.

    `tables` puts scratch tables in the place of published ones. Raises SpecError when the SQL is not one SELECT.
    """
    given = tables or {}
    if isinstance(model, SqlModel):
        return engine.sql(model.sql, given)
    profiles = given["profiles"] if "profiles" in given else engine.table("profiles")
    if not isinstance(model, AudienceModel):
        return profiles
    members = given["audience_members"] if "audience_members" in given else engine.table("audience_members")
    return profiles.semi_join(members.filter(members.audience == model.audience), "profile_id")
