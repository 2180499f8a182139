"""The end of every command: an exit code, and one line on stderr when it is not 0."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.exceptions import Abort, Exit, TyperException

from cdp_core.errors import CDPError, EngineError, trace

INTERRUPTED = 130


def guarded(command: Callable[[], Any]) -> int:
    """Run a command and give its exit code: 0 ok, 1 the work failed, 2 usage or configuration, 3 a gate or a brake."""
    try:
        code = command()
        sys.stdout.flush()
        return _report(Exit(INTERRUPTED)) if code == INTERRUPTED else code if isinstance(code, int) else 0
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit as stop:
        # Typer turns a broken pipe into an exit of its own.
        if isinstance(stop.__context__, BrokenPipeError):
            return _closed_pipe()
        raise
    except KeyboardInterrupt:
        return _complain("interrupted; what was published before stays", INTERRUPTED)
    except Exception as error:  # noqa: BLE001
        return _report(error)


def _report(error: Exception) -> int:
    if isinstance(error, CDPError):
        return _complain(str(error), error.exit_code, error)
    if isinstance(error, Exit):
        return _complain("interrupted", INTERRUPTED) if error.exit_code == INTERRUPTED else error.exit_code
    if isinstance(error, Abort):
        return _complain("interrupted", INTERRUPTED)
    if isinstance(error, TyperException):
        return _complain(_usage(error), error.exit_code)
    if isinstance(error, MemoryError):
        return _complain("out of memory; lower engine.memory_limit in cdp.yaml or free some", 1, error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{(error.strerror or '').lower()}", EngineError.exit_code, error)
    return _complain(f"{type(error).__name__} at {_place(error)}; this is a bug, CDP_DEBUG=1 shows more", 1, error)


def _place(error: Exception) -> str:
    """Where in this package it happened. The text of an unexpected error may hold somebody's data and is not shown."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "cdp_core" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "an unknown place"


def _usage(error: Any) -> str:
    """A wrong option or argument, with the command whose --help to read."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "cdp"
    text = " ".join(error.format_message().split()).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}; see '{path} --help'"


def _complain(text: str, code: int, error: BaseException | None = None) -> int:
    try:
        if error is not None and os.environ.get("CDP_DEBUG") == "1":
            print(trace(error), end="", file=sys.stderr)
        print(f"error: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass
    return code


def _closed_pipe() -> int:
    """The reader of our output is gone (`cdp sql … | head`): no complaint, not even from the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
