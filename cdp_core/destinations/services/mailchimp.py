"""Mailchimp: members of a list, whose e-mail address is the key of the sync (Marketing API 3.0)."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from cdp_core.destinations.base import CANCELLED, Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

EXISTS = "ERROR_CONTACT_EXISTS"
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,60}|[A-Za-z][A-Za-z ]{2,60}")
_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")


class MailchimpOptions(HttpOptions):
    """`api_key` ends with its data centre, as in …-us21, which is where calls go."""

    base_url: str = Field("", validate_default=False, description="Left out: the data centre of the key")
    api_key: SecretStr = Field(description="Ends with its data centre, as in …-us21")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.base_url and not re.fullmatch(r"[a-z]{2,4}\d{1,3}", self._centre):
            raise ValueError("the api_key names no data centre (…-us21); give base_url")
        return self

    @property
    def _centre(self) -> str:
        return self.api_key.get_secret_value().rpartition("-")[2]

    @property
    def address(self) -> str:
        return self.base_url or f"https://{self._centre}.api.mailchimp.com/3.0"


class MailchimpSyncOptions(BaseModel):
    """Mapped fields in capitals of at most ten letters are merge fields; the key is the e-mail address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    list_id: str = Field(pattern=r"^[A-Za-z0-9]{1,40}$", description="The audience's id at Mailchimp")
    status: Literal["subscribed", "pending", "transactional", "unsubscribed"] = Field(
        "subscribed", description="Of new members; nobody's status is changed"
    )
    tag: str | None = Field(None, min_length=1, max_length=100, description="Tag of those whom the sync holds")
    removal: Literal["untag", "archive", "unsubscribe"] | None = Field(
        None, description="What becomes of who leaves the model; untag where there is a tag"
    )


class MailchimpDestination:
    """New members come 500 in a call; who is there already is changed one by one, and keeps the status they chose:
    the batch call would subscribe again who has unsubscribed.
    """

    Options: ClassVar[type[BaseModel]] = MailchimpOptions
    SyncOptions: ClassVar[type[BaseModel]] = MailchimpSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "insert", "full", "remove"})
    known_fields: ClassVar[dict[str, str]] = {
        "email_address": "E-mail address: the key",
        "FNAME": "First name",
        "LNAME": "Last name",
        "PHONE": "Phone number",
        "BIRTHDAY": "Birthday, MM/DD",
        "language": "Two letters",
    }
    batch_rows = 500
    concurrency = 4
    calls_per_second = 10.0

    def __init__(self, options: MailchimpOptions, root: Path) -> None:
        self.options = options
        self.where = f"mailchimp {options.address.partition('://')[2]}"
        self._http: Http | None = None
        self._delivery: Delivery | None = None
        self._cancelled = threading.Event()

    def place(self, delivery: Delivery) -> str:
        options: MailchimpSyncOptions = delivery.options
        return f"{self.where}/{options.list_id}?{options.tag or ''}"

    def prepare(self, delivery: Delivery) -> None:
        options: MailchimpSyncOptions = delivery.options
        removal = options.removal or ("untag" if options.tag else None)
        if delivery.mode in ("mirror", "remove") and removal is None:
            raise DestinationError(
                f"mode {delivery.mode} must know what becomes of who leaves",
                where=f"sync {delivery.sync}",
                hint="set a tag, or removal: archive or unsubscribe in its options",
            )
        if removal == "untag" and not options.tag:
            raise DestinationError("removal: untag needs a tag", where=f"sync {delivery.sync}")
        self._delivery, self._http = delivery, self._opened()
        self._cancelled.clear()

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        keys = [str(key) for key in batch.rows[batch.key].to_list()]
        members = {key: self._member(key, text) for key, text in zip(keys, batch.payload.to_list(), strict=True)}
        there = keys if batch.before is None else [k for k, b in zip(keys, batch.before.to_list(), strict=True) if b]
        known = set(there)
        new = [members[key] for key in keys if key not in known]
        failed, found = self._new(new)
        return self._one_by_one([*there, *found], lambda key: self._changed(key, members[key]), failed, begun=bool(new))

    def remove(self, keys: pl.Series) -> SendResult:
        return self._one_by_one([str(key) for key in keys.to_list()], self._left, {})

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """For good: an address that was deleted so cannot be imported again."""
        self._delivery, self._http = delivery, self._opened()
        gone = "/actions/delete-permanent"
        try:
            return self._one_by_one(
                [str(key) for key in keys.to_list()], lambda key: self._call("POST", key, gone, accept=(404,)), {}
            )
        finally:
            self.finish(True)

    def cancel(self) -> None:
        self._cancelled.set()

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def test(self) -> str:
        http = self._opened()
        try:
            http.call("GET", "/ping")
        finally:
            http.close()
        return f"{self.where} answers"

    def test_sync(self, delivery: Delivery) -> str:
        number = delivery.options.list_id
        self.prepare(delivery)
        try:
            told = self._list("GET", None).json()
        finally:
            self.finish(True)
        if not isinstance(told, dict) or told.get("id") != number:
            raise DestinationError("the answer names another audience", where=self.where)
        return f"the audience {number} is there"

    def _new(self, members: list[dict[str, Any]]) -> tuple[dict[Any, str], list[str]]:
        """Those who were refused, and those who are on the list already."""
        if not members:
            return {}, []
        by_address = {member["email_address"].lower(): member["email_address"] for member in members}
        told = self._list("POST", {"members": members, "update_existing": False}).json()
        if not isinstance(told, dict) or not isinstance(told.get("errors"), list):
            raise DestinationError("the answer does not say what became of the members", where=self.where)
        failed: dict[Any, str] = {}
        found = []
        for error in told["errors"]:
            key = by_address.get(str(error.get("email_address", "")).lower())
            if key is None:
                raise DestinationError("the answer names a member that was not sent", where=self.where)
            if error.get("error_code") == EXISTS:
                found.append(key)
            else:
                failed[key] = reason(error)
        return failed, found

    def _changed(self, key: str, member: dict[str, Any]) -> None:
        options = self._options
        body = {name: value for name, value in member.items() if name not in ("status", "tags")}
        self._call("PUT", key, json={**body, "status_if_new": options.status})
        if options.tag:
            self._tagged(key, "active")

    def _left(self, key: str) -> None:
        options = self._options
        kind = options.removal or "untag"
        if kind == "untag":
            self._tagged(key, "inactive")
        elif kind == "archive":
            self._call("DELETE", key, accept=(404, 405))
        else:
            self._call("PATCH", key, json={"status": "unsubscribed"}, accept=(404,))

    def _tagged(self, key: str, status: str) -> None:
        tags = [{"name": self._options.tag, "status": status}]
        self._call("POST", key, "/tags", json={"tags": tags}, accept=(404,) if status == "inactive" else ())

    def _one_by_one(self, keys: list[str], act: Any, failed: dict[Any, str], *, begun: bool = False) -> SendResult:
        """What was taken before an outage stays taken. Raises Unavailable when nothing was, and nothing had `begun`."""
        for place, key in enumerate(keys):
            if place and self._cancelled.is_set():
                return SendResult(failed, dict.fromkeys(keys[place:], CANCELLED))
            try:
                act(key)
            except BatchRefused as refused:
                failed[key] = refused.reason
            except Unavailable as error:
                if not place and not begun:
                    raise
                return SendResult(failed, dict.fromkeys(keys[place:], error.what), error.retry_after)
        return SendResult(failed)

    def _member(self, key: str, payload: str) -> dict[str, Any]:
        options = self._options
        row = json.loads(payload)
        row.pop(self._delivery.key if self._delivery else "", None)
        merge = {name: "" if value is None else value for name, value in row.items() if _TAG.fullmatch(name)}
        rest = {name: value for name, value in row.items() if not _TAG.fullmatch(name) and value is not None}
        tags = {"tags": [options.tag]} if options.tag else {}
        return {**rest, "email_address": key, "status": options.status, "merge_fields": merge, **tags}

    def _list(self, method: str, body: dict[str, Any] | None) -> Answer:
        assert self._http is not None
        return self._http.call(method, f"/lists/{self._options.list_id}", json=body, refusal=lambda a: reason(a.told()))

    def _call(self, method: str, key: str, tail: str = "", *, json: Any = None, accept: tuple[int, ...] = ()) -> None:
        assert self._http is not None
        name = hashlib.md5(key.strip().lower().encode(), usedforsecurity=False).hexdigest()
        path = f"/lists/{self._options.list_id}/members/{name}{tail}"
        self._http.call(method, path, json=json, accept=accept, refusal=lambda a: reason(a.told()))

    def _opened(self) -> Http:
        options = self.options
        return Http(
            options.address,
            where=self.where,
            auth=("cdp", options.api_key.get_secret_value()),
            timeout=options.timeout,
            private=options.private_network,
        )

    @property
    def _options(self) -> MailchimpSyncOptions:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        options: MailchimpSyncOptions = self._delivery.options
        return options


def reason(error: dict[str, Any]) -> str:
    """Code or title, and the field; details quote addresses.

    >>> reason({"title": "Member In Compliance State", "detail": "ann@x.org is in a compliance state"})
    'Member In Compliance State'
    """
    told = next((str(error[n]) for n in ("error_code", "title") if _CODE.fullmatch(str(error.get(n, "")))), "refused")
    field = str(error.get("field", ""))
    return f"{told}: {field}" if re.fullmatch(r"[A-Za-z_]{1,40}", field) else told
