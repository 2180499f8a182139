"""Running `cdp` in tests."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Protocol
from unittest import mock


class Command(Protocol):
    def __call__(
        self, *arguments: str, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]: ...


def process(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """`cdp ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cdp_core.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env={**os.environ, **environ},
    )


def command(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, which saves seconds of imports."""
    from cdp_core.cli import execute

    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(mock.patch.dict(os.environ, environ))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        code = execute(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
