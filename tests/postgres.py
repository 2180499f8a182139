"""A real PostgreSQL for tests: its own folder, a free port, proven to be ours, stopped at the end.

Use it with `from tests.postgres import postgres_server` in a conftest.py; `postgres_server` is the server of the test
session, `postgres_url` the url of a fresh database for one test. Debian's package puts the programs under
/usr/lib/postgresql; a test that needs them fails when they are missing, it does not skip.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

USER = "cdp"
PASSWORD = "s3cret-canary"
_numbers = itertools.count()


@dataclass
class Server:
    """A running server. `stop()` and `start()` play an outage."""

    folder: Path
    port: int
    programs: Path
    account: str | None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.folder / "log", "-o", options, "start")
        with psycopg.connect(self.url()) as connection:
            (found,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        assert Path(found).samefile(self.data), "another server answers on this port"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def fresh_database(self) -> str:
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        return self.url(name)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        self._own(secret)
        self._run("initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", "--pwfile", secret, "-N", "-E", "UTF8")

    def _own(self, path: Path) -> None:
        if self.account:
            entry = pwd.getpwnam(self.account)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        if self.account:
            command = ["runuser", "-u", self.account, "--", *command]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", timeout=120
        )
        assert done.returncode == 0, done.stderr


def programs() -> Path:
    """The folder of initdb and pg_ctl, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    places = [*found, *([Path(on_path)] if on_path else [])]
    assert places, "PostgreSQL is missing: apt-get install postgresql"
    return places[0].resolve().parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A server of this test session. PostgreSQL refuses to run as root, so root borrows the account of the package."""
    folder = Path(tempfile.mkdtemp(prefix="cdp_pg_", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    account = None
    if os.geteuid() == 0:
        account = next(a for a in ("postgres", "nobody") if _exists(a))
    server = Server(folder=folder, port=port, programs=programs(), account=account)
    server._own(folder)
    _guard(folder)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """The url, password included, of an empty database of this test's own."""
    return postgres_server.fresh_database()


_GUARD = """
while kill -0 "$1"; do sleep 1; done
[ -f "$2/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$2/data/postmaster.pid")" && sleep 1
rm -rf "$2"
"""


def _guard(folder: Path) -> None:
    """Stop the server and delete its folder when this process is gone, even if it was killed."""
    command = ["/bin/sh", "-c", _GUARD, "guard", str(os.getpid()), str(folder)]
    nowhere = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, cwd="/")


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
