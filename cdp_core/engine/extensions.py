"""DuckDB's extensions, as they come in wheels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.errors import EngineError

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def load_extension(con: Backend, name: str) -> None:
    import duckdb

    path = extension_path(name).replace("'", "''")
    try:
        con.raw_sql(f"LOAD '{path}'")
    except duckdb.Error as error:
        raise EngineError(
            f"DuckDB's extension {name!r} is neither installed as a wheel nor by DuckDB",
            hint=f"install the package duckdb-extension-{name.replace('_', '-')}, or run INSTALL {name} in DuckDB",
        ) from error


def extension_path(name: str) -> str:
    """Its path in the wheel: nothing is downloaded and nothing is copied into a home folder. Else its name."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or not found.origin:
        return name
    return str(next(Path(found.origin).parent.rglob("*.duckdb_extension"), name))
