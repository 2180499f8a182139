"""Snowflake on this machine: signed tokens, and statements of the SQL API v2, over DuckDB.

What it cannot prove: that Snowflake takes a statement which sqlglot reads, that quoted names differ by case (DuckDB's
never do), the codes of rarer errors, and for how long a request id is known.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

from cdp_core.destinations.jwt import fingerprint
from cdp_core.testing.services.base import Reply, Request, StandIn
from cdp_core.testing.services.tokens import claims_of, rsa_key
from cdp_core.testing.services.warehouse import Tables

ACCOUNT, USER, DATABASE, SCHEMA, WAREHOUSE = "myorg-shop", "cdp_writer", "SHOP", "CRM", "LOAD"
PAT = "pat-1"
LONGEST = 1_000_000
PAGE = 2
_ERRORS = {
    "syntax": ("001003", "42000"),
    "missing": ("002003", "02000"),
    "null": ("100072", "22000"),
    "too long": ("100078", "22000"),
    "value": ("100038", "22018"),
}
_COLUMNS = """
    SELECT schema_name AS TABLE_SCHEMA, table_name AS TABLE_NAME, column_name AS COLUMN_NAME,
           CASE WHEN data_type LIKE '%[]' THEN 'ARRAY' WHEN data_type LIKE 'DECIMAL%' THEN 'NUMBER'
                WHEN data_type = 'VARCHAR' THEN 'TEXT' WHEN data_type = 'DOUBLE' THEN 'FLOAT'
                WHEN data_type = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ' ELSE data_type END AS DATA_TYPE,
           CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE,
           (SELECT regexp_extract(constraint_text, '<= (\\d+)', 1) FROM duckdb_constraints() AS k
            WHERE k.table_oid = c.table_oid AND constraint_type = 'CHECK' AND column_name IN constraint_column_names
           ) AS CHARACTER_MAXIMUM_LENGTH,
           CASE WHEN data_type LIKE 'DECIMAL%' THEN numeric_precision END AS NUMERIC_PRECISION,
           CASE WHEN data_type LIKE 'DECIMAL%' THEN numeric_scale END AS NUMERIC_SCALE,
           column_default AS COLUMN_DEFAULT, 'NO' AS IS_IDENTITY, column_index AS ORDINAL_POSITION
    FROM duckdb_columns() AS c"""


class SnowflakeTables(Tables):
    """What sqlglot leaves of Snowflake's JSON is written for DuckDB here."""

    def written(self, tree: Any) -> str:
        return str(tree.transform(self._written).sql(dialect="duckdb"))

    def _written(self, node: Any) -> Any:
        kind = exp.DataType.Type
        if isinstance(node, exp.Cast) and isinstance(node.this, exp.JSONExtract) and node.to.this == kind.VARCHAR:
            return exp.JSONExtractScalar(this=node.this.this, expression=node.this.expression)
        if isinstance(node, exp.Cast) and isinstance(node.this, exp.ParseJSON) and node.to.this == kind.ARRAY:
            text = node.this.this.transform(self._written)
            return exp.Anonymous(this="from_json", expressions=[text, exp.Literal.string('["VARCHAR"]')])
        if isinstance(node, exp.TableFromRows) and node.find(exp.ParseJSON, exp.Placeholder):
            rows = sqlglot.parse_one("FROM (SELECT unnest(CAST(? AS JSON[])) AS value) AS r", read="duckdb")
            return rows.args["from_"].this
        if isinstance(node, exp.DataType) and node.this == kind.ARRAY and not node.expressions:
            return exp.DataType.build("VARCHAR[]", dialect="duckdb")
        if isinstance(node, exp.Table) and node.name == "COLUMNS" and node.db == "INFORMATION_SCHEMA":
            listed = f"({_COLUMNS} WHERE database_name = '{node.catalog}') AS c"
            return sqlglot.parse_one(f"FROM {listed}", read="duckdb").args["from_"].this
        return node


@dataclass
class Statement:
    handle: str = field(default_factory=lambda: str(uuid.uuid4()))
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    error: tuple[str, str, str] | None = None
    looks: int = 0


class SnowflakeService(StandIn):
    """`looks` is how often a MERGE or DELETE must be looked at before it has ended; 0 answers at once. `errors` happen
    to the next statements: (status, code, sqlState).
    """

    def __init__(self) -> None:
        super().__init__()
        self.sql = SnowflakeTables("snowflake", self.effects)
        self.sql.native(f'ATTACH \':memory:\' AS "{DATABASE}"; CREATE SCHEMA "{DATABASE}"."{SCHEMA}"')
        self.by_request: dict[str, Statement] = {}
        self.by_handle: dict[str, Statement] = {}
        self.errors: list[tuple[int, str, str]] = []
        self.looks = 0
        self.expired = 0

    def expire(self) -> None:
        """The next call is refused with the token it carries."""
        with self.lock:
            self.expired += 1

    def rows(self, table: str, columns: str = "*", order: str = "ALL") -> list[tuple[Any, ...]]:
        with self.lock:
            return self.sql.native(f'SELECT {columns} FROM "{DATABASE}"."{SCHEMA}"."{table}" ORDER BY {order}')

    def native(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement of somebody else, in DuckDB's words, in the schema of the stand-in."""
        with self.lock:
            return self.sql.native(f'USE "{DATABASE}"."{SCHEMA}"; {statement}')

    def has(self, table: str) -> bool:
        found = f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{DATABASE}' AND table_name = '{table}'"
        with self.lock:
            return bool(self.sql.native(found))

    def handle(self, request: Request) -> Reply:
        with self.lock:
            if not self._known(request):
                return Reply(401, {"code": "390144", "message": "JWT token is invalid."})
            match request.method, request.path.strip("/").split("/"):
                case "POST", ["api", "v2", "statements"]:
                    return self._submitted(request)
                case "GET", ["api", "v2", "statements", handle] if handle in self.by_handle:
                    found = self.by_handle[handle]
                    found.looks -= 1
                    return self._shown(found, int(request.query.get("partition", 0)))
            return Reply(404, {"code": "391902", "message": "not found"})

    def _known(self, request: Request) -> bool:
        kind = request.headers.get("x-snowflake-authorization-token-type")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.expired:
            self.expired -= 1
            return False
        if kind == "PROGRAMMATIC_ACCESS_TOKEN":
            return token == PAT
        claims = claims_of(token, rsa_key()) or {}
        name, now = f"{ACCOUNT.upper()}.{USER.upper()}", time.time()
        return (
            kind == "KEYPAIR_JWT"
            and claims.get("iss") == f"{name}.{fingerprint(rsa_key())}"
            and claims.get("sub") == name
            and claims["iat"] <= now + 5
            and now < claims["exp"] <= claims["iat"] + 3600
        )

    def _submitted(self, request: Request) -> Reply:
        body = request.json()
        asked = uuid.UUID(request.query["requestId"]) if "requestId" in request.query else uuid.uuid4()
        before = self.by_request.get(str(asked))
        if before is not None and before.error is None and request.query.get("retry") == "true":
            return self._shown(before)
        if self.errors:
            status, code, state = self.errors.pop(0)
            return Reply(status, _failure(code, state, "as ordered, of canary-7f3a"))
        if (body.get("database"), body.get("schema")) != (DATABASE, SCHEMA):
            return Reply(422, _failure("002043", "02000", "Object does not exist, or operation cannot be performed."))
        if body.get("warehouse") != WAREHOUSE:
            return Reply(422, _failure("000606", "57P03", "No active warehouse selected in the current session."))
        changing = body["statement"].startswith(("MERGE", "DELETE"))
        statement = Statement(looks=self.looks if changing else 0)
        self.by_request[str(asked)] = self.by_handle[statement.handle] = statement
        self._run(statement, body)
        return self._shown(statement)

    def _run(self, statement: Statement, body: dict[str, Any]) -> None:
        bindings = body.get("bindings") or {}
        values = [bindings[str(n)]["value"] for n in range(1, len(bindings) + 1)]
        text = body["statement"].replace("CURRENT_VERSION(), CURRENT_ROLE()", "'9.99', 'LOADER'")
        if len(text.encode()) + sum(len(value.encode()) for value in values) > LONGEST:
            statement.error = ("000099", "54001", "the text is longer than 1 MB")
            return
        found = self.sql.run(text, values or None)
        statement.rows = found.rows
        if found.error is not None:
            statement.error = (*_ERRORS[found.error], found.text)

    def _shown(self, statement: Statement, partition: int = 0) -> Reply:
        told = {"statementHandle": statement.handle, "statementStatusUrl": f"/api/v2/statements/{statement.handle}"}
        if statement.looks > 0:
            return Reply(202, {"code": "333334", "message": "Asynchronous execution in progress.", **told})
        if statement.error is not None:
            return Reply(422, {**_failure(*statement.error), **told})
        parts = [statement.rows[i : i + PAGE] for i in range(0, len(statement.rows), PAGE)] or [[]]
        data = [[None if v is None else str(v) for v in row] for row in parts[partition]]
        meta = {"numRows": len(statement.rows), "partitionInfo": [{"rowCount": len(part)} for part in parts]}
        return Reply(200, {"code": "090001", "sqlState": "00000", **told, "data": data, "resultSetMetaData": meta})


def _failure(code: str, state: str, message: str) -> dict[str, str]:
    return {"code": code, "sqlState": state, "message": message}
