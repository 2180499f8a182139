"""Tables whose columns are known: what Ibis' `create_table` and `table` give, without asking DuckDB for them again."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cdp_core.engine.base import PLACE

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

ROW = "rowid"


def storage_types(con: Backend, schema: ibis.Schema) -> dict[str, str]:
    """DuckDB's type of each column."""
    return {column: con.compiler.type_mapper.to_string(kind) for column, kind in schema.items()}


def column_list(kinds: Mapping[str, str]) -> str:
    """Columns as `CREATE TABLE` wants them."""
    quoted = {column.replace('"', '""'): kind for column, kind in kinds.items()}
    return ", ".join(f'"{column}" {kind}' for column, kind in quoted.items())


def read_alike(kind: str) -> bool:
    """Whether Ibis reads the same type from these words and from DuckDB's for it: not of times finer or coarser."""
    return re.search(r"TIMESTAMP(_|\((?!6\)))", kind) is None


def schema_of(kinds: Mapping[str, str]) -> ibis.Schema:
    """The schema that Ibis reads from a table with these columns."""
    import ibis

    return ibis.schema({column: _read(kind) for column, kind in kinds.items()})


def stored_table(con: Backend, name: str, schema: ibis.Schema, catalog: str) -> ir.Table:
    """A table of the catalog's main schema."""
    import ibis.expr.operations as ops

    namespace = ops.Namespace(catalog=catalog, database="main")
    return ops.DatabaseTable(name, schema=schema, source=con, namespace=namespace).to_expr()


def placed_table(con: Backend, name: str, schema: ibis.Schema, catalog: str) -> ir.Table:
    """The same with the number that DuckLake keeps of each row for as long as the row is there."""
    import ibis

    table = stored_table(con, name, ibis.schema({**dict(schema.items()), ROW: "int64"}), catalog)
    # By another name, since `SELECT *` leaves it out.
    return table.select(*schema.names, **{PLACE: table[ROW]})


@functools.cache
def _read(kind: str) -> Any:
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.from_string(kind, nullable=True)
