"""Customer.io as a destination: people with attributes, over the Track API v2 (`/api/v2/batch`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.http import Answer, Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

ITEM_BYTES = 32_000
_CODE = re.compile(r"[A-Za-z_][A-Za-z_ ]{0,39}")
_REGIONS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}


class CustomerIoOptions(HttpOptions):
    """`site_id` and `api_key` are those of the Track API; keep the key in the environment, as ${NAME}."""

    base_url: str = Field("", validate_default=False, description="Left out: the address of the region")
    region: Literal["us", "eu"] = Field("us", description="Where the account's data is kept")
    site_id: str = Field(min_length=1, description="Of the Track API")
    api_key: SecretStr = Field(description="Of the Track API")


class CustomerIoSyncOptions(BaseModel):
    """The key of the sync is the person's `identifier`. `attribute` is true for those whom the sync holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: Literal["id", "email", "cio_id"] = Field("id", description="What the key of the sync is there")
    attribute: str = Field(
        "cdp_member", min_length=1, max_length=150, description="True for those whom the sync holds, then false"
    )
    removal: Literal["attribute", "delete"] = Field("attribute", description="delete takes the whole person away")


class CustomerIoDestination:
    """People are made or changed by their identifier; a removed one keeps all but `attribute`, which becomes false."""

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
    batch_bytes = 300_000
    calls_per_second = 100.0
    concurrency = 4

    def __init__(self, options: CustomerIoOptions, root: Path) -> None:
        self.options = options
        self._delivery: Delivery | None = None
        self._http: Http | None = None

    @property
    def _address(self) -> str:
        return self.options.base_url or _REGIONS[self.options.region]

    def place(self, delivery: Delivery) -> str:
        options: CustomerIoSyncOptions = delivery.options
        return f"customerio:{self._address}/{self.options.site_id}/{options.identifier}?{options.attribute}"

    def finish(self, complete: bool) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def prepare(self, delivery: Delivery) -> None:
        self._delivery, self._http = delivery, self._opened()

    def send(self, batch: Batch) -> SendResult:
        if not batch.rows.height:
            return SendResult()
        import polars as pl

        options = self._prepared().options
        fields = [_value(name, kind) for name, kind in batch.rows.schema.items() if name != batch.key]
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
        for start in range(0, rows.height, self.batch_rows):
            part = rows[start : start + self.batch_rows]
            failed |= self._act(part, "key", "delete").failed
            failed |= self._act(part, "key", "suppress").failed
        return SendResult(failed)

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
        items = rows.select(key=pl.col(key), item=item)
        long = items.filter(pl.col("item").str.len_bytes() > ITEM_BYTES)["key"]
        sent = items.filter(pl.col("item").str.len_bytes() <= ITEM_BYTES)
        failed = dict.fromkeys(long.to_list(), f"longer than the {ITEM_BYTES:,} bytes that one person may have")
        if sent.height:
            body = '{"batch":[' + ",".join(sent["item"]) + "]}"
            assert self._http is not None
            answer = self._http.call("POST", "/api/v2/batch", content=body.encode())
            failed |= _refused(answer, sent["key"])
        return SendResult(failed)

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


def _value(name: str, kind: Any) -> pl.Expr:
    """Times as Customer.io wants them: seconds since 1970."""
    import polars as pl

    column = pl.col(name)
    if kind == pl.Date or kind == pl.Datetime:
        return column.dt.epoch("s").alias(name)
    return column.cast(pl.Float64) if kind.is_decimal() else column


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
