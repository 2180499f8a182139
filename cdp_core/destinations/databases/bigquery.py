"""BigQuery as a destination, over its REST API.

Rule: BigQuery API v2 (tables, jobs.insert with an upload, jobs.get, jobs.getQueryResults) and GoogleSQL's MERGE.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Unavailable
from cdp_core.destinations.databases import bigquery_table as tables
from cdp_core.destinations.databases.bigquery_jobs import BigQuery, Job
from cdp_core.destinations.databases.merge import Merge
from cdp_core.destinations.databases.warehouse import Warehouse, delivery_ids, mark
from cdp_core.destinations.google_login import GoogleLogin, logged_in
from cdp_core.destinations.http import Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

SCOPE = "https://www.googleapis.com/auth/bigquery"
STAGE_LASTS = 24 * 3600
NAME_BYTES = 1024


class BigQueryOptions(GoogleLogin, HttpOptions):
    """Log in with `credentials`, `refresh_token` or `access_token`; all of them belong in the environment."""

    base_url: str = Field("https://bigquery.googleapis.com", description="The BigQuery API")
    project: str = Field(pattern=r"^[a-z0-9.:-]{1,100}$", description="Where jobs run and the dataset is")
    dataset: str = Field(pattern=r"^[A-Za-z0-9_]+$", max_length=1024, description="It must be there already")
    location: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]{1,60}$", description="Of the dataset; asked for if unset"
    )
    timeout: float = Field(300, gt=0, le=600, description="Seconds that one call may take in all")
    poll_seconds: float = Field(0.5, gt=0, le=60, description="First wait for a job; it grows to 15 s")
    job_timeout: float = Field(3600, gt=0, description="Seconds that a job is waited for")


class BigQuerySyncOptions(BaseModel):
    """`table` is made when it is missing; missing columns are added."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str

    @field_validator("table")
    @classmethod
    def _name(cls, name: str) -> str:
        if not name or len(name.encode()) > NAME_BYTES or not all(c.isalnum() or c in "_- " for c in name):
            raise ValueError(f"a name of 1 to {NAME_BYTES} bytes is wanted: letters, digits, _, - and spaces")
        return name


@dataclass
class Staged:
    """Rows on their way: a table of their own, the job that fills it, and the statements that follow."""

    table: str
    load: Job
    loaded: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


class BigQueryDestination(Warehouse):
    """A table. A batch is a load job into a table that expires by itself, and one MERGE.

    Times are TIMESTAMP, lists are ARRAY<STRING> (BigQuery keeps a null list as an empty one), decimals are NUMERIC or
    BIGNUMERIC.
    """

    Options: ClassVar[type[BaseModel]] = BigQueryOptions
    SyncOptions: ClassVar[type[BaseModel]] = BigQuerySyncOptions
    product = "BigQuery"
    batch_rows = 200_000
    batch_bytes = 32_000_000
    options: BigQueryOptions

    def __init__(self, options: BigQueryOptions, root: Path) -> None:
        super().__init__(options, root)
        self._client: BigQuery | None = None
        self._columns: dict[str, tables.Column] = {}
        self._created = ""
        self._open: dict[str, Staged] = {}

    def place(self, delivery: Delivery) -> str:
        """Project, dataset and table; another account sends nothing again."""
        return f"bigquery:{self._shown()}.{delivery.options.table}:{delivery.key}"

    def present(self, delivery: Delivery) -> bool:
        return bool(self._connected().told("GET", self._path(delivery.options.table), unless="notFound"))

    def finish(self, complete: bool) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.http.close()
        self._open.clear()

    def test(self) -> str:
        """A table is made and dropped again, and a query is planned without being run."""
        client = self._connected()
        name = f"cdp_probe_{uuid.uuid4().hex[:12]}"
        try:
            dataset = client.told("GET", f"/datasets/{self.options.dataset}")
            client.location = self.options.location or dataset.get("location")
            self._make_stage(name, {"n": "int64"})
            try:
                dry = {"dryRun": True, "query": self._query(f"DELETE FROM {self._sql(name)} WHERE c0 = 1")}
                client.told("POST", "/jobs", {"configuration": dry, "jobReference": self._at()})
            finally:
                client.told("DELETE", self._path(name), unless="notFound")
        finally:
            self.finish(True)
        return f"{self._shown()} answers: BigQuery, location {client.location or '?'}"

    def _ensure(self, delivery: Delivery) -> None:
        if not self._found(delivery):
            self._create(delivery)
        there = {name.lower() for name in self._columns}
        missing = {name: kind for name, kind in delivery.fields.items() if name.lower() not in there}
        if delivery.key in missing:
            raise DestinationError(
                f"the table {delivery.options.table} has no column {delivery.key!r}",
                where=f"sync {delivery.sync}",
                hint="rows are merged by the key: add the column, or name another table",
            )
        if missing:
            self._add_columns(delivery, missing)
        self._check_columns(delivery)

    def _found(self, delivery: Delivery) -> bool:
        told = self._connected().told("GET", self._path(delivery.options.table), unless="notFound")
        if told:
            self._remember(told)
        return bool(told)

    def _create(self, delivery: Delivery) -> None:
        fields = [
            tables.schema_field(name, kind, required=name == delivery.key) for name, kind in delivery.fields.items()
        ]
        body = {
            "tableReference": self._reference(delivery.options.table),
            "schema": {"fields": fields},
            "tableConstraints": {"primaryKey": {"columns": [delivery.key]}},
        }
        path = f"/datasets/{self.options.dataset}/tables"
        told = self._connected().told("POST", path, body, unless="duplicate")
        if told:
            self._remember(told)
        elif not self._found(delivery):
            raise Unavailable("the table cannot be seen yet", where=self._shown())

    def _add_columns(self, delivery: Delivery, missing: Mapping[str, str]) -> None:
        """On the condition that the table is as it was looked at: who adds columns at the same time loses none."""
        fields = [*self._raw, *(tables.schema_field(name, kind) for name, kind in missing.items())]
        headers = {"If-Match": self._etag} if self._etag else None
        told = self._connected().told(
            "PATCH", self._path(delivery.options.table), {"schema": {"fields": fields}}, headers=headers
        )
        self._remember(told)

    def _remember(self, told: Mapping[str, Any]) -> None:
        if "tableReference" not in told:
            raise Unavailable("the answer holds no table", where=self._shown())
        if told.get("type", "TABLE") != "TABLE":
            raise DestinationError("this is no table that rows can be written into", where=self._shown())
        self._raw = list((told.get("schema") or {}).get("fields") or ())
        found = [tables.column(field) for field in self._raw]
        self._columns = {column.name: column for column in found}
        self._etag, self._created = str(told.get("etag") or ""), str(told.get("creationTime") or "")
        self._connected().location = self.options.location or told.get("location")

    def _check_columns(self, delivery: Delivery) -> None:
        mapped = {name.lower() for name in delivery.fields}
        for column in self._columns.values():
            if column.required and not column.filled and column.name.lower() not in mapped:
                raise DestinationError(
                    f"the column {column.name} allows no null and is not mapped", where=f"syncs.{delivery.sync}.mapping"
                )
        self._values(delivery.fields)

    def _values(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Quoted names of columns and what they are set to, in the order of the staged columns."""
        found = {}
        for number, (name, kind) in enumerate(fields.items()):
            column = self._column(name)
            found[f"`{column.name}`"] = tables.value(f"s.c{number}", kind, column, where=self._shown())
        return found

    def _column(self, name: str) -> tables.Column:
        return next(column for column in self._columns.values() if column.name.lower() == name.lower())

    def _same(self, name: str) -> str:
        return name.lower()

    def _check_column(self, name: str) -> None:
        tables.check_name(name)

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        return tables.unfit(rows, {name: self._column(name) for name in rows.columns})

    def _write(self, rows: pl.DataFrame, batch: Batch) -> dict[Any, str]:
        delivery = self._prepared()
        fields = {name: delivery.fields[name] for name in rows.columns}
        content = tables.lines(rows)
        ids = delivery_ids(batch)
        digest = mark(delivery.options.table, self._created, delivery.mode, ids, content)
        failed: dict[Any, str] = {}
        with self._staged(digest, fields, content) as staged:
            merge = self._merge(staged, fields, batch.key)
            if delivery.mode == "update":
                job = self._statement(staged, "absent", merge.absent(f"s.c{rows.columns.index(batch.key)}"))
                failed = self._named(rows, batch.key, [value for (value,) in self._connected().rows(job, 1)])
            if (statement := merge.write(delivery.mode)) is not None:
                # Rows of a run that was killed have their ids again: a merge that has been done is not done twice.
                self._statement(staged, "merge", statement, name=f"cdp_merge_{digest}" if ids is not None else None)
        return failed

    def _delete(self, keys: pl.DataFrame) -> None:
        delivery = self._prepared()
        fields = {delivery.key: delivery.fields.get(delivery.key, "string")}
        content = tables.lines(keys)
        digest = mark(delivery.options.table, self._created, "delete", content)
        with self._staged(digest, fields, content) as staged:
            self._statement(staged, "delete", self._merge(staged, fields, delivery.key).remove())

    def _merge(self, staged: Staged, fields: Mapping[str, str], key: str) -> Merge:
        table = self._sql(self._prepared().options.table)
        name = f"`{self._column(key).name}`"
        return Merge(table=table, source=self._sql(staged.table), values=self._values(fields), key=name)

    @contextlib.contextmanager
    def _staged(self, digest: str, fields: Mapping[str, str], content: bytes) -> Iterator[Staged]:
        """The rows in a table of their own, which is dropped when the batch has been taken or refused. While that is
        not known it stays, and what an earlier try of the same batch has done is not done again.
        """
        if digest not in self._open or time.monotonic() - self._open[digest].began > STAGE_LASTS / 2:
            own = f"{digest[:16]}_{uuid.uuid4().hex[:12]}"
            self._open[digest] = Staged(f"cdp_stage_{own}", self._load(own, fields, content))
        staged = self._open[digest]
        try:
            if not staged.loaded:
                self._make_stage(staged.table, fields)
                self._connected().run(staged.load)
                staged.loaded = True
            yield staged
        except BatchRefused:
            self._drop(digest)
            raise
        self._drop(digest)

    def _load(self, own: str, fields: Mapping[str, str], content: bytes) -> Job:
        load = {
            "destinationTable": self._reference(f"cdp_stage_{own}"),
            "schema": {"fields": [tables.schema_field(f"c{n}", kind) for n, kind in enumerate(fields.values())]},
            "sourceFormat": "NEWLINE_DELIMITED_JSON",
            "createDisposition": "CREATE_NEVER",
            "writeDisposition": "WRITE_TRUNCATE",
            "maxBadRecords": 0,
        }
        return Job(f"cdp_load_{own}", {"load": load}, content)

    def _make_stage(self, table: str, fields: Mapping[str, str]) -> None:
        """It is dropped when it has been read, and expires by itself when nobody comes to drop it."""
        body = {
            "tableReference": self._reference(table),
            "schema": {"fields": [tables.schema_field(f"c{n}", kind) for n, kind in enumerate(fields.values())]},
            "expirationTime": str(int((time.time() + STAGE_LASTS) * 1000)),
        }
        self._connected().told("POST", f"/datasets/{self.options.dataset}/tables", body, unless="duplicate")

    def _statement(self, staged: Staged, what: str, sql: str, name: str | None = None) -> Job:
        name = name or f"cdp_{what}_{staged.table.removeprefix('cdp_stage_')}"
        job = staged.jobs.setdefault(what, Job(name, {"query": self._query(sql)}))
        self._connected().run(job)
        return job

    def _drop(self, digest: str) -> None:
        staged = self._open.pop(digest)
        with contextlib.suppress(DestinationError):
            self._connected().told("DELETE", self._path(staged.table), unless="notFound")

    def _query(self, sql: str) -> dict[str, Any]:
        return {"query": sql, "useLegacySql": False}

    def _at(self) -> dict[str, str]:
        found = {"projectId": self.options.project, "location": self._connected().location}
        return {name: value for name, value in found.items() if value}

    def _reference(self, table: str) -> dict[str, str]:
        return {"projectId": self.options.project, "datasetId": self.options.dataset, "tableId": table}

    def _path(self, table: str) -> str:
        return f"/datasets/{self.options.dataset}/tables/{quote(table, safe='')}"

    def _sql(self, table: str) -> str:
        return f"`{self.options.project}.{self.options.dataset}.{table}`"

    def _connected(self) -> BigQuery:
        options = self.options
        if self._client is None:
            login = logged_in(options, self.root, SCOPE, where=self._shown())
            http = Http(options.base_url, where=self._shown(), timeout=options.timeout,
                        private=options.private_network, **login)  # fmt: skip
            self._client = BigQuery(http, options.project, poll=options.poll_seconds, patience=options.job_timeout)
            self._client.location = options.location
        return self._client

    def _shown(self) -> str:
        """project.dataset."""
        return f"bigquery {self.options.project}.{self.options.dataset}"
