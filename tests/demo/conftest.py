from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cdp_core.demo_world import WorldSummary, write_world

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests, whatever pytest's import mode


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldSummary:
    """A world of 2,000 people, seed 3."""
    return write_world(tmp_path_factory.mktemp("world") / "demo", people=2_000, seed=3)


@pytest.fixture(scope="session")
def data(world: WorldSummary) -> Path:
    return world.out / "data"
