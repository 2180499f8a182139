"""The brake on identity: a jump that a broken source or a loosened rule makes is stopped before anyone sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdp_core.errors import QualityStop

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine
    from cdp_core.identity.spec import BrakeSpec

LEAST_PROFILES, LEAST_LARGEST = 100, 20
"""Worlds and profiles smaller than this may jump: shares of small numbers say nothing."""
_HINT = "nothing was published; look with 'cdp identity preview', then correct the source or run with --allow-jump"


def check_jump(engine: Engine, identifiers: ir.Table, merges: ir.Table, brake: BrakeSpec) -> None:
    """Compare what would be published with what is. Raises QualityStop with both figures."""
    published = engine.table("user_identifiers")
    profiles = _number(engine, published.profile_id.nunique())
    if profiles < LEAST_PROFILES:
        return
    if brake.largest is not None:
        before, after = _largest(engine, published), _largest(engine, identifiers)
        allowed = max(int(before * (1 + brake.largest)), LEAST_LARGEST)
        if after > allowed:
            raise QualityStop(
                f"the largest profile would jump from {before:,} to {after:,} identifiers (allowed: {allowed:,})",
                where="identity.brake.largest",
                hint=_HINT,
            )
    if brake.merges is not None:
        fresh = merges.semi_join(published, [("from_profile_id", "profile_id")])
        merged = _number(engine, fresh.count())
        if merged > profiles * brake.merges:
            raise QualityStop(
                f"{merged:,} of {profiles:,} profiles would be merged into others (allowed: {brake.merges:.0%})",
                where="identity.brake.merges",
                hint=_HINT,
            )


def _largest(engine: Engine, identifiers: ir.Table) -> int:
    sizes = identifiers.group_by("profile_id").agg(n=identifiers.count())
    return _number(engine, sizes.n.max())


def _number(engine: Engine, value: ir.Scalar) -> int:
    return int(engine.polars(value.name("n").as_table()).item() or 0)
