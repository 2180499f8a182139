"""Consent of an open workspace: who has said what, what it holds back, and decisions made at the desk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.privacy.consent import ConsentDecision
    from cdp_core.workspace.consent_overview import ConsentOverview
    from cdp_core.workspace.facade import Workspace
    from cdp_core.workspace.privacy import Subject


class Consent:
    """What people have consented to. Identifiers are written `type:value`, or are a profile_id.

    Example: `ws.consent.set("email:ann@example.org", "newsletter", "denied", reason="she called")`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("privacy", plain=True)
    def set(
        self, identifier: str | Subject, category: str, state: str, *, reason: str, actor: str | None = None
    ) -> ConsentDecision:
        """Note what a person has said about a category: `granted` or `denied`.

        It supersedes everything that their devices and records said before, and is so at once, for whoever any of the
        person's identifiers belongs to. What a device says later stands beside it. `actor` is who notes it, else
        whoever is at work. Raises UsageError for another state, and without a category or a reason.
        """
        from cdp_core.privacy.consent import decision
        from cdp_core.privacy.store import known_key

        workspace = self._workspace
        found = workspace.privacy.subject(identifier) if isinstance(identifier, str) else identifier
        if found.profile_id is None and not found.identifiers:
            raise UsageError("nobody is named", hint="name any identifier of the person, as type:value")
        made = decision(
            category, state, found.identifiers, known_key(workspace.root), reason=reason,
            actor=actor or workspace.actor.name, at=_now(),
        )  # fmt: skip
        self._decided(made, made)
        return made

    @needs("privacy", plain=True)
    def revoke(self, decision_id: str, *, reason: str, actor: str | None = None) -> ConsentDecision:
        """Take a decision of the desk back, as if it had never been made. Raises UsageError when none in force has this
        id, or no reason is given.
        """
        from cdp_core.privacy.consent import revoked
        from cdp_core.runs import consenting

        active = consenting.decisions_in_force(self._workspace.root)
        found = [each for each in active if each.decision_id == decision_id]
        if not found:
            hint = "see 'cdp privacy consent show TYPE:VALUE --history'"
            raise UsageError("no decision in force has this id", hint=hint)
        line = revoked(found[0], reason=reason, actor=actor or self._workspace.actor.name, at=_now())
        self._decided(line, found[0])
        return line

    @needs("read")
    def states(self, identifier: str) -> pl.DataFrame:
        """What is so now: category, state (granted, denied, conflict), source (of the newest statement that counts;
        `desk`: noted here) and updated_at (UTC). Raises UsageError when there is no such profile.
        """
        profile_id = self._workspace.resolve(identifier)
        rows = self._table().filter(lambda t: t.profile_id == profile_id)
        return self._workspace.polars(rows).drop("profile_id").sort("category")

    @needs("read")
    def history(self, identifier: str | Subject) -> pl.DataFrame:
        """Who said what and when, newest first: category, said (granted, denied, revoke), at (UTC), source (`desk`:
        noted here), who (device, record, user, source or person), counts (whether it is part of what is so now),
        message_id (of the event; at the desk the decision's id), reason and actor (at the desk).
        """
        from cdp_core.runs.consenting import history

        workspace = self._workspace
        found = workspace.privacy.subject(identifier) if isinstance(identifier, str) else identifier
        order = list(workspace.config.sources)
        return history(workspace.engine, workspace.root, order, found.profile_id, found.identifiers)

    @needs("read", plain=True)
    def decisions(self, identifier: str | Subject) -> list[ConsentDecision]:
        """Decisions of the desk about a person that are in force, oldest first."""
        from cdp_core.privacy.consent import in_force

        found = self._workspace.privacy.subject(identifier) if isinstance(identifier, str) else identifier
        return in_force(self._lines(found))

    @needs("read")
    def conflicts(self, limit: int | None = 200) -> pl.DataFrame:
        """Profiles whose statements disagree, newest first: profile_id, category, granted_by and denied_by (sources),
        updated_at (UTC). `set` resolves one.
        """
        from cdp_core.workspace.consent_overview import conflicts

        return conflicts(self._workspace, self._table(), limit)

    @needs("read", plain=True)
    def categories(self) -> list[str]:
        """Categories that somebody has spoken of or that a destination asks for, in order.

        Example: `ws.consent.categories()` gives `["email", "newsletter"]`
        """
        rows = self._workspace.engine.polars(self._table().select("category").distinct())
        needed = {name for spec in self._workspace.config.destinations.values() for name in spec.consent}
        return sorted({*rows["category"], *needed})

    @needs("read", plain=True)
    def overview(self, *, weeks: int = 26) -> ConsentOverview:
        """Per category how many profiles, what was said in the last weeks, and what is held back where by it."""
        from cdp_core.workspace.consent_overview import overview

        now = self._workspace.now
        return overview(self._workspace, self._table(), since=now - timedelta(weeks=weeks), until=now)

    def _table(self) -> ir.Table:
        from cdp_core.runs.consenting import current

        workspace = self._workspace
        return current(workspace.engine, workspace.root, list(workspace.config.sources))

    def _lines(self, found: Subject) -> Sequence[ConsentDecision]:
        from cdp_core.privacy.consent import of_person
        from cdp_core.privacy.store import known_key
        from cdp_core.runs import consenting

        told = consenting.read_consents(self._workspace.root)
        return of_person(told, found.identifiers, known_key(self._workspace.root)) if told else []

    def _decided(self, line: ConsentDecision, about: ConsentDecision) -> None:
        from cdp_core.privacy.consent import ConsentDecision
        from cdp_core.runs import consenting

        workspace, before = self._workspace, list[ConsentDecision]()

        def make(active: Sequence[ConsentDecision]) -> ConsentDecision:
            before.extend(active)
            return line

        consenting.decide(workspace.root, make)
        consenting.publish(workspace.engine, workspace.root, list(workspace.config.sources), about, before)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
