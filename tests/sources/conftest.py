"""A source loaded into a staging file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core import tables
from cdp_core.engine import Staging
from cdp_core.sources.spec import SourceSpec
from cdp_core.sources.stage import stage_sources
from tests.postgres import postgres_server, postgres_url
from tests.sources.source_kit import NOW, Load, Loaded

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Stage one source named `s` (or several, by keyword `specs`); `before` is an earlier load to go on from."""
    opened: list[Staging] = []

    def run(
        spec: dict[str, Any] | None = None, *, before: Loaded | None = None, full: bool = False, specs: Any = None
    ) -> Loaded:
        staging = Staging(tmp_path / f"staging_{len(opened)}.duckdb")
        opened.append(staging)
        wanted = {name: SourceSpec.model_validate(s) for name, s in (specs or {"s": spec}).items()}
        state = before.state if before else tables.SOURCE_STATE.empty()
        columns = before.columns if before else tables.SOURCE_COLUMNS.empty()
        staged = stage_sources(wanted, staging, state=state, columns=columns, root=tmp_path, now=NOW, full=full)
        created = staging.path.exists()
        found = {name: staging.polars(staging.table(name)) for name in staging.names()} if created else {}
        run_id = pl.lit("run")
        parts = pl.concat(s.parts for s in staged).with_columns(run_id=run_id)
        seen = pl.concat(s.columns for s in staged).with_columns(run_id=run_id)
        return Loaded(
            staged,
            found,
            pl.concat([parts, state.join(parts, on=["source", "part"], how="anti")], how="diagonal"),
            pl.concat([seen, columns.join(seen, on=["source", "column"], how="anti")], how="diagonal"),
        )

    yield run
    for staging in opened:
        staging.discard()
