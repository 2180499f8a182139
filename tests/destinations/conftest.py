"""PostgreSQL and MariaDB for the tests of destinations, and a sync to plan and run in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bucket_relay import moto_server
from mariadb import mariadb_server, mysql_url
from postgres import postgres_server, postgres_url
from syncing import Syncer

from cdp_core.engine import Engine

__all__ = ["mariadb_server", "moto_server", "mysql_url", "postgres_server", "postgres_url"]


@pytest.fixture
def syncer(lake: Engine, tmp_path: Path) -> Callable[..., Syncer]:
    """A sync into a CSV file, unless a destination is given."""
    from cdp_core.destinations.files.file import FileDestination, FileOptions

    def make(**given: Any) -> Syncer:
        given.setdefault("destination", FileDestination(FileOptions(path="out"), tmp_path))
        given.setdefault("options", {"file": "s.csv"})
        return Syncer(engine=lake, **given)

    return make
