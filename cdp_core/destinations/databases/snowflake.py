"""Snowflake as a destination, over its SQL API.

Rule: Snowflake SQL API v2 and the statements MERGE, DELETE, CREATE TABLE and ALTER TABLE of its SQL reference.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, Unavailable
from cdp_core.destinations.databases import snowflake_table as tables
from cdp_core.destinations.databases.keyed import checked_name
from cdp_core.destinations.databases.merge import Merge
from cdp_core.destinations.databases.snowflake_login import host_name, logged_in
from cdp_core.destinations.databases.snowflake_statements import Statements
from cdp_core.destinations.databases.warehouse import Warehouse, mark
from cdp_core.destinations.http import Http, HttpOptions
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

STATEMENT_BYTES = 950_000
"""Snowflake keeps statements up to 1 MB, their values included; a longer batch is halved."""


class SnowflakeOptions(HttpOptions):
    """Log in with `user` and `private_key`, or with a `token`; keys and tokens belong in the environment."""

    base_url: str = Field("https://{account}.snowflakecomputing.com", description="{account} stands for the account")
    account: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,255}$", description="Organisation and account: myorg-shop")
    database: str = Field(min_length=1, max_length=tables.LONGEST_NAME, description="It must be there already")
    schema_: str = Field("PUBLIC", alias="schema", min_length=1, max_length=tables.LONGEST_NAME, description="As well")
    warehouse: str | None = Field(None, min_length=1, description="What runs the statements; else the user's default")
    role: str | None = Field(None, min_length=1, description="In which the user acts; else the user's default")
    user: str | None = Field(None, min_length=1, description="Whose public key Snowflake has")
    private_key: SecretStr | None = Field(None, description="The key in PEM, or the path of its file")
    private_key_passphrase: SecretStr | None = Field(None, description="When the key is encrypted")
    token: SecretStr | None = Field(None, description="A token that Snowflake has given out")
    token_type: Literal["programmatic_access_token", "oauth"] = Field(
        "programmatic_access_token", description="What kind of token it is"
    )
    exact_names: bool = Field(False, description="Names as written; else `people` is PEOPLE, as in unquoted SQL")
    poll_seconds: float = Field(0.5, gt=0, le=60, description="First wait for a long statement; it grows to 10 s")
    statement_timeout: int = Field(600, ge=1, le=604_800, description="Seconds that one statement may take")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.user is not None and self.private_key is not None) == (self.token is not None):
            raise ValueError("give user and private_key, or token")
        return self


class SnowflakeSyncOptions(BaseModel):
    """`table` is made when it is missing; missing columns are added."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str

    @field_validator("table")
    @classmethod
    def _name(cls, name: str) -> str:
        return checked_name(name, tables.LONGEST_NAME, unit="characters")


class SnowflakeDestination(Warehouse):
    """A table. A batch is one MERGE that carries its rows as JSON; Snowflake wants a statement below 1 MB.

    Times are TIMESTAMP_NTZ in UTC, lists are ARRAY, whole numbers NUMBER(38, 0).
    """

    Options: ClassVar[type[BaseModel]] = SnowflakeOptions
    SyncOptions: ClassVar[type[BaseModel]] = SnowflakeSyncOptions
    product = "Snowflake"
    longest_name = tables.LONGEST_NAME
    name_unit = "characters"
    batch_rows = 10_000
    batch_bytes = 900_000
    options: SnowflakeOptions

    def __init__(self, options: SnowflakeOptions, root: Path) -> None:
        super().__init__(options, root)
        self._client: Statements | None = None
        self._columns: dict[str, tables.Column] = {}

    def place(self, delivery: Delivery) -> str:
        """Account, database, schema and table; another user sends nothing again."""
        return f"{self._shown()}.{self._same(delivery.options.table)}:{delivery.key}".replace(" ", ":", 1)

    def present(self, delivery: Delivery) -> bool:
        return self._found(delivery)

    def finish(self, complete: bool) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.http.close()

    def test(self) -> str:
        """A table is made and dropped again."""
        probe = self._sql(f"CDP_PROBE_{uuid.uuid4().hex[:12].upper()}")
        try:
            ((version, role),) = self._run("SELECT CURRENT_VERSION(), CURRENT_ROLE()")
            self._run(f"CREATE TABLE {probe} (N NUMBER(38, 0))")
            self._run(f"DROP TABLE IF EXISTS {probe}")
        finally:
            self.finish(True)
        return f"{self._shown()} answers: Snowflake {version}, role {role}"

    def _ensure(self, delivery: Delivery) -> None:
        table = self._sql(delivery.options.table)
        if not self._found(delivery):
            self._run(f"CREATE TABLE IF NOT EXISTS {table} ({self._definition(delivery)})")
            if not self._found(delivery):
                raise Unavailable("the table cannot be seen yet", where=self._shown())
        self._check_key(delivery)
        if missing := self._missing(delivery):
            for name, kind in missing.items():
                column = f"{tables.quoted(self._same(name))} {tables.type_of(kind)}"
                self._run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
            self._found(delivery)
        self._check_filled(delivery)
        self._merge(delivery.fields, delivery.key)

    def _definition(self, delivery: Delivery) -> str:
        """The primary key is not enforced by Snowflake; it says what the key is."""
        columns = [
            f"{tables.quoted(self._same(name))} {tables.type_of(kind)}{' NOT NULL' if name == delivery.key else ''}"
            for name, kind in delivery.fields.items()
        ]
        return ", ".join([*columns, f"PRIMARY KEY ({tables.quoted(self._same(delivery.key))})"])

    def _found(self, delivery: Delivery) -> bool:
        query = tables.COLUMNS.format(database=tables.quoted(self._folded(self.options.database)))
        names = [self._folded(self.options.schema_), self._same(delivery.options.table)]
        found = [tables.column(row) for row in self._run(query, names)]
        self._columns = {column.name: column for column in found}
        return bool(found)

    def _merge(self, fields: Mapping[str, str], key: str) -> Merge:
        there = {name: self._columns[self._same(name)] for name in fields}
        made = {
            number: tables.staged(number, kind, there[name], where=self._shown())
            for number, (name, kind) in enumerate(fields.items())
        }
        return Merge(
            table=self._sql(self._prepared().options.table),
            source=tables.source(made, list(fields).index(key)),
            values={tables.quoted(column.name): f"s.c{number}" for number, column in enumerate(there.values())},
            key=tables.quoted(self._same(key)),
        )

    def _same(self, name: str) -> str:
        return self._folded(name)

    def _write(self, rows: pl.DataFrame, batch: Batch) -> dict[Any, str]:
        delivery = self._prepared()
        text = tables.as_json(rows)
        if rows.height > 1 and len(text.encode()) > STATEMENT_BYTES:
            raise BatchRefused("too long for one statement", where=self._shown())
        merge = self._merge({name: delivery.fields[name] for name in rows.columns}, batch.key)
        failed: dict[Any, str] = {}
        if delivery.mode == "update":
            found = self._run(merge.absent("s.k"), [text])
            failed = self._named(rows, batch.key, [value for (value,) in found])
        if (statement := merge.write(delivery.mode)) is not None:
            self._run(statement, [text], known=True)
        return failed

    def _delete(self, keys: pl.DataFrame) -> None:
        delivery = self._prepared()
        fields = {delivery.key: delivery.fields.get(delivery.key, "string")}
        self._run(self._merge(fields, delivery.key).remove(), [tables.as_json(keys)], known=True)

    def _run(self, statement: str, values: list[str] | None = None, *, known: bool = False) -> list[list[Any]]:
        """With `known`, a statement that was left without an answer is gone on with when it is run again."""
        name = mark(statement, *(values or [])) if known else ""
        try:
            return self._connected().run(statement, values or [], mark=name)
        except BatchRefused as error:
            if values is None:
                raise DestinationError(error.what, where=self._shown()) from None
            raise

    def _folded(self, name: str) -> str:
        return tables.folded(name, exact=self.options.exact_names)

    def _sql(self, table: str) -> str:
        options = self.options
        return tables.quoted(*(self._folded(part) for part in (options.database, options.schema_, table)))

    def _connected(self) -> Statements:
        options = self.options
        if self._client is None:
            url = options.base_url.replace("{account}", host_name(options.account))
            http = Http(url, where=self._shown(), timeout=options.timeout, private=options.private_network,
                        **logged_in(options, self.root, where=self._shown()))  # fmt: skip
            named = {"database": options.database, "schema": options.schema_, "warehouse": options.warehouse,
                     "role": options.role}  # fmt: skip
            context: dict[str, Any] = {name: self._folded(value) for name, value in named.items() if value}
            context["parameters"] = {"timezone": "UTC", "query_tag": "cdp"}
            self._client = Statements(http, context, timeout=options.statement_timeout, poll=options.poll_seconds)
        return self._client

    def _shown(self) -> str:
        """Account, database and schema."""
        return f"snowflake {self.options.account}/{self.options.database}.{self.options.schema_}"
