"""Customer.io as a destination: people with attributes, or their events, over the Track API v2 (`/api/v2/batch`)."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.destinations.services.customerio_events import ITEM_BYTES, bodies, check, events, value
from cdp_core.destinations.services.erasing import erase_by
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

_CODE = re.compile(r"[A-Za-z_][A-Za-z_ ]{0,39}")
_REGIONS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}


class CustomerIoOptions(HttpOptions):
    """`site_id` and `api_key` are those of the Track API; keep the key in the environment, as ${NAME}."""

    base_url: str = Field("", validate_default=False, description="Left out: the address of the region")
    region: Literal["us", "eu"] = Field("us", description="Where the account's data is kept")
    site_id: str = Field(min_length=1, description="Of the Track API")
    api_key: SecretStr = Field(description="Of the Track API")


class CustomerIoSyncOptions(BaseModel):
    """The key of the sync is the person's `identifier`. `attribute` is true for those whom the sync holds.

    Of events the mapped field `user` is the identifier, and the rest are attributes of the event.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    as_: Literal["people", "events"] = Field("people", alias="as", description="What a row becomes")
    identifier: Literal["id", "email", "cio_id"] = Field("id", description="What the key, or `user`, is there")
    attribute: str = Field(
        "cdp_member", min_length=1, max_length=150, description="True for those whom the sync holds, then false"
    )
    removal: Literal["attribute", "delete"] = Field("attribute", description="delete takes the whole person away")
    user: str = Field("user_id", description="Events: the mapped field that says whose it is")
    event: str = Field("event", description="Events: the mapped field with the name")
    time: str = Field("timestamp", description="Events: the mapped field with the time")
    kind: str = Field("type", description="Events: the mapped field that says page or screen; no other counts")
    properties: str | None = Field(None, description="Events: the mapped field with all attributes as a JSON object")


class CustomerIoDestination:
    """People are made or changed by their identifier; a removed one keeps all but `attribute`, which becomes false.

    An event carries the id of its delivery, so that a second one is known as such.
    """

    Options: ClassVar[type[BaseModel]] = CustomerIoOptions
    SyncOptions: ClassVar[type[BaseModel]] = CustomerIoSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "insert", "full", "remove"})
    known_fields: ClassVar[dict[str, str]] = {
        "email": "E-mail address",
        "phone": "Phone number",
        "first_name": "First name",
        "last_name": "Last name",
        "created_at": "When the account was made",
        "unsubscribed": "True for who wants no messages",
    }
    batch_rows = 1000
    batch_bytes = 400_000
    calls_per_second = 100.0
    concurrency = 4

    def __init__(self, options: CustomerIoOptions, root: Path) -> None:
        self.options = options
        self._delivery: Delivery | None = None
        self._http: Http | None = None
        self._run = ""

    @property
    def _address(self) -> str:
        return self.options.base_url or _REGIONS[self.options.region]

    def place(self, delivery: Delivery) -> str:
        """Raises SpecError for options that do not go with the sync."""
        options: CustomerIoSyncOptions = delivery.options
        check(delivery, options)
        how = "events" if options.as_ == "events" else f"{options.attribute}&removal={options.removal}"
        return f"customerio:{self._address}/{self.options.site_id}/{options.identifier}?{how}"

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def prepare(self, delivery: Delivery) -> None:
        check(delivery, delivery.options)
        self._delivery, self._http, self._run = delivery, self._opened(), uuid.uuid4().hex

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        import polars as pl

        options = self._prepared().options
        if options.as_ == "events":
            ids = batch.ids if batch.ids is not None else self._own_ids(batch.rows[batch.key])
            told = events(batch.rows, batch.key, options, ids)
            wrong = told.filter(pl.col("reason").is_not_null())
            failed = dict(zip(wrong["key"], wrong["reason"], strict=True))
            return SendResult(failed | self._sent(told.filter(pl.col("reason").is_null())))
        fields = [value(name, kind) for name, kind in batch.rows.schema.items() if name != batch.key]
        member = pl.lit(True).alias(options.attribute)
        return self._act(batch.rows, batch.key, "identify", pl.struct([*fields, member]).alias("attributes"))

    def remove(self, keys: pl.Series) -> SendResult:
        if not keys.len():
            return SendResult()
        import polars as pl

        options = self._prepared().options
        rows = keys.alias("key").to_frame()
        if options.removal == "delete":
            return self._act(rows, "key", "delete")
        return self._act(rows, "key", "identify", pl.struct(pl.lit(False).alias(options.attribute)).alias("attributes"))

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Deleted, then suppressed: the identifier is not taken again until somebody lifts it."""
        self.prepare(delivery)
        rows = keys.alias("key").to_frame()
        failed: dict[Any, str] = {}
        try:
            for start in range(0, rows.height, self.batch_rows):
                part = rows[start : start + self.batch_rows]
                failed |= self._act(part, "key", "delete").failed
                failed |= self._act(part, "key", "suppress").failed
        finally:
            self.finish(True)
        return SendResult(failed)

    def erase_rows(self, delivery: Delivery, batch: Batch) -> SendResult:
        """Of events, the people whose they are."""
        options: CustomerIoSyncOptions = delivery.options
        field = options.user if options.as_ == "events" else batch.key
        return erase_by(field, batch, lambda keys: self.erase(delivery, keys))

    def test(self) -> str:
        http = self._opened()
        try:
            told = http.call("GET", "/api/v1/accounts/region").json()
        finally:
            http.close()
        region = told.get("region") if isinstance(told, dict) else None
        return f"{self._address} answers: an account in region {region if region in _REGIONS else '?'}"

    def _act(self, rows: pl.DataFrame, key: str, action: str, *more: pl.Expr) -> SendResult:
        import polars as pl

        identifier = pl.struct(pl.col(key).cast(pl.String).alias(self._prepared().options.identifier))
        item = pl.struct(
            pl.lit("person").alias("type"), pl.lit(action).alias("action"), identifier.alias("identifiers"), *more
        ).struct.json_encode()
        return SendResult(self._sent(rows.select(key=pl.col(key), item=item)))

    def _sent(self, items: pl.DataFrame) -> dict[Any, str]:
        """Send items (key, item) in as many calls as they need; key → reason of those that are not taken."""
        import polars as pl

        assert self._http is not None
        long = pl.col("item").str.len_bytes() > ITEM_BYTES
        failed = dict.fromkeys(items.filter(long)["key"], f"longer than the {ITEM_BYTES:,} bytes that one may have")
        for body, keys in bodies(items.filter(~long)):
            failed |= _refused(self._http.call("POST", "/api/v2/batch", content=body), keys)
        return failed

    def _own_ids(self, keys: pl.Series) -> pl.Series:
        """Where nobody gives any: equal for the same row until the next `prepare`."""
        import polars as pl

        text = self._run + keys.cast(pl.String)
        return text.hash().cast(pl.String).str.zfill(20)

    def _opened(self) -> Http:
        options = self.options
        return Http(
            self._address,
            where="Customer.io",
            auth=(options.site_id, options.api_key.get_secret_value()),
            timeout=options.timeout,
            private=options.private_network,
        )

    def _prepared(self) -> Delivery:
        if self._delivery is None or self._http is None:
            raise DestinationError("prepare() has not been called", where="Customer.io")
        return self._delivery


def _refused(answer: Answer, keys: pl.Series) -> dict[Any, str]:
    """Key → reason, from `errors[].batch_index`; messages are left out, as they quote values. An empty object says that
    all were taken; raises Unavailable for an answer that says neither.
    """
    told = answer.json()
    if not isinstance(told, dict):
        raise Unavailable("answered with what is no JSON object", where="Customer.io")
    errors = told.get("errors", None if told else [])
    if not isinstance(errors, list):
        raise Unavailable("the answer does not say what became of the rows", where="Customer.io")
    failed: dict[Any, str] = {}
    for error in errors:
        place = error.get("batch_index")
        if not isinstance(place, int) or not 0 <= place < keys.len():
            raise DestinationError("refused a row that was not sent", where="Customer.io")
        code = str(error.get("reason", ""))
        named = ": ".join(part for part in (code, str(error.get("field", ""))) if _CODE.fullmatch(part))
        failed[keys[place]] = named or "refused"
    return failed
