"""One audience and one sync of an open workspace, as objects to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace import listings

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.alerts.judge import Seen
    from cdp_core.audiences.preview import Preview
    from cdp_core.audiences.spec import AudienceSpec
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.sync import SyncResult
    from cdp_core.workspace.facade import Workspace


class Audience:
    """One audience. Raises UsageError for a name that cdp.yaml does not define.

    Example: `ws.audience("high_value").preview().count`
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name not in workspace.config.audiences:
            raise UsageError.unknown("audience", name, workspace.config.audiences)
        self.name = name
        self._workspace = workspace

    @property
    def spec(self) -> AudienceSpec:
        return self._workspace.config.audiences[self.name]

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as it stands in cdp.yaml."""
        written: dict[str, Any] = self._workspace.config.written("audiences", self.name)
        return written

    def preview(self, *, sample: int = 20) -> Preview:
        """Count, sample and funnel on today's published profiles, whether or not the audience has been run."""
        return listings.preview_condition(self._workspace, self.spec.where, sample=sample)

    def members(self, limit: int | None = None) -> pl.DataFrame:
        """Members as of the last run: the columns of `profiles` and entered_at (UTC), by profile_id."""
        workspace = self._workspace
        members = workspace.table("audience_members")
        members = members.filter(members.audience == self.name).select("profile_id", "entered_at")
        rows = workspace.table("profiles").inner_join(members, "profile_id").order_by("profile_id")
        return workspace.polars(rows.limit(limit) if limit is not None else rows)

    def history(self) -> pl.DataFrame:
        """How many entered and exited at each run: the columns at (UTC), entered, exited."""
        workspace = self._workspace
        changes = workspace.table("audience_changes")
        changes = changes.filter(changes.audience == self.name)
        counted = changes.group_by("at").agg(
            entered=(changes.change == "entered").sum(), exited=(changes.change == "exited").sum()
        )
        return workspace.polars(counted.order_by("at"))


class Sync:
    """One sync. Raises UsageError for a name that cdp.yaml does not define.

    Example: `plan = ws.sync("high_value_csv").plan(); ws.sync("high_value_csv").run(plan_id=plan.plan_id)`
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name not in workspace.config.syncs:
            raise UsageError.unknown("sync", name, workspace.config.syncs)
        self.name = name
        self._workspace = workspace

    def plan(self) -> SyncPlan:
        """The diff against what was delivered before; nothing is sent."""
        from cdp_core.destinations.plan import plan_sync

        workspace, engine = self._workspace, self._workspace.engine
        return plan_sync(
            engine,
            self.name,
            workspace.config.syncs[self.name],
            model=self._model(),
            ledger=engine.table("sync_ledger"),
            destination=self._destination(),
            completed=self._completed,
        )

    def run(
        self,
        plan_id: str | None = None,
        *,
        confirm: bool = False,
        run_id: str = "",
        progress: Callable[[float | None, str], None] | None = None,
        seen: list[Seen] | None = None,
    ) -> SyncResult:
        """Send the diff.

        With `plan_id` it is sent only if the plan is still the one that was seen; otherwise UsageError.
        `confirm` lifts the brake on an emptied model (QualityStop). Raises DestinationError. What is worth telling is
        told by the alerts of cdp.yaml, or added to `seen` for whoever tells it with the run that this is part of.
        """
        from cdp_core.destinations.sync import run_sync
        from cdp_core.runs.alerting import watched

        workspace = self._workspace
        with watched(workspace.config, workspace.root / workspace.config.engine.lake, self.name, seen) as watch:
            plan = watch.plan = self.plan()
            if plan_id is not None and plan.plan_id != plan_id:
                raise UsageError(
                    f"the plan has changed since {plan_id}",
                    where=f"sync {self.name}",
                    hint="look at the new plan first",
                )
            watch.result = run_sync(
                workspace.engine,
                self.name,
                workspace.config.syncs[self.name],
                self._destination(),
                plan,
                run_id=run_id,
                now=workspace.now,
                confirm=confirm,
                progress=progress,
            )
        return watch.told()

    def _model(self) -> Any:
        from cdp_core.destinations.model import model_table

        engine = self._workspace.engine
        listings.require_run(engine)
        return model_table(engine, self._workspace.config.syncs[self.name].model)

    def _completed(self, rows: ir.Table) -> ir.Table:
        """Events get their profile, and the changes that their destination asks for."""
        config = self._workspace.config
        sync = config.syncs[self.name]
        if not sync.of_events:
            return rows
        from cdp_core.destinations.model import with_profiles
        from cdp_core.quality.plan.correct import edits

        engine, steps = self._workspace.engine, config.destinations[sync.destination].transform
        rows = with_profiles(engine, rows)
        return engine.edited(rows, edits(steps)) if steps else rows

    def _destination(self) -> Any:
        from cdp_core.destinations.open import open_destination

        config = self._workspace.config
        name = config.syncs[self.name].destination
        return open_destination(name, config.destinations[name], root=self._workspace.root)
