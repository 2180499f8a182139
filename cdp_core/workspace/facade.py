"""The public facade. Every method is a short delegation to a stage."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.config import Config, load_config
from cdp_core.errors import CDPError, UsageError
from cdp_core.workspace import listings
from cdp_core.workspace.alerts import Alerts
from cdp_core.workspace.anomalies import Anomalies
from cdp_core.workspace.destination_forms import DestinationForms
from cdp_core.workspace.destinations import Destinations
from cdp_core.workspace.handles import Audience
from cdp_core.workspace.held import Held
from cdp_core.workspace.identity import Identity
from cdp_core.workspace.live import Live
from cdp_core.workspace.plans import Plans
from cdp_core.workspace.privacy import Privacy
from cdp_core.workspace.schedule import Schedule
from cdp_core.workspace.stored import Stored
from cdp_core.workspace.suites import Suites
from cdp_core.workspace.sync_forms import SyncForms
from cdp_core.workspace.syncs import Sync

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import networkx as nx
    import polars as pl

    from cdp_core.alerts.judge import Seen
    from cdp_core.audiences.preview import Preview
    from cdp_core.engine import Engine
    from cdp_core.identity.evaluate import Evaluation
    from cdp_core.profiles.view import Profile
    from cdp_core.runs.doctor import Finding
    from cdp_core.runs.record import Progress, Run


class Workspace:
    """A folder with cdp.yaml, opened. The engine starts at first use.

    One object serves one thread; `reader()` gives another thread its own.

    Example: `ws = cdp.open("."); ws.run(); ws.profile("email:ann@example.org")`
    """

    def __init__(self, root: Path, config: Config, engine: Engine | None = None) -> None:
        self.root = root
        self.config = config
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
    def engine(self) -> Engine:
        if self._engine is None:
            from cdp_core.engine import open_engine

            self._engine = open_engine(self.root, self.config.engine)
            self._engine.ensure_tables()
        return self._engine

    def reader(self) -> Workspace:
        """The same workspace for another thread."""
        return Workspace(self.root, self.config, self.engine.reader())

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
            sync=functools.partial(self._run_syncs, seen=seen, progress=progress or silent),
            alert=lambda run: after_run(self.engine, self.config, lake, run, seen),
            progress=progress or silent,
        )

    def _run_syncs(self, run: Run, names: list[str], *, seen: list[Seen], progress: Progress) -> None:
        """Every sync is tried; the first error is raised when all have had their turn."""
        errors: list[CDPError] = []
        stage = run.stages[-1]
        for place, name in enumerate(names):
            progress("sync", place / max(len(names), 1), name)
            try:
                result = Sync(self, name).run(run_id=run.run_id, seen=seen)
            except CDPError as error:
                errors.append(error)
                continue
            finally:
                self.engine.clear_scratch()
            stage.rows_in += result.delivered + result.failed + result.removed + result.unchanged
            stage.rows_out += result.delivered + result.removed
        progress("sync", 1.0, f"{stage.rows_out:,} rows sent")
        if errors:
            raise errors[0]

    def table(self, name: str) -> ir.Table:
        """A canonical table as an Ibis expression; `.to_polars()` gives a frame. Raises UsageError."""
        from cdp_core.tables import CANONICAL

        if name not in CANONICAL:
            raise UsageError.unknown("table", name, CANONICAL)
        return self.engine.table(name)

    def polars(self, rows: ir.Table) -> pl.DataFrame:
        """Compute an expression over this workspace's tables into a Polars frame."""
        return self.engine.polars(rows)

    def sql(self, query: str) -> pl.DataFrame:
        """Answer one SELECT over the canonical tables, read-only. Raises SpecError for anything else."""
        return listings.answer(self.engine, query)

    def snapshot(self) -> int:
        """Number of the newest published snapshot: equal numbers mean equal tables."""
        return self.engine.snapshot()

    def status(self) -> dict[str, Any]:
        """Last run, row counts and whether a run is going on."""
        return listings.status(self.engine, self.config, self.root, self.now)

    def runs(self, limit: int = 20) -> pl.DataFrame:
        """Newest runs first, with the columns of the table `runs`."""
        table = self.engine.table("runs")
        return self.polars(table.order_by(table.started_at.desc()).limit(limit))

    def search(self, text: str, limit: int = 50) -> pl.DataFrame:
        """Profiles found by any identifier or part of a name."""
        from cdp_core.profiles.view import find_profiles

        return find_profiles(self.engine, text, limit)

    def profile(self, identifier: str) -> Profile:
        """The single customer view of a profile_id or `type:value`. Raises UsageError when there is none."""
        from cdp_core.profiles.view import profile_card

        return profile_card(self.engine, self.resolve(identifier))

    def resolve(self, identifier: str) -> str:
        """The profile_id that an identifier (`type:value` or a profile_id, old ones too) belongs to."""
        return listings.resolve(self.engine, self.config, identifier)

    def identity_graph(self, profile_id: str) -> nx.Graph:
        """Identifiers of a profile as nodes, evidence as edges, for drawing and for notebooks."""
        from cdp_core.identity.graph import profile_graph

        links, identifiers = listings.evidence(self.engine, profile_id)
        return profile_graph(links, identifiers)

    @property
    def identity(self) -> Identity:
        """Explain, decide, preview and compare who is who."""
        return Identity(self)

    @property
    def live(self) -> Live:
        """Events that clients send: write keys, the collector, what came lately."""
        return Live(self)

    def evaluate_identity(self, truth: Path | str) -> Evaluation:
        """Precision and recall of identity against a CSV with the columns source, record, person."""
        from cdp_core.identity.evaluate import evaluate

        frame = listings.read_truth(Path(truth))
        return evaluate(self.engine, self.engine.table("events"), self.engine.table("event_profiles"), frame)

    def audience(self, name: str) -> Audience:
        return Audience(self, name)

    def audiences(self) -> pl.DataFrame:
        """Audiences with members, share of all profiles, and last changes."""
        return listings.audiences(self.engine, self.config)

    def preview_audience(self, condition: Mapping[str, Any], *, sample: int = 20) -> Preview:
        """Count, sample and funnel of a condition that need not be saved. Raises SpecError when it is wrong."""
        return listings.preview_condition(self, listings.checked_condition(self.config, condition), sample=sample)

    def save_audience(self, name: str, definition: Mapping[str, Any]) -> None:
        """Write an audience into cdp.yaml, comments and order kept. Raises SpecError and writes nothing if wrong."""
        from cdp_core.config import set_definition

        set_definition(self.root, "audiences", name, dict(definition))
        self.reload()

    def delete_audience(self, name: str) -> None:
        """Take an audience out of cdp.yaml. Raises SpecError when another definition needs it."""
        from cdp_core.config import remove_definition

        Audience(self, name)
        remove_definition(self.root, "audiences", name)
        self.reload()

    @property
    def destination_forms(self) -> DestinationForms:
        """Destinations as drafts: what a type asks for, try, save, take back."""
        return DestinationForms(self)

    @property
    def sync_forms(self) -> SyncForms:
        """Syncs as drafts: what can be mapped, what would be sent, save, take back."""
        return SyncForms(self)

    def sync(self, name: str) -> Sync:
        return Sync(self, name)

    def sent(self, identifier: str) -> pl.DataFrame:
        """What was sent about a person, where and when, newest first: the columns of `sync_log` and destination.

        Profiles that have been merged into this one count too. Raises UsageError when there is none.
        """
        return listings.sent(self.engine, self.config, self.resolve(identifier))

    def syncs(self) -> pl.DataFrame:
        """Syncs with their destination and ledger counts."""
        return listings.syncs(self.engine, self.config)

    @property
    def alerts(self) -> Alerts:
        """What is told to whom: list it, send a test."""
        return Alerts(self)

    @property
    def destinations(self) -> Destinations:
        """Destination types, those of destinations.py too: list, try and begin them."""
        return Destinations(self)

    @property
    def privacy(self) -> Privacy:
        """Requests about people: who is meant, and what may be sent of them."""
        return Privacy(self)

    def schedule(self) -> Schedule:
        """What runs by itself, and when."""
        return Schedule(self)

    def sources(self) -> pl.DataFrame:
        """Sources with rows, freshness, held rows and received events that wait for a run."""
        return listings.sources(self.engine, self.config, self.root)

    def traits(self) -> pl.DataFrame:
        """Traits with kind, type and how many profiles have a value."""
        return listings.traits(self.engine, self.config)

    @property
    def suites(self) -> Suites:
        """Suites: read, change and try them; `ws.suites()` gives every expectation with its last result."""
        return Suites(self)

    @property
    def plans(self) -> Plans:
        """Tracking plans: read, try, begin and carry them over."""
        return Plans(self)

    def quarantine(self, limit: int = 100) -> pl.DataFrame:
        """Rows held back, newest first, with the columns of the table `quarantine`."""
        table = self.engine.table("quarantine")
        return self.polars(table.order_by([table.received_at.desc(), table.message_id]).limit(limit))

    @property
    def held(self) -> Held:
        """Rows that are held, to be corrected, tried again or let go."""
        return Held(self)

    @property
    def stored(self) -> Stored:
        """Stored events, to be sent through the rules of today once more."""
        return Stored(self)

    @property
    def anomalies(self) -> Anomalies:
        """Days that are unlike a source's own history."""
        return Anomalies(self)

    def quality_report(self, path: Path | str) -> Path:
        """Write the last run's expectation results as one HTML page that needs no network."""
        return listings.quality_report(self.engine, Path(path))

    def doctor(self) -> list[Finding]:
        """What is wrong with the workspace, and what to do about it."""
        from cdp_core.runs.doctor import diagnose

        return diagnose(self.root)


def open_workspace(folder: Path | str = ".") -> Workspace:
    """Open a workspace. Raises SpecError when cdp.yaml is missing or wrong.

    Example: `with cdp.open("shop") as ws: ws.run()`
    """
    root = Path(folder).resolve()
    return Workspace(root, load_config(root))


def init(folder: Path | str) -> Path:
    """Scaffold a small workspace that runs at once. Raises UsageError when the folder is not empty."""
    from cdp_core.runs.scaffold import scaffold

    return scaffold(Path(folder))


def demo(out: Path | str, *, people: int | None = None, seed: int = 7, progress: Any = None) -> Any:
    """Write the demo world as a ready workspace, not yet run. Raises UsageError when the folder is in use."""
    from cdp_core.demo_world import write_world
    from cdp_core.runs.scaffold import add_face

    summary = write_world(Path(out), people=people, seed=seed, progress=progress)
    add_face(Path(out))
    return summary


def doctor(folder: Path | str = ".") -> list[Finding]:
    """What is wrong with a workspace, also with one that cannot be opened; never raises."""
    from cdp_core.runs.doctor import diagnose

    return diagnose(Path(folder))


def schema(folder: Path | str | None = None) -> dict[str, Any]:
    """JSON Schema of cdp.yaml, for editors; with the destination types of the workspace's own, when it is named."""
    from cdp_core.config import schema as config_schema

    return config_schema(Path(folder) if folder is not None else None)


def waterfall(evidence: str) -> pl.DataFrame:
    """The evidence of a match, from `ws.identity.review()`, as bars: step, weight, start and end (bits)."""
    from cdp_core.identity.matching.waterfall import waterfall as bars

    return bars(evidence)
