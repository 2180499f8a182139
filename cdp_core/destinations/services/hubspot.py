"""HubSpot: contacts and other objects, upserted by a property that is unique there (CRM API v3, batch)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

TWICE = "the same id is in this batch in other letters"
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,60}")
_NAME = re.compile(r'"?name"?\s*[:=]\s*"?([A-Za-z][A-Za-z0-9_]{0,60})"?')
_GONE = ("OBJECT_NOT_FOUND", "NOT_FOUND")


class HubSpotOptions(HttpOptions):
    """`token` is a private app's, with crm.objects.contacts.read and .write."""

    base_url: str = Field("https://api.hubapi.com", description="Where the service answers")
    token: SecretStr = Field(description="Of a private app")


class HubSpotSyncOptions(BaseModel):
    """The key of the sync is a unique property of the object, such as email."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object: str = Field("contacts", pattern=r"^[A-Za-z0-9_-]{1,100}$", description="contacts, companies, 2-1234…")
    membership: str | None = Field(None, description="Boolean property: true for those whom the sync holds")
    removal: Literal["membership", "archive"] | None = Field(None, description="What becomes of who leaves the model")


class HubSpotDestination:
    """Objects are made or changed by the key's property, a hundred in a call; each refused one is named.

    Limits: https://developers.hubspot.com/docs/api/usage-details (100 calls in ten seconds for a free account).
    """

    Options: ClassVar[type[BaseModel]] = HubSpotOptions
    SyncOptions: ClassVar[type[BaseModel]] = HubSpotSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "update", "insert", "full", "remove"})
    known_fields: ClassVar[dict[str, str]] = {
        "email": "E-mail address, by which contacts are told apart",
        "firstname": "First name",
        "lastname": "Last name",
        "phone": "Phone number",
        "company": "Company's name",
        "city": "City",
        "zip": "Post code",
        "country": "Country",
        "lifecyclestage": "Lifecycle stage",
    }
    batch_rows = 100
    calls_per_second = 9.0
    concurrency = 2

    def __init__(self, options: HubSpotOptions, root: Path) -> None:
        self.options = options
        self.where = f"hubspot {options.base_url.partition('://')[2]}"
        self._http: Http | None = None
        self._delivery: Delivery | None = None

    def place(self, delivery: Delivery) -> str:
        options: HubSpotSyncOptions = delivery.options
        return f"{self.where}/{options.object}/{delivery.key}?{options.membership or ''}"

    def prepare(self, delivery: Delivery) -> None:
        options: HubSpotSyncOptions = delivery.options
        if delivery.mode in ("mirror", "remove") and options.removal is None:
            raise DestinationError(
                f"mode {delivery.mode} must know what becomes of who leaves",
                where=f"sync {delivery.sync}",
                hint="set removal: membership (with membership: PROPERTY) or removal: archive in its options",
            )
        if options.removal == "membership" and options.membership is None:
            raise DestinationError("removal: membership needs membership", where=f"sync {delivery.sync}")
        self._delivery, self._http = delivery, self._opened()

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        delivery, options = self._prepared()
        keys = batch.rows[batch.key].to_list()
        failed = _twins(keys)
        inputs = []
        for key, text in zip(keys, batch.payload.to_list(), strict=True):
            if key in failed:
                continue
            properties = {name: written(value) for name, value in json.loads(text).items()}
            if options.membership is not None:
                properties[options.membership] = "true"
            inputs.append(_input(key, delivery.key, properties))
        verb = "update" if delivery.mode == "update" else "upsert"
        return SendResult(failed | self._call(verb, inputs, keys) if inputs else failed)

    def remove(self, keys: pl.Series) -> SendResult:
        listed = keys.to_list()
        if not listed:
            return SendResult()
        delivery, options = self._prepared()
        if options.removal == "archive":
            return self._archive(listed)
        told = {str(options.membership): "false"}
        failed = self._call("update", [_input(key, delivery.key, told) for key in listed], listed)
        return SendResult({key: why for key, why in failed.items() if not any(code in why for code in _GONE)})

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """For good, as the GDPR wants it: an address that is unknown is blocked all the same."""
        self._delivery, self._http = delivery, self._opened()
        path = f"/crm/v3/objects/{delivery.options.object}/gdpr-delete"
        try:
            for key in keys.to_list():
                self._http.call("POST", path, json={"objectId": str(key), "idProperty": delivery.key}, accept=(404,))
        finally:
            self.finish(True)
        return SendResult()

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def test(self) -> str:
        http = self._opened()
        try:
            told = http.call("GET", "/account-info/v3/details").json()
        finally:
            http.close()
        portal = told.get("portalId") if isinstance(told, dict) else None
        return f"{self.where} answers: account {portal if isinstance(portal, int) else '?'}"

    def test_sync(self, delivery: Delivery) -> str:
        """Whether the object has all properties of the mapping: HubSpot refuses a whole call for one it does not."""
        options: HubSpotSyncOptions = delivery.options
        self.prepare(delivery)
        try:
            assert self._http is not None
            told = self._http.call("GET", f"/crm/v3/properties/{options.object}").json()
        finally:
            self.finish(True)
        listed = told.get("results") if isinstance(told, dict) else None
        known = {str(each.get("name")) for each in listed or [] if isinstance(each, dict)}
        wanted = [*(name for name in delivery.fields if name != delivery.key), options.membership]
        for name in wanted:
            if name is not None and name not in known:
                error = DestinationError.unknown("property", name, known, where=f"sync {delivery.sync}")
                raise DestinationError(error.what, where=error.where,
                                       hint=error.hint or "make it in HubSpot's settings, or map another")  # fmt: skip
        return f"{options.object} have all {len(wanted) - (options.membership is None)} properties"

    def _archive(self, keys: list[Any]) -> SendResult:
        """Archiving wants HubSpot's own ids."""
        delivery, _ = self._prepared()
        body = {"idProperty": delivery.key, "properties": [delivery.key], "inputs": [{"id": str(k)} for k in keys]}
        found = self._post("read", body).json()
        ids = [{"id": each["id"]} for each in (found or {}).get("results", [])]
        if ids:
            self._post("archive", {"inputs": ids})
        return SendResult()

    def _call(self, verb: str, inputs: list[dict[str, Any]], keys: list[Any]) -> dict[Any, str]:
        told = self._post(verb, {"inputs": inputs}).json()
        if not isinstance(told, dict) or not isinstance(told.get("results"), list):
            raise DestinationError("the answer has no results", where=self.where)
        traces = {str(key): key for key in keys}
        failed: dict[Any, str] = {}
        for error in told.get("errors") or []:
            context = error.get("context") or {}
            named = context.get("objectWriteTraceId") or context.get("ids") or context.get("id") or []
            for trace in named:
                if str(trace) not in traces:
                    raise DestinationError("the answer names a row that was not sent", where=self.where)
                failed[traces[str(trace)]] = reason(error)
        if told.get("numErrors") and not failed:
            raise DestinationError("the answer counts errors and names none", where=self.where)
        return failed

    def _post(self, verb: str, body: dict[str, Any]) -> Answer:
        assert self._http is not None
        path = f"/crm/v3/objects/{self._prepared()[1].object}/batch/{verb}"
        return self._http.call("POST", path, json=body, refusal=lambda answer: reason(answer.told()))

    def _opened(self) -> Http:
        return Http(
            self.options.base_url,
            where=self.where,
            headers={"Authorization": f"Bearer {self.options.token.get_secret_value()}"},
            timeout=self.options.timeout,
            private=self.options.private_network,
        )

    def _prepared(self) -> tuple[Delivery, HubSpotSyncOptions]:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        return self._delivery, self._delivery.options


def _input(key: Any, name: str, properties: dict[str, str]) -> dict[str, Any]:
    """The trace is HubSpot's way to say which input an error is about."""
    return {"id": str(key), "idProperty": name, "objectWriteTraceId": str(key), "properties": properties}


def written(value: Any) -> str:
    """A value as HubSpot reads it: booleans and numbers as text, lists with semicolons, null as an empty text.

    >>> written(True), written(None), written(["a", "b"]), written(1.5)
    ('true', '', 'a;b', '1.5')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ";".join(str(item) for item in value if item is not None) if isinstance(value, list) else str(value)


def _twins(keys: list[Any]) -> dict[Any, str]:
    """HubSpot takes a@x and A@x for one, and refuses a batch that holds it twice."""
    seen: set[str] = set()
    failed: dict[Any, str] = {}
    for key in keys:
        folded = str(key).strip().lower()
        if folded in seen:
            failed[key] = TWICE
        seen.add(folded)
    return failed


def reason(error: dict[str, Any]) -> str:
    """Its category, codes and the property's name; messages quote values.

    >>> reason({"category": "VALIDATION_ERROR", "message": 'was not valid: [{"error":"INVALID_EMAIL","name":"email"}]'})
    'VALIDATION_ERROR INVALID_EMAIL: email'
    """
    text = str(error.get("message", ""))
    codes = [str(error.get("category", "")), *re.findall(r'"error"\s*:\s*"([A-Z_]+)"', text)]
    told = " ".join(dict.fromkeys(code for code in codes if _CODE.fullmatch(code))) or "refused"
    names = dict.fromkeys(_NAME.findall(text))
    return f"{told}: {', '.join(names)}" if names else told
