"""Privacy of an open workspace: who a request is about, and what may be sent of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.suppression import Suppression
    from cdp_core.workspace.facade import Workspace

LARGE = 20
"""Identifiers of one person, above which it is doubtful that they are one."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who a request is about: every identifier that belongs to the one that was named, which is all there is when no
    profile has it. `doubts` say why they may be more than one person; `sent_to` are syncs that have sent something.
    """

    profile_id: str | None
    identifiers: tuple[tuple[str, str], ...]
    events: int
    sent_to: tuple[str, ...]
    doubts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """profile_id, identifiers as `type:value`, events, sent_to, doubts."""
        return {
            "profile_id": self.profile_id,
            "identifiers": [":".join(one) for one in self.identifiers],
            "events": self.events,
            "sent_to": list(self.sent_to),
            "doubts": list(self.doubts),
        }


class Privacy:
    """Requests about people. Identifiers are written `type:value`.

    Example: `ws.privacy.suppress("email:ann@example.org", reason="she asked for it")`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def subject(self, identifier: str) -> Subject:
        """Everything that belongs to an identifier or a profile_id. Raises UsageError for what is neither."""
        from cdp_core.identity.lookup import PROFILE, find_profile_id

        workspace = self._workspace
        engine = workspace.engine
        if identifier.partition(":")[0] == PROFILE or ":" not in identifier:
            profile_id: str | None = workspace.resolve(identifier)
            named: list[tuple[str, str]] = []
        else:
            named = [workspace.identity.parse(identifier)]
            profile_id = find_profile_id(engine, workspace.config.identity, identifier)
        if profile_id is None:
            return Subject(profile_id=None, identifiers=tuple(named), events=0, sent_to=(), doubts=())
        known = engine.table("user_identifiers")
        rows = engine.polars(known.filter(known.profile_id == profile_id).select("type", "value")).sort("type", "value")
        identifiers = tuple(rows.iter_rows())
        links = engine.table("event_profiles")
        count = engine.polars(links.filter(links.profile_id == profile_id).count().name("n").as_table()).item()
        sent = workspace.sent(f"{PROFILE}:{profile_id}")
        return Subject(
            profile_id=profile_id,
            identifiers=identifiers,
            events=int(count),
            sent_to=tuple(sent["sync"].unique().sort()),
            doubts=_doubts(identifiers),
        )

    def suppress(self, identifier: str | Subject, *, reason: str) -> Suppression:
        """Let nothing about a person go to any destination, from now on and under any of their identifiers.

        Raises UsageError when all of them are suppressed already, or no reason is given.
        """
        from cdp_core.privacy.suppression import SUPPRESS, of_person, suppression
        from cdp_core.runs import suppressing

        found = self.subject(identifier) if isinstance(identifier, str) else identifier
        key = suppressing.known_key(self._workspace.root)

        def make(active: Sequence[Suppression]) -> Suppression:
            made = suppression(SUPPRESS, found.identifiers, key, reason=reason, at=_now())
            held = {stone for each in of_person(active, found.identifiers, key) for stone in each.tombstones}
            if set(made.tombstones) <= held:
                raise UsageError("this person is suppressed already", hint="see 'cdp privacy suppressions'")
            return made

        made = suppressing.decide(self._workspace.root, make)
        suppressing.publish(self._workspace.engine, self._workspace.root)
        return made

    def unsuppress(self, identifier: str | Subject, *, reason: str) -> list[Suppression]:
        """Take back every suppression that one of a person's identifiers is under; the decisions made.

        Raises UsageError when there is none, or no reason is given.
        """
        from dataclasses import replace

        from cdp_core.privacy.suppression import UNSUPPRESS
        from cdp_core.runs import suppressing

        found = self.suppressed(identifier)
        if not found:
            raise UsageError("nobody with this identifier is suppressed", hint="see 'cdp privacy suppressions'")
        if not reason.strip():
            raise UsageError("a reason is missing", hint="say why, for whoever reads the list next year")
        lifted = [replace(each, action=UNSUPPRESS, reason=" ".join(reason.split()), at=_now()) for each in found]
        for each in lifted:
            suppressing.decide(self._workspace.root, lambda _, each=each: each)  # type: ignore[misc]
        suppressing.publish(self._workspace.engine, self._workspace.root)
        return lifted

    def suppressed(self, identifier: str | Subject) -> list[Suppression]:
        """Suppressions in force that a person is under, oldest first; none: they may be sent."""
        from cdp_core.privacy.suppression import in_force, of_person
        from cdp_core.runs import suppressing

        active = in_force(suppressing.read_suppressions(self._workspace.root))
        if not active:
            return []
        found = self.subject(identifier) if isinstance(identifier, str) else identifier
        return of_person(active, found.identifiers, suppressing.known_key(self._workspace.root))

    def suppressions(self, *, history: bool = False) -> pl.DataFrame:
        """Suppressions in force, oldest first: suppression_id, action, identifiers (how many), reason, at (UTC). With
        `history` every decision ever made.
        """
        import polars as pl

        from cdp_core.privacy.suppression import in_force
        from cdp_core.runs.suppressing import read_suppressions

        made = read_suppressions(self._workspace.root)
        rows = [each.to_dict() | {"at": each.at} for each in (made if history else in_force(made))]
        kinds = {"suppression_id": pl.String, "action": pl.String, "identifiers": pl.Int64, "reason": pl.String}
        return pl.DataFrame(rows, schema={**kinds, "at": pl.Datetime("us")})


def _doubts(identifiers: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    found = []
    if len(identifiers) > LARGE:
        found.append(f"{len(identifiers)} identifiers are many for one person")
    users = sum(type_ == "user_id" for type_, _ in identifiers)
    if users > 1:
        found.append(f"{users} user_ids have been joined")
    return tuple(found)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
