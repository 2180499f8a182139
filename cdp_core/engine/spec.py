"""The `engine:` block of cdp.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_SIZE = r"^\d+(\.\d+)?\s*[KMGT]i?B$"
_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


class SqlLimits(BaseModel):
    """What one query of a user's may take: `cdp sql`, `ws.sql`.

    >>> SqlLimits().bytes("memory_limit")
    1000000000
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout: int = Field(60, ge=1, le=86_400, description="Seconds after which it is stopped")
    memory_limit: str = Field("1GB", pattern=_SIZE, description="Memory of its process, and of its answer")
    spill_limit: str = Field("4GB", pattern=_SIZE, description="Disk for what does not fit into memory")
    max_rows: int = Field(1_000_000, ge=1, description="Longer answers are refused")

    def bytes(self, key: Literal["memory_limit", "spill_limit"]) -> int:
        """The limit in bytes; GB is 1000³ and GiB 1024³, as in DuckDB."""
        text = getattr(self, key).replace(" ", "")
        number, unit = text.rstrip("KMGTiB"), text.lstrip("0123456789.")
        return int(float(number) * (1024 if "i" in unit else 1000) ** _UNITS[unit[0]])


class EngineSpec(BaseModel):
    """Where tables are kept and computed.

    `duckdb` (default) keeps a DuckLake under data/lake; `spark` runs the same stages on PySpark.

    >>> EngineSpec().type
    'duckdb'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["duckdb", "spark"] = "duckdb"
    lake: str = Field("data/lake", description="Folder of the built tables, relative to the workspace")
    encrypted: bool = Field(False, description="DuckDB only: encrypt the lake's files; needs 'catalog'")
    catalog: str | None = Field(
        None, description="DuckDB only: where the catalog is kept, with the keys, if not in the lake"
    )
    master: str = Field("local[*]", description="Spark only: master URL, such as local[2] or spark://host:7077")
    memory_limit: str = Field("2GB", description="DuckDB only: memory before it spills to disk")
    threads: int | None = Field(None, ge=1, description="DuckDB only: default is the number of processors")
    sql: SqlLimits = Field(
        default_factory=lambda: SqlLimits.model_validate({}), description="Limits of a user's own query"
    )
    keep_snapshots: str = Field("7d", pattern=r"^\d+[hd]$", description="How long old snapshots stay readable")

    @model_validator(mode="after")
    def _keys_are_elsewhere(self) -> EngineSpec:
        if self.type == "spark" and (self.encrypted or self.catalog):
            raise ValueError("'encrypted' and 'catalog' go with type: duckdb")
        if self.encrypted and self.catalog is None:
            raise ValueError("'encrypted' needs 'catalog': a file outside the data folder, which will hold the keys")
        return self
