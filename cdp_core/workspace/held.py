"""Rows that are held, as something to work on: correct them, try them again, or let them go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.runs.replay import Replay
    from cdp_core.workspace.facade import Workspace


_PATIENCE_SECONDS = 10.0


class Held:
    """The quarantine of a workspace.

    Example: `ws.held.fix("site", "m-7", {"type": "page", "userId": "u1"}); ws.held.replay(source="site").passed`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("run")
    def replay(
        self, *, source: str | None = None, rule: str | None = None, ids: Sequence[str] = (), dry_run: bool = False
    ) -> Replay:
        """Try held rows again, by the mapping, tracking plan and suites of today. What passes becomes events; the next
        run does the rest. A second time changes nothing. Raises UsageError, WorkspaceBusy, SpecError and QualityStop.
        """
        from cdp_core.runs.replay import Selection, replay_held

        workspace = self._workspace
        chosen = Selection(source=source, rule=rule, ids=tuple(ids))
        return replay_held(
            workspace.engine, workspace.config, chosen, root=workspace.root, now=workspace.now, dry_run=dry_run
        )

    @needs("run")
    def fix(self, source: str, message_id: str, content: str | Mapping[str, Any]) -> None:
        """Correct a held row: a JSON object with all of it (an event, or the columns of the row). Its original stays
        beside it. Controls on personal data are carried out on it. Raises UsageError when no such row is held or the
        content is no JSON object.
        """
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        try:
            sound = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            raise UsageError("the content is no JSON object", hint='write the whole row, such as {"type": "page", …}')
        config = self._workspace.config
        if source in config.sources:
            from cdp_core.config.doors import door_of
            from cdp_core.sources.guard import guarded_content

            text = guarded_content(text, config.sources[source], door_of(self._workspace.root, config, source))
        self._change(source, [message_id], fixed=text)

    @needs("run")
    def discard(self, source: str, ids: Sequence[str]) -> int:
        """Let held rows go: they stay in the table with status discarded and are not tried again. Gives how many."""
        return self._change(source, ids, status="discarded")

    @needs("run")
    def restore(self, source: str, ids: Sequence[str]) -> int:
        """Take back what `discard` did."""
        return self._change(source, ids, was="discarded", status="held")

    def _change(self, source: str, ids: Sequence[str], *, was: str = "held", **values: str) -> int:
        """Not while a run or a replay goes on, which would write over it. Raises WorkspaceBusy and UsageError."""
        import polars as pl

        from cdp_core.runs.lock import run_lock

        workspace = self._workspace
        engine = workspace.engine
        table = engine.table("quarantine")
        with run_lock(workspace.root / workspace.config.engine.lake, wait=_PATIENCE_SECONDS):
            named = table.filter(table.source == source, table.status == was, table.message_id.isin(list(ids)))
            rows: pl.DataFrame = engine.polars(named)
            missing = sorted(set(ids) - set(rows["message_id"]))
            if missing or not ids:
                hint = "'cdp quality quarantine' lists what is held"
                raise UsageError(f"no row {missing[0] if missing else ''!r} of source {source!r} is {was}", hint=hint)
            changed = rows.with_columns(pl.lit(value).alias(name) for name, value in values.items())
            with engine.transaction():
                engine.upsert("quarantine", engine.frame(changed), ("source", "message_id"))
            engine.clear_scratch()
        return rows.height
