"""Corrections that people ask for, from what somebody at the desk says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.runs.rectify import Rectified
    from cdp_core.workspace.facade import Workspace
    from cdp_core.workspace.privacy import Subject


def rectify(
    ws: Workspace,
    identifier: str | Subject,
    values: Mapping[str, str],
    unset: Sequence[str],
    *,
    reason: str,
    actor: str | None,
) -> Rectified:
    from cdp_core.runs import rectify as run

    found, profile_id = _subject(ws, identifier)
    return run.rectify(
        ws.engine, ws.config, profile_id, _strongest(ws, found), values, unset, root=ws.root, reason=reason,
        actor=actor or ws.actor.name,
    )  # fmt: skip


def unrectify(ws: Workspace, identifier: str | Subject, traits: Sequence[str], *, reason: str) -> Rectified:
    from cdp_core.runs.rectify import undo

    _, profile_id = _subject(ws, identifier)
    return undo(ws.engine, ws.config, profile_id, traits, root=ws.root, reason=reason)


def rectifications(ws: Workspace, identifier: str | Subject) -> pl.DataFrame:
    import polars as pl

    from cdp_core.runs.rectify import correctable, corrections, key_of

    _, profile_id = _subject(ws, identifier)
    keys = [(key_of(ws.config, name), name) for name in correctable(ws.config)]
    names = pl.DataFrame(keys, schema={"key": pl.String, "trait": pl.String}, orient="row")
    rows = ws.polars(corrections(ws.engine, profile_id)).join(names, on="key", how="left")
    told = rows.select(
        pl.coalesce("trait", "key").alias("trait"), pl.col("value").replace("", None), "at", "reason", "actor"
    )
    return told.sort("at", "trait", descending=[True, False])


def _subject(ws: Workspace, identifier: str | Subject) -> tuple[Subject, str]:
    found = ws.privacy.subject(identifier) if isinstance(identifier, str) else identifier
    if found.profile_id is None:
        raise UsageError("no profile has this identifier", hint="look with 'cdp profile search'")
    return found, found.profile_id


def _strongest(ws: Workspace, found: Subject) -> tuple[str, str]:
    """The identifier that a correction carries: one alone, so that it is no evidence that others belong together."""
    spec = ws.config.identity
    order = [name for name in spec.identifiers if name not in spec.derived()]
    derived = set(spec.derived())
    own = [one for one in found.identifiers if one[0] not in derived]
    if not own:
        raise UsageError("no identifier of this profile can be named", hint="see 'cdp profile show'")
    return min(own, key=lambda one: (order.index(one[0]) if one[0] in order else len(order), one))
