"""The command line. One file per noun; every command asks the public API and prints what it says.

Exit codes: 0 ok · 1 the work failed · 2 usage or configuration · 3 a quality gate or a safety brake stopped it.
Data goes to stdout, progress and messages to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cdp_core as cdp
from cdp_core.cli.guard import guarded


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    cdp.private_process()
    sys.exit(execute(sys.argv[1:] if argv is None else argv))


def execute(argv: Sequence[str]) -> int:
    """Run one command and give its exit code."""
    from cdp_core.cli.commands import app

    return guarded(lambda: app(args=list(argv), prog_name="cdp", standalone_mode=False))
