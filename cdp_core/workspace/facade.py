"""The public facade. Every method is a short delegation to a stage."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config import Config, load_config
from cdp_core.errors import UsageError
from cdp_core.privacy.roles import Actor
from cdp_core.workspace import listings, masks
from cdp_core.workspace.actors import local_actor
from cdp_core.workspace.handles import Audience
from cdp_core.workspace.permits import demand, needs
from cdp_core.workspace.rooms import Rooms
from cdp_core.workspace.schedule import Schedule
from cdp_core.workspace.syncs import Sync, run_syncs

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import networkx as nx
    import polars as pl

    from cdp_core.alerts.judge import Seen
    from cdp_core.audiences.preview import Preview
    from cdp_core.engine import Engine
    from cdp_core.identity.evaluate import Evaluation
    from cdp_core.privacy.masker import Masker
    from cdp_core.profiles.view import Profile
    from cdp_core.runs.doctor import Finding
    from cdp_core.runs.record import Progress, Run


class Workspace(Rooms):
    """A folder with cdp.yaml, opened. The engine starts at first use.

    One object serves one thread; `reader()` gives another thread its own. `actor` is whoever works with it, and what
    their role does not permit raises Forbidden. `masked`: personal data are masked in all that it answers.

    Example: `ws = cdp.open("."); ws.run(); ws.profile("email:ann@example.org")`
    """

    def __init__(
        self,
        root: Path,
        config: Config,
        engine: Engine | None = None,
        *,
        actor: Actor | None = None,
        masked: bool = False,
    ) -> None:
        self.root = root
        self.config = config
        self.actor = actor or local_actor(config.access)
        self.masked = masked or self.actor.masked
        self._engine = engine

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def now(self) -> datetime:
        """The workspace's clock, UTC: `today` of cdp.yaml at midnight, or the real time."""
        if self.config.today is not None:
            return datetime.combine(self.config.today, time())
        return datetime.now(UTC).replace(tzinfo=None)

    @property
    @needs("query", action="engine", plain=True, quiet=True)
    def engine(self) -> Engine:
        if self._engine is None:
            from cdp_core.engine import open_engine

            self._engine = open_engine(self.root, self.config.engine)
            self._engine.ensure_tables()
        return self._engine

    def reader(self, actor: Actor | None = None, *, masked: bool | None = None) -> Workspace:
        """The same workspace for another thread, or for another actor: whoever asks for that vouches for them."""
        masked = self.masked if masked is None else masked
        return Workspace(self.root, self.config, self._reader(), actor=actor or self.actor, masked=masked)

    @needs("read", plain=True)
    def _reader(self) -> Engine:
        return self.engine.reader()

    @needs("reveal", action="reveal", plain=True)
    def revealed(self, reason: str) -> Workspace:
        """The same workspace, personal data not masked. That it was asked for, and why, is in the audit log.

        Example: `with ws.revealed("ticket 4711: she asks what we have") as open: open.profile("email:ann@example.org")`
        Raises UsageError when no reason is given, and Forbidden.
        """
        if not reason.strip():
            raise UsageError("a reason is missing", hint="say why, for whoever reads the audit log next year")
        return Workspace(self.root, self.config, self.engine.reader(), actor=self.actor)

    @property
    def masker(self) -> Masker:
        """Masks values by what cdp.yaml says of the fields, and by their names."""
        return masks.masker_of(self.config)

    def reload(self) -> None:
        """Read cdp.yaml again. Raises SpecError and keeps the old configuration when it is wrong."""
        self.config = load_config(self.root)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @needs("run", action="run", plain=True)
    def run(
        self,
        *,
        select: list[str] | None = None,
        full_refresh: bool = False,
        dry_run: bool = False,
        sync: bool = False,
        allow_jump: bool = False,
        allow_anomalies: bool = False,
        wait: float | None = 0,
        progress: Progress | None = None,
    ) -> Run:
        """Load → quality → identity → profiles → audiences, and with `sync` the syncs.

        `select` names stages, sources or syncs; `allow_jump` lets through what identity's brake would stop,
        `allow_anomalies` what the gate on anomalies would; `wait` is how many seconds to wait for another run (None:
        for ever).
        Raises WorkspaceBusy, UsageError and SpecError; a failed or stopped run is a Run whose status says so.
        """
        from cdp_core.runs.alerting import after_run
        from cdp_core.runs.pipeline import Options, run_pipeline
        from cdp_core.runs.record import silent

        if sync or "sync" in (select or ()) or set(select or ()) & set(self.config.syncs):
            demand(self, "activate", "run.sync")
        options = Options(
            select=tuple(select or ()),
            full_refresh=full_refresh,
            dry_run=dry_run,
            sync=sync,
            allow_jump=allow_jump,
            allow_anomalies=allow_anomalies,
            wait=wait,
        )
        seen: list[Seen] = []
        lake = self.root / self.config.engine.lake
        return run_pipeline(
            self.engine,
            self.config,
            options,
            root=self.root,
            now=self.now,
            sync=functools.partial(run_syncs, self, seen=seen, progress=progress or silent),
            alert=lambda run: after_run(self.engine, self.config, lake, run, seen),
            erase=self.privacy.requests.go_on_in_run,
            progress=progress or silent,
        )

    @needs("read")
    def table(self, name: str) -> ir.Table:
        """A canonical table as an Ibis expression; `.to_polars()` gives a frame. Raises UsageError."""
        from cdp_core.tables import CANONICAL

        if name not in CANONICAL:
            raise UsageError.unknown("table", name, CANONICAL)
        return self.engine.table(name)

    @needs("read", mask=masks.of_expression)
    def polars(self, rows: ir.Table) -> pl.DataFrame:
        """Compute an expression over this workspace's tables into a Polars frame.

        Where personal data are masked, a column is that is made of personal ones, whatever it is called.
        """
        return self.engine.polars(masks.bound(self.engine, rows) if self.masked else rows)

    @needs("query", action="sql")
    def sql(self, query: str) -> pl.DataFrame:
        """Answer one SELECT over the canonical tables, read-only. Raises SpecError for anything else."""
        return listings.answer(self.engine, query)

    @needs("read", plain=True)
    def snapshot(self) -> int:
        """Number of the newest published snapshot: equal numbers mean equal tables."""
        return self.engine.snapshot()

    @needs("read", plain=True)
    def status(self) -> dict[str, Any]:
        """Last run, row counts and whether a run is going on."""
        return listings.status(self.engine, self.config, self.root, self.now)

    @needs("read", plain=True)
    def runs(self, limit: int = 20) -> pl.DataFrame:
        """Newest runs first, with the columns of the table `runs`."""
        table = self.engine.table("runs")
        return self.polars(table.order_by(table.started_at.desc()).limit(limit))

    @needs("read")
    def search(self, text: str, limit: int = 50) -> pl.DataFrame:
        """Profiles found by any identifier or part of a name."""
        from cdp_core.profiles.view import find_profiles

        return find_profiles(self.engine, text, limit)

    @needs("read")
    def profile(self, identifier: str) -> Profile:
        """The single customer view of a profile_id or `type:value`. Raises UsageError when there is none."""
        from cdp_core.profiles.view import profile_card

        return profile_card(self.engine, self.resolve(identifier))

    @needs("read", plain=True)
    def resolve(self, identifier: str) -> str:
        """The profile_id that an identifier (`type:value` or a profile_id, old ones too) belongs to."""
        return listings.resolve(self.engine, self.config, identifier)

    @needs("read")
    def identity_graph(self, profile_id: str) -> nx.Graph:
        """Identifiers of a profile as nodes, evidence as edges, for drawing and for notebooks."""
        from cdp_core.identity.graph import profile_graph

        links, identifiers = listings.evidence(self.engine, profile_id)
        return profile_graph(links, identifiers)

    @needs("read", plain=True)
    def evaluate_identity(self, truth: Path | str) -> Evaluation:
        """Precision and recall of identity against a CSV with the columns source, record, person."""
        from cdp_core.identity.evaluate import evaluate

        frame = listings.read_truth(Path(truth))
        return evaluate(self.engine, self.engine.table("events"), self.engine.table("event_profiles"), frame)

    def audience(self, name: str) -> Audience:
        return Audience(self, name)

    @needs("read", plain=True)
    def audiences(self) -> pl.DataFrame:
        """Audiences with members, share of all profiles, and last changes."""
        return listings.audiences(self.engine, self.config)

    @needs("read")
    def preview_audience(self, condition: Mapping[str, Any], *, sample: int = 20) -> Preview:
        """Count, sample and funnel of a condition that need not be saved. Raises SpecError when it is wrong."""
        return listings.preview_condition(self, listings.checked_condition(self.config, condition), sample=sample)

    @needs("segment", action="audience.save", plain=True)
    def save_audience(self, name: str, definition: Mapping[str, Any]) -> None:
        """Write an audience into cdp.yaml, comments and order kept. Raises SpecError and writes nothing if wrong."""
        from cdp_core.config import set_definition

        set_definition(self.root, "audiences", name, dict(definition))
        self.reload()

    @needs("segment", action="audience.delete", plain=True)
    def delete_audience(self, name: str) -> None:
        """Take an audience out of cdp.yaml. Raises SpecError when another definition needs it."""
        from cdp_core.config import remove_definition

        Audience(self, name)
        remove_definition(self.root, "audiences", name)
        self.reload()

    def sync(self, name: str) -> Sync:
        return Sync(self, name)

    @needs("read")
    def sent(self, identifier: str) -> pl.DataFrame:
        """What was sent about a person, where and when, newest first: the columns of `sync_log` and destination.

        Profiles that have been merged into this one count too. Raises UsageError when there is none.
        """
        return listings.sent(self.engine, self.config, self.resolve(identifier))

    @needs("read", plain=True)
    def syncs(self) -> pl.DataFrame:
        """Syncs with their destination and ledger counts."""
        return listings.syncs(self.engine, self.config)

    def schedule(self) -> Schedule:
        """What runs by itself, and when."""
        return Schedule(self)

    @needs("read", plain=True)
    def sources(self) -> pl.DataFrame:
        """Sources with rows, freshness, held rows and received events that wait for a run."""
        return listings.sources(self.engine, self.config, self.root)

    @needs("read", plain=True)
    def traits(self) -> pl.DataFrame:
        """Traits with kind, type and how many profiles have a value."""
        return listings.traits(self.engine, self.config)

    @needs("read")
    def quarantine(self, limit: int = 100) -> pl.DataFrame:
        """Rows held back, newest first, with the columns of the table `quarantine`."""
        table = self.engine.table("quarantine")
        return self.polars(table.order_by([table.received_at.desc(), table.message_id]).limit(limit))

    @needs("query", action="quality.report", plain=True)
    def quality_report(self, path: Path | str) -> Path:
        """Write the last run's expectation results as one HTML page that needs no network."""
        return listings.quality_report(self.engine, Path(path))

    @needs("read", plain=True)
    def doctor(self) -> list[Finding]:
        """What is wrong with the workspace, and what to do about it."""
        from cdp_core.runs.doctor import diagnose

        return diagnose(self.root)
