"""Privacy of an open workspace: who a request is about, and what may be sent of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.door import Reason
    from cdp_core.privacy.requests import Request
    from cdp_core.privacy.suppression import Suppression
    from cdp_core.runs.record import Progress
    from cdp_core.runs.rectify import Rectified
    from cdp_core.workspace.access import Package
    from cdp_core.workspace.facade import Workspace
    from cdp_core.workspace.requests import Requests

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

    @needs("privacy", quiet=True)
    def subject(self, identifier: str) -> Subject:
        """Everything that belongs to an identifier or a profile_id. Raises UsageError for what is neither."""
        from cdp_core.identity.lookup import PROFILE, as_ruled, find_profile_id

        workspace = self._workspace
        engine = workspace.engine
        if identifier.partition(":")[0] == PROFILE or ":" not in identifier:
            profile_id: str | None = workspace.resolve(identifier)
            named: list[tuple[str, str]] = []
        else:
            spec = workspace.config.identity
            profile_id = find_profile_id(engine, spec, identifier)
            named = [workspace.identity.parse(as_ruled(identifier, spec) or identifier)]
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

    @needs("read", plain=True)
    def why(self, field: str) -> Reason:
        """Which control holds for a field (`SOURCE.PLACE`) at the door, and who says so.

        Raises UsageError when no source is called so.
        """
        from cdp_core.privacy.door import why

        config = self._workspace.config
        source, _, place = field.partition(".")
        if source not in config.sources and source != "*":
            raise UsageError.unknown("source", source, config.sources)
        if not place:
            raise UsageError(f"{field!r} names no place", hint="write it as SOURCE.PLACE, such as crm.traits.email")
        return why(config.privacy, field)

    @needs("privacy", plain=True)
    def suppress(self, identifier: str | Subject, *, reason: str) -> Suppression:
        """Let nothing about a person go to any destination, and take nothing of them in, from now on and under any of
        their identifiers. What is stored already stays.

        Raises UsageError when all of them are suppressed already, for a blocked value, or when no reason is given.
        """
        from cdp_core.privacy.store import known_key
        from cdp_core.privacy.suppression import SUPPRESS, of_person, suppression
        from cdp_core.runs import suppressing

        found = self._somebody(identifier)
        key = known_key(self._workspace.root)

        def make(active: Sequence[Suppression]) -> Suppression:
            made = suppression(SUPPRESS, found.identifiers, key, reason=reason, at=_now(), door=True)
            held = {
                stone for each in of_person(active, found.identifiers, key) for stone in each.tombstones if each.door
            }
            if set(made.tombstones) <= held:
                raise UsageError("this person is suppressed already", hint="see 'cdp privacy suppressions'")
            return made

        made = suppressing.decide(self._workspace.root, make)
        suppressing.publish(self._workspace.engine, self._workspace.root)
        self.requests.noted("suppress", found.identifiers, reason)
        return made

    @needs("privacy", plain=True)
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
        self.requests.noted("unsuppress", self._whole(identifier).identifiers, reason)
        return lifted

    @needs("privacy", plain=True)
    def erase(
        self, identifier: str | Subject, *, reason: str, received: date | None = None, wait: float | None = 600,
        progress: Progress | None = None,
    ) -> Request:  # fmt: skip
        """Erase a person: from every table, snapshot and file of the workspace, and at every destination they were
        sent to; nothing of them comes in again. `received` is the day on which the request came in (today), `wait` how
        many seconds to wait for runs that go on.

        Gives the request, which waits while a destination owes an answer; every run asks again, and
        `requests.resume()`. Raises UsageError for a blocked value and when no reason is given, WorkspaceBusy and
        EngineError: the request is written down then, and goes on with `requests.resume()`.
        """
        found = self._somebody(identifier)
        return self.requests.erase(found, reason=reason, received=received, wait=wait, progress=progress)

    @property
    def requests(self) -> Requests:
        """What people have asked for: `requests()` lists it."""
        from cdp_core.workspace.requests import Requests

        return Requests(self._workspace)

    @needs("read", plain=True)
    def suppressed(self, identifier: str | Subject) -> list[Suppression]:
        """Suppressions in force that a person is under, oldest first; none: they may be sent."""
        from cdp_core.privacy.store import known_key, read_suppressions
        from cdp_core.privacy.suppression import in_force, of_person

        active = in_force(read_suppressions(self._workspace.root))
        if not active:
            return []
        found = self.subject(identifier) if isinstance(identifier, str) else identifier
        return of_person(active, found.identifiers, known_key(self._workspace.root))

    @needs("read", plain=True)
    def suppressions(self, *, history: bool = False) -> pl.DataFrame:
        """Suppressions in force, oldest first: suppression_id, action, identifiers (how many), reason, at (UTC). With
        `history` every decision ever made.
        """
        import polars as pl

        from cdp_core.privacy.store import read_suppressions
        from cdp_core.privacy.suppression import in_force

        made = read_suppressions(self._workspace.root)
        rows = [each.to_dict() | {"at": each.at} for each in (made if history else in_force(made))]
        kinds = {"suppression_id": pl.String, "action": pl.String, "identifiers": pl.Int64, "reason": pl.String}
        return pl.DataFrame(rows, schema={**kinds, "at": pl.Datetime("us")})

    @needs("read", plain=True)
    def retention(self) -> pl.DataFrame:
        """How long events are kept, and what the next run would take out: source, event (null: all), keep, until (UTC:
        what happened before goes), events, held.
        """
        from cdp_core.runs.retention import past

        workspace = self._workspace
        return past(workspace.engine, workspace.config.privacy.retention, workspace.now)

    @needs("privacy", plain=True)
    def access(self, identifier: str | Subject, *, reason: str) -> Package:
        """Everything that is held about a person (GDPR 15, 20), to be written with `.write(path)`; also of somebody
        who has no profile, but is named in rows that are held or wait. Raises UsageError when no reason is given.
        """
        from cdp_core.workspace.access import access

        made = access(self._workspace, self._whole(identifier), reason=reason)
        self.requests.noted("access", made.subject.identifiers, reason)
        return made

    @needs("privacy", plain=True)
    def rectify(
        self,
        identifier: str | Subject,
        values: Mapping[str, str] | None = None,
        *,
        unset: Sequence[str] = (),
        reason: str,
        actor: str | None = None,
    ) -> Rectified:
        """Correct what a profile says (GDPR 16): `values` is trait → value as text, `unset` are traits to have none.

        A correction stands above whatever sources state, now and later. `ws.stored.follow()` brings the profile, its
        audiences and with `sync` the destinations up to date; `unrectify` takes it back. Raises UsageError when there
        is no such profile or trait, or a value is not of its trait's type, and WorkspaceBusy.
        """
        from cdp_core.workspace.rectify import rectify

        found = self._whole(identifier)
        made = rectify(self._workspace, found, values or {}, unset, reason=reason, actor=actor)
        self.requests.noted("rectify", found.identifiers, reason)
        return made

    @needs("privacy", plain=True)
    def unrectify(self, identifier: str | Subject, traits: Sequence[str], *, reason: str) -> Rectified:
        """Take the corrections of these traits back: what sources state counts again, once `ws.stored.follow()` has
        run. Raises UsageError when there is none, and WorkspaceBusy.
        """
        from cdp_core.workspace.rectify import unrectify

        return unrectify(self._workspace, identifier, traits, reason=reason)

    @needs("privacy")
    def rectifications(self, identifier: str | Subject) -> pl.DataFrame:
        """Corrections of a person, newest first: trait, value (null: to have none), at (UTC), reason, actor."""
        from cdp_core.workspace.rectify import rectifications

        return rectifications(self._workspace, identifier)

    def _somebody(self, identifier: str | Subject) -> Subject:
        """Who is meant, and not everybody who has left a field empty or said "unknown"."""
        from cdp_core.identity.lookup import is_blocked

        found, rules = self._whole(identifier), self._workspace.config.identity
        if found.profile_id is None and any(is_blocked(type_, value, rules) for type_, value in found.identifiers):
            hint = "name the person by another identifier; see 'blocked' under 'identity' in cdp.yaml"
            raise UsageError("this is a blocked value, which stands for nobody", hint=hint)
        return found

    def _whole(self, identifier: str | Subject) -> Subject:
        """Who is meant, as it is now: a subject that was given out may be masked, or older than what has come since."""
        if isinstance(identifier, str):
            return self.subject(identifier)
        return self.subject(f"profile_id:{identifier.profile_id}") if identifier.profile_id else identifier


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
