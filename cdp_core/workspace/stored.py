"""Events that are stored, as something to go over again by the rules of today."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from cdp_core.runs.record import Progress, Run
    from cdp_core.runs.replay_stored import StoredReplay
    from cdp_core.runs.replay_undo import Undone
    from cdp_core.workspace.facade import Workspace

AFTER = ("identity", "profiles", "audiences")


class Stored:
    """The events of a workspace.

    Example: `ws.stored.replay(source="site", since="2026-03-01", events=["Order Completed"], dry_run=True).held`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("run")
    def replay(
        self,
        *,
        source: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        events: Sequence[str] = (),
        where: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> StoredReplay:
        """Send stored events through today's corrections, tracking plan and suites of events once more.

        `since` and `until` (not included) are about the time of the event, UTC; `where` is an SQL condition over the
        columns of the table events. With `dry_run` nothing is written. A second time changes nothing. `follow` does
        the rest. Raises UsageError, SpecError, WorkspaceBusy and QualityStop.
        """
        from cdp_core.runs.record import silent
        from cdp_core.runs.replay_stored import replay_stored
        from cdp_core.runs.stored import StoredSelection, moment

        workspace = self._workspace
        chosen = StoredSelection(
            source=source, since=moment(since, "from"), until=moment(until, "to"), events=tuple(events), where=where
        )
        return replay_stored(
            workspace.engine, workspace.config, chosen, root=workspace.root, now=workspace.now, dry_run=dry_run,
            progress=progress or silent,
        )  # fmt: skip

    @needs("run")
    def undo(self, run_id: str) -> Undone:
        """Put events back as they were before the replay `run_id`, unless something else has changed them since.

        `follow` does the rest. Raises UsageError, WorkspaceBusy, and EngineError when the lake does not keep the
        snapshot before it any more.
        """
        from cdp_core.runs.replay_undo import undo_replay

        return undo_replay(self._workspace.engine, self._workspace.config, run_id, root=self._workspace.root)

    @needs("run", plain=True)
    def follow(self, *, sync: bool = False, allow_jump: bool = False, progress: Progress | None = None) -> Run:
        """Identity, profiles and audiences after a replay, and with `sync` the syncs. Raises as `ws.run` does."""
        select = [*AFTER, *(["sync"] if sync else [])]
        return self._workspace.run(select=select, allow_jump=allow_jump, progress=progress)
