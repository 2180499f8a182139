"""Any address that takes JSON: one call per row or per batch, signed, in a shape of one's own."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from cdp_core.destinations.base import CANCELLED, Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import Answer, Http, checked_url
from cdp_core.destinations.services.webhook_shape import filled, places, signed
from cdp_core.destinations.wording import without_values
from cdp_core.errors import DestinationError

TOGETHER = {"sync": "$sync", "operation": "$operation", "ids": "$ids", "rows": "$rows"}
ALONE = {"sync": "$sync", "operation": "$operation", "id": "$id", "row": "$row"}
_MESSAGES = ("message", "error", "detail", "reason", "title")


class WebhookOptions(BaseModel):
    """Where to, and how the receiver knows us. `secret` signs every call, as Standard Webhooks has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(repr=False, description="https://…; {key} stands for a row's key where a call has one row")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="Method of a call")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Headers of every call")
    bearer: SecretStr | None = Field(None, description="Token for the header Authorization: Bearer")
    user: str | None = Field(None, description="User name for basic authentication")
    password: SecretStr | None = Field(None, description="Password for basic authentication")
    secret: SecretStr | None = Field(None, description="Signs every call (HMAC-SHA256, header webhook-signature)")
    timeout: float = Field(30, gt=0, le=600, description="Seconds that one call may take in all")
    private_network: bool = Field(False, description="Let it reach this machine and private networks")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        checked_url(url.replace("{key}", "key"))
        return url

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or re.search(
                r"[\r\n\0]", value.get_secret_value()
            ):
                raise ValueError(f"the header {name!r} cannot be sent")
        return headers


class ErrorList(BaseModel):
    """Where an answer of 2xx names rows that were refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field("errors", description="Place of the list in the answer, as in data.errors")
    key: str = Field("key", description="Its field with the row's key")
    reason: str = Field("message", description="Its field with the reason")


class WebhookSyncOptions(BaseModel):
    """The shape of a call. In templates, `$rows`, `$row`, `$ids`, `$id`, `$key`, `$operation` (upsert or remove),
    `$sync` and `$field.NAME` stand for what they name, wherever they are a whole text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows_per_call: int = Field(500, ge=1, le=10_000, description="1 sends every row in a call of its own")
    row: Any = Field("$row", description="Template of one row")
    body: Any = Field(None, description="Template of a call; {sync, operation, ids, rows} or, alone, {…, id, row}")
    remove_url: str | None = Field(None, repr=False, description="Where removals go, if elsewhere")
    remove_method: Literal["POST", "PUT", "PATCH", "DELETE"] | None = Field(None, description="Method of removals")
    errors: ErrorList | None = Field(None, description="Where an answer names refused rows")

    @field_validator("remove_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None:
            checked_url(url.replace("{key}", "key"))
        return url

    @model_validator(mode="after")
    def _fits(self) -> WebhookSyncOptions:
        alone = {name for name in places(self.body) if name in ("row", "id", "key") or name.startswith("field.")}
        if self.rows_per_call > 1 and alone:
            raise ValueError(f"${sorted(alone)[0]} in 'body' needs rows_per_call: 1; a batch has $rows and $ids")
        return self


class WebhookDestination:
    """Calls carry what is to be there: rows of operation upsert or remove. Every row has an id that stays the same
    however often its delivery is tried (`$id`, and the header Idempotency-Key), so that a receiver can drop what it
    has had. Signature: https://www.standardwebhooks.com (webhook-id, webhook-timestamp, webhook-signature: v1).
    """

    Options: ClassVar[type[BaseModel]] = WebhookOptions
    SyncOptions: ClassVar[type[BaseModel]] = WebhookSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "insert", "full", "remove"})
    concurrency = 8
    batch_bytes = 5_000_000

    def __init__(self, options: WebhookOptions, root: Path) -> None:
        self.options = options
        self.batch_rows = 500
        self._http: Http | None = None
        self._delivery: Delivery | None = None
        self._cancelled = threading.Event()

    @property
    def _shown(self) -> str:
        parts = urlsplit(self.options.url)
        return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def place(self, delivery: Delivery) -> str:
        """Address and shape; a query may hold a token, so only its digest is told."""
        options: WebhookSyncOptions = delivery.options
        shape = json.dumps([self.options.url, self.options.method, options.row, options.body, options.remove_url])
        return f"webhook:{self._shown}?{hashlib.sha256(shape.encode()).hexdigest()[:16]}"

    def prepare(self, delivery: Delivery) -> None:
        options: WebhookSyncOptions = delivery.options
        if "{key}" in self.options.url + (options.remove_url or "") and options.rows_per_call > 1:
            raise DestinationError(
                "{key} in an address needs a call per row",
                where=f"sync {delivery.sync}",
                hint="set rows_per_call: 1 in its options",
            )
        told = "operation" in places(options.body or ALONE) | places(options.row)
        if delivery.mode in ("mirror", "remove") and not (told or options.remove_url or options.remove_method):
            raise DestinationError(
                "the receiver could not tell a removal from an upsert",
                where=f"sync {delivery.sync}",
                hint="put $operation into the template, or set remove_url or remove_method",
            )
        self._delivery = delivery
        self._cancelled.clear()
        # A call with one row is cheap to plan for many at a time; what comes back is still told row by row.
        self.batch_rows = options.rows_per_call if options.rows_per_call > 1 else 200
        self._http = self._opened()

    def send(self, batch: Batch) -> SendResult:
        return self._each(batch, "upsert", self.options.url, self.options.method)

    def remove_rows(self, batch: Batch) -> SendResult:
        options = self._prepared().options
        return self._each(
            batch, "remove", options.remove_url or self.options.url, options.remove_method or self.options.method
        )

    def cancel(self) -> None:
        self._cancelled.set()

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def test(self) -> str:
        """A HEAD request to the address: it carries no row."""
        http = self._opened()
        try:
            status = http.call("HEAD", self._url(self.options.url, "test"), accept=(400, 405, 415, 422, 501)).status
        finally:
            http.close()
        return f"{self._shown} answers ({status} to HEAD)"

    def _each(self, batch: Batch, operation: str, url: str, method: str) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        if self._prepared().options.rows_per_call > 1:
            return self._call(batch, operation, url, method)
        failed: dict[Any, str] = {}
        keys = batch.rows[batch.key].to_list()
        for place, key in enumerate(keys):
            if place and self._cancelled.is_set():
                return SendResult(failed, dict.fromkeys(keys[place:], CANCELLED))
            try:
                failed.update(self._call(_row(batch, place), operation, url, method).failed)
            except BatchRefused as refused:
                failed[key] = refused.reason
            except Unavailable as error:
                if not place:
                    raise
                return SendResult(failed, dict.fromkeys(keys[place:], error.what), error.retry_after)
        return SendResult(failed)

    def _call(self, batch: Batch, operation: str, url: str, method: str) -> SendResult:
        delivery, http = self._prepared(), self._http
        assert http is not None
        payloads = batch.payload.to_list()
        answer = http.call(
            method,
            self._url(url, str(batch.rows[batch.key][0])),
            content=(content := self._content(batch, operation, delivery)),
            headers=self._headers(batch, content),
            refusal=lambda refused: _told(refused, payloads),
        )
        return SendResult(_refused(answer, delivery.options.errors, batch, payloads))

    def _content(self, batch: Batch, operation: str, delivery: Delivery) -> bytes:
        options: WebhookSyncOptions = delivery.options
        ids = batch.ids.to_list() if batch.ids is not None else [None] * batch.rows.height
        keys, rows = batch.rows[batch.key].to_list(), batch.payload.to_list()
        told = {"operation": json.dumps(operation), "sync": json.dumps(delivery.sync)}
        if options.row != "$row":
            plain = rows
            rows = [
                filled(options.row, {**told, "row": row, "id": json.dumps(i), "key": json.dumps(k)})
                for row, i, k in zip(plain, ids, keys, strict=True)
            ]
        if options.rows_per_call == 1:
            first = {**told, "row": rows[0], "id": json.dumps(ids[0]), "key": json.dumps(keys[0])}
            return filled(options.body or ALONE, first).encode()
        shape = options.body or TOGETHER
        return filled(shape, {**told, "ids": json.dumps(ids), "rows": f"[{','.join(rows)}]"}).encode()

    def _headers(self, batch: Batch, content: bytes) -> dict[str, str]:
        ids = batch.ids.to_list() if batch.ids is not None else [batch.id]
        name = ids[0] if len(ids) == 1 else hashlib.sha256(",".join(ids).encode()).hexdigest()[:32]
        headers = {"Idempotency-Key": name}
        return headers if self.options.secret is None else {**headers, **signed(self.options.secret, name, content)}

    def _url(self, url: str, key: str) -> str:
        return url.replace("{key}", quote(key, safe=""))

    def _opened(self) -> Http:
        options = self.options
        parts = urlsplit(options.url)
        headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        password = options.password.get_secret_value() if options.password else ""
        if options.bearer is not None:
            headers["Authorization"] = f"Bearer {options.bearer.get_secret_value()}"
        return Http(
            f"{parts.scheme}://{parts.netloc}",
            where=self._shown,
            headers=headers,
            auth=(options.user, password) if options.user else None,
            timeout=options.timeout,
            private=options.private_network,
        )

    def _prepared(self) -> Delivery:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self._shown)
        return self._delivery


def _row(batch: Batch, place: int) -> Batch:
    return Batch(
        rows=batch.rows[place],
        key=batch.key,
        payload=batch.payload.slice(place, 1),
        id=f"{batch.id}.{place}",
        ids=None if batch.ids is None else batch.ids.slice(place, 1),
    )


def _told(answer: Answer, payloads: list[str]) -> str | None:
    """`answered 422: name is too long`, from the usual fields of an error."""
    body = answer.json()
    found = next((body[n] for n in _MESSAGES if isinstance(body.get(n), str)), "") if isinstance(body, dict) else ""
    text = without_values(found, payloads[:1] if len(payloads) == 1 else ())
    return f"answered {answer.status}: {text}" if text else None


def _refused(answer: Answer, errors: ErrorList | None, batch: Batch, payloads: list[str]) -> dict[Any, str]:
    if errors is None:
        return {}
    listed: Any = answer.json()
    for part in errors.at.split("."):
        listed = listed.get(part) if isinstance(listed, dict) else None
    if not isinstance(listed, list) or not listed:
        return {}
    rows = {str(key): (key, payload) for key, payload in zip(batch.rows[batch.key].to_list(), payloads, strict=True)}
    failed: dict[Any, str] = {}
    for item in listed:
        known = rows.get(str(item.get(errors.key))) if isinstance(item, dict) else None
        if known is None:
            raise DestinationError("the answer names a row that was not sent", hint="look at 'errors' of the options")
        failed[known[0]] = without_values(str(item.get(errors.reason) or "refused"), [known[1]])
    return failed
