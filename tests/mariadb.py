"""A real MariaDB for tests: its own folder, a free port, proven to be ours, stopped at the end.

`mariadb_server` is the server of the test session, `mysql_url` the url of a fresh database for one test. A test that
needs the programs fails when they are missing, it does not skip.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

PASSWORD = "s3cret-canary"
_numbers = itertools.count()
_GUARD = 'while kill -0 "$1" && kill -0 "$2"; do sleep 1; done; kill -9 "$2"; rm -rf "$3"'


@dataclass
class MariaDb:
    folder: Path
    port: int

    def connect(self, database: str | None = None) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="cdp", password=PASSWORD, database=database, autocommit=True
        )

    def url(self, database: str) -> str:
        return f"mysql://cdp:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self) -> str:
        name = f"test_{next(_numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def _account() -> str | None:
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("mysql", "nobody") if name in known)


def _program(*names: str) -> str:
    found = [path for name in names for path in (shutil.which(name), shutil.which(name, path="/usr/sbin")) if path]
    assert found, "MariaDB is missing: apt-get install mariadb-server"
    return found[0]


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """A server of this test session, under the account of the package when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="cdp_my_", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    account = _account()
    if account:
        shutil.chown(folder, account)
    user = [f"--user={account}"] if account else []
    data = folder / "data"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": "/"}
    install = [_program("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={data}", *user]
    done = subprocess.run(
        [*install, "--skip-test-db", "--auth-root-authentication-method=normal"], timeout=120, **quiet
    )
    assert done.returncode == 0, done.stderr
    first = folder / "first.sql"
    first.write_text(
        f"CREATE USER cdp@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO cdp@'%' WITH GRANT OPTION;\n"
    )
    first.chmod(0o644)
    server = MariaDb(folder, port)
    process = subprocess.Popen(
        [
            _program("mariadbd", "mysqld"), "--no-defaults", f"--datadir={data}", f"--port={port}", *user,
            f"--socket={folder / 'socket'}", "--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={first}", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", f"--pid-file={folder / 'pid'}",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"), cwd="/",
    )  # fmt: skip
    nowhere: dict[str, Any] = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
    guard = ["/bin/sh", "-c", _GUARD, "guard", str(os.getpid()), str(process.pid), str(folder)]
    subprocess.Popen(guard, start_new_session=True, cwd="/", **nowhere)
    try:
        _await(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _await(server: MariaDb, process: subprocess.Popen[Any]) -> None:
    for _ in range(300):
        assert process.poll() is None, (server.folder / "log").read_text()
        try:
            with server.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@datadir")
                (found,) = cursor.fetchone() or ("",)
                assert Path(found).samefile(server.folder / "data"), "another server answers on this port"
                return
        except pymysql.OperationalError:
            time.sleep(0.1)
    raise AssertionError((server.folder / "log").read_text())


@pytest.fixture
def mysql_url(mariadb_server: MariaDb) -> str:
    """The url, password included, of an empty database of this test's own."""
    return mariadb_server.fresh_database()
