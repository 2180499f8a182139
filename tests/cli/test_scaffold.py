"""`cdp init` and `cdp app`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cdp_core.cli.server import Dashboard, free_port
from cdp_core.errors import UsageError
from cdp_core.runs.scaffold import scaffold

pytestmark = pytest.mark.xdist_group("cli")
FILES = {
    "cdp.yaml", "app.py", ".gitignore", "data/sources/customers.csv", "expectations/sources/customers.json",
    "notebooks/README.md", ".streamlit/config.toml",
}  # fmt: skip


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written(tmp_path: Path) -> None:
    made = scaffold(tmp_path / "deep" / "ws")
    assert names(made) == FILES
    assert len((made / "app.py").read_text().splitlines()) <= 40
    assert "data/lake/" in (made / ".gitignore").read_text()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert names(scaffold(tmp_path)) == FILES


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="the folder is not empty"):
        scaffold(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        scaffold(tmp_path / "mine.txt")
    assert names(tmp_path) == {"mine.txt"}


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cdp_core.runs import scaffold as module

    real = module._copy

    def full(source: Path, target: Path) -> None:
        if target.name == "customers.csv":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(UsageError, match="no space left on device"):
        scaffold(tmp_path / "ws")
    assert list(tmp_path.iterdir()) == []


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port


def test_an_address_of_another_machine() -> None:
    with pytest.raises(UsageError, match="no address of this machine"):
        free_port("192.0.2.1", 8501)


def test_the_dashboard_needs_an_app(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no app\.py"):
        Dashboard(tmp_path, host="127.0.0.1", port=8501)


def test_the_dashboard_is_served_and_stopped(fresh: Path) -> None:
    port = free_port("127.0.0.1", 20000 + os.getpid() % 20000)
    command = [sys.executable, "-m", "cdp_core.cli", "app", "--port", str(port), "--no-browser", "-w", str(fresh)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"{url}/_stcore/health", timeout=20).read() == b"ok"
        assert b"<title>" in opener.open(url, timeout=20).read()
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    with pytest.raises(OSError, match="refused"):
        opener.open(url, timeout=5)
