"""Load sources into the staging file: rows, the events they become, and every row that could not become one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core import plugins
from cdp_core.engine import json_lines
from cdp_core.errors import ContractError
from cdp_core.privacy.door import Door
from cdp_core.privacy.spec import PrivacySpec
from cdp_core.sources.base import LINE, STATE_SCHEMA, SourceBatch, SourceContext, check_source
from cdp_core.sources.guard import guarded_events, guarded_payloads, guarded_rows
from cdp_core.sources.mapping import EVENT_COLUMNS, map_rows
from cdp_core.sources.names import respell
from cdp_core.sources.spec import SourceSpec
from cdp_core.sources.staged import Tables
from cdp_core.sources.values import inferred, json_object, kind_of, member, plain, wider

if TYPE_CHECKING:
    from cdp_core.engine import Staging

HELD_ID = "_held_id"
"""A column of rows that keep the id they have, whatever their content gives."""
Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, kw_only=True)
class StagedSource:
    """What one source brought.

    `rows_read` = its rows in the staging tables `events` and `rejects` together. `parts` are rows of SOURCE_STATE and
    `columns` rows of SOURCE_COLUMNS (new or widened ones), both without run_id.
    """

    source: str
    rows_read: int
    parts: pl.DataFrame
    columns: pl.DataFrame
    seconds: float


def stage_sources(
    specs: Mapping[str, SourceSpec],
    staging: Staging,
    *,
    state: pl.DataFrame,
    columns: pl.DataFrame,
    root: Path,
    now: datetime,
    full: bool = False,
    progress: Progress | None = None,
    doors: Mapping[str, Door] | None = None,
) -> list[StagedSource]:
    """Fill the staging tables `events` (tables.EVENTS without run_id), `rejects` (source, message_id, received_at,
    payload, rule, field, description) and `rows_<source>` (message_id and the source's own columns).

    `state` and `columns` are the rows of SOURCE_STATE and SOURCE_COLUMNS; with `full` everything is read again. A
    source without news creates nothing. `now` (UTC) is when parts are recorded as loaded. `doors` are the sources'
    controls on personal data.
    Raises SpecError (mapping or options), SourceError (cannot be read), ContractError (a row was lost).
    """
    return [
        _stage(
            name, spec, staging, state=state, columns=columns, root=root, now=now, full=full, progress=progress,
            door=(doors or {}).get(name) or Door(PrivacySpec(), name),
        )
        for name, spec in specs.items()
    ]  # fmt: skip


def _stage(
    name: str, spec: SourceSpec, staging: Staging, *, state: pl.DataFrame, columns: pl.DataFrame, root: Path,
    now: datetime, full: bool, progress: Progress | None, door: Door,
) -> StagedSource:  # fmt: skip
    started = time.perf_counter()
    now = now.replace(tzinfo=None)
    context = SourceContext(name=name, root=root, staging=staging, mapping=_fingerprint(spec), door=door)
    options = check_source(name, spec)
    source = plugins.load(plugins.SOURCES, spec.type)(options, context)
    own = state.filter(pl.col("source") == name).select(list(STATE_SCHEMA))
    known = columns.filter(pl.col("source") == name)
    loader = Loader(name, spec, staging, source.gives, now, known, fresh=full, door=door)
    for batch in source.read(own.clear() if full else own):
        loader.take(batch)
        if progress is not None:
            progress(name, batch.fraction)
    loader.check()
    seconds = time.perf_counter() - started
    return StagedSource(
        source=name, rows_read=loader.read, parts=loader.part_rows(own), columns=loader.new_columns(), seconds=seconds
    )


def _fingerprint(spec: SourceSpec) -> str:
    """The plan and corrections are left out: they say what becomes of events, not what is in the source."""
    definition = spec.model_dump_json(exclude_none=True, exclude={"plan", "transform"})
    return hashlib.sha256(definition.encode()).hexdigest()[:12]


class Loader:
    """One source on its way into the staging tables. It `gives` rows or events, or stored events, whose source's rows
    are not there any more.
    """

    def __init__(
        self,
        name: str,
        spec: SourceSpec,
        staging: Staging,
        gives: str,
        now: datetime,
        known: pl.DataFrame,
        *,
        fresh: bool,
        door: Door,
    ) -> None:
        self.name, self.spec, self.gives, self.now, self.door = name, spec, gives, now, door
        self.staging = staging
        self.tables = Tables(staging)
        self.first_seen = dict(zip(known["column"], known["first_seen"], strict=True))
        self.before: dict[str, str] = {} if fresh else dict(zip(known["column"], known["type"], strict=True))
        self.kinds = dict(self.before)
        self.parts: dict[str, dict[str, Any]] = {}
        self.read = self.events = self.rejects = 0

    def take(self, batch: SourceBatch) -> None:
        part = self.parts.setdefault(batch.part, {"rows": 0, "cursor": None})
        part["fingerprint"] = batch.fingerprint
        part["cursor"] = batch.cursor or part["cursor"]
        part["rows"] += batch.read
        self.read += batch.read
        at = batch.modified or self.now
        if batch.rejects.height:
            known = pl.col("message_id") if "message_id" in batch.rejects.columns else pl.lit(None, pl.String)
            columns = [*self.kinds, *batch.rows.columns]
            payload = guarded_payloads(batch.rejects["payload"], self.spec, self.door, self.staging, columns)
            rejects = batch.rejects.with_columns(payload.alias("payload"), message_id=known)
            self._reject(rejects.with_columns(received_at=pl.lit(at, pl.Datetime("us"))))
        if batch.rows.height:
            (self._rows if self.gives == "rows" else self._ready)(batch, at)

    def _rows(self, batch: SourceBatch, at: datetime) -> None:
        mapping = self.spec.map
        assert mapping is not None
        given = respell(batch.rows, [*self.kinds, *mapping.used(), HELD_ID])
        rows, changed = guarded_rows(plain(given), mapping, self.door, self.staging)
        self._learn(given, rows, batch, changed)
        mapped = map_rows(rows, self.kinds, mapping, source=self.name, at=at, staging=self.staging)
        if HELD_ID in rows.columns:
            mapped = mapped.with_columns(rows[HELD_ID].alias("message_id"))
        rows = rows.drop(LINE, HELD_ID, strict=False)
        bad = mapped["_rule"].is_not_null()
        if bad.any():
            members = [member(c, pl.col(c), "string", rows.schema[c]) for c in rows.columns]
            wrong = mapped.filter(bad).select(
                "message_id", "received_at", rule="_rule", field="_field", description="_said",
                payload=rows.filter(bad).select(json_object(members).fill_null("{}").alias("p"))["p"],
            ).with_columns(pl.col("received_at").fill_null(at))  # fmt: skip
            self._reject(wrong)
            mapped, rows = mapped.filter(~bad), rows.filter(~bad)
        self._publish(mapped.select(EVENT_COLUMNS), rows)

    def _ready(self, batch: SourceBatch, at: datetime) -> None:
        rows = batch.rows.drop(LINE, strict=False)
        if not batch.guarded:
            rows = guarded_events(rows, self.door, self.staging)
        blank = pl.lit(None, pl.String)
        missing = [blank.alias(c) for c in ("record_id", "row_key", "extra") if c not in rows.columns]
        events = rows.with_columns(pl.lit(self.name).alias("source"), *missing).select(*EVENT_COLUMNS, "extra")
        self._publish(events, rows.drop("message_id") if self.gives == "events" else None)

    def _publish(self, events: pl.DataFrame, rows: pl.DataFrame | None) -> None:
        self.events += events.height
        if events.height:
            self.tables.append("events", events)
            if rows is not None:
                self.tables.append(f"rows_{self.name}", named_rows(events["message_id"], rows))

    def _reject(self, wrong: pl.DataFrame) -> None:
        """Rows without an id get one from their content: the same broken row again is the same row."""
        self.rejects += wrong.height
        spare = json_lines.md5(self.staging, wrong.select("payload"))["payload"]
        frame = wrong.with_columns(
            source=pl.lit(self.name), message_id=pl.coalesce("message_id", pl.concat_str(pl.lit("x"), pl.lit(spare)))
        )
        self.tables.append(
            "rejects", frame.select("source", "message_id", "received_at", "payload", "rule", "field", "description")
        )

    def _learn(self, given: pl.DataFrame, rows: pl.DataFrame, batch: SourceBatch, changed: Sequence[str]) -> None:
        found = {c: kind_of(kind) for c, kind in rows.schema.items() if c != LINE}
        told = {c: "json" for c, kind in given.schema.items() if kind_of(kind) == "json"} | dict(batch.kinds)
        found |= {c: kind for c, kind in told.items() if c not in changed}
        texts = [c for c, k in rows.schema.items() if k == pl.String and (c in changed or c not in batch.kinds)]
        found |= inferred(rows.select(texts if batch.untyped else [c for c in texts if c in changed]))
        found.pop(HELD_ID, None)
        for column, kind in found.items():
            self.kinds[column] = wider(self.kinds.get(column, "null"), kind)

    def check(self) -> None:
        if self.read != self.events + self.rejects:
            raise ContractError(
                f"source {self.name!r}: {self.read} rows read, but {self.events} events and {self.rejects} rejects",
                hint="nothing was published; report this as a bug",
            )

    def part_rows(self, before: pl.DataFrame) -> pl.DataFrame:
        """A part that was merely touched keeps the number of its rows."""
        old = {row["part"]: row for row in before.iter_rows(named=True)}
        rows = []
        for part, facts in self.parts.items():
            kept = old.get(part, {}).get("rows") if not facts["rows"] else facts["rows"]
            rows.append({"source": self.name, "part": part, **facts, "rows": kept or 0, "loaded_at": self.now})
        schema = pl.Schema([("source", pl.String()), *STATE_SCHEMA.items(), ("loaded_at", pl.Datetime("us"))])
        return pl.DataFrame(rows, schema=schema)

    def new_columns(self) -> pl.DataFrame:
        rows = [
            {"source": self.name, "column": c, "type": k, "first_seen": self.first_seen.get(c, self.now)}
            for c, k in self.kinds.items()
            if self.before.get(c) != k
        ]
        schema = pl.Schema(
            [*((c, pl.String()) for c in ("source", "column", "type")), ("first_seen", pl.Datetime("us"))]
        )
        return pl.DataFrame(rows, schema=schema)


def named_rows(ids: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    """The source's own columns behind the message id; a column of theirs with that name steps aside."""
    clash = {c: f"{c}_2" for c in rows.columns if c.lower() == "message_id"}
    return rows.rename(clash).insert_column(0, ids.alias("message_id"))
