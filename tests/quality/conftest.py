from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp_core.engine.staging import Staging
from cdp_core.quality.validator import Validator


@pytest.fixture(scope="session")
def validator() -> Iterator[Validator]:
    """One process for all tests: its start costs seconds."""
    with Validator() as started:
        started.start()
        yield started


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    made = Staging(tmp_path / "batch.duckdb")
    yield made
    made.discard()
