"""A scaffolded workspace, run once by the command line for all tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest


class Command(Protocol):
    def __call__(
        self, *arguments: str, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]: ...


def command(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """`cdp ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cdp_core.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "COLUMNS": "200", **environ},
    )


@pytest.fixture(scope="session")
def cdp() -> Command:
    return command


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A scaffolded workspace that has not been run."""
    from cdp_core.runs.scaffold import scaffold

    return scaffold(tmp_path / "ws")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, cdp: Command) -> Path:
    """A scaffolded workspace that has been run; tests read it only."""
    folder = tmp_path_factory.mktemp("cli") / "shop"
    for arguments in (("init", str(folder)), ("run", "--workspace", str(folder))):
        done = cdp(*arguments)
        assert done.returncode == 0, done.stderr
    return folder
