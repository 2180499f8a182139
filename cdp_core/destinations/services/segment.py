"""Segment, and whatever takes its calls: RudderStack, Jitsu, the collector of another workspace."""

from __future__ import annotations

import dataclasses
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import HttpOptions
from cdp_core.destinations.services.erasing import erase_by
from cdp_core.errors import DestinationError, SpecError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.http import Answer, Http

REGULATED = 5_000
"""User ids that one regulation may name."""
_TAKING = ("mirror", "remove")
_RULE = re.compile(r"[a-z][a-z0-9_.]{0,60}")


class SegmentOptions(HttpOptions):
    """`write_key` is the source's. Erasing is done by Segment's Public API, which wants a token of its own."""

    base_url: str = Field("https://api.segment.io", description="Or https://events.eu1.segmentapis.com, or a collector")
    write_key: SecretStr = Field(description="Of the source that takes the calls")
    regulation_url: str = Field("https://api.segmentapis.com", description="Or https://eu1.api.segmentapis.com")
    regulation_token: SecretStr | None = Field(None, description="Public API token; without it nothing is erased")
    regulation: Literal["SUPPRESS_WITH_DELETE", "DELETE_ONLY", "SUPPRESS_WITH_DELETE_INTERNAL", "DELETE_INTERNAL"] = (
        Field("SUPPRESS_WITH_DELETE", description="What erasing asks for")
    )

    @field_validator("regulation_url")
    @classmethod
    def _regulation_address(cls, url: str) -> str:
        return cls._address(url)


class SegmentSyncOptions(BaseModel):
    """`as` is what a row becomes: identify with the mapped fields as traits, track with them as properties, the entry
    into an audience, or the event that it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    as_: Literal["identify", "track", "audience", "events"] = Field("identify", alias="as")
    user_id: str | None = Field(None, description="Mapped field; the key, unless anonymous_id is given")
    anonymous_id: str | None = Field(None, description="Mapped field")
    event: str | None = Field(None, min_length=1, description="Name of the track call")
    removed_event: str | None = Field(None, min_length=1, description="Name of the track call for a row that has left")
    audience_key: str | None = Field(None, min_length=1, description="Name of the trait that is true or false")
    audience_calls: Literal["identify", "track", "both"] = Field("both", description="What tells the audience")
    space_id: str | None = Field(None, description="What context.personas.space_id says")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for kind, name in (("track", "event"), ("audience", "audience_key")):
            if self.as_ == kind and getattr(self, name) is None:
                raise ValueError(f"as: {kind} needs {name}")
        return self


class SegmentDestination:
    """Calls to /v1/batch. A call carries the message id of its delivery, so that a second one is known as such.

    Who leaves the model gets traits of null, `removed_event`, or the audience's trait false and "Audience Exited".
    """

    Options: ClassVar[type[BaseModel]] = SegmentOptions
    SyncOptions: ClassVar[type[BaseModel]] = SegmentSyncOptions
    known_fields: ClassVar[Mapping[str, str]] = {
        "email": "E-mail address",
        "phone": "Phone number",
        "firstName": "First name",
        "lastName": "Last name",
        "name": "Full name",
        "birthday": "Birth date",
        "gender": "Gender",
        "createdAt": "When the account was made",
        "username": "User name, different for every user",
    }
    batch_rows = 2_500
    batch_bytes = 400_000
    concurrency = 4

    def __init__(self, options: SegmentOptions, root: Path) -> None:
        self.options = options
        self.where = f"segment {options.base_url.partition('://')[2]}"
        self._lock = threading.Lock()
        self._http: Http | None = None
        self._delivery: Delivery | None = None
        self._run = ""

    def place(self, delivery: Delivery) -> str:
        """Host and what rows become. Raises SpecError for options that do not go with the sync."""
        options: SegmentSyncOptions = delivery.options
        _check(delivery, options)
        what = options.audience_key if options.as_ == "audience" else options.event
        return f"segment:{self.options.base_url.partition('://')[2]}?{options.as_}:{what or ''}"

    def prepare(self, delivery: Delivery) -> None:
        _check(delivery, delivery.options)
        self._delivery, self._run = delivery, uuid.uuid4().hex

    def send(self, batch: Batch) -> SendResult:
        return self._told(batch.rows, batch.key, batch.ids, here=True) if batch.rows.height else SendResult()

    def remove(self, keys: pl.Series) -> SendResult:
        key = self._prepared()[0].key
        return self._told(keys.alias(key).to_frame(), key, None, here=False) if keys.len() else SendResult()

    def remove_rows(self, batch: Batch) -> SendResult:
        """As `remove`, with the message ids of the deliveries."""
        return self._told(batch.rows, batch.key, batch.ids, here=False) if batch.rows.height else SendResult()

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Asks Segment for a regulation, which it carries out within thirty days."""
        from cdp_core.destinations.http import Http

        token = self.options.regulation_token
        if token is None:
            raise DestinationError(
                "erasing needs a token of Segment's Public API", where=self.where, hint="set regulation_token"
            )
        if (delivery.options.user_id or delivery.key) != delivery.key:
            raise DestinationError("the key is no user id, by which Segment erases", where=self.where)
        http = Http(
            self.options.regulation_url,
            where=self.where,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=self.options.timeout,
            private=self.options.private_network,
        )
        asked = {"regulationType": self.options.regulation, "subjectType": "USER_ID"}
        try:
            for start in range(0, keys.len(), REGULATED):
                part = [str(key) for key in keys[start : start + REGULATED]]
                http.call("POST", "/regulations", json={**asked, "subjectIds": part})
        finally:
            http.close()
        return SendResult()

    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """By the user ids of the rows, whatever their key is."""
        options: SegmentSyncOptions = delivery.options
        events = options.as_ == "events"
        user = "userId" if events else options.user_id or (None if options.anonymous_id else delivery.key)
        if user not in batch.rows.columns:
            raise DestinationError("no field holds the user id, by which Segment erases", where=self.where)
        told = dataclasses.replace(delivery, key=user, options=options.model_copy(update={"user_id": None}))
        return erase_by(str(user), batch, lambda keys: self.erase(told, keys))

    def finish(self, complete: bool) -> None:
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def test(self) -> str:
        """Sends a batch without events. Segment takes any write key; others say when it is wrong."""
        try:
            self._connected().call("POST", "/v1/batch", json={"batch": []}, accept=(400,))
        finally:
            self.finish(True)
        return f"{self.where} answers; whether the write key is right, Segment shows in the source's debugger"

    def _told(self, rows: pl.DataFrame, key: str, ids: pl.Series | None, *, here: bool) -> SendResult:
        import polars as pl

        from cdp_core.destinations.services import segment_events as events

        message = ids if ids is not None else self._own_ids(rows[key])
        told = self._events(rows, key, message, here=here)
        wrong = told.filter(pl.col("reason").is_not_null())
        failed = {rows[key][n]: reason for n, reason in wrong.select("n", "reason").iter_rows()}
        for body, numbers in events.bodies(told.filter(~pl.col("n").is_in(wrong["n"].implode()))):
            answer = self._connected().call("POST", "/v1/batch", content=body)
            failed |= {rows[key][numbers[i]]: rule for i, rule in self._held(answer).items() if i < len(numbers)}
        return SendResult(failed)

    def _events(self, rows: pl.DataFrame, key: str, message: pl.Series, *, here: bool) -> pl.DataFrame:
        """One call per row, or two: of an audience, as identify and as track."""
        import polars as pl

        from cdp_core.destinations.services import segment_events as events

        delivery, options = self._prepared()
        if options.as_ == "events":
            return events.as_it_was(rows, message)
        user = options.user_id or (None if options.anonymous_id else key)
        who = events.ids(rows, user, options.anonymous_id)
        named = [name for name in delivery.fields if name not in (user, options.anonymous_id)]
        fields = {n: events.value(n, rows.schema[n]) if here else pl.lit(None) for n in named}
        if options.as_ == "identify":
            return events.calls(rows, "identify", who, fields, message=message)
        if options.as_ == "track":
            name = options.event if here else options.removed_event
            return events.calls(rows, "track", who, fields if here else {}, message=message, event=name)
        return self._membership(rows, who, fields, message, here=here)

    def _membership(
        self,
        rows: pl.DataFrame,
        who: dict[str, pl.Expr],
        fields: dict[str, pl.Expr],
        message: pl.Series,
        *,
        here: bool,
    ) -> pl.DataFrame:
        import polars as pl

        from cdp_core.destinations.services import segment_events as events

        options = self._prepared()[1]
        name = options.audience_key or ""
        computed = {"computation_class": "audience", "computation_key": name, "computation_id": name}
        if options.space_id:
            computed["space_id"] = options.space_id
        context = {"personas": computed}
        flag = {name: pl.lit(here)}
        made = []
        if options.audience_calls != "track":
            traits = {**(fields if here else {}), **flag}
            made.append(events.calls(rows, "identify", who, traits, message=message + "-i", context=context))
        if options.audience_calls != "identify":
            said = {"audience_key": pl.lit(name), **flag}
            event = "Audience Entered" if here else "Audience Exited"
            made.append(events.calls(rows, "track", who, said, message=message + "-t", event=event, context=context))
        return pl.concat(made).sort("n", maintain_order=True)

    def _own_ids(self, keys: pl.Series) -> pl.Series:
        """Where nobody gives any: equal for the same row until the next `prepare`."""
        import polars as pl

        return (self._run + "-" + keys.cast(pl.String).hash(seed=0).cast(pl.String)).alias("ids")

    def _held(self, answer: Answer) -> dict[int, str]:
        """What the other side says it has not taken, by place in the batch; Segment itself says nothing."""
        said = answer.json()
        if isinstance(said, dict) and said.get("success") is False:
            raise BatchRefused("was not taken", where=self.where)
        if not _says_taken(said, answer.body):
            raise Unavailable("the answer does not say that the calls were taken", where=self.where)
        said = said if isinstance(said, dict) else {}
        listed = said.get("rejected")
        found = {
            one["index"]: f"held there: {rule}" if _RULE.fullmatch(rule := str(one.get("rule"))) else "held there"
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and isinstance(one.get("index"), int)
        }
        held = said.get("quarantined")
        if isinstance(held, int) and held > len(found):
            raise BatchRefused(next(iter(found.values()), "held there"), where=self.where)
        return found

    def _prepared(self) -> tuple[Delivery, SegmentSyncOptions]:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self.where)
        return self._delivery, self._delivery.options

    def _connected(self) -> Http:
        from cdp_core.destinations.http import Http

        with self._lock:
            if self._http is None:
                self._http = Http(
                    self.options.base_url,
                    where=self.where,
                    auth=(self.options.write_key.get_secret_value(), ""),
                    timeout=self.options.timeout,
                    private=self.options.private_network,
                )
            return self._http


def _says_taken(said: Any, body: bytes) -> bool:
    """`{"success": true}` of Segment, `{"ok": true}` of Jitsu, `OK` of RudderStack."""
    if isinstance(said, dict):
        return said.get("success") is True or said.get("ok") is True
    return body.strip().strip(b'"') == b"OK"


def _check(delivery: Delivery, options: SegmentSyncOptions) -> None:
    """Raises SpecError when rows cannot become what the options say."""
    from cdp_core.destinations.services.segment_events import JSON_FIELDS, TEXT_FIELDS

    where = f"syncs.{delivery.sync}"
    fields = set(delivery.fields)
    for name in ("user_id", "anonymous_id"):
        given = getattr(options, name)
        if given is not None and given not in fields:
            raise SpecError.unknown("field", given, fields, where=f"{where}.options.{name}")
    if options.as_ == "events":
        known = {*TEXT_FIELDS, *JSON_FIELDS, delivery.key}
        for name in sorted(fields - known):
            raise SpecError.unknown("field of an event", name, known, where=f"{where}.mapping.{name}")
        texts = [name for name in JSON_FIELDS if delivery.fields.get(name, "string") != "string"]
        if "type" not in fields or texts:
            wanted = f"{texts[0]} must be JSON text" if texts else "an event needs the field 'type'"
            raise SpecError(wanted, where=f"{where}.mapping", hint="map type: type, properties: properties")
        if delivery.mode in _TAKING:
            raise SpecError("events are not taken back", where=f"{where}.mode", choices=["insert", "upsert"])
        return
    who = options.user_id or (None if options.anonymous_id else delivery.key)
    told = {who, options.anonymous_id, delivery.key}
    if options.as_ == "audience" and options.audience_calls != "identify" and (more := sorted(fields - told)):
        raise SpecError(
            f"every change of {more[0]} would be another entry into the audience",
            where=f"{where}.mapping",
            hint="map ids only, or set audience_calls: identify",
        )
    if delivery.mode in _TAKING and delivery.key not in (who, options.anonymous_id):
        raise SpecError(
            "who leaves is known by the key alone, which must be user_id or anonymous_id",
            where=f"{where}.key",
            hint="make it the key, or use mode upsert",
        )
    if delivery.mode in _TAKING and options.as_ == "track" and options.removed_event is None:
        raise SpecError(
            f"mode {delivery.mode} tells who leaves", where=f"{where}.options.removed_event", hint="name the event"
        )
