"""Braze: attributes and events of users over /users/track."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.destinations.services.erasing import erase_by
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

ERASED = 50
"""Users that one call may delete."""
NOBODY = "the event belongs to nobody"
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_' ]{2,80}")


class BrazeOptions(HttpOptions):
    """`base_url` is the REST endpoint of your instance; the key needs users.track, and users.delete to erase."""

    base_url: str = Field(description="REST endpoint, such as https://rest.iad-01.braze.com")
    api_key: SecretStr = Field(description="With the rights users.track and, to erase, users.delete")


class BrazeSyncOptions(BaseModel):
    """The key of the sync is the external id; of events the mapped field `user` is, and the rest are properties."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    as_: Literal["attributes", "events"] = Field("attributes", alias="as", description="What a row becomes")
    membership: str | None = Field(None, description="Attribute: true for those whom the sync holds, then false")
    user: str = Field("user_id", description="Events: the mapped field with the external id")
    event: str = Field("event", description="Events: the mapped field with the name")
    time: str = Field("timestamp", description="Events: the mapped field with the time")


class BrazeDestination:
    """75 objects a call. A refused one is named by its place, in an answer that says success.

    Events have no id at Braze: one whose answer is lost may be there twice. Limits:
    https://www.braze.com/docs/api/api_limits
    """

    Options: ClassVar[type[BaseModel]] = BrazeOptions
    SyncOptions: ClassVar[type[BaseModel]] = BrazeSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "update", "insert", "full", "remove"})
    known_fields: ClassVar[dict[str, str]] = {
        "external_id": "Who it is: the key",
        "email": "E-mail address",
        "phone": "Phone number, with +",
        "first_name": "First name",
        "last_name": "Last name",
        "dob": "Birth date",
        "country": "Two letters",
        "home_city": "City",
        "language": "Two letters",
        "gender": "M, F, O, N or P",
    }
    batch_rows = 75
    batch_bytes = 3_500_000
    calls_per_second = 200.0
    concurrency = 8

    def __init__(self, options: BrazeOptions, root: Path) -> None:
        self.options = options
        self.where = f"braze {options.base_url.partition('://')[2]}"
        self._http: Http | None = None
        self._delivery: Delivery | None = None

    def place(self, delivery: Delivery) -> str:
        options: BrazeSyncOptions = delivery.options
        return f"{self.where}?{options.as_}:{options.membership or ''}"

    def prepare(self, delivery: Delivery) -> None:
        options: BrazeSyncOptions = delivery.options
        if delivery.mode in ("mirror", "remove") and options.membership is None:
            raise DestinationError(
                f"mode {delivery.mode} must know what becomes of who leaves",
                where=f"sync {delivery.sync}",
                hint="set membership: ATTRIBUTE in its options; it becomes false",
            )
        missing = [name for name in (options.user, options.event, options.time) if name not in delivery.fields]
        if options.as_ == "events" and missing:
            raise DestinationError(f"as: events needs the mapped field {missing[0]}", where=f"sync {delivery.sync}")
        self._delivery, self._http = delivery, self._opened()

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        delivery, options = self._prepared()
        rows = {
            key: json.loads(text)
            for key, text in zip(batch.rows[batch.key].to_list(), batch.payload.to_list(), strict=True)
        }
        if options.as_ == "events":
            failed: dict[Any, str] = {key: NOBODY for key, row in rows.items() if not row.get(options.user)}
            events = {key: _event(row, options, delivery.key) for key, row in rows.items() if key not in failed}
            return SendResult(failed | self._track("events", events))
        held = {options.membership: True} if options.membership else {}
        update = delivery.mode == "update"
        people = {
            key: {**_without(row, delivery.key), **held, "external_id": str(key), "_update_existing_only": update}
            for key, row in rows.items()
        }
        return SendResult(self._track("attributes", people))

    def remove(self, keys: pl.Series) -> SendResult:
        if not keys.len():
            return SendResult()
        _, options = self._prepared()
        gone = {
            key: {"external_id": str(key), str(options.membership): False, "_update_existing_only": True}
            for key in keys.to_list()
        }
        return SendResult(self._track("attributes", gone))

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """The whole user, with all events: Braze keeps nothing of one."""
        http = self._opened()
        try:
            for start in range(0, keys.len(), ERASED):
                part = [str(key) for key in keys[start : start + ERASED]]
                http.call("POST", "/users/delete", json={"external_ids": part})
        finally:
            http.close()
        return SendResult()

    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """Of events, the users whose they are."""
        options: BrazeSyncOptions = delivery.options
        field = options.user if options.as_ == "events" else batch.key
        return erase_by(field, batch, lambda keys: self.erase(delivery, keys))

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def test(self) -> str:
        """An empty call: a key without the right is refused, and nothing is written."""
        http = self._opened()
        try:
            http.call("POST", "/users/track", json={"attributes": []}, accept=(400,))
        finally:
            http.close()
        return f"{self.where} answers"

    def _track(self, kind: str, objects: dict[Any, dict[str, Any]]) -> dict[Any, str]:
        if not objects:
            return {}
        assert self._http is not None
        answer = self._http.call("POST", "/users/track", json={kind: list(objects.values())}, refusal=_message)
        told = answer.json()
        if not isinstance(told, dict) or told.get("message") != "success":
            raise DestinationError("the answer says no success", where=self.where)
        keys, failed = list(objects), {}
        for error in told.get("errors") or []:
            place = error.get("index")
            if error.get("input_array") != kind or not isinstance(place, int) or not 0 <= place < len(keys):
                raise DestinationError("the answer names an object that was not sent", where=self.where)
            failed[keys[place]] = _kind(error.get("type"))
        return failed

    def _opened(self) -> Http:
        return Http(
            self.options.base_url,
            where=self.where,
            headers={"Authorization": f"Bearer {self.options.api_key.get_secret_value()}"},
            timeout=self.options.timeout,
            private=self.options.private_network,
        )

    def _prepared(self) -> tuple[Delivery, BrazeSyncOptions]:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        return self._delivery, self._delivery.options


def _without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def _event(row: dict[str, Any], options: BrazeSyncOptions, key: str) -> dict[str, Any]:
    own = (options.user, options.event, options.time, key)
    properties = {name: value for name, value in row.items() if name not in own and value is not None}
    return {
        "external_id": str(row[options.user]),
        "name": row[options.event],
        "time": row[options.time],
        "properties": properties,
    }


def _message(answer: Answer) -> str | None:
    told = answer.json()
    said = told.get("message") if isinstance(told, dict) else None
    return _kind(said) if said else None


def _kind(said: Any) -> str:
    """Braze's own words for a kind of error hold no values; anything that is not a few plain words is left out."""
    text = str(said or "")
    return text if _KIND.fullmatch(text) else "refused"
