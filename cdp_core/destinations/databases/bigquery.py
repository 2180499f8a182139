"""BigQuery as a destination, over its REST API.

Rule: BigQuery API v2 (tables, jobs.insert with an upload, jobs.get, jobs.getQueryResults) and GoogleSQL's MERGE.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.base import Batch, Delivery, Unavailable
from cdp_core.destinations.databases import bigquery_table as tables
from cdp_core.destinations.databases.bigquery_jobs import BigQuery
from cdp_core.destinations.databases.bigquery_stage import Dataset, Staged, Stages
from cdp_core.destinations.databases.merge import Merge
from cdp_core.destinations.databases.warehouse import Warehouse, delivery_ids, mark
from cdp_core.destinations.google_login import GoogleLogin, logged_in
from cdp_core.destinations.http import Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

SCOPE = "https://www.googleapis.com/auth/bigquery"
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
        self._client: Dataset | None = None
        self._stages: Stages | None = None
        self._columns: dict[str, tables.Column] = {}
        self._schema: list[Mapping[str, Any]] = []
        self._etag = self._created = ""

    def place(self, delivery: Delivery) -> str:
        """Project, dataset and table; another account sends nothing again."""
        return f"bigquery:{self.options.project}.{self.options.dataset}.{delivery.options.table}:{delivery.key}"

    def present(self, delivery: Delivery) -> bool:
        return bool(self._connected().table(delivery.options.table))

    def finish(self, complete: bool) -> None:
        client, self._client, self._stages = self._client, None, None
        if client is not None:
            client.api.http.close()

    def test(self) -> str:
        """A table is made and dropped again, and a query is planned without being run."""
        dataset = self._connected()
        name = f"cdp_probe_{uuid.uuid4().hex[:12]}"
        try:
            api = dataset.api
            api.location = self.options.location or dataset.about().get("location")
            dataset.stage(name, ["int64"])
            try:
                dataset.plan(f"DELETE FROM {dataset.sql(name)} WHERE c0 = 1")
            finally:
                dataset.drop(name)
        finally:
            self.finish(True)
        return f"{self._shown()} answers: BigQuery, location {api.location or '?'}"

    def _ensure(self, delivery: Delivery) -> None:
        self._stages = Stages(self._connected())
        if not self._found(delivery):
            told = self._connected().create(delivery.options.table, delivery.fields, delivery.key)
            if told:
                self._remember(told)
            elif not self._found(delivery):
                raise Unavailable("the table cannot be seen yet", where=self._shown())
        self._check_key(delivery)
        if missing := self._missing(delivery):
            added = [*self._schema, *(tables.schema_field(name, kind) for name, kind in missing.items())]
            self._remember(self._connected().change(delivery.options.table, added, self._etag))
        self._check_filled(delivery)
        self._values(delivery.fields)

    def _found(self, delivery: Delivery) -> bool:
        told = self._connected().table(delivery.options.table)
        if told:
            self._remember(told)
        return bool(told)

    def _remember(self, told: Mapping[str, Any]) -> None:
        if "tableReference" not in told:
            raise Unavailable("the answer holds no table", where=self._shown())
        if told.get("type", "TABLE") != "TABLE":
            raise DestinationError("this is no table that rows can be written into", where=self._shown())
        self._schema = list((told.get("schema") or {}).get("fields") or ())
        self._columns = {column.name.lower(): column for column in map(tables.column, self._schema)}
        self._etag, self._created = str(told.get("etag") or ""), str(told.get("creationTime") or "")
        self._connected().api.location = self.options.location or told.get("location")

    def _values(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Quoted names of columns and what they are set to, in the order of the staged columns."""
        found = {}
        for number, (name, kind) in enumerate(fields.items()):
            column = self._columns[name.lower()]
            found[f"`{column.name}`"] = tables.value(f"s.c{number}", kind, column, where=self._shown())
        return found

    def _same(self, name: str) -> str:
        return name.lower()

    def _check_column(self, name: str) -> None:
        tables.check_name(name)

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        return {**super()._unfit(rows), **tables.broken_lists(rows)}

    def _write(self, rows: pl.DataFrame, batch: Batch) -> dict[Any, str]:
        delivery, stages = self._prepared(), self._staging()
        fields = {name: delivery.fields[name] for name in rows.columns}
        content = tables.lines(rows)
        ids = delivery_ids(batch)
        # A table that was made anew has taken nothing of what its ids say.
        digest = mark(delivery.options.table, self._created, delivery.mode, ids, content)
        failed: dict[Any, str] = {}
        with stages.staged(digest, list(fields.values()), content) as staged:
            merge = self._merge(staged, fields, batch.key)
            if delivery.mode == "update":
                absent = stages.run(staged, "absent", merge.absent(f"s.c{rows.columns.index(batch.key)}"))
                failed = self._named(rows, batch.key, [value for (value,) in self._connected().api.rows(absent)])
            if (statement := merge.write(delivery.mode)) is not None:
                # Rows of a run that was killed have their ids again: a merge that has been done is not done twice.
                stages.run(staged, "merge", statement, name=f"cdp_merge_{digest}" if ids is not None else None)
        return failed

    def _delete(self, keys: pl.DataFrame) -> None:
        delivery, stages = self._prepared(), self._staging()
        fields = {delivery.key: delivery.fields.get(delivery.key, "string")}
        content = tables.lines(keys)
        digest = mark(delivery.options.table, self._created, "delete", content)
        with stages.staged(digest, list(fields.values()), content) as staged:
            stages.run(staged, "delete", self._merge(staged, fields, delivery.key).remove())

    def _merge(self, staged: Staged, fields: Mapping[str, str], key: str) -> Merge:
        sql = self._connected().sql
        return Merge(
            table=sql(self._prepared().options.table),
            source=sql(staged.table),
            values=self._values(fields),
            key=f"`{self._columns[key.lower()].name}`",
        )

    def _staging(self) -> Stages:
        if self._stages is None:
            self._stages = Stages(self._connected())
        return self._stages

    def _connected(self) -> Dataset:
        options = self.options
        if self._client is None:
            login = logged_in(options, self.root, SCOPE, where=self._shown())
            http = Http(options.base_url, where=self._shown(), timeout=options.timeout,
                        private=options.private_network, **login)  # fmt: skip
            api = BigQuery(http, options.project, poll=options.poll_seconds, patience=options.job_timeout)
            api.location = options.location
            self._client = Dataset(api, options.dataset)
        return self._client

    def _shown(self) -> str:
        return f"bigquery {self.options.project}.{self.options.dataset}"
