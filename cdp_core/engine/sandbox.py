"""A user's SELECT in a process of its own: no files, no network, no environment, and an end to time and memory.

DuckDB's settings are not enough for that: its SQLite reader opens files past them, and one call of one function can
neither be interrupted nor is its memory counted. Rule: ASVS 5.0, 13.2 and 15.2; DuckDB, "Securing DuckDB".
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.engine.spec import SqlLimits
from cdp_core.errors import EngineError, SpecError

if TYPE_CHECKING:
    import polars as pl

_CHILD = Path(__file__).with_name("sandbox_child.py")
_BARE_PROCESS = 1536 * 1024**2
"""Address space of Python, DuckDB and Arrow before they hold anything: mapped, not used."""
_WHERE = "SQL"

LOCKED = (
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""After everything else is set: from here on nothing can be."""


def answer(query: str, setup: list[str], limits: SqlLimits) -> pl.DataFrame:
    """Run `setup`, then the SELECT, in a new process. Raises SpecError with the reason in one line."""
    import polars as pl

    memory = limits.bytes("memory_limit")
    request = {
        "query": query,
        "setup": setup,
        "timeout": limits.timeout,
        "address_space": memory + _BARE_PROCESS,
        "file_size": limits.bytes("spill_limit"),
        "max_rows": limits.max_rows,
        "max_bytes": memory,
    }
    code, out = _run(json.dumps(request).encode(), limits)
    if code == 0:
        frame = pl.read_ipc_stream(out)
        assert isinstance(frame, pl.DataFrame)
        return frame
    raise _refusal(out, limits)


def _run(request: bytes, limits: SqlLimits) -> tuple[int, bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-X", "utf8", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"no process can be started for the query ({error.strerror})", where=_WHERE) from None
    try:
        out, _ = process.communicate(request, timeout=limits.timeout)
    except subprocess.TimeoutExpired:
        raise too_late(limits) from None
    finally:
        process.kill()
        process.wait()
    return process.returncode, out


def _refusal(out: bytes, limits: SqlLimits) -> SpecError:
    try:
        found = json.loads(out)
    except ValueError:
        found = {"kind": "memory"}
    if found["kind"] == "rows":
        return too_long(limits)
    if found["kind"] == "memory":
        hint = "ask for less, or raise engine.sql.memory_limit or spill_limit in cdp.yaml"
        return SpecError(f"the query needs more than {limits.memory_limit} of memory", where=_WHERE, hint=hint)
    return SpecError(f"the query failed: {reason(found['text'])}", where=_WHERE)


def too_late(limits: SqlLimits) -> SpecError:
    hint = "ask for less, or raise engine.sql.timeout in cdp.yaml"
    return SpecError(f"the query was stopped after {limits.timeout} s", where=_WHERE, hint=hint)


def too_long(limits: SqlLimits) -> SpecError:
    hint = "add a LIMIT, or raise engine.sql.max_rows in cdp.yaml"
    return SpecError(f"the answer has more than {limits.max_rows:,} rows", where=_WHERE, hint=hint)


def reason(text: str) -> str:
    """DuckDB's reason without the echo of the query."""
    return " ".join(line for line in text.splitlines() if line.strip() and not line.startswith(("LINE", " ")))
