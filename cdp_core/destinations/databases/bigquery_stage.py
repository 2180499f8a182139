"""A dataset's tables, and batches that lie in tables of their own until they have been merged."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cdp_core.destinations.base import BatchRefused
from cdp_core.destinations.databases.bigquery_jobs import BigQuery, Job
from cdp_core.destinations.databases.bigquery_table import schema_field
from cdp_core.errors import DestinationError

STAGE_LASTS = 24 * 3600


class Dataset:
    """Tables by their names; each answer is a resource of the API, an empty object where there is none."""

    def __init__(self, api: BigQuery, name: str) -> None:
        self.api, self.name = api, name

    def about(self) -> dict[str, Any]:
        return self.api.told("GET", f"/datasets/{self.name}")

    def table(self, name: str) -> dict[str, Any]:
        return self.api.told("GET", self._path(name), unless="notFound")

    def create(self, name: str, fields: Mapping[str, str], key: str) -> dict[str, Any]:
        """An empty object when somebody has made it in the meantime."""
        listed = [schema_field(field, kind, required=field == key) for field, kind in fields.items()]
        constraints = {"primaryKey": {"columns": [key]}}
        return self._made({"schema": {"fields": listed}, "tableConstraints": constraints}, name)

    def change(self, name: str, fields: Sequence[Mapping[str, Any]], etag: str) -> dict[str, Any]:
        """On the condition that the table is as it was looked at: who adds columns at the same time loses none."""
        headers = {"If-Match": etag} if etag else None
        return self.api.told("PATCH", self._path(name), {"schema": {"fields": fields}}, headers=headers)

    def stage(self, name: str, kinds: Sequence[str]) -> None:
        """A table with columns c0, c1, … that expires by itself when nobody comes to drop it."""
        expires = str(int((time.time() + STAGE_LASTS) * 1000))
        self._made({"schema": {"fields": staged_fields(kinds)}, "expirationTime": expires}, name)

    def drop(self, name: str) -> None:
        self.api.told("DELETE", self._path(name), unless="notFound")

    def plan(self, sql: str) -> None:
        """Have the query looked at without running it."""
        configuration = {"dryRun": True, "query": _query(sql)}
        self.api.told("POST", "/jobs", {"configuration": configuration, "jobReference": self.api.at()})

    def reference(self, name: str) -> dict[str, str]:
        return {"projectId": self.api.project, "datasetId": self.name, "tableId": name}

    def sql(self, name: str) -> str:
        return f"`{self.api.project}.{self.name}.{name}`"

    def _made(self, body: Mapping[str, Any], name: str) -> dict[str, Any]:
        whole = {**body, "tableReference": self.reference(name)}
        return self.api.told("POST", f"/datasets/{self.name}/tables", whole, unless="duplicate")

    def _path(self, name: str) -> str:
        return f"/datasets/{self.name}/tables/{quote(name, safe='')}"


@dataclass
class Staged:
    """Rows on their way: a table of their own, the job that fills it, and those that read it."""

    table: str
    load: Job
    loaded: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


class Stages:
    """The batches of a run whose outcome is not known yet, by what they hold."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._open: dict[str, Staged] = {}

    @contextlib.contextmanager
    def staged(self, digest: str, kinds: Sequence[str], content: bytes) -> Iterator[Staged]:
        """The rows in a table, which is dropped when the batch has been taken or refused. While that is not known it
        stays, and what an earlier try of the same batch has done is not done again.
        """
        staged = self._found(digest, kinds, content)
        try:
            if not staged.loaded:
                self.dataset.stage(staged.table, kinds)
                self.dataset.api.run(staged.load)
                staged.loaded = True
            yield staged
        except BatchRefused:
            self._drop(digest)
            raise
        self._drop(digest)

    def run(self, staged: Staged, what: str, sql: str, name: str | None = None) -> Job:
        """A query job, begun under a name of the stage's or under that which is given; the job as it ended."""
        name = name or f"cdp_{what}_{staged.table.removeprefix('cdp_stage_')}"
        job = staged.jobs.setdefault(what, Job(name, {"query": _query(sql)}))
        self.dataset.api.run(job)
        return job

    def _found(self, digest: str, kinds: Sequence[str], content: bytes) -> Staged:
        """A stage that is about to expire is left alone, and the rows are staged anew."""
        old = self._open.get(digest)
        if old is None or time.monotonic() - old.began > STAGE_LASTS / 2:
            own = f"{digest[:16]}_{uuid.uuid4().hex[:12]}"
            table = f"cdp_stage_{own}"
            load = {
                "destinationTable": self.dataset.reference(table),
                "schema": {"fields": staged_fields(kinds)},
                "sourceFormat": "NEWLINE_DELIMITED_JSON",
                "createDisposition": "CREATE_NEVER",
                "writeDisposition": "WRITE_TRUNCATE",
                "maxBadRecords": 0,
            }
            self._open[digest] = Staged(table, Job(f"cdp_load_{own}", {"load": load}, content))
        return self._open[digest]

    def _drop(self, digest: str) -> None:
        staged = self._open.pop(digest)
        with contextlib.suppress(DestinationError):
            self.dataset.drop(staged.table)


def staged_fields(kinds: Sequence[str]) -> list[dict[str, str]]:
    """
    >>> staged_fields(["string"])
    [{'name': 'c0', 'type': 'STRING', 'mode': 'NULLABLE'}]
    """
    return [schema_field(f"c{number}", kind) for number, kind in enumerate(kinds)]


def _query(sql: str) -> dict[str, Any]:
    return {"query": sql, "useLegacySql": False}
