"""Salesforce: records of one object, written by jobs of the Bulk API 2.0."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult
from cdp_core.destinations.http import HttpOptions
from cdp_core.errors import DestinationError, SpecError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.http import Http
    from cdp_core.destinations.services.salesforce_bulk import Bulk, Outcome

_GONE = ("ENTITY_IS_DELETED",)
_OWN_FAULT = ("InvalidBatch", "ClientInputError")
_API_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"


class SalesforceOptions(HttpOptions):
    """Give `client_id` and `client_secret` (with a `refresh_token` or without), or an `access_token`."""

    base_url: str = Field(description="My Domain of the org: https://mycompany.my.salesforce.com")
    login_url: str | None = Field(None, description="Where tokens are given, when it is not base_url")
    client_id: SecretStr | None = Field(None, description="Consumer key of the connected app")
    client_secret: SecretStr | None = Field(None, description="Its secret")
    refresh_token: SecretStr | None = Field(None, description="Of the user who acts; without it client_credentials")
    access_token: SecretStr | None = Field(None, description="A token that somebody else renews")
    api_version: str = Field("62.0", pattern=r"^\d{2,3}\.0$", description="41.0 or later")
    object: str | None = Field(None, pattern=_API_NAME, description="What `cdp doctor` looks at, such as Contact")
    poll_seconds: float = Field(2, gt=0, le=60, description="First wait for a job; it grows to 30 s")
    job_timeout: float = Field(3600, gt=0, description="Seconds after which a job is aborted")

    @field_validator("login_url")
    @classmethod
    def _login(cls, url: str | None) -> str | None:
        return None if url is None else cls._address(url)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        app = self.client_id is not None and self.client_secret is not None
        if app == (self.access_token is not None):
            raise ValueError("give client_id and client_secret, or access_token")
        return self


class SalesforceSyncOptions(BaseModel):
    """`object` is an API name. `removal` says what becomes of records that leave the model (mode mirror)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object: str = Field(pattern=_API_NAME, description="API name, such as Contact or Shop_Customer__c")
    operation: Literal["upsert", "insert", "update"] = Field("upsert", description="insert needs mode insert")
    removal: Literal["delete", "hard_delete", "keep"] | None = Field(
        None, description="Needed where records are taken away"
    )
    erasure: Literal["delete", "hard_delete"] = Field("hard_delete", description="What a privacy request does")


class SalesforceDestination:
    """Records of one object, found by the sync's key: an external id field, a field with idLookup, or Id.

    Every batch is one job. Deleting needs Salesforce's own ids, so the keys are looked up first, and a record is
    deleted only when exactly one has the key, letter by letter.
    """

    Options: ClassVar[type[BaseModel]] = SalesforceOptions
    SyncOptions: ClassVar[type[BaseModel]] = SalesforceSyncOptions
    batch_rows = 50_000
    batch_bytes = 10_000_000
    concurrency = 2

    def __init__(self, options: SalesforceOptions, root: Path) -> None:
        self.options = options
        self.where = f"salesforce {options.base_url.partition('://')[2]}"
        self._lock = threading.Lock()
        self._bulk: Bulk | None = None
        self._login_http: Http | None = None
        self._delivery: Delivery | None = None
        self._key_type = "string"
        self._unsettled: dict[str, str] = {}

    def place(self, delivery: Delivery) -> str:
        """Org, object and key. Raises SpecError for options that do not go with the sync's mode."""
        options: SalesforceSyncOptions = delivery.options
        where = f"syncs.{delivery.sync}.options"
        silent = options.removal is None or (delivery.mode == "remove" and options.removal == "keep")
        if delivery.mode in ("mirror", "remove") and silent:
            raise SpecError(
                f"mode {delivery.mode} takes records away, and it is not said how",
                where=f"{where}.removal",
                choices=["delete", "hard_delete", "keep"],
            )
        if options.operation == "insert" and (delivery.mode != "insert" or delivery.key == "Id"):
            raise SpecError(
                "operation insert makes new records only: it goes with mode insert and a key other than Id",
                where=f"{where}.operation",
                choices=["upsert", "update"],
            )
        return f"salesforce:{self.options.base_url.partition('://')[2]}/{options.object}:{delivery.key}"

    def prepare(self, delivery: Delivery) -> None:
        self.place(delivery)
        self._describe(delivery, set(delivery.fields))

    def send(self, batch: Batch) -> SendResult:
        from cdp_core.destinations.services import salesforce_rows as made

        if not batch.rows.height:
            return SendResult()
        options = self._prepared()[1]
        refused = made.refused(batch.rows, batch.key)
        rows = made.without(batch.rows, batch.key, list(refused))
        if not rows.height:
            return SendResult(refused)
        digest = hashlib.sha256(options.operation.encode() + made.csv(rows)).hexdigest()
        request = {"object": options.object, "operation": options.operation}
        column = batch.key
        if options.operation == "upsert":
            request["externalIdFieldName"] = batch.key
        elif options.operation == "insert" and digest not in self._unsettled:
            there = self._ids(rows[batch.key])
            rows = made.without(rows, batch.key, there[batch.key].to_list())
        elif options.operation == "update" and batch.key != "Id":
            column, ids = "Id", self._ids(rows[batch.key])
            refused |= made.unclear(rows[batch.key], ids)
            rows = made.with_ids(rows, batch.key, ids)
        done = self._through_job(digest, request, rows, batch.key, column) if rows.height else SendResult()
        return SendResult({**refused, **done.failed}, done.later)

    def remove(self, keys: pl.Series) -> SendResult:
        """Deletes records, or leaves them with `removal: keep`."""
        removal = self._prepared()[1].removal
        return SendResult() if removal == "keep" else self._deleted(keys, hard=removal == "hard_delete")

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        try:
            self._describe(delivery, {delivery.key})
            return self._deleted(keys, hard=delivery.options.erasure == "hard_delete")
        finally:
            self.finish(True)

    def finish(self, complete: bool) -> None:
        """Jobs of which nobody waits for the end any more are aborted."""
        bulk, self._bulk = self._bulk, None
        if bulk is not None:
            for job in self._unsettled.values():
                bulk.abort(job)
            bulk.http.close()
        if self._login_http is not None:
            self._login_http.close()
        self._unsettled.clear()

    def test(self) -> str:
        bulk = self._connected()
        try:
            bulk.told("GET", "/limits")
            bulk.told("GET", "/jobs/ingest")
            if self.options.object is None:
                return f"{self.where} answers, and lets bulk jobs be seen"
            found = bulk.told("GET", f"/sobjects/{self.options.object}/describe")
            for right in ("createable", "updateable"):
                if not found.get(right):
                    raise DestinationError(f"{self.options.object} is not {right} for this user", where=self.where)
            marks = [str(f.get("name")) for f in found.get("fields") or () if f.get("externalId")]
            return f"{self.where} answers: {self.options.object}, external ids: {', '.join(marks) or 'none'}"
        finally:
            self.finish(True)

    def _through_job(
        self, digest: str, request: dict[str, str], rows: pl.DataFrame, key: str, column: str
    ) -> SendResult:
        """One job; when it was left without an outcome, the same call goes on with it instead of making another."""
        from cdp_core.destinations.services import salesforce_rows as made

        bulk = self._connected()
        with self._lock:
            job = self._unsettled.get(digest)
        if job is None:
            content = made.csv(rows if column == key else rows.drop(key))
            if len(content) > made.JOB_BYTES:
                raise BatchRefused(f"more than {made.JOB_BYTES:,} bytes for one job", where=self.where)
            job = bulk.fill(request, content)
            with self._lock:
                self._unsettled[digest] = job
        outcome = bulk.finish(job, rows.height)
        with self._lock:
            self._unsettled.pop(digest, None)
        self._check(outcome)
        return made.settled(rows, key, column, outcome)

    def _check(self, outcome: Outcome) -> None:
        """A job that fails as a whole before its first row fails for its form, and would again."""
        if outcome.error in _OWN_FAULT and not outcome.job.get("numberRecordsProcessed"):
            raise DestinationError(
                f"the job failed: {outcome.error}", where=self.where, hint="look at the API names in the mapping"
            )

    def _deleted(self, keys: pl.Series, *, hard: bool) -> SendResult:
        from cdp_core.destinations.services import salesforce_rows as made

        delivery, options = self._prepared()
        if not keys.len():
            return SendResult()
        ids = self._ids(keys)
        unclear = made.twice(keys.alias(delivery.key), ids)
        rows = made.with_ids(keys.alias(delivery.key).to_frame(), delivery.key, ids)
        if not rows.height:
            return SendResult(unclear)
        operation = "hardDelete" if hard else "delete"
        request = {"object": options.object, "operation": operation}
        digest = hashlib.sha256(operation.encode() + made.csv(rows)).hexdigest()
        done = self._through_job(digest, request, rows, delivery.key, "Id")
        failed = {key: reason for key, reason in done.failed.items() if not reason.startswith(_GONE)}
        return SendResult({**unclear, **failed}, done.later)

    def _ids(self, keys: pl.Series) -> pl.DataFrame:
        """Columns Id and the key's name, one row per record that has one of the keys."""
        from cdp_core.destinations.services import salesforce_rows as made

        delivery, options = self._prepared()
        bulk, name = self._connected(), delivery.key
        chosen = "Id" if name == "Id" else f"Id, {name}"
        parts = made.literals(keys, self._key_type)
        found = bulk.query([f"SELECT {chosen} FROM {options.object} WHERE {name} IN ({part})" for part in parts])
        return made.records(found, keys.alias(name), self._key_type)

    def _describe(self, delivery: Delivery, fields: set[str]) -> None:
        from cdp_core.destinations.services.salesforce_rows import check_fields

        self._delivery = delivery
        options: SalesforceSyncOptions = delivery.options
        found = self._connected().told("GET", f"/sobjects/{options.object}/describe")
        described = {str(f.get("name")): f for f in found.get("fields") or ()}
        self._key_type = str(described.get(delivery.key, {}).get("type", "string"))
        check_fields(described, fields, delivery.key, options.operation, where=f"{self.where} {options.object}")

    def _prepared(self) -> tuple[Delivery, SalesforceSyncOptions]:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        return self._delivery, self._delivery.options

    def _connected(self) -> Bulk:
        from cdp_core.destinations.http import Http
        from cdp_core.destinations.services.salesforce_bulk import Bulk

        options = self.options
        with self._lock:
            if self._bulk is None:
                common: dict[str, Any] = {
                    "where": self.where,
                    "timeout": options.timeout,
                    "private": options.private_network,
                }
                http = Http(options.base_url, **common, **self._login(common))
                self._bulk = Bulk(http, options.api_version, poll=options.poll_seconds, patience=options.job_timeout)
            return self._bulk

    def _login(self, common: dict[str, Any]) -> dict[str, Any]:
        from cdp_core.destinations.http import Http
        from cdp_core.destinations.oauth import OAuth

        options = self.options
        if options.access_token is not None:
            return {"headers": {"Authorization": f"Bearer {options.access_token.get_secret_value()}"}}
        assert options.client_id is not None
        assert options.client_secret is not None
        form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id.get_secret_value(),
            "client_secret": options.client_secret.get_secret_value(),
        }
        if options.refresh_token is not None:
            form |= {"grant_type": "refresh_token", "refresh_token": options.refresh_token.get_secret_value()}
        self._login_http = Http(options.login_url or options.base_url, **common)
        return {"auth": OAuth(self._login_http, "/services/oauth2/token", form)}
