"""The `engine:` block of cdp.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSpec(BaseModel):
    """Where tables are kept and computed.

    `duckdb` (default) keeps a DuckLake under data/lake; `spark` runs the same stages on PySpark.

    >>> EngineSpec().type
    'duckdb'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["duckdb", "spark"] = "duckdb"
    lake: str = Field("data/lake", description="Folder of the built tables, relative to the workspace")
    master: str = Field("local[*]", description="Spark only: master URL, such as local[2] or spark://host:7077")
    memory_limit: str = Field("2GB", description="DuckDB only: memory before it spills to disk")
    threads: int | None = Field(None, ge=1, description="DuckDB only: default is the number of processors")
    keep_snapshots: str = Field("7d", pattern=r"^\d+[hd]$", description="How long old snapshots stay readable")
