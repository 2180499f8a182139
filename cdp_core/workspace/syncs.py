"""One sync of an open workspace, as an object to ask: its plan, its runs, its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, UsageError
from cdp_core.workspace import listings
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.alerts.judge import Seen
    from cdp_core.destinations.gate import Gate
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.destinations.sync import SyncResult
    from cdp_core.runs.record import Run
    from cdp_core.workspace.facade import Workspace

Progress = Callable[[float | None, str], None]
SETTLES = 24.0
"""Hours that a service is given to carry out an erasure, where it does not say."""


class Sync:
    """One sync. Raises UsageError for a name that cdp.yaml does not define.

    Example: `plan = ws.sync("high_value_csv").plan(); ws.sync("high_value_csv").run(plan_id=plan.plan_id)`
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name not in workspace.config.syncs:
            raise UsageError.unknown("sync", name, workspace.config.syncs)
        self.name = name
        self._workspace = workspace

    @needs("read")
    def plan(self) -> SyncPlan:
        """The diff against what was delivered before; nothing is sent."""
        from cdp_core.destinations import history
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
            gate=self._gate(),
            last_mapping=history.last_mapping(engine, self.name),
        )

    @needs("read")
    def sample(self, limit: int = 3) -> list[dict[str, Any]]:
        """A few rows of the model as they would be sent, {field: value}; nothing is compared or sent."""
        import json

        from cdp_core.destinations.mapping import mapped

        workspace = self._workspace
        rows = self._completed(self._model().limit(limit))
        sent = mapped(workspace.engine, self.name, workspace.config.syncs[self.name], rows)
        return [json.loads(payload) for payload in workspace.polars(sent.select("payload"))["payload"].to_list()]

    @needs("activate")
    def run(
        self,
        plan_id: str | None = None,
        *,
        confirm: bool = False,
        limit: int | None = None,
        run_id: str = "",
        progress: Progress | None = None,
        seen: list[Seen] | None = None,
    ) -> SyncResult:
        """Send the diff, or with `limit` its first rows, to see what arrives.

        With `plan_id` it is sent only if the plan is still the one that was seen; otherwise UsageError.
        `confirm` lifts the brake on an emptied model (QualityStop). Raises DestinationError. What is worth telling is
        told by the alerts of cdp.yaml, or added to `seen` for whoever tells it with the run that this is part of.
        """
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
            plan = plan if limit is None else self._first(plan, limit)
            watch.result = self._send(plan, confirm=confirm, run_id=run_id, progress=progress)
        return watch.told()

    @needs("activate")
    def retry(
        self, keys: Sequence[str] | None = None, *, confirm: bool = False, progress: Progress | None = None
    ) -> SyncResult:
        """Send now what was refused or left pending before, and nothing else; all of it, or the rows with these keys.

        Every run does that too. What is written whole, as a file is, is written whole here too. Raises UsageError for
        a key that is not open, and as `run`.
        """
        from cdp_core.destinations import deadletters

        engine, plan = self._workspace.engine, self.plan()
        chosen = deadletters.chosen(engine, self.name, keys, deadletters.OPEN)
        if not self._whole:
            plan = deadletters.narrowed(engine, plan, chosen)
        return self._send(plan, confirm=confirm, progress=progress)

    @needs("read")
    def failed(self, limit: int | None = None) -> pl.DataFrame:
        """Rows that were refused, left pending or dismissed: key, profile_id, status, operation, attempts, error,
        sent_at (UTC), payload (JSON text). Newest first.
        """
        from cdp_core.destinations import deadletters

        return deadletters.listed(self._workspace.engine, self.name, limit)

    @needs("activate", plain=True)
    def dismiss(self, keys: Sequence[str] | None = None) -> int:
        """Leave refused rows alone until their content changes; all of them, or those with these keys. How many.

        Raises UsageError for a key that was not refused. `restore` takes it back.
        """
        from cdp_core.destinations import deadletters

        return deadletters.dismiss(self._workspace.engine, self.name, keys)

    @needs("activate", plain=True)
    def restore(self, keys: Sequence[str] | None = None) -> int:
        """Take a dismissal back: the next run tries the rows again. How many."""
        from cdp_core.destinations import deadletters

        return deadletters.restore(self._workspace.engine, self.name, keys)

    @needs("privacy", plain=True)
    def erase(self, sent: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Erase people at the destination, by rows that the ledger had of them: key, payload and before (JSON text).

        Gives `failed` and `later` (key → reason) and `settles`, hours until what was accepted is carried out; or only
        `unsupported`. The ledger is left as it is. Raises DestinationError and WorkspaceBusy.
        """
        import polars as pl

        from cdp_core.destinations.erase import UNSUPPORTED, can_erase, delivered, erase
        from cdp_core.destinations.sync import alone

        workspace, destination = self._workspace, self._destination()
        if not can_erase(destination):
            return {UNSUPPORTED: True}
        kinds = dict.fromkeys(("key", "payload", "before"), pl.String)
        rows = pl.DataFrame([{name: row[name] for name in kinds} for row in sent], schema=kinds)
        delivery = self._delivery(destination)
        with alone(workspace.engine, self.name):
            batch = delivered(
                workspace.engine, self.name, delivery, rows["key"].to_list(), destination,
                held=workspace.engine.frame(rows),
            )  # fmt: skip
            limits = workspace.config.destinations[workspace.config.syncs[self.name].destination].limits
            found = erase(destination, delivery, batch, limits=limits)
        assert found != UNSUPPORTED
        settles = float(getattr(destination, "erase_settles", SETTLES))
        return {"failed": dict(found.failed), "later": dict(found.later), "settles": settles}

    def _delivery(self, destination: Any) -> Any:
        """What the destination is told, as in a plan."""
        from cdp_core.destinations.mapping import field_types, mapped
        from cdp_core.destinations.open import delivery_for

        workspace = self._workspace
        spec = workspace.config.syncs[self.name]
        rows = mapped(workspace.engine, self.name, spec, self._completed(self._model()))
        return delivery_for(self.name, spec, destination, field_types(spec, rows))

    @needs("read", plain=True)
    def history(self, limit: int | None = 50) -> pl.DataFrame:
        """Runs, newest first: the columns of `sync_runs` without the mapping."""
        from cdp_core.destinations.history import runs_of

        return self._workspace.polars(runs_of(self._workspace.engine, self.name).limit(limit))

    @needs("read")
    def people(self) -> ir.Table | None:
        """profile_id of everybody whom the model has rows of, once each; None when its rows are no profiles'."""
        rows = self._model()
        if self._workspace.config.syncs[self.name].of_events:
            from cdp_core.destinations.model import with_profiles

            rows = with_profiles(self._workspace.engine, rows)
        if "profile_id" not in rows.columns:
            return None
        return rows.filter(rows.profile_id.notnull()).select("profile_id").distinct()

    @needs("read", plain=True)
    def running(self) -> bool:
        """Whether a run of it is under way, in this process or another."""
        from cdp_core.destinations.running import is_running

        return is_running(self._workspace.engine, self.name)

    def _send(self, plan: SyncPlan, *, confirm: bool, run_id: str = "", progress: Progress | None = None) -> SyncResult:
        from cdp_core.destinations.sync import run_sync

        workspace = self._workspace
        spec = workspace.config.syncs[self.name]
        return run_sync(
            workspace.engine,
            self.name,
            spec,
            self._destination(),
            plan,
            run_id=run_id,
            now=workspace.now,
            confirm=confirm,
            progress=progress,
            limits=workspace.config.destinations[spec.destination].limits,
        )

    def _first(self, plan: SyncPlan, limit: int) -> SyncPlan:
        from cdp_core.destinations import deadletters

        if self._whole:
            raise UsageError(
                "what is written whole cannot be sent in part", where=f"sync {self.name}", hint="leave the limit out"
            )
        return deadletters.first(self._workspace.engine, plan, limit)

    @property
    def _whole(self) -> bool:
        return bool(getattr(self._destination(), "whole", False))

    def _gate(self) -> Gate:
        from cdp_core.destinations.gate import Gate
        from cdp_core.runs.consenting import current
        from cdp_core.runs.suppressing import suppressed

        workspace = self._workspace
        needed = workspace.config.destinations[workspace.config.syncs[self.name].destination].consent
        return Gate(
            categories=needed,
            consents=current(workspace.engine, workspace.root, list(workspace.config.sources)) if needed else None,
            suppressed=suppressed(workspace.engine, workspace.root),
        )

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


def run_syncs(workspace: Workspace, run: Run, names: list[str], *, seen: list[Seen], progress: Any) -> None:
    """The syncs of a run. Every one is tried; the first error is raised when all have had their turn."""
    errors: list[CDPError] = []
    stage = run.stages[-1]
    for place, name in enumerate(names):
        progress("sync", place / max(len(names), 1), name)
        try:
            result = Sync(workspace, name).run(run_id=run.run_id, seen=seen)
        except CDPError as error:
            errors.append(error)
            continue
        finally:
            workspace.engine.clear_scratch()
        stage.rows_in += result.delivered + result.failed + result.removed + result.unchanged
        stage.rows_out += result.delivered + result.removed
    progress("sync", 1.0, f"{stage.rows_out:,} rows sent")
    if errors:
        raise errors[0]
