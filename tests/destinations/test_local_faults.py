"""Faults of this machine: locks, disks, folders. What a run could not write is pending, and the next one writes it once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import test_destination_contract
from every_destination import Ready, World

from cdp_core.destinations.files.storage import StorageDestination, StorageOptions
from cdp_core.destinations.sync import SyncResult
from cdp_core.engine import EngineSpec, open_engine
from cdp_core.errors import DestinationError

Trouble = Callable[[World, Any], Any]


class Nowhere:
    """What a world expects of a service; files have none."""

    def __init__(self) -> None:
        self.faults: deque[Any] = deque()
        self.effects: Counter[str] = Counter()
        self.lock = threading.RLock()


class _Table:
    def put_foreign(self, destination: Any) -> Any:
        self.execute(destination, self.people)  # type: ignore[attr-defined]
        return super().put_foreign(destination)  # type: ignore[misc]


class Sqlite(_Table, test_destination_contract.TestSqlite):
    pass


class DuckDb(_Table, test_destination_contract.TestDuckDb):
    pass


class Bucket(test_destination_contract.TestCsv):
    """A bucket that is a folder: the rows are gathered in a file first, as for any other."""

    def make(self, root: Path) -> Any:
        return StorageDestination(StorageOptions(url=f"file://{root}/out"), root)

    def put_foreign(self, destination: Any) -> None:
        return None

    def rows(self, destination: Any) -> Any:
        import polars as pl

        path = Path(destination.options.url.removeprefix("file://")) / "people.csv"
        return pl.read_csv(path).to_dicts() if path.exists() else []


class File(test_destination_contract.TestCsv):
    def rows(self, destination: Any) -> Any:
        return super().rows(destination) if (destination.root / "out" / "people.csv").exists() else []


def before(destination: Any, moment: str, act: Callable[[], Any], call: int = 1) -> None:
    """`act` happens when the destination's method is called for that time."""
    real, left = getattr(destination, moment), [call]

    def told(*given: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            act()
        return real(*given)

    setattr(destination, moment, told)


HOLDS = {
    "sqlite": "import sqlite3; c = sqlite3.connect(path, isolation_level=None); c.execute('BEGIN EXCLUSIVE')",
    "duckdb": "import duckdb; c = duckdb.connect(path)",
}


def held(kind: str, moment: str, call: int = 1) -> Trouble:
    """Another program takes the file and keeps it until the run has ended."""

    @contextmanager
    def trouble(world: World, destination: Any) -> Iterator[None]:
        code = (
            f"path = {str(destination.path)!r}; {HOLDS[kind]}; print('held', flush=True); import sys; sys.stdin.read()"
        )
        with ExitStack() as stack:

            def hold() -> None:
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                other: Any = stack.enter_context(subprocess.Popen([sys.executable, "-c", code], **pipes))
                stack.callback(other.stdin.close)
                assert other.stdout.readline() == b"held\n"

            before(destination, moment, hold, call)
            yield

    return trouble


@contextmanager
def full_database(world: World, destination: Any) -> Iterator[None]:
    """SQLite may take no further page, as on a full disk."""
    real = destination._connect

    def connect() -> Any:
        connection = real()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    destination._connect = connect
    big = {key: {**row, "name": row["name"] + "x" * 20} for key, row in world.model.items()}
    many = {f"q{n}": {**row, "profile_id": f"q{n}"} for n, row in enumerate(list(big.values()) * 40)}
    model, world.model = world.model, {**world.model, **many}
    yield
    world.model = model


@contextmanager
def full_disk(world: World, destination: Any) -> Iterator[None]:
    """The kernel answers every write with ENOSPC."""
    with Path("/dev/full").open("wb") as full:

        def fill() -> None:
            os.dup2(full.fileno(), destination._writer._raw.fileno())

        before(destination, "send", fill, 2)
        yield


@contextmanager
def folder_gone(world: World, destination: Any) -> Iterator[None]:
    """As when a disk is taken away before the file is put in its place."""
    folder = world.root / "out"
    before(destination, "finish", lambda: folder.rename(folder.with_name("away")))
    yield
    folder.with_name("away").rename(folder)


CASES: dict[str, tuple[Ready, dict[str, Trouble]]] = {
    "sqlite": (
        Ready(Sqlite, Nowhere, options={"lock_timeout": 0.05}),  # type: ignore[arg-type]
        {"held": held("sqlite", "prepare"), "held in the middle": held("sqlite", "send", 2), "full": full_database},
    ),
    "duckdb": (Ready(DuckDb, Nowhere, options={}), {"held": held("duckdb", "prepare")}),  # type: ignore[arg-type]
    "file": (Ready(File, Nowhere, options={}), {"disk full": full_disk, "folder gone": folder_gone}),  # type: ignore[arg-type]
    "storage": (Ready(Bucket, Nowhere, options={}), {"disk full": full_disk}),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_could_not_be_written_is_written_by_the_next_run(name: str, tmp_path: Path) -> None:
    ready, troubles = CASES[name]
    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    world = World(ready, engine, Nowhere(), tmp_path)  # type: ignore[arg-type]
    assert isinstance(world.run(), SyncResult)
    for trouble in troubles.values():
        world.settle()
        world.change(12)
        there, destination = world.there(), world.opened()
        with trouble(world, destination):
            found, wanted = world.run(destination, attempts=1), world.wanted()
        assert isinstance(found, DestinationError) or found.pending, found
        left = world.there()
        assert all(left.get(key) in (there.get(key), wanted.get(key)) for key in {*there, *wanted, *left})
        assert world.pending() >= sum(world.due()) > 0
    world.settle()
    engine.close()
