"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp_core.engine import Engine, EngineSpec, open_engine

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


def needs(program: str, *, found: bool) -> None:
    """Skip where a program is missing on a developer's machine; on CI its absence is a failure."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not installed")
    pytest.skip(f"{program} is not installed")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Engine]:
    """An empty lake with every canonical table."""
    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    yield engine
    engine.close()


@pytest.fixture
def spark(tmp_path: Path) -> Iterator[Engine]:
    """The same on PySpark; the session is shared by all tests of one process."""
    needs("java", found=shutil.which("java") is not None)
    engine = open_engine(tmp_path, EngineSpec(type="spark", master="local[2]", lake="data/spark"))
    engine.ensure_tables()
    yield engine
    engine.close()


@pytest.fixture(params=["lake", pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.xdist_group("spark")])])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    found: Engine = request.getfixturevalue(request.param)
    return found
