"""The audit log of an open workspace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.audit_check import Verdict
    from cdp_core.workspace.facade import Workspace

OUTCOMES = ("done", "refused", "failed")


class Audit:
    """Who did what, when, and about whom.

    Example: `ws.audit.entries(action="reveal"); ws.audit.verify().ok`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("privacy", quiet=True, plain=True)
    def entries(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        about: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> pl.DataFrame:
        """Entries, newest first: seq, at (UTC), actor, role, action, outcome (done, refused, failed), subject_hmac
        (list), details (JSON text), previous_hash, hash, mac.

        `action` is one action (`sync.run`) or a room (`sync`); `about` an identifier `type:value` of a person; `until`
        is not included. Reads the file as it is: `verify` says whether it is whole. Raises UsageError.
        """
        import polars as pl

        from cdp_core.runs.auditing import read_entries

        if outcome and outcome not in OUTCOMES:
            raise UsageError.unknown("outcome", outcome, OUTCOMES)
        rows = read_entries(self._workspace.root)
        wanted = [pl.lit(True)]
        wanted += [pl.col("actor") == actor] if actor else []
        wanted += [(pl.col("action") == action) | pl.col("action").str.starts_with(f"{action}.")] if action else []
        wanted += [pl.col("outcome") == outcome] if outcome else []
        wanted += [pl.col("at") >= since] if since else []
        wanted += [pl.col("at") < until] if until else []
        wanted += [pl.col("subject_hmac").list.contains(self._hmac(about))] if about else []
        newest = rows.filter(*wanted).sort("seq", descending=True)
        return newest.head(limit) if limit is not None else newest

    @needs("privacy", quiet=True, plain=True)
    def verify(self) -> Verdict:
        """Whether the log is whole. `ok`, `entries`, the first bad `line` and the `problem` say it."""
        from cdp_core.privacy.audit_check import verify
        from cdp_core.privacy.key import workspace_key
        from cdp_core.runs.auditing import published

        workspace = self._workspace
        return verify(workspace.root, workspace_key(workspace.root), published(workspace.engine))

    @needs("privacy", quiet=True, plain=True)
    def record(
        self,
        action: str,
        *,
        subject: Iterable[tuple[str, str]] = (),
        details: Mapping[str, Any] | None = None,
        outcome: str = "done",
    ) -> None:
        """Add an entry: for parts of the workspace whose methods do more than one thing worth recording.

        `subject` are identifiers (type, value), of which only the HMAC is kept; `details` must not hold any customer's
        value. What a method marked with `needs` does is recorded without this.
        """
        from cdp_core.runs import auditing

        root = self._workspace.root
        about = auditing.hmacs(root, subject)
        auditing.write_down(root, self._workspace.actor, action, outcome, about, details or {})

    def _hmac(self, identifier: str) -> str:
        from cdp_core.identity.lookup import as_ruled
        from cdp_core.runs.auditing import hmacs

        workspace = self._workspace
        try:
            named = workspace.identity.parse(as_ruled(identifier, workspace.config.identity) or identifier)
        except UsageError:
            if not identifier.startswith(("profile_id:", "p_")):
                raise
            named = ("profile_id", identifier.removeprefix("profile_id:"))
        return hmacs(workspace.root, [named])[0]
