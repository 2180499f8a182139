"""A scaffolded workspace, run once by the command line for all tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from cdp_command import Command, command, process


@pytest.fixture(scope="session")
def cdp() -> Command:
    return command


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A scaffolded workspace that has not been run."""
    from cdp_core.runs.scaffold import scaffold

    return scaffold(tmp_path / "ws")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scaffolded workspace that has been run; tests read it only."""
    folder = tmp_path_factory.mktemp("cli") / "shop"
    for arguments in (("init", str(folder)), ("run", "--workspace", str(folder))):
        done = process(*arguments)
        assert done.returncode == 0, done.stderr
    return folder
